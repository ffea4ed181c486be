//! Plain English, counted: words that name nobody in particular, and phrases that a
//! reader has to untangle, are rare in comments and texts.
//!
//! Each of them is right in some sentence, so a few are allowed: less than three in
//! 10,000 words of comments and string literals, and of documents.

use std::fs;
use std::path::{Path, PathBuf};

/// Words and phrases, in lower case.
const COUNTED: [&str; 11] = [
    "nobody",
    "somebody",
    "whoever",
    "anybody",
    "anew",
    "of ours",
    "of theirs",
    "so many",
    "made up",
    "begun",
    "gone through",
];

/// The most of them in 10,000 words.
const MOST: usize = 3;

/// The folders whose files are read, and files at the top.
const FOLDERS: [&str; 9] = [
    "benches",
    "crates",
    "dbus",
    "docs",
    "packaging",
    "scripts",
    "src",
    "systemd",
    "tests",
];

#[test]
fn comments_and_texts_are_in_plain_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut code, mut documents) = (Vec::new(), Vec::new());
    for path in files(root) {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if path.extension().is_some_and(|end| end == "rs") {
            code.push((path, prose_of(&text)));
        } else {
            documents.push((path, text));
        }
    }
    for (kind, texts) in [("code", code), ("documents", documents)] {
        assert!(texts.len() > 40, "only {} files of {kind}", texts.len());
        let words: usize = texts.iter().map(|(_, text)| words(text).count()).sum();
        let found = texts.iter().flat_map(|(path, text)| {
            let path = path.strip_prefix(root).unwrap().display();
            counted(text).map(move |phrase| format!("{path}: {phrase}"))
        });
        let found: Vec<_> = found.collect();
        assert!(
            found.len() * 10_000 < MOST * words,
            "{} in {words} words of {kind}:\n{}",
            found.len(),
            found.join("\n")
        );
    }
}

#[test]
fn the_counter_finds_words_and_phrases() {
    let prose = prose_of("let nobody = '\"'; // Somebody\nf(\"So\nmany, made  up\"); // anewly");
    let found: Vec<_> = counted(&prose).collect();
    assert_eq!(found, ["somebody", "so many", "made up"]);
}

/// The files with text for people, but this one and what is input of a test.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        super::walk_all(&root.join(folder), &mut files);
    }
    let top = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files.extend(top.filter(|path| path.extension().is_some_and(|end| end == "md")));
    files.retain(|path| path.extension().is_none_or(|end| end != "lock"));
    let unread = [
        "tests/house/words.rs",
        "tests/fuzz/target",
        "tests/fuzz/seeds",
    ];
    files.retain(|path| {
        !unread
            .iter()
            .any(|unread| path.starts_with(root.join(unread)))
    });
    files.sort();
    files
}

/// Comments and string literals of a Rust file.
fn prose_of(text: &str) -> String {
    let mut prose = String::new();
    let mut rest = text.replace("'\"'", "' '").replace("\\\"", " ");
    while let Some(at) = rest.find(['/', '"']) {
        let tail = rest.split_off(at);
        let (body, after) = match tail.strip_prefix("//") {
            Some(comment) => comment.split_once('\n').unwrap_or((comment, "")),
            None => match tail.strip_prefix('"') {
                Some(literal) => literal.split_once('"').unwrap_or((literal, "")),
                None => ("", &tail[1..]),
            },
        };
        prose.push_str(body);
        prose.push('\n');
        rest = after.to_owned();
    }
    prose
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphabetic() && c != '\'' && c != '_');
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase)
}

/// Each of the counted words and phrases in a text.
fn counted(text: &str) -> impl Iterator<Item = &'static str> {
    let words: Vec<_> = words(text).collect();
    let at = move |at: usize| {
        let is_here = |phrase: &&&str| {
            let phrase: Vec<_> = phrase.split(' ').collect();
            let here = words.get(at..at + phrase.len());
            here.is_some_and(|here| here.iter().eq(&phrase))
        };
        COUNTED.iter().find(is_here).copied()
    };
    let count = text.len();
    (0..count).filter_map(at)
}
