//! `report inspect` of files larger than the memory it may have.
//!
//! The shell's `ulimit -v` limits the memory. A program that kept its whole input would
//! be refused memory and end by a signal, not with an exit status.

use std::fs;
use std::io::{self, Write};
use std::iter;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{assert_contains, text};

/// The total size of mappings the program may have, in KiB: itself, its libraries, its
/// stack.
const ROOM: &str = "49152";

/// Four times as much, in bytes.
const LARGE: usize = 192 << 20;

/// Feeds `pieces` to `tcnctl report inspect -` and returns the document it writes.
fn inspected(pieces: impl IntoIterator<Item = Vec<u8>>) -> Value {
    let mut child = confined();
    let mut stdin = child.stdin.take().unwrap();
    for piece in pieces {
        stdin.write_all(&piece).unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.as_str()), (Some(1), ""));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn confined() -> Child {
    let inspect = format!("ulimit -v {ROOM} && exec \"$0\" report inspect - --json");
    Command::new("sh")
        .args(["-c", &inspect])
        .arg(e2e::program("tcnctl"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A valid report, in base64.
fn report() -> String {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cli/transcripts/inspection.in/valid.txt"
    );
    fs::read_to_string(file).unwrap().trim().to_owned()
}

/// `LARGE` bytes of junk after `head` and before `tail`.
fn around(head: String, tail: String) -> impl Iterator<Item = Vec<u8>> {
    let junk = iter::repeat_n(vec![b'A'; 1 << 20], LARGE >> 20);
    iter::once(head.into_bytes())
        .chain(junk)
        .chain(iter::once(tail.into_bytes()))
}

#[test]
fn one_endless_text_is_one_bad_item() {
    let report = report();
    let line = around(format!("{report}\n"), format!("\n{report}\n"));
    let rest = format!("\",\"{report}\"]");
    let element = around(format!("[\"{report}\",\""), rest);
    let head = format!("[\"{report}\",{{\"memo_data\":\"");
    let field = around(head, format!("\"}},\"{report}\"]"));
    for document in [inspected(line), inspected(element), inspected(field)] {
        let reports = document["reports"].as_array().unwrap();
        let valid: Vec<_> = reports.iter().map(|report| &report["valid"]).collect();
        assert_eq!(valid, [true, false, true]);
        let error = reports[1]["error"].as_str().unwrap();
        assert!(error.starts_with("longer than a report"), "{error}");
    }
}

#[test]
fn endless_reports_are_judged_one_by_one() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cli/transcripts/inspection.in/valid.tcn"
    );
    let mut report = fs::read(file).unwrap();
    report[64..66].fill(0);
    let mut child = confined();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || io::copy(&mut stdout, &mut io::sink()).unwrap());
    let many = report.repeat(1000);
    for _ in 0..LARGE / 2 / many.len() {
        stdin.write_all(&many).unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(1), "")
    );
    assert!(reader.join().unwrap() > LARGE as u64 / 2);
}

#[test]
fn endless_nesting_and_endless_digits_are_refused() {
    for head in ["[[0],", "[{},{\"x\":"] {
        for endless in ["[", "[0,[", "1"] {
            let mut child = confined();
            let mut stdin = child.stdin.take().unwrap();
            let piece = endless.repeat(1 << 20);
            let written = stdin.write_all(head.as_bytes()).and_then(|()| {
                (0..LARGE / piece.len()).try_for_each(|_| stdin.write_all(piece.as_bytes()))
            });
            // It stops reading at once.
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            drop(stdin);
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
            let document: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(document["reports"].as_array().unwrap().len(), 2);
            let error = document["reports"][1]["error"].as_str().unwrap();
            assert_contains(error, "beyond all that a report needs");
        }
    }
}
