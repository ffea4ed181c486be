//! The contact log as a whole: exported to files of all kinds, erased, wiped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use serde_json::Value;
use tcnd::daemon::Refusal;
use tcnd_client::names;
use tcnd_client::proxy::{ContactsProxy, ManagerProxy, PrivacyProxy};
use zbus::Fd;

use crate::harness::{Harness, serving, soon};
use crate::members::{error_name, none, options};
use crate::mock_driver::{contacts, idle};

pub(crate) fn fd(file: impl Into<OwnedFd>) -> Fd<'static> {
    Fd::from(file.into())
}

/// A pipe, read to its end by a thread.
pub(crate) fn read_pipe() -> (Fd<'static>, JoinHandle<Vec<u8>>) {
    let (reader, writer) = std::io::pipe().unwrap();
    (fd(writer), std::thread::spawn(move || read_out(reader)))
}

fn read_out(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

type Options = std::collections::HashMap<&'static str, zbus::Variant<'static>>;

/// An export into a pipe: the reported number of rows, and the bytes.
async fn export(harness: &Harness, options: Options) -> (u64, String) {
    let log = ContactsProxy::new(&harness.client).await.unwrap();
    let (pipe, read) = read_pipe();
    let rows = soon(log.export_log(pipe, options)).await.unwrap();
    (rows, String::from_utf8(read.join().unwrap()).unwrap())
}

fn hex(number: &[u8]) -> String {
    number.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn rows_with_masks() {
    let mut harness = Harness::new(idle()).await;
    let (rows, csv) = export(&harness, none()).await;
    assert_eq!(rows, 3600);
    let asked = harness.driver.heard();
    assert_eq!(asked, ["Page"; 4], "in pages, and no more than there are");
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "number,first,last,rssi_max,rssi_mean,sightings,to_55_db,to_63_db,to_73_db,over_73_db,bridged,\
         unheard_before_s,unheard_after_s"
    );
    assert_eq!(lines.len(), 3602, "a header, the rows, and nothing after");
    assert!(
        lines[1].ends_with(",0,60,-50,-60,10,1,2,3,4,0,0,0"),
        "{csv}"
    );
    assert!(
        lines[4].ends_with(",210,270,,,10,0,0,0,0,1,20,21"),
        "{}",
        lines[4]
    );

    let masks: Vec<_> = lines[1..3601].iter().map(|line| &line[..16]).collect();
    let distinct: BTreeSet<_> = masks.iter().collect();
    assert_eq!(distinct.len(), 1200, "one for each number");
    for n in 0..1200 {
        assert_eq!([masks[n], masks[n]], [masks[n + 1200], masks[n + 2400]]);
    }
    for contact in contacts() {
        assert!(!csv.contains(&hex(contact.tcn.as_bytes())));
    }
    let (_, again) = export(&harness, none()).await;
    let other = again.split("\r\n").nth(1).unwrap();
    assert_ne!(masks[0], &other[..16], "a mask means nothing elsewhere");
}

/// The span is exact, although pages are by quarters of an hour.
#[tokio::test]
async fn objects_with_numbers_of_a_span() {
    let mut harness = Harness::new(idle()).await;
    let (from, to) = (900 * 5 + 300, 900 * 50 + 300_u64);
    let span = options([
        ("format", "jsonl".into()),
        ("raw", true.into()),
        ("from", from.into()),
        ("to", to.into()),
    ]);
    let (rows, lines) = export(&harness, span).await;
    assert_eq!(harness.driver.heard(), ["Page"], "not beyond the span");
    let said: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected: Vec<_> = contacts()
        .into_iter()
        .filter(|contact| (from..to).contains(&contact.start.0))
        .collect();
    assert_eq!(rows, expected.len() as u64);
    assert_eq!(said.len(), expected.len());
    for (row, contact) in said.iter().zip(&expected) {
        assert_eq!(row["number"], hex(contact.tcn.as_bytes()));
        assert_eq!(row["first"], contact.start.0);
        assert_eq!(row["rssi_max"].is_null(), contact.bridged);
    }
    let [first, silent] = [
        &said[0],
        said.iter().find(|row| row["bridged"] == true).unwrap(),
    ];
    let keys: Vec<_> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys, silent.as_object().unwrap().keys().collect::<Vec<_>>());
    assert_eq!(
        (&first["to_73_db"], &first["over_73_db"]),
        (&3.into(), &4.into())
    );
}

#[tokio::test]
async fn a_database() {
    let (harness, log) = serving::<ContactsProxy<'_>>(idle()).await;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("log.sqlite");
    let file = fs::File::create(&path).unwrap();
    let sqlite = options([("format", "sqlite".into())]);
    let rows = soon(log.export_log(fd(file), sqlite)).await.unwrap();
    assert_eq!(rows, 3600);
    let db = rusqlite::Connection::open(&path).unwrap();
    let counted: BTreeMap<String, i64> = db
        .prepare("SELECT number, count(*) FROM contact GROUP BY number")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(counted.len(), 1200);
    assert!(counted.iter().all(|(mask, n)| mask.len() == 16 && *n == 3));
    assert_eq!(left_behind(&harness), 0);
}

fn left_behind(harness: &Harness) -> usize {
    fs::read_dir(harness.state.path()).unwrap().count()
}

