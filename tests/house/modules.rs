//! The modules of a package, and the paths that each of them names.
//!
//! An edge leads from file *a* to file *b* if code of *a* outside its tests names an
//! item that *b* defines: by a path from `crate`, `self` or `super`, by the name of a
//! child module, or by a name that a `use` brings in. A re-export is seen through to the
//! file that defines the item, and `pub use` alone is no edge. `mod name;` is none
//! either. A child that names an item of its parent has an edge to it, as any file has.
//! Methods are not seen, as their call does not say where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// The files of a package and the modules in them.
pub(super) struct Tree {
    pub(super) files: Vec<PathBuf>,
    modules: BTreeMap<Vec<String>, Module>,
    /// Modules that exist for tests alone.
    tests: Vec<Vec<String>>,
}

const TYPES: [&str; 5] = ["struct", "enum", "union", "trait", "type"];

/// A module: a file, or a block in one.
#[derive(Default)]
struct Module {
    file: usize,
    items: BTreeSet<String>,
    types: Vec<String>,
    /// Names that `use` brings in, and what they stand for.
    aliases: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Paths that the code names.
    paths: Vec<Vec<String>>,
    /// Paths that a `pub use` names.
    reexports: Vec<Vec<String>>,
}

impl Tree {
    pub(super) fn of_package(folder: &Path) -> Self {
        let mut files = Vec::new();
        super::walk(folder, &mut files);
        files.sort();
        let texts = files.into_iter().map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            (file, text)
        });
        Self::new(folder, &texts.collect::<Vec<_>>())
    }

    pub(super) fn new(folder: &Path, texts: &[(PathBuf, String)]) -> Self {
        let is_library = texts.iter().any(|(file, _)| *file == folder.join("lib.rs"));
        let mut tree = Self {
            files: Vec::new(),
            modules: BTreeMap::new(),
            tests: Vec::new(),
        };
        for (file, text) in texts {
            let inside = file.strip_prefix(folder).unwrap().with_extension("");
            let mut path: Vec<_> = inside
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            match path.last().map(String::as_str) {
                Some("main") if is_library => continue,
                Some("mod" | "lib" | "main") => drop(path.pop()),
                _ => {}
            }
            tree.files.push(file.clone());
            tree.read(&path, &syn::parse_file(text).unwrap().items);
        }
        let is_test = |path: &[String]| tree.tests.iter().any(|test| path.starts_with(test));
        tree.modules.retain(|path, _| !is_test(path));
        tree
    }

    /// Reads a module of the last file.
    fn read(&mut self, path: &[String], items: &[Item]) {
        let mut module = Module {
            file: self.files.len() - 1,
            ..Module::default()
        };
        for item in items {
            if let Item::Mod(inner) = item {
                let path = [path, &[inner.ident.to_string()]].concat();
                if is_test(&inner.attrs) {
                    self.tests.push(path);
                } else if let Some((_, items)) = &inner.content {
                    self.read(&path, items);
                }
                continue;
            }
            module.types.extend(defined(item, &TYPES));
            module.items.extend(defined(item, &TYPES));
            module
                .items
                .extend(defined(item, &["fn", "const", "static", "macro"]));
            module.visit_item(item);
            module.read_tokens(item.to_token_stream());
        }
        self.modules.insert(path.to_vec(), module);
    }

    /// The files that each file knows.
    pub(super) fn edges(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut edges: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (at, module) in &self.modules {
            let known = edges.entry(module.file).or_default();
            let paths = module.paths.iter();
            let found = paths.filter_map(|path| self.find(&[], &absolute(at, path)?, 8));
            known.extend(found.filter(|file| *file != module.file));
        }
        edges
    }

    /// Each type that a file defines, those in functions left out.
    pub(super) fn types(&self) -> impl Iterator<Item = (&Path, &String)> {
        self.modules.values().flat_map(|module| {
            let types = module.types.iter();
            types.map(|name| (&*self.files[module.file], name))
        })
    }

    /// Each path that a file names: from the root of the crate if it begins with
    /// `crate`, `self` or `super`, and else as the code has it.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&Path, Vec<String>)> {
        self.modules.iter().flat_map(|(at, module)| {
            let paths = module.paths.iter().chain(&module.reexports);
            let paths = paths.chain(&module.globs).map(|path| {
                let is_own = ["crate", "self", "super"].contains(&path[0].as_str());
                let own = absolute(at, path).filter(|_| is_own);
                own.map_or(path.clone(), |own| [vec!["crate".to_owned()], own].concat())
            });
            paths.map(|path| (&*self.files[module.file], path))
        })
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

