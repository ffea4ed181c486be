//! No circles between files: of two files, one at most knows the other, also by way of
//! further files. So each file can be read, tested and moved with only those below it.
//!
//! An edge leads from file *a* to file *b* if code of *a* outside its tests names an
//! item that *b* defines: by a path from `crate`, `self` or `super`, by the name of a
//! child module, or by a name that a `use` brings in. A re-export is seen through to the
//! file that defines the item, and `pub use` alone is no edge. `mod name;` is none
//! either. A child that names an item of its parent has an edge to it, as any file has.
//! Methods are not seen, as their call does not say where they are.
//!
//! The files of one crate are compared with each other. In the package tcnd this covers
//! each room by itself and the rooms among each other. Rooms are compared once more as
//! wholes: two rooms may not know each other, even by different files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn files_form_no_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut packages = vec![root.join("src")];
    for package in fs::read_dir(root.join("crates")).unwrap() {
        packages.push(package.unwrap().path().join("src"));
    }
    packages.sort();
    let mut found = BTreeMap::new();
    for package in packages {
        let tree = Tree::of_package(&package);
        assert!(!tree.files.is_empty(), "no files in {}", package.display());
        let name = |file: usize| tree.files[file].strip_prefix(root).unwrap();
        let name = |file: usize| name(file).display().to_string();
        let edges = tree.edges();
        if package == root.join("src") {
            found.extend(circles(&edges_of_rooms(&tree, &edges)));
        }
        let named = edges.iter().map(|(from, to)| {
            let to = to.iter().map(|to| name(*to)).collect();
            (name(*from), to)
        });
        found.extend(circles(&named.collect()));
    }
    let found = found.iter().map(|(files, edges)| {
        let edges = edges.join("\n  ");
        format!("a circle of {files:?}:\n  {edges}")
    });
    let found: Vec<_> = found.collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_check_sees_a_circle() {
    let texts = [
        (
            "lib.rs",
            "mod a; mod b; mod c; pub use b::Deep; struct Top;",
        ),
        ("a.rs", "use super::Deep; pub struct A; // super::c::C"),
        (
            "b/mod.rs",
            "mod inner; pub use inner::Deep; #[cfg(test)] mod tests { use crate::c::C; }",
        ),
        (
            "b/inner.rs",
            "pub struct Deep(crate::c::C); const S: &str = \"crate::a::A\";",
        ),
        ("c.rs", "pub struct C; fn f() { g::<super::a::A>() }"),
    ];
    let folder = Path::new("/");
    let texts = texts.map(|(name, text)| (folder.join(name), text.to_owned()));
    let tree = Tree::new(folder, &texts);
    let name = |file: usize| tree.files[file].display().to_string();
    let edges: BTreeMap<String, BTreeSet<String>> = tree
        .edges()
        .into_iter()
        .map(|(from, to)| (name(from), to.into_iter().map(name).collect()))
        .collect();
    let found: Vec<_> = circles(&edges).into_keys().collect();
    assert_eq!(found, [["/a.rs", "/b/inner.rs", "/c.rs"]]);
}

/// The files of a package and the modules in them.
struct Tree {
    files: Vec<PathBuf>,
    modules: BTreeMap<Vec<String>, Module>,
}

/// A module: a file, or a block in one.
#[derive(Default)]
struct Module {
    file: usize,
    items: BTreeSet<String>,
    /// Names that `use` brings in, and what they stand for.
    aliases: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Paths that the code names.
    paths: Vec<Vec<String>>,
    /// Modules that exist for tests alone.
    for_tests: BTreeSet<String>,
}

impl Tree {
    fn of_package(folder: &Path) -> Self {
        let mut files = Vec::new();
        super::walk(folder, &mut files);
        files.sort();
        let texts: Vec<_> = files
            .into_iter()
            .map(|file| {
                let text = fs::read_to_string(&file).unwrap();
                (file, text)
            })
            .collect();
        Self::new(folder, &texts)
    }

    fn new(folder: &Path, texts: &[(PathBuf, String)]) -> Self {
        let is_library = texts.iter().any(|(file, _)| *file == folder.join("lib.rs"));
        let mut tree = Self {
            files: Vec::new(),
            modules: BTreeMap::new(),
        };
        for (file, text) in texts {
            let inside = file.strip_prefix(folder).unwrap().with_extension("");
            let mut path: Vec<String> = inside
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            match path.last().map(String::as_str) {
                Some("main") if is_library => continue,
                Some("mod" | "lib" | "main") => drop(path.pop()),
                _ if path[0] == "bin" => continue,
                _ => {}
            }
            let tokens = tokens(text);
            Reader {
                tree: &mut tree,
                tokens: &tokens,
                file: 0,
            }
            .read_file(file, &path);
        }
        let tests: Vec<Vec<String>> = tree
            .modules
            .iter()
            .flat_map(|(path, module)| {
                let names = module.for_tests.iter();
                names.map(|name| [path, std::slice::from_ref(name)].concat())
            })
            .collect();
        tree.modules
            .retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
        tree
    }

