//! One name, one thing: few types of the workspace share their name with others.
//!
//! A reader who meets a name that is defined in many places has to look up which one it
//! is. A module's own `Error` or `Options` is customary; so a few names may be defined
//! three times or more.

use std::collections::BTreeMap;

use super::{is_word, sources};

/// The most names that are defined three times or more.
const MOST: usize = 6;

#[test]
fn few_names_are_defined_three_times() {
    let mut defined: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for name in types(&source.code) {
            let path = source.path.display().to_string();
            defined.entry(name).or_default().push(path);
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

#[test]
fn the_scanner_sees_types() {
    let code = "pub(super) struct Frame<'a>;\nenum State {\n    type Item = u8;\ntype Reply = u8;";
    assert_eq!(types(code).collect::<Vec<_>>(), ["Frame", "State", "Reply"]);
}

/// The names of the types that a file defines, associated types left out.
fn types(code: &str) -> impl Iterator<Item = String> {
    code.lines().filter_map(|line| {
        let visible = line.trim_start().strip_prefix("pub");
        let visible = visible.map(|rest| match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')').map_or(rest, |(_, rest)| rest),
            None => rest,
        });
        let (keyword, rest) = visible.unwrap_or(line).trim_start().split_once(' ')?;
        let is_alias = keyword == "type" && !line.starts_with(' ');
        let is_type = matches!(keyword, "struct" | "enum" | "union" | "trait") || is_alias;
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        is_type.then_some(name)
    })
}
