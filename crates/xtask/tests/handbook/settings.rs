//! The pages of configuration files name every key, with its default and range.
//!
//! The pages are compared with the shipped examples. The tests of `config` and
//! `reportd` compare keys and defaults of the examples with the code.

use std::collections::BTreeMap;

use crate::read;

/// The keys of a page, each with the text after it: `.It Va flush = \(dq60s\(dq`.
fn explained(page: &str) -> BTreeMap<String, Option<String>> {
    let text = read(page).replace("\\(dq", "\"");
    let keys = text.lines().filter_map(|line| line.strip_prefix(".It Va "));
    let mut found = BTreeMap::new();
    for key in keys {
        let (name, default) = match key.split_once(" = ") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (key, None),
        };
        found.insert(name.to_owned(), default);
    }
    found
}

/// The keys of a file, in order, with their values; each line starts with `mark`.
fn shipped(file: &str, mark: &str) -> Vec<(String, String)> {
    let text = read(file);
    let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
    let settings = lines.filter_map(|line| line.split_once(" = "));
    settings
        .filter(|(key, _)| {
            key.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn tcnd_toml_names_every_key_with_its_default() {
    let page = explained("packaging/man/tcnd.toml.5");
    let shipped = shipped("packaging/config.d/tcnd.toml", "# ");
    assert_eq!(shipped.len(), tcnd_config::Key::ALL.len());
    for (key, default) in &shipped {
        // These two have no default value: something else decides.
        let has_none = ["enabled", "adapter"].contains(&&**key);
        let expected = (!has_none).then(|| default.clone());
        assert_eq!(page.get(key), Some(&expected), "{key}");
    }
    assert_eq!(page.len(), shipped.len());
}

/// "(10s to 1h)" is in both, with the same meaning.
#[test]
fn tcnd_toml_names_the_same_ranges() {
    let ranges = |file: &str| -> Vec<String> {
        let text = read(file).replace("\n# ", " ").replace("\n.Va ", " ");
        let text = text.replace('\n', " ").replace("\\(dq", "\"");
        let inside = text.split('(').skip(1);
        let inside = inside.filter_map(|rest| rest.split(')').next());
        let is_range = |inside: &&str| inside.starts_with(|c: char| c.is_ascii_digit());
        let ranges = inside
            .filter(|inside| inside.contains(" to "))
            .filter(is_range);
        ranges.map(|range| range.trim().to_owned()).collect()
    };
    let shipped = ranges("packaging/config.d/tcnd.toml");
    assert_eq!(shipped.len(), 8, "{shipped:?}");
    assert_eq!(ranges("packaging/man/tcnd.toml.5"), shipped);
}

#[test]
fn reportd_toml_names_every_key_with_its_default() {
    let page = explained("packaging/man/reportd.toml.5");
    let shipped = shipped("packaging/reportd.toml", "#");
    for (key, default) in &shipped {
        if key.starts_with("aws_") {
            assert!(read("packaging/man/reportd.toml.5").contains(key), "{key}");
        } else {
            let expected = (key != "url").then(|| default.clone());
            assert_eq!(page.get(key), Some(&expected), "{key}");
        }
    }
    let tables = ["[mirror]", "[inbox]", "options", "url"];
    for key in page.keys() {
        let known = shipped.iter().any(|(known, _)| known == key);
        assert!(known || tables.contains(&&**key), "{key}");
    }
}

#[test]
fn tcnd_sources_names_every_key_with_its_default() {
    let page = explained("packaging/man/tcnd-sources.5");
    let shipped = shipped("packaging/sources.d/example.toml.disabled", "");
    for (key, value) in &shipped {
        match (&page[key], &**key) {
            (None, "name" | "kind" | "url" | "path" | "label" | "memo_types" | "number") => {}
            (None, "help_url" | "help_phone") => {}
            // The example publishes, which is not the default.
            (Some(default), "publish") => assert_eq!(default, "false"),
            (default, _) => assert_eq!(default.as_ref(), Some(value), "{key}"),
        }
    }
    for key in page.keys() {
        assert!(shipped.iter().any(|(known, _)| known == key), "{key}");
    }
}