    /// The files that each file knows.
    fn edges(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut edges: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (at, module) in &self.modules {
            let known = edges.entry(module.file).or_default();
            let paths = module.paths.iter();
            let found = paths.filter_map(|path| self.find(&[], &absolute(at, path)?, 8));
            known.extend(found.filter(|file| *file != module.file));
        }
        edges
    }

    /// The file that defines the item at the end of a path, as seen from a module;
    /// `None` for another crate's, and for a path that ends in a module.
    fn find(&self, at: &[String], path: &[String], depth: u8) -> Option<usize> {
        let module = self.modules.get(at)?;
        let (name, rest) = path.split_first()?;
        let child = [at, std::slice::from_ref(name)].concat();
        if !rest.is_empty() && self.modules.contains_key(&child) {
            return self.find(&child, rest, depth);
        }
        if module.items.contains(name) {
            return Some(module.file);
        }
        let depth = depth.checked_sub(1)?;
        if let Some(alias) = module.aliases.get(name) {
            let path = [&absolute(at, alias)?[..], rest].concat();
            return self.find(&[], &path, depth);
        }
        if self.modules.contains_key(&child) {
            return None;
        }
        let mut globs = module.globs.iter();
        globs.find_map(|glob| {
            let path = [&absolute(at, glob)?[..], path].concat();
            self.find(&[], &path, depth)
        })
    }
}

/// A path from the root of the crate. The first name may be `crate`, `self`, `super`, or
/// one that the module knows.
fn absolute(at: &[String], path: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([at, rest].concat()),
        "super" => absolute(at.split_last()?.1, rest).or_else(|| Some(at.split_last()?.1.to_vec())),
        _ => Some([at, path].concat()),
    }
}

/// Takes the tokens of one file apart.
struct Reader<'a> {
    tree: &'a mut Tree,
    tokens: &'a [String],
    file: usize,
}

