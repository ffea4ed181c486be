//! A long import on a terminal: it shows its progress, and Ctrl-C ends it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::mock_tcnd::{MockTcnd, idle, soon};

/// The bytes that clear the line: CR, and EL of ECMA-48.
const CLEAR_LINE: &str = "\r\u{1b}[K";

/// `report import` of a named pipe, on its own terminal.
struct Import {
    child: Child,
    keys: ChildStdin,
    /// The source of the file. Dropping it ends the file.
    reports: Option<File>,
}

impl Import {
    async fn start(it: &MockTcnd) -> Self {
        let pipe = it.fixture.folder.path().join("reports.tcn");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let mut child = terminal(it, &pipe);
        let keys = child.stdin.take().unwrap();
        // The open completes when tcnctl has opened the other end.
        let open = tokio::task::spawn_blocking(move || File::options().write(true).open(pipe));
        let reports = soon(open).await.unwrap().unwrap();
        Self {
            child,
            keys,
            reports: Some(reports),
        }
    }

    /// Writes on a separate thread: the daemon that reads is served on this one.
    async fn send(&mut self, count: usize) {
        let mut reports = self.reports.take().unwrap();
        let write = tokio::task::spawn_blocking(move || {
            reports.write_all(&vec![0; count]).unwrap();
            reports
        });
        self.reports = Some(soon(write).await.unwrap());
    }

    /// The terminal's output, up to and including this text.
    async fn shown_until(&mut self, wanted: &'static str) -> String {
        let mut screen = self.child.stdout.take().unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut shown = Vec::new();
            let mut byte = [0];
            while !String::from_utf8_lossy(&shown).contains(wanted) {
                assert_eq!(screen.read(&mut byte).unwrap(), 1, "it goes on: {shown:?}");
                shown.extend(byte);
            }
            (screen, String::from_utf8(shown).unwrap())
        });
        let (screen, shown) = soon(read).await.unwrap();
        self.child.stdout = Some(screen);
        shown
    }

    /// The rest of the output, and the exit status.
    async fn ended(mut self) -> (String, Option<i32>) {
        let end = tokio::task::spawn_blocking(move || {
            let mut shown = String::new();
            let mut screen = self.child.stdout.take().unwrap();
            screen.read_to_string(&mut shown).unwrap();
            (shown, self.child.wait().unwrap().code())
        });
        soon(end).await.unwrap()
    }
}

fn terminal(it: &MockTcnd, file: &Path) -> Child {
    let tcnctl = e2e::program("tcnctl");
    let (bus, file) = (&it.fixture.address, file.display());
    let line = format!("'{tcnctl}' --bus '{bus}' report import '{file}'");
    Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is needed: apt-get install bsdutils")
}

#[tokio::test]
async fn how_far_an_import_is_can_be_seen() {
    let it = MockTcnd::new(idle()).await;
    let mut import = Import::start(&it).await;
    import.send(1_300_000).await;
    let shown = import.shown_until("reports.tcn 1.3 MB").await;
    assert!(shown.contains(CLEAR_LINE), "{shown:?}");
    import.reports = None;
    let (shown, status) = import.ended().await;
    let (_, result) = shown.rsplit_once(CLEAR_LINE).unwrap();
    assert!(result.starts_with('/'), "the bar is gone: {result:?}");
    assert_eq!(status, Some(0), "{result}");
}

/// The daemon notices the end of its caller.
#[tokio::test]
async fn ctrl_c_ends_an_import() {
    let it = MockTcnd::new(idle()).await;
    let mut import = Import::start(&it).await;
    import.send(100).await;
    import.shown_until("reports.tcn 0.0 MB").await;
    import.keys.write_all(b"\x03").unwrap();
    let (_, status) = import.ended().await;
    assert_ne!(status, Some(0));
}
