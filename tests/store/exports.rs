//! Exports: their contents, which users can read them, and that nothing of them is left
//! behind.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::types::ValueRef;
use tcn_engine::{Contact, Signal};
use tcnd::store::ExportDir;
use tempfile::tempdir;

use super::{DAY_ONE, open, sighting};

fn files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn rows() -> Vec<(String, Contact)> {
    let mut silent = sighting(2, DAY_ONE, DAY_ONE);
    silent.signal = Signal::default();
    silent.signal.add(None);
    silent.bridged = true;
    (silent.unheard.before, silent.unheard.after) = (20, 21);
    vec![
        ("one".to_owned(), sighting(1, DAY_ONE, DAY_ONE + 9)),
        ("two".to_owned(), silent),
    ]
}

#[test]
fn an_export_is_a_database_of_its_contacts() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    let mut export = ExportDir::new(path).begin().unwrap();
    let [file] = &files(path)[..] else {
        panic!("one file");
    };
    assert!(file.starts_with("tcnd.sqlite."), "{file}: a wipe finds it");
    let mode = path.join(file).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    export.add(&rows()).unwrap();
    let mut bytes = Vec::new();
    export.finish().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(files(path), [""; 0], "it is gone when it was read");

    let copy = path.join("copy");
    fs::write(&copy, bytes).unwrap();
    let db = rusqlite::Connection::open(&copy).unwrap();
    let mut query = db.prepare("SELECT * FROM contact ORDER BY number").unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        let word = |column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Integer(number) => number.to_string(),
                other @ (ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_)) => {
                    format!("{other:?}")
                }
            })
        };
        let words: rusqlite::Result<Vec<String>> = (0..13).map(word).collect();
        Ok(words?.join(" "))
    };
    let rows: Result<Vec<_>, _> = query.query_map([], row).unwrap().collect();
    let end = DAY_ONE + 9;
    assert_eq!(
        rows.unwrap(),
        [
            format!("one {DAY_ONE} {end} -70 -70 1 0 1 0 0 0 0 0"),
            format!("two {DAY_ONE} {DAY_ONE} Null Null 1 0 0 0 0 1 20 21"),
        ]
    );
}

/// Large enough that SQLite has to write before the end.
#[test]
fn an_export_that_is_given_up_is_gone() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    let mut export = ExportDir::new(path).begin().unwrap();
    let many: Vec<_> = (1..60_000)
        .map(|n| (format!("{n:032}"), sighting(n, DAY_ONE, DAY_ONE + 9)))
        .collect();
    export.add(&many).unwrap();
    let [file] = &files(path)[..] else {
        panic!("one file, and no journal");
    };
    let length = path.join(file).metadata().unwrap().len();
    assert!(length > 1 << 20, "memory does not hold it all: {length}");
    drop(export);
    assert_eq!(files(path), [""; 0]);
}

/// A wipe removes the file of an open export; the export still ends without an error.
#[tokio::test]
async fn a_wipe_removes_exports_too() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    let opened = open(path).unwrap();
    let mut export = ExportDir::new(path).begin().unwrap();
    export.add(&rows()).unwrap();
    let before = files(path).len();
    opened.store.wipe().await.unwrap();
    assert!(files(path).len() < before, "{:?}", files(path));
    drop(export);
    assert!(!files(path).iter().any(|file| file.contains("sheet")));
}

#[tokio::test]
async fn what_a_crash_left_goes_at_the_next_start() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    open(path).unwrap().store.close().await;
    let left = path.join("tcnd.sqlite.sheet-77");
    fs::write(&left, b"contacts").unwrap();
    let _opened = open(path).unwrap();
    assert!(!left.exists());
}
