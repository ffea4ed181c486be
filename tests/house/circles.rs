//! No circles between files: of two files, one at most knows the other, also by way of
//! further files. So each file can be read, tested and moved with only those below it.
//!
//! The edges are those of [`super::modules`]. The files of one crate are compared with
//! each other. In the package tcnd this covers each room by itself and the rooms among
//! each other. Rooms are compared once more as wholes: two rooms may not know each
//! other, even by different files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::modules::Tree;
use super::{packages, room_of, root};

type Edges = BTreeMap<String, BTreeSet<String>>;

#[test]
fn files_form_no_circles() {
    let mut found = BTreeMap::new();
    for package in packages() {
        let tree = Tree::of_package(&package);
        assert!(!tree.files.is_empty(), "no files in {}", package.display());
        let in_root = |file: &Path| file.strip_prefix(root()).unwrap().display().to_string();
        found.extend(circles(&edges(&tree, in_root)));
        if package == root().join("src") {
            found.extend(circles(&edges(&tree, room_of)));
        }
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
        ("c.rs", "pub struct C; fn f() { g!(h::<super::a::A>()) }"),
    ];
    let folder = Path::new("/");
    let texts = texts.map(|(name, text)| (folder.join(name), text.to_owned()));
    let tree = Tree::new(folder, &texts);
    let found = circles(&edges(&tree, |file| file.display().to_string()));
    let found: Vec<_> = found.into_keys().collect();
    assert_eq!(found, [["/a.rs", "/b/inner.rs", "/c.rs"]]);
}

/// The edges between files, or between what files belong to.
fn edges(tree: &Tree, name: impl Fn(&Path) -> String) -> Edges {
    let mut edges = Edges::new();
    for (from, to) in tree.edges() {
        let from = name(&tree.files[from]);
        let to = to.iter().map(|to| name(&tree.files[*to]));
        let to: Vec<_> = to.filter(|to| *to != from).collect();
        edges.entry(from).or_default().extend(to);
    }
    edges
}

/// The sets of files that know each other, each in order and with the edges in it.
fn circles(edges: &Edges) -> BTreeMap<Vec<String>, Vec<String>> {
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
