//! Whether a server can tell from the time between two requests whom a machine met.
//!
//! `cargo bench -p e2e` serves 20,000 reports that name one key, with bad signatures
//! and then with good ones, alternately to a machine that met the key and to one that
//! did not. It prints the ratio met/not met of two times: from the request for the
//! reports to the next request, and of the whole run of `tcnd-sync`. Each is given as
//! the median, the smallest and the largest of the pairs. If the spread includes a
//! ratio of one, the time reveals nothing. The bench ends by itself, after some
//! minutes.
#![expect(clippy::print_stdout, reason = "a bench speaks on standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

#[path = "../tests/noninterference/machine.rs"]
mod machine;

use std::time::{Duration, Instant};

use tcn_engine::Contact;
use tcn_exchange::interval::Interval;
use tcn_protocol::{
    Memo, MemoType, Ratchet, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
    TemporaryContactNumber, wire,
};
use tcnd::daemon::clock;

use crate::machine::{Documents, Machine, Server, contact};

/// Reports that name the key.
const REPORTS: u32 = 20_000;
/// Pairs of runs.
const PAIRS: usize = 7;
const DAY: u64 = 86_400;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    for good in [false, true] {
        let kind = if good { "good" } else { "bad" };
        let (gaps, runs) = runtime.block_on(pairs(good));
        println!("{REPORTS} reports with {kind} signatures, {PAIRS} pairs, met / not met:");
        println!("  to the next request  {}", spread(&gaps));
        println!("  the whole run        {}", spread(&runs));
    }
}

/// The times of the two machines: met, and not met.
type Pair = (Duration, Duration);

async fn pairs(good: bool) -> (Vec<Pair>, Vec<Pair>) {
    let server = Server::new();
    let now = clock::now().wall;
    let interval = Interval::of(now).number() - 4;
    server.serve(&Documents::from([(interval, reports(good))]));
    let (mut gaps, mut runs) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let mut took = Vec::new();
        for met in [true, false] {
            let machine = Machine::new(contacts(met, now.0 - 2 * DAY)).await;
            let started = Instant::now();
            machine.sync(&server, "").await;
            took.push((gap(&server, interval), started.elapsed()));
            assert_eq!(machine.exposures().await > 0, met && good);
        }
        gaps.push((took[0].0, took[1].0));
        runs.push((took[0].1, took[1].1));
    }
    (gaps, runs)
}

/// The time from the request for this interval to the next request.
fn gap(server: &Server, interval: u64) -> Duration {
    let asked = server.asked();
    let name = format!("intervalNumber={interval}&");
    let is_it = |raw: &[u8]| String::from_utf8_lossy(raw).contains(&name);
    let at = asked
        .iter()
        .position(|request| is_it(&request.raw))
        .unwrap();
    asked[at + 1].at - asked[at].at
}

fn key() -> ReportAuthorizationKey {
    ReportAuthorizationKey::from_bytes(&[7; 32])
}

fn reports(good: bool) -> Vec<Vec<u8>> {
    let index = |n| RatchetIndex::new(n).unwrap();
    let span = ReportSpan::new(index(1), index(10)).unwrap();
    let of = |n: u32| {
        let memo = Memo::new(MemoType::COEPI_V1, n.to_le_bytes()).unwrap();
        let mut report = wire::write(&SignedReport::create(&key(), span, memo));
        *report.last_mut().unwrap() ^= u8::from(!good);
        report
    };
    (0..REPORTS).map(of).collect()
}

/// Two hundred contacts. If the key was met, ten of them are of the key.
fn contacts(met: bool, start: u64) -> Vec<Contact> {
    let mut tck = key().first_temporary_contact_key();
    let mut numbers = Vec::new();
    while met && numbers.len() < 10 {
        numbers.push(tck.temporary_contact_number());
        let Ratchet::Next(next) = tck.ratchet() else {
            break;
        };
        tck = next;
    }
    let others = (0..200_u8).map(|n| TemporaryContactNumber::from_bytes([n; 16]));
    let all = numbers.into_iter().chain(others).take(200);
    let at = |n: u64| start + n % 90 * 900;
    all.zip(0..).map(|(tcn, n)| contact(tcn, at(n))).collect()
}

/// The median of the ratios, the smallest and the largest, and the times.
fn spread(pairs: &[Pair]) -> String {
    let mut ratios: Vec<f64> = pairs
        .iter()
        .map(|(met, not)| met.as_secs_f64() / not.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    let (met, not) = pairs[pairs.len() / 2];
    format!("{median:.3} ({least:.3} to {most:.3}); {met:.1?} / {not:.1?}")
}
