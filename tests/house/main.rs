//! The plan of the house, held: which room may know which, how large a file may
//! grow, and where unsafe code is.
//!
//! Between crates Cargo is the wall. Inside the package tcnd this test is the wall
//! between rooms. It reads every `crate::room` and every crate's name in `src/`,
//! outside comments, and compares with the table below. A room that needs a door it
//! does not have gets it here first, where everybody sees it. What is said of files
//! holds for the sources of all crates.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod circles;
mod names;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, the rooms it may know, and the crates it may use besides `std`.
type Room = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const PLAN: [Room; 7] = [
    ("exposure", &[], &["tcn_engine", "tcn_protocol"]),
    (
        "radio",
        &[],
        &[
            "tcn_engine",
            "tcnd_client",
            "tcnd_rpa_timeout",
            "bluez_mgmt",
            "tcn_protocol",
            "printable",
            "bluer",
            "btleplug",
            "bluez_async",
            "zbus",
            "tokio",
            "futures",
            "rustix",
            "tracing",
            "thiserror",
        ],
    ),
    (
        "store",
        &[],
        &[
            "tcn_exchange",
            "tcn_engine",
            "tcn_protocol",
            "chacha20poly1305",
            "rusqlite",
            "rustix",
            "tokio",
            "tracing",
            "zeroize",
            "thiserror",
        ],
    ),
    (
        "daemon",
        &["exposure", "radio", "store"],
        &[
            "tcnd_client",
            "tcnd_config",
            "tcn_exchange",
            "tcn_matching",
            "tcn_engine",
            "tcn_protocol",
            "printable",
            "tokio",
            "rand",
            "rand_core",
            "rustix",
            "sd_notify",
            "tracing",
            "thiserror",
        ],
    ),
    (
        "bus",
        &["daemon", "exposure", "radio", "store"],
        &[
            "tcnd_logging",
            "tcnd_client",
            "tcn_exchange",
            "tcn_engine",
            "tcn_protocol",
            "printable",
            "async_trait",
            "zbus",
            "zbus_polkit",
            "tokio",
            "futures",
            "tracing",
            "serde",
            "serde_json",
            "thiserror",
            "rustix",
            "hmac",
            "sha2",
        ],
    ),
    (
        "run",
        &["bus", "daemon", "radio", "store"],
        &[
            "tcnd_logging",
            "tcnd_client",
            "tcnd_config",
            "printable",
            "clap",
            "tokio",
            "tracing",
            "tracing_subscriber",
            "tracing_journald",
            "sd_notify",
            "rustix",
            "zbus",
            "thiserror",
        ],
    ),
    ("bin", &[], &["tcnd", "clap"]),
];

/// Every crate of the manifest, as it is written in code.
const CRATES: [&str; 64] = [
    "async_trait",
    "axum",
    "base64",
    "bluer",
    "bluez_async",
    "bluez_mgmt",
    "btleplug",
    "bytes",
    "chacha20poly1305",
    "clap",
    "dbus",
    "directories",
    "ed25519_dalek",
    "flate2",
    "futures",
    "hmac",
    "http_body_util",
    "httpdate",
    "hyper",
    "hyper_util",
    "ipnet",
    "jiff",
    "libc",
    "nix",
    "object_store",
    "printable",
    "prometheus_client",
    "rand",
    "rand_core",
    "reqwest",
    "rusqlite",
    "rustix",
    "rustls",
    "sd_notify",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "tcn_engine",
    "tcn_exchange",
    "tcn_matching",
    "tcn_protocol",
    "tcn_reportd",
    "tcnctl",
    "tcnd",
    "tcnd_client",
    "tcnd_config",
    "tcnd_logging",
    "tcnd_rpa_timeout",
    "tcnd_sync",
    "tempfile",
    "thiserror",
    "tokio",
    "tokio_io_timeout",
    "toml",
    "tower_service",
    "tracing",
    "tracing_journald",
    "tracing_subscriber",
    "url",
    "zbus",
    "zbus_polkit",
    "zeroize",
    "zstd",
];

/// The files that may have unsafe code. The lints see to it that each piece
/// says why it is sound.
const UNSAFE: [&str; 2] = [
    "crates/bluez-mgmt/src/socket.rs",
    "crates/tcn-matching/src/lanes/x86.rs",
];

/// Lines of code in a file, comments and blank lines not counted.
const LONGEST_FILE: usize = 400;

struct Source {
    room: String,
    path: PathBuf,
    /// Without comments, and without the tests at the foot.
    code: String,
    lines: usize,
}