impl Module {
    /// Notes the paths of a `use`, each behind a prefix.
    fn read_use(&mut self, tree: &UseTree, mut path: Vec<String>, is_public: bool) {
        let name = match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                return self.read_use(&inner.tree, path, is_public);
            }
            UseTree::Group(group) => {
                let items = group.items.iter();
                return items.for_each(|tree| self.read_use(tree, path.clone(), is_public));
            }
            UseTree::Glob(_) => return self.globs.push(path),
            UseTree::Name(name) => (&name.ident, &name.ident),
            UseTree::Rename(name) => (&name.ident, &name.rename),
        };
        let (ident, mut alias) = (name.0.to_string(), name.1.to_string());
        if ident != "self" {
            path.push(ident);
        } else if alias == "self" {
            alias.clone_from(path.last().unwrap());
        }
        let named = match is_public {
            true => &mut self.reexports,
            false => &mut self.paths,
        };
        named.push(path.clone());
        self.aliases.insert(alias, path);
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        self.read_use(&item.tree, Vec::new(), is_public);
    }
}

impl Module {
    /// Notes the paths in the code of an item. Those behind `use` are noted by
    /// [`Visit`]; macros have no syntax tree, so the tokens are read.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let words: Vec<_> = tokens.iter().map(word).collect();
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let before = word(at.wrapping_sub(1));
            if let TokenTree::Group(group) = token {
                if before == "#" && group.stream().to_string() == "cfg (test)" {
                    at += until(&words[at..], &["{", ";", ","]);
                } else {
                    self.read_tokens(group.stream());
                }
            } else if word(at) == "use" && word(at + 1) != "<" {
                at += until(&words[at..], &[";"]);
            } else if is_name(word(at)) && !is_behind(&words[..at]) {
                let mut path = vec![word(at).to_owned()];
                while [word(at + 1), word(at + 2)] == [":"; 2] && is_name(word(at + 3)) {
                    at += 3;
                    path.push(word(at).to_owned());
                }
                // A local variable may have the name of a function.
                let is_type = path[0].starts_with(char::is_uppercase);
                if path.len() > 1 || is_type || ["(", "!"].contains(&word(at + 1)) {
                    self.paths.push(path);
                }
            }
            at += 1;
        }
    }
}

/// A token, and the first sign of a group.
fn word(token: &TokenTree) -> String {
    let TokenTree::Group(group) = token else {
        return token.to_string();
    };
    let first = match group.delimiter() {
        Delimiter::Parenthesis => "(",
        Delimiter::Brace => "{",
        Delimiter::Bracket => "[",
        Delimiter::None => "",
    };
    first.to_owned()
}

/// Whether a name behind these is a field, a method, a new function, or the rest of a
/// path that does not begin with a name.
fn is_behind(words: &[String]) -> bool {
    match words {
        [.., first, second] if second == ":" => first == ":",
        [.., last] => [".", "fn"].contains(&last.as_str()),
        [] => false,
    }
}

fn until(words: &[String], ends: &[&str]) -> usize {
    let is_end = |word: &String| ends.contains(&word.as_str());
    words.iter().position(is_end).unwrap_or(words.len())
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn is_test(attributes: &[Attribute]) -> bool {
    let mut lists = attributes.iter().filter_map(|a| a.meta.require_list().ok());
    lists.any(|list| list.path.is_ident("cfg") && list.tokens.to_string() == "test")
}

/// What an item defines: the names behind these keywords, outside its body.
fn defined<'a>(item: &Item, keywords: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let words: Vec<_> = item
        .to_token_stream()
        .into_iter()
        .map(|t| word(&t))
        .collect();
    let behind = words
        .windows(2)
        .filter(|pair| keywords.contains(&pair[0].as_str()));
    behind
        .map(|pair| pair[1].clone())
        .collect::<Vec<_>>()
        .into_iter()
}
