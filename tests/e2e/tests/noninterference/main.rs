//! Whether anyone outside tcnd can find out whom this machine met.
//!
//! Two machines get the same documents. One of them met a person whom the documents
//! name; the other did not. Every byte on the bus to and from `tcnd-sync`, every
//! request on the wire, every file of `tcnd-sync` and everything that any user of the
//! machine can see must be the same. (The property is called noninterference: Goguen
//! and Meseguer, 1982.) `benches/noninterference.rs` measures time.
//!
//! Needs dbus-daemon (package dbus), and fails without it.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "a played server stamps its answers with the real time"
)]

mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};
use tcn_engine::Contact;
use tcn_exchange::interval::Interval;
use tcn_protocol::{
    Memo, MemoType, Ratchet, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
    TemporaryContactNumber, wire,
};
use tcnd::daemon::clock;
use tcnd_client::names;
use tcnd_client::proxy::{DeliveryCounts, ExchangeProxy, SourceInfo};
use zbus::{Connection, Fd};

use crate::machine::{Documents, Machine, Server, contact};

const DAY: u64 = 86_400;

/// The key whose numbers one of the machines met.
const BEACON: u8 = 7;

fn key(seed: u8) -> ReportAuthorizationKey {
    ReportAuthorizationKey::from_bytes(&[seed; 32])
}

/// The first numbers of a key.
fn numbers(seed: u8, count: usize) -> Vec<TemporaryContactNumber> {
    let mut tck = key(seed).first_temporary_contact_key();
    let mut numbers = vec![tck.temporary_contact_number()];
    while numbers.len() < count
        && let Ratchet::Next(next) = tck.ratchet()
    {
        numbers.push(next.temporary_contact_number());
        tck = next;
    }
    numbers.truncate(count);
    numbers
}

/// A report of the first numbers of a key; the memo makes it unique.
fn report(seed: u8, last: u16, memo: u32) -> Vec<u8> {
    let index = |n| RatchetIndex::new(n).unwrap();
    let span = ReportSpan::new(index(1), index(last)).unwrap();
    let memo = Memo::new(MemoType::COEPI_V1, memo.to_le_bytes()).unwrap();
    wire::write(&SignedReport::create(&key(seed), span, memo))
}

fn flipped(mut report: Vec<u8>) -> Vec<u8> {
    *report.last_mut().unwrap() ^= 1;
    report
}

/// A report that names no number: its last comes before its first.
fn empty(memo: u32) -> Vec<u8> {
    let mut report = report(BEACON, 10, memo);
    report[66..68].fill(0);
    report
}

/// The contacts of the two machines: equally many, with different numbers.
fn contacts(seed: u8, count: usize, start: u64) -> Vec<Contact> {
    let numbers = numbers(seed, count).into_iter();
    let starts = (0..).map(|n: u64| start + n % 90 * 900);
    numbers
        .zip(starts)
        .map(|(tcn, at)| contact(tcn, at))
        .collect()
}

/// Everything visible of a machine while it gets documents.
struct Seen {
    bus: Vec<String>,
    requests: Vec<String>,
    files: Vec<(String, String)>,
    public: Vec<String>,
}

/// Three runs of `tcnd-sync`. Returns the visible data and the number of exposures.
async fn seen(
    server: &Server,
    documents: &Documents,
    more: &str,
    contacts: Vec<Contact>,
) -> (Seen, usize) {
    server.serve(documents);
    let machine = Machine::new(contacts).await;
    let mut watch = machine.watch().await;
    for _ in 0..3 {
        machine.sync(server, more).await;
    }
    let marker = machine.connect().await;
    let bus = names::BUS;
    let _ = marker
        .call_method(Some(bus), "/", Some("test.Marker"), "ThisIsTheEnd", &())
        .await;
    let bus = watch.until("ThisIsTheEnd").await;
    let requests = server.asked().into_iter();
    let text = |raw: Vec<u8>| String::from_utf8_lossy(&raw).into_owned();
    let seen = Seen {
        bus,
        requests: requests.map(|request| text(request.raw)).collect(),
        files: machine.files(),
        public: machine.public().await,
    };
    (seen, machine.exposures().await)
}

/// Runs the test on both machines, again if an interval ended meanwhile. Returns the
/// number of exposures on the machine that had the contact.
async fn same_for_both(documents: impl Fn(u64) -> Documents, more: &str, met: usize) -> usize {
    let server = Server::new();
    loop {
        let now = clock::now().wall;
        let current = Interval::of(now);
        let documents = documents(current.number());
        let start = now.0 - 2 * DAY;
        let mut heard = contacts(BEACON, met, start);
        heard.extend(contacts(200, 200 - met, start));
        let (one, exposures) = seen(&server, &documents, more, heard).await;
        let (other, none) = seen(&server, &documents, more, contacts(200, 200, start)).await;
        if Interval::of(clock::now().wall) != current {
            continue;
        }
        assert_eq!(none, 0, "the other machine has no contact");
        assert!(
            one.bus.iter().any(|line| line.contains(" Deliver ")),
            "nothing was delivered"
        );
        same(&calls(&one), &calls(&other));
        assert_eq!(signals(&one), signals(&other));
        same(&one.requests, &other.requests);
        assert_eq!(one.files, other.files);
        assert_eq!(one.public, other.public);
        return exposures;
    }
}

/// Calls and replies, in their order.
fn calls(seen: &Seen) -> Vec<String> {
    let lines = seen.bus.iter().cloned();
    lines.filter(|line| !line.starts_with("Signal")).collect()
}