#[test]
fn every_room_is_on_the_plan() {
    let known: BTreeSet<_> = PLAN.iter().map(|(room, _, _)| (*room).to_owned()).collect();
    let found: BTreeSet<_> = rooms().map(|source| source.room).collect();
    assert_eq!(found, known);
}

#[test]
fn rooms_know_only_whom_they_may() {
    let mut trespasses = Vec::new();
    for source in rooms() {
        let (_, rooms, crates) = plan(&source.room);
        for word in paths(&source.code) {
            let (head, next) = word;
            let wrong = if head == "crate" {
                PLAN.iter().any(|(room, _, _)| *room == next)
                    && next != source.room
                    && !rooms.contains(&next.as_str())
            } else {
                CRATES.contains(&head.as_str()) && !crates.contains(&head.as_str())
            };
            if wrong {
                trespasses.push(format!("{}: {head}::{next}", source.path.display()));
            }
        }
    }
    assert!(
        trespasses.is_empty(),
        "not on the plan:\n{}",
        trespasses.join("\n")
    );
}

#[test]
fn the_core_is_pure() {
    let banned = [
        "async fn",
        "Arc<",
        "Mutex",
        "RwLock",
        "std::io",
        "std::fs",
        "std::net",
        "std::thread",
        "Instant",
        "SystemTime",
    ];
    // Report files are read from a stream; nothing else of the core reads anything.
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/tcn-protocol/src/file");
    let is_core = |s: &Source| s.room == "tcn-protocol" || s.room == "tcn-engine";
    let core = sources().into_iter().filter(is_core);
    for source in core.filter(|s| !s.path.starts_with(&files)) {
        for word in banned {
            assert!(
                !source.code.contains(word),
                "{} has {word}",
                source.path.display()
            );
        }
    }
}

#[test]
fn files_are_of_a_size_to_read() {
    for source in sources() {
        let (path, lines) = (source.path.display(), source.lines);
        assert!(
            lines <= LONGEST_FILE,
            "{path} has {lines} lines of code, {LONGEST_FILE} at most"
        );
    }
}

#[test]
fn every_file_says_what_it_is() {
    for source in sources() {
        let text = fs::read_to_string(&source.path).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} has no header",
            source.path.display()
        );
    }
}

/// The files of `tcnctl` that write to a terminal. Each writes what it is given by
/// way of `printable`; so nothing else has to be trusted with foreign text.
const WRITERS: [&str; 5] = [
    "tcnctl/src/output.rs",
    "tcnctl/src/lib.rs",
    "tcnctl/src/confirm.rs",
    "tcnctl/src/command/report/inspect.rs",
    "tcnctl/src/command/report/file_pipe.rs",
];

#[test]
fn what_a_terminal_shows_is_printable() {
    let writes = [
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "dbg!",
        "stdout()",
        "stderr()",
    ];
    for source in sources().into_iter().filter(|s| s.room == "tcnctl") {
        let path = source.path.display();
        let is_writer = WRITERS.iter().any(|writer| source.path.ends_with(writer));
        // A file for the daemon to write to, which is told by its type.
        let code = source.code.replace("Standard(io::stdout())", "");
        for word in writes.into_iter().filter(|word| has_word(&code, word)) {
            assert!(is_writer, "{path} has {word}: use output.rs");
        }
        let uses_printable = code.contains("printable::");
        assert!(
            !is_writer || uses_printable,
            "{path} writes without printable"
        );
    }
}

/// A name may have an end of line in it, and what comes behind looks like ours.
#[test]
fn names_of_files_are_shown_on_one_line() {
    let rooms = ["tcnctl", "tcnd-config"];
    let of_rooms = |source: &Source| rooms.contains(&source.room.as_str());
    for source in sources().into_iter().filter(of_rooms) {
        let shown = source.code.contains(".display()");
        let path = source.path.display();
        assert!(!shown, "{path} has .display(): use printable::path");
    }
}

/// There is one rule for what is printable.
#[test]
fn nobody_else_decides_what_is_printable() {
    for source in sources().into_iter().filter(|s| s.room != "printable") {
        let path = source.path.display();
        let decides = source.code.contains("is_control");
        assert!(!decides, "{path} has is_control: use printable");
    }
}

/// `println!` is not within `eprintln!`.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_word))
}

#[test]
fn unsafe_code_is_where_it_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("\n[workspace.lints.rust]\nunsafe_code = \"deny\""));
    let mut files = Vec::new();
    for folder in ["src", "benches", "crates", "tests"] {
        walk(&root.join(folder), &mut files);
    }
    files.sort();
    // A file that has some must name the lint to be given leave, and does not forbid it.
    let names_it = |path: &&PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.replace("forbid(unsafe_code)", "")
            .contains("unsafe_code")
    };
    let this = root.join(file!());
    let found: Vec<_> = files
        .iter()
        .filter(|path| **path != this)
        .filter(names_it)
        .collect();
    let known = UNSAFE.map(|path| root.join(path));
    assert_eq!(found, known.iter().collect::<Vec<_>>());
}