impl Reader<'_> {
    fn read_file(mut self, file: &Path, path: &[String]) {
        self.file = self.tree.files.len();
        self.tree.files.push(file.to_owned());
        self.read(0, path);
    }

    fn token(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", String::as_str)
    }

    /// Reads a module from a token on; returns the token behind its end.
    fn read(&mut self, mut at: usize, path: &[String]) -> usize {
        let mut module = Module {
            file: self.file,
            ..Module::default()
        };
        let mut depth = 0_usize;
        while at < self.tokens.len() {
            let (before, token) = (self.token(at.wrapping_sub(1)), self.token(at));
            match token {
                "#" if self.tokens[at..].starts_with(&CFG_TEST.map(str::to_owned)) => {
                    at = self.skip_test(at + CFG_TEST.len(), &mut module);
                    continue;
                }
                "use" if self.token(at + 1) != "<" => {
                    let is_public = ["pub", ")"].contains(&before);
                    at = self.read_use(at + 1, &[], &mut module, is_public);
                    continue;
                }
                "mod" if depth == 0 && self.token(at + 2) == "{" => {
                    let inner = [path, &[self.token(at + 1).to_owned()]].concat();
                    at = self.read(at + 3, &inner);
                    continue;
                }
                "mod" => at += 1,
                "{" => depth += 1,
                "}" if depth == 0 => break,
                "}" => depth -= 1,
                _ if DEFINES.contains(&token) && depth == 0 => {
                    module.items.insert(self.token(at + 1).to_owned());
                }
                _ if is_name(token) && !["::", ".", "fn", "mod"].contains(&before) => {
                    at = self.read_path(at, &mut module);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        self.tree.modules.insert(path.to_vec(), module);
        at + 1
    }

    /// Reads `a::b::C`.
    fn read_path(&self, mut at: usize, module: &mut Module) -> usize {
        let mut path = vec![self.token(at).to_owned()];
        at += 1;
        while self.token(at) == "::" && is_name(self.token(at + 1)) {
            path.push(self.token(at + 1).to_owned());
            at += 2;
        }
        // A local variable may have the name of a function.
        let is_type = path[0].starts_with(char::is_uppercase);
        if path.len() > 1 || is_type || ["(", "!"].contains(&self.token(at)) {
            module.paths.push(path);
        }
        at
    }

    /// Reads what stands behind `use`, or behind `{` or `,` in it.
    fn read_use(
        &self,
        mut at: usize,
        prefix: &[String],
        module: &mut Module,
        is_public: bool,
    ) -> usize {
        let mut path = prefix.to_vec();
        loop {
            match self.token(at) {
                "{" => {
                    at += 1;
                    while !["}", ""].contains(&self.token(at)) {
                        at = self.read_use(at, &path, module, is_public);
                        at += usize::from(self.token(at) == ",");
                    }
                    at += 1;
                    return at + usize::from(self.token(at) == ";" && prefix.is_empty());
                }
                "*" => {
                    module.globs.push(path.clone());
                    at += 1;
                }
                "::" => at += 1,
                "as" => {
                    let name = self.token(at + 1).to_owned();
                    if !is_public {
                        module.paths.push(path.clone());
                    }
                    module.aliases.insert(name, path);
                    return at + 2 + usize::from(self.token(at + 2) == ";");
                }
                "," | "}" | ";" | "" => {
                    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
                        path.pop();
                    }
                    if let Some(name) = path.last()
                        && self.token(at.wrapping_sub(1)) != "*"
                    {
                        if !is_public {
                            module.paths.push(path.clone());
                        }
                        module.aliases.insert(name.clone(), path.clone());
                    }
                    return at + usize::from(self.token(at) == ";");
                }
                name => {
                    path.push(name.to_owned());
                    at += 1;
                }
            }
        }
    }

    /// Skips the item behind `#[cfg(test)]`.
    fn skip_test(&self, mut at: usize, module: &mut Module) -> usize {
        let mut depth = 0_usize;
        loop {
            match self.token(at) {
                "mod" if depth == 0 => {
                    let name = self.token(at + 1).to_owned();
                    module.for_tests.insert(name);
                }
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" if depth == 1 && self.token(at) == "}" => return at + 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                ";" | "," if depth == 0 => return at + 1,
                "" => return at,
                _ => {}
            }
            at += 1;
        }
    }
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

const DEFINES: [&str; 9] = [
    "struct", "enum", "union", "trait", "type", "fn", "const", "static", "macro",
];

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names and signs of a text, without comments, strings and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(end) = raw_string(rest) {
            end
        } else if first == '"' || rest.starts_with("b\"") || rest.starts_with("c\"") {
            let start = rest.find('"').unwrap() + 1;
            quoted(rest, start, '"')
        } else if first == '\'' {
            let mut chars = rest[1..].chars();
            let (one, two) = (chars.next(), chars.next());
            match (one, two) {
                (Some('\\'), _) | (_, Some('\'')) => quoted(rest, 1, '\''),
                // A lifetime.
                _ => 1 + rest[1..].find(|c| !super::is_word(c)).unwrap_or(0),
            }
        } else if super::is_word(first) {
            let end = rest.find(|c| !super::is_word(c)).unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
            end
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Where a raw string ends, if there is one at the start.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let quotes = body.find(|c| c != '#')?;
    body[quotes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(quotes));
    let start = text.len() - body.len() + quotes + 1;
    let found = text[start..].find(&end)?;
    Some(start + found + end.len())
}

/// Where a literal ends whose content starts at `start`.
fn quoted(text: &str, start: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text[start..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return start + at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The rooms of the package tcnd that each room knows.
fn edges_of_rooms(
    tree: &Tree,
    edges: &BTreeMap<usize, BTreeSet<usize>>,
) -> BTreeMap<String, BTreeSet<String>> {
    let room = |file: usize| {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let inside = tree.files[file].strip_prefix(src).unwrap();
        let first = Path::new(inside.iter().next().unwrap());
        first.file_stem().unwrap().to_str().unwrap().to_owned()
    };
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in edges {
        let known = rooms.entry(room(*from)).or_default();
        known.extend(
            to.iter()
                .map(|to| room(*to))
                .filter(|to| *to != room(*from)),
        );
    }
    rooms
}

/// The sets of files that know each other, each in order and with the edges in it.
fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<Vec<String>, Vec<String>> {
    let reachable = |from: &String| {
        let mut seen: BTreeSet<&String> = BTreeSet::new();
        let mut next: Vec<&String> = edges.get(from).into_iter().flatten().collect();
        while let Some(file) = next.pop() {
            if seen.insert(file) {
                next.extend(edges.get(file).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = edges.keys().map(|from| (from, reachable(from))).collect();
    let mut found = BTreeMap::new();
    for (file, known) in reached.iter().filter(|(file, known)| known.contains(*file)) {
        let mutual = |other: &&String| reached.get(*other).is_some_and(|back| back.contains(file));
        let circle: BTreeSet<&String> = known.iter().copied().filter(mutual).collect();
        let inside = circle.iter().flat_map(|from| {
            let to = edges[*from].iter().filter(|to| circle.contains(to));
            to.map(move |to| format!("{from} -> {to}"))
        });
        let inside = inside.collect();
        found.insert(circle.into_iter().cloned().collect(), inside);
    }
    found
}
