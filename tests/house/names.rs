//! One name, one thing: few types of the workspace share their name with others.
//!
//! A reader who meets a name that is defined in many places has to look up which one it
//! is. A module's own `Error` or `Options` is customary; so a few names may be defined
//! three times or more.

use std::collections::BTreeMap;

use super::modules::Tree;
use super::packages;

/// The most names that are defined three times or more.
const MOST: usize = 6;

#[test]
fn few_names_are_defined_three_times() {
    let mut defined: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for tree in packages().iter().map(|package| Tree::of_package(package)) {
        for (path, name) in tree.types() {
            let path = path.display().to_string();
            defined.entry(name.clone()).or_default().push(path);
        }
    }
    assert!(defined.len() > 300, "only {} types found", defined.len());
    defined.retain(|_, paths| paths.len() >= 3);
    assert!(
        defined.len() <= MOST,
        "{} names are defined three times or more, {MOST} at most: {defined:#?}",
        defined.len()
    );
}