#[test]
fn the_scanner_sees_a_trespass() {
    let code = code_of("use crate::store::Store; // crate::bus\nlet x = rusqlite::Connection;");
    let found: Vec<_> = paths(&code)
        .into_iter()
        .map(|(head, next)| format!("{head}::{next}"))
        .collect();
    assert_eq!(
        found,
        ["crate::store", "store::Store", "rusqlite::Connection"]
    );
    let grouped = paths("use crate::{bus, radio::Radio};");
    assert!(
        grouped.contains(&("crate".into(), "bus".into())),
        "{grouped:?}"
    );
    assert!(
        grouped.contains(&("crate".into(), "radio".into())),
        "{grouped:?}"
    );
}

fn plan(room: &str) -> Room {
    *PLAN
        .iter()
        .find(|(name, _, _)| *name == room)
        .unwrap_or_else(|| panic!("no room {room}"))
}

/// The sources of the package tcnd.
fn rooms() -> impl Iterator<Item = Source> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = move |source: &Source| source.path.starts_with(&package);
    sources().into_iter().filter(inside)
}

/// The sources of all crates.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut rooms, mut crates) = (Vec::new(), Vec::new());
    walk(&root.join("src"), &mut rooms);
    for package in fs::read_dir(root.join("crates")).unwrap() {
        walk(&package.unwrap().path().join("src"), &mut crates);
    }
    let (rooms, crates) = (rooms.into_iter(), crates.into_iter());
    let rooms = rooms.map(|path| (root.join("src"), path));
    let mut files: Vec<_> = rooms
        .chain(crates.map(|path| (root.join("crates"), path)))
        .collect();
    assert!(files.len() > 40, "only {} sources found", files.len());
    files.sort();
    let of = |(folder, path): (PathBuf, PathBuf)| {
        let inside = path.strip_prefix(folder).unwrap();
        let first = Path::new(inside.components().next().unwrap().as_os_str());
        let room = first.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let code = code_of(&text);
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        Source {
            room,
            path,
            code,
            lines,
        }
    };
    let files = files.into_iter();
    files
        .filter(|(_, path)| *path != root.join("src/lib.rs"))
        .map(of)
        .collect()
}

/// The tests that a page of `docs` names as holding its sentences.
fn tests_named(page: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let rows = text.lines().filter(|line| line.matches(" | ").count() == 2);
    let held_by = rows.filter_map(|row| row.rsplit(" | ").next());
    let names = held_by.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn what_the_docs_say_is_held_by_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests"] {
        walk(&root.join(folder), &mut files);
    }
    let scenarios = fs::read_dir(root.join("tests/vm/guest")).unwrap();
    files.extend(
        scenarios
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file()),
    );
    let all: String = files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let named = tests_named("docs/what-it-reveals.md");
    assert!(named.len() > 25, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|name| {
            let test = format!("fn {name}(");
            let scenario = [")\n", ", suites="].map(|end| format!(", \"{name}\"{end}"));
            !all.contains(&test) && !scenario.iter().any(|named| all.contains(named))
        })
        .collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:?}");
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// What stands before the tests, without comments.
fn code_of(text: &str) -> String {
    let tests = ["#[cfg(test)]\nmod ", "#[cfg(test)]\npub(super) mod "];
    let text = tests
        .iter()
        .fold(text, |text, tests| text.split(tests).next().unwrap());
    text.lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every `head::next` in the code, a group `crate::{a, b::C}` taken apart.
fn paths(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let head: String = code[..at]
            .chars()
            .rev()
            .take_while(|c| is_word(*c))
            .collect();
        let head: String = head.chars().rev().collect();
        let rest = &code[at + 2..];
        if let Some(group) = rest.strip_prefix('{') {
            let inner = balanced(group);
            found.extend(members(inner).map(|member| (head.clone(), member)));
        } else {
            found.push((head, rest.chars().take_while(|c| is_word(*c)).collect()));
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn balanced(group: &str) -> &str {
    let mut depth = 1;
    let end = group.find(|c| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        depth == 0
    });
    &group[..end.unwrap_or(group.len())]
}

/// The first words of a group's members.
fn members(group: &str) -> impl Iterator<Item = String> {
    let mut depth = 0;
    group
        .split(move |c| {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            c == ',' && depth == 0
        })
        .map(|member| member.trim().chars().take_while(|c| is_word(*c)).collect())
}