/// Whatever descriptor a caller passes, it gets a reply, and nothing is left open.
#[tokio::test]
async fn files_that_take_nothing() {
    let harness = Harness::with_short_fd_timeout(idle()).await;
    let log = ContactsProxy::new(&harness.client).await.unwrap();
    for format in ["csv", "jsonl", "sqlite"] {
        let format = || options([("format", format.into())]);
        let (unread, pipe) = std::io::pipe().unwrap();
        let answer = soon(log.export_log(fd(pipe), format())).await;
        assert!(
            format!("{answer:?}").contains("does not read"),
            "{answer:?}"
        );
        assert_eq!(error_name(answer), names::error::FAILED);
        drop(unread);

        let (_unread, socket) = UnixStream::pair().unwrap();
        let answer = soon(log.export_log(fd(socket), format())).await;
        assert_eq!(error_name(answer), names::error::FAILED);

        let (reader, pipe) = std::io::pipe().unwrap();
        drop(reader);
        let answer = soon(log.export_log(fd(pipe), format())).await;
        assert!(
            format!("{answer:?}").contains("closed the descriptor"),
            "{answer:?}"
        );
        assert_eq!(error_name(answer), names::error::FAILED);

        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let answer = soon(log.export_log(fd(full), format())).await;
        assert!(format!("{answer:?}").contains("disk"), "{answer:?}");
        assert_eq!(error_name(answer), names::error::FAILED);
        assert_eq!(left_behind(&harness), 0);
    }
}

#[tokio::test]
async fn a_socket_that_is_read() {
    let (_harness, log) = serving::<ContactsProxy<'_>>(idle()).await;
    let (near, far) = UnixStream::pair().unwrap();
    let read = std::thread::spawn(move || read_out(near));
    assert_eq!(soon(log.export_log(fd(far), none())).await.unwrap(), 3600);
    let csv = String::from_utf8(read.join().unwrap()).unwrap();
    assert_eq!(csv.lines().count(), 3601);
}

/// Four at once, and the daemon continues meanwhile.
#[tokio::test]
async fn exports_are_bounded() {
    let (mut harness, log) = serving::<ContactsProxy<'_>>(idle()).await;
    let (unread, pipes): (Vec<PipeReader>, Vec<_>) =
        (0..4).map(|_| std::io::pipe().unwrap()).unzip();
    let stuck = pipes
        .into_iter()
        .map(|pipe| async { soon(log.export_log(fd(pipe), none())).await });
    let one_more = async {
        for _ in 0..4 {
            soon(harness.driver.asked.recv()).await;
        }
        let (pipe, read) = read_pipe();
        let answer = soon(log.export_log(pipe, none())).await;
        assert_eq!(error_name(answer), names::error::BUSY);
        assert_eq!(read.join().unwrap(), b"");
        let manager = ManagerProxy::new(&harness.client).await.unwrap();
        assert_eq!(soon(manager.current_tcn_age()).await.unwrap(), 61);
        unread
            .into_iter()
            .map(|pipe| std::thread::spawn(move || read_out(pipe)))
            .collect::<Vec<_>>()
    };
    let (answers, readers) = tokio::join!(futures::future::join_all(stuck), one_more);
    for (answer, reader) in answers.into_iter().zip(readers) {
        assert_eq!(answer.unwrap(), 3600);
        assert!(reader.join().unwrap().len() > 1 << 16);
    }
    let (pipe, _read) = read_pipe();
    soon(log.export_log(pipe, none()))
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn orders_that_cannot_be_met() {
    let (mut harness, log) = serving::<ContactsProxy<'_>>(idle()).await;
    let invalid = names::error::INVALID_ARGS;
    for (odd, name) in [
        (("format", "xml".into()), invalid),
        (("format", true.into()), invalid),
        (("raw", "yes".into()), invalid),
        (("since", 0_u64.into()), invalid),
        (("to", 0_u64.into()), names::error::INVALID_RANGE),
    ] {
        let (pipe, _read) = read_pipe();
        let answer = soon(log.export_log(pipe, options([odd]))).await;
        assert_eq!(error_name(answer), name);
    }
    let (reader, _writer) = std::io::pipe().unwrap();
    let answer = soon(log.export_log(fd(reader), none())).await;
    assert!(format!("{answer:?}").contains("cannot be written"));
    assert_eq!(error_name(answer), invalid);
    harness.driver.heard_nothing();

    harness.driver.refuse(Some(Refusal::Storage));
    for format in ["csv", "sqlite"] {
        let (pipe, _read) = read_pipe();
        let answer = soon(log.export_log(pipe, options([("format", format.into())]))).await;
        assert_eq!(error_name(answer), names::error::FAILED);
    }
    assert_eq!(left_behind(&harness), 0);
}

#[tokio::test]
async fn contacts_are_erased() {
    let (mut harness, log) = serving::<ContactsProxy<'_>>(idle()).await;
    assert_eq!(soon(log.erase(7, u64::MAX)).await.unwrap(), 5);
    assert_eq!(harness.driver.heard(), [format!("Erase 7 {}", u64::MAX)]);
    for (from, to) in [(7, 7), (8, 7)] {
        let answer = soon(log.erase(from, to)).await;
        assert_eq!(error_name(answer), names::error::INVALID_RANGE);
    }
    harness.driver.heard_nothing();
}

#[tokio::test]
async fn nothing_is_wiped_by_mistake() {
    let (mut harness, privacy) = serving::<PrivacyProxy<'_>>(idle()).await;
    for phrase in ["", "yes", "Destroy everything", "destroy everything "] {
        let answer = soon(privacy.wipe_all(phrase, none())).await;
        assert!(format!("{answer:?}").contains(names::WIPE_PHRASE));
        assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    }
    let odd = options([("now", true.into())]);
    let answer = soon(privacy.wipe_all(names::WIPE_PHRASE, odd)).await;
    assert_eq!(error_name(answer), names::error::INVALID_ARGS);
    harness.driver.heard_nothing();
    soon(privacy.wipe_all(names::WIPE_PHRASE, none()))
        .await
        .unwrap();
    assert_eq!(harness.driver.heard(), ["Wipe"]);
}
