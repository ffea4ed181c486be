//! Rules for the source: which module may use which, how large a file may grow, and where
//! unsafe code is.
//!
//! Between crates Cargo enforces what may use what. Inside the package tcnd this test does.
//! It reads every path of `src/` that begins with `crate` or a crate's name, outside tests,
//! and compares it with the table below. A module that needs another module or crate is
//! given it in this table first, so that a review sees it. The rules for files hold for the
//! sources of all crates.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod circles;
mod modules;
mod names;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use modules::Tree;

/// A room, which is a top-level module of tcnd; the rooms and the crates it may use.
type Room = (&'static str, &'static str, &'static str);

const PLAN: [Room; 10] = [
    ("system_bus", "", "zbus"),
    ("timerfd", "", "rustix tokio"),
    (
        "conditions",
        "system_bus",
        "tcn_engine zbus tokio futures tracing",
    ),
    ("exposure", "", "tcn_engine tcn_protocol"),
    (
        "radio",
        "system_bus timerfd",
        "async_trait tcn_engine tcnd_client tcnd_rpa_timeout bluez_mgmt bluez_signals \
         tcn_protocol printable bluer btleplug bluez_async zbus tokio futures rustix tracing \
         thiserror",
    ),
    (
        "store",
        "",
        "tcn_exchange tcn_engine tcn_protocol chacha20poly1305 sha2 rusqlite rustix tokio \
         tracing zeroize thiserror",
    ),
    (
        "daemon",
        "exposure radio store timerfd",
        "tcnd_client tcnd_config tcn_exchange tcn_matching tcn_engine tcn_protocol printable \
         tokio rand rand_core rustix sd_notify tracing thiserror",
    ),
    (
        "bus",
        "daemon exposure radio store system_bus",
        "tcnd_logging tcnd_client tcn_exchange tcn_engine tcn_protocol printable async_trait \
         base16ct zbus zbus_polkit tokio futures tracing serde serde_json thiserror rustix hmac sha2",
    ),
    (
        "run",
        "bus conditions daemon radio store",
        "tcnd_logging tcnd_client tcnd_config clap tokio tracing rustix zbus thiserror",
    ),
    ("bin", "", "tcnd clap"),
];

/// The files that may have unsafe code. The lints see to it that each piece
/// says why it is sound.
const UNSAFE: [&str; 4] = [
    "crates/bluez-mgmt/src/socket.rs",
    "crates/tcn-matching/src/lanes/instructions.rs",
    "src/bin/tcnd.rs",
    "src/run/code_pages.rs",
];

/// Lines of code in a file, comments and blank lines not counted.
const LONGEST_FILE: usize = 400;

struct Source {
    /// As [`room_of`] has it.
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
    let found = trespasses(&Tree::of_package(&root().join("src")));
    assert!(found.is_empty(), "not on the plan:\n{}", found.join("\n"));
}

#[test]
fn the_check_sees_a_trespass() {
    let code = "//! crate::bus\nuse crate::{bus, radio::Radio}; fn f() { info!(\"{}\", axum::x) }
        #[cfg(test)] mod tests { use zbus::x; }\n#[bluer::m] struct S(super::super::daemon::T);";
    let src = root().join("src");
    let texts = [(src.join("store/a.rs"), code.to_owned())];
    let found = trespasses(&Tree::new(&src, &texts));
    let found: Vec<_> = found.iter().filter_map(|it| it.split_once(": ")).collect();
    let found: BTreeSet<_> = found.into_iter().map(|(_, path)| path).collect();
    let expected = [
        "crate::bus",
        "crate::radio::Radio",
        "axum::x",
        "bluer::m",
        "crate::daemon::T",
    ];
    assert_eq!(found, expected.into());
}

/// Whether a list of the plan has this room or crate.
fn may(list: &str, name: &str) -> bool {
    list.split(' ').any(|known| known == name)
}

/// The paths that lead out of a room to one, or to a crate, that it may not know.
fn trespasses(tree: &Tree) -> Vec<String> {
    let dependencies = dependencies();
    let mut found = Vec::new();
    for (file, path) in tree.paths() {
        let room = room_of(file);
        if room == "lib" {
            continue;
        }
        let (_, rooms, crates) = plan(&room);
        let wrong = match &path[..] {
            [first, other, ..] if first == "crate" => {
                PLAN.iter().any(|(room, _, _)| room == other)
                    && *other != room
                    && !may(rooms, other)
            }
            [first, ..] => dependencies.contains(first) && !may(crates, first),
            [] => false,
        };
        if wrong {
            found.push(format!("{}: {}", file.display(), path.join("::")));
        }
    }
    found
}

/// Every crate of the manifest, as it is written in code.
fn dependencies() -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, table) = manifest.split_once("\n[workspace.dependencies]\n").unwrap();
    let (table, _) = table.split_once("\n[").unwrap();
    let names = table.lines().filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.replace('-', "_")).collect()
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
    let files = root().join("crates/tcn-protocol/src/file");
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
    let root = root();
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

