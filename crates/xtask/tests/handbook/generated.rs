//! The committed files are identical with those generated now.

use std::collections::BTreeSet;

use crate::{book, names, read};

const CURE: &str = "mend it by: cargo run -p xtask";

#[test]
fn every_file_is_as_it_is_generated() {
    for (name, text) in book::files() {
        assert!(
            read(&format!("packaging/{name}")) == text,
            "packaging/{name}: {CURE}"
        );
    }
}

#[test]
fn nothing_is_left_of_what_is_no_longer_generated() {
    let of: BTreeSet<_> = book::files().into_iter().map(|(name, _)| name).collect();
    let places = [
        "man",
        "catalog",
        "completions/bash",
        "completions/zsh",
        "completions/fish",
    ];
    for place in places {
        for name in names(&format!("packaging/{place}")) {
            let by_hand = place == "man" && !name.starts_with("tcnctl");
            let file = format!("{place}/{name}");
            assert!(by_hand || of.contains(&file), "remove packaging/{file}");
        }
    }
}

/// tcnctl parses every command line in the examples of its pages.
#[test]
fn every_example_can_be_typed() {
    for (page, _, typed) in book::tcnctl::all_examples() {
        for line in typed.lines() {
            let words = line.split_whitespace();
            let read = ::tcnctl::command().try_get_matches_from(words);
            read.unwrap_or_else(|fault| panic!("{page}: {line}: {fault}"));
        }
    }
}

#[test]
fn every_example_has_its_page() {
    let pages: BTreeSet<_> = names("packaging/man").into_iter().collect();
    for (page, ..) in book::tcnctl::all_examples() {
        assert!(pages.contains(&format!("{page}.1")), "{page}");
    }
}