/// The signals to every user. Two simultaneous changes may come in one signal or in
/// two, before or after a reply.
fn signals(seen: &Seen) -> BTreeSet<String> {
    let lines = seen.bus.iter().cloned();
    lines.filter(|line| line.starts_with("Signal")).collect()
}

/// Fails at the first line that differs.
#[track_caller]
fn same(one: &[String], other: &[String]) {
    for (at, (one, other)) in one.iter().zip(other).enumerate() {
        assert_eq!(one, other, "line {at}");
    }
    assert_eq!(one.len(), other.len());
}

/// The nine reports of one key, of which eight may name a contact.
#[tokio::test(flavor = "multi_thread")]
async fn more_reports_than_a_contact_may_have() {
    let documents = |current| {
        let reports = (0..9).map(|n| report(BEACON, 10, n)).collect();
        Documents::from([(current - 4, reports)])
    };
    assert!(same_for_both(documents, "", 10).await > 0);
}

/// More than 4096 reports that name contacts; that many are kept of one document.
#[tokio::test(flavor = "multi_thread")]
async fn more_reports_than_may_name_contacts() {
    let documents = |current| {
        let of = |n: u32| report(BEACON, 2, n);
        Documents::from([(current - 4, (0..4100).map(of).collect())])
    };
    assert!(same_for_both(documents, "", 2).await > 0);
}

/// Numbers that name more contacts than are kept, in reports of maximal length.
#[tokio::test(flavor = "multi_thread")]
async fn reports_at_the_edge_of_the_budget() {
    let documents = |current| {
        let long = |n: u32| report(BEACON, 30_000, n);
        let reports: Vec<_> = (0..8).map(long).collect();
        Documents::from([
            (current - 6, reports.clone()),
            (current - 5, reports.into_iter().map(flipped).collect()),
        ])
    };
    for budget in [65_535, 8 * 30_512 - 1, 8 * 30_512, 1_000_000] {
        same_for_both(documents, &format!("budget = {budget}"), 150).await;
    }
}

/// Random documents: honest reports, bad signatures, duplicates, flips, reports that
/// name no contact, and items that are not reports.
#[tokio::test(flavor = "multi_thread")]
async fn random_documents() {
    let mut found = 0;
    for seed in 0..6 {
        let documents = move |current| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut documents = Documents::new();
            for _ in 0..12 {
                let interval = current - u64::from(rng.next_u32() % 12);
                let memo = rng.next_u32() % 20;
                let whose = [BEACON, 90, 91][rng.next_u32() as usize % 3];
                let last = [1, 9, 10, 200][rng.next_u32() as usize % 4];
                let item = match rng.next_u32() % 6 {
                    0 | 1 => report(whose, last, memo),
                    2 => flipped(report(whose, last, memo)),
                    3 => empty(memo),
                    4 => report(whose, last, memo)[..80].to_vec(),
                    _ => {
                        let mut report = report(whose, last, memo);
                        let at = rng.next_u32() as usize % report.len();
                        report[at] ^= 1 << (rng.next_u32() % 8);
                        report
                    }
                };
                let of = documents.entry(interval).or_default();
                of.push(item.clone());
                if rng.next_u32() % 3 == 0 {
                    of.push(item);
                }
            }
            documents
        };
        found += same_for_both(documents, "", 60).await;
    }
    assert!(found > 0, "no document named a contact");
}

/// A compromised `tcnd-sync` that makes arbitrary calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_tcnd_sync_that_was_taken_over() {
    let start = clock::now().wall.0 - 2 * DAY;
    let mut answers = Vec::new();
    for met in [10, 0] {
        let mut heard = contacts(BEACON, met, start);
        heard.extend(contacts(200, 40 - met, start));
        let machine = Machine::new(heard).await;
        let bus = machine.connect().await;
        answers.push(probe(&bus).await);
        assert_eq!(machine.exposures().await > 0, met > 0);
    }
    assert_eq!(answers[0], answers[1]);
    let again: Vec<_> = answers[0].iter().map(|counts| counts.duplicate).collect();
    assert_eq!(again, [0, 1, 1, 1, 0, 0, 2, 0]);
}

/// An honest report with one bit of its signature flipped, again, intact, again; then
/// others of the same key, in several orders.
async fn probe(bus: &Connection) -> Vec<DeliveryCounts> {
    let exchange = ExchangeProxy::new(bus).await.unwrap();
    let source = SourceInfo {
        name: "eve".to_owned(),
        label: "Eve".to_owned(),
        publish: false,
        help_url: Some("https://a.example.org/help".to_owned()),
        help_phone: None,
    };
    exchange.begin(&[source]).await.unwrap();
    let interval = Interval::of(clock::now().wall).number() - 4;
    let honest = report(BEACON, 10, 1);
    let bad = flipped(honest.clone());
    let mut counts = Vec::new();
    for bytes in [
        bad.clone(),
        bad,
        honest.clone(),
        honest,
        (2..12).flat_map(|n| report(BEACON, 10, n)).collect(),
        empty(1),
        [report(BEACON, 10, 2), flipped(report(BEACON, 10, 3))].concat(),
        b"no report at all".to_vec(),
    ] {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        let fd = Fd::from(OwnedFd::from(file));
        let delivered = exchange.deliver("eve", interval, fd, BTreeMap::new());
        counts.push(delivered.await.unwrap());
    }
    exchange.end().await.unwrap();
    counts
}