fn plan(room: &str) -> Room {
    *PLAN
        .iter()
        .find(|(name, _, _)| *name == room)
        .unwrap_or_else(|| panic!("no room {room}"))
}

/// The sources of the package tcnd.
fn rooms() -> impl Iterator<Item = Source> {
    let package = root().join("src");
    let inside = move |source: &Source| source.path.starts_with(&package);
    sources().into_iter().filter(inside)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folders of the sources of all packages.
fn packages() -> Vec<PathBuf> {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let mut folders: Vec<_> = crates.map(|it| it.unwrap().path().join("src")).collect();
    folders.push(root().join("src"));
    folders.sort();
    folders
}

/// The room of a file of the package tcnd; for other packages, their name.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src"));
    let inside = inside.or_else(|_| path.strip_prefix(root().join("crates")));
    let first = Path::new(inside.unwrap().iter().next().unwrap());
    first.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The sources of all crates.
fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    packages()
        .iter()
        .for_each(|package| walk(package, &mut files));
    assert!(files.len() > 40, "only {} sources found", files.len());
    files.retain(|path| *path != root().join("src/lib.rs"));
    files.sort();
    let of = |path: PathBuf| {
        let code = code_of(&fs::read_to_string(&path).unwrap());
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        Source {
            room: room_of(&path),
            path,
            code,
            lines,
        }
    };
    files.into_iter().map(of).collect()
}

/// The tests that a page names as holding its sentences: the last of three columns.
fn tests_named(page: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    // Another table of ARCHITECTURE.md has three columns too.
    let text = text.split("\n## Invariants\n").last().unwrap();
    let rows = text.lines().filter(|line| line.matches(" | ").count() == 2);
    let held_by = rows.filter_map(|row| row.rsplit(" | ").next());
    let names = held_by.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn what_the_docs_say_is_held_by_tests_that_there_are() {
    let root = root();
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
    let is_there = |name: &String| {
        let test = format!("fn {name}(");
        let scenario = [")\n", ", suites="].map(|end| format!(", \"{name}\"{end}"));
        let is_file = name.contains('/') && root.join(name).exists();
        let is_bench = name == "cargo bench -p e2e";
        is_file
            || is_bench
            || all.contains(&test)
            || scenario.iter().any(|named| all.contains(named))
    };
    for page in ["docs/what-it-reveals.md", "ARCHITECTURE.md"] {
        let named = tests_named(page);
        assert!(named.len() > 25, "{page} names only {} tests", named.len());
        let missing: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
        assert!(missing.is_empty(), "{page}: no such tests: {missing:?}");
    }
}

/// Adds the Rust files below a folder.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    walk_all(folder, files);
    files.retain(|path| path.extension().is_some_and(|end| end == "rs"));
}

fn walk_all(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk_all(&path, files);
        } else {
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

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
