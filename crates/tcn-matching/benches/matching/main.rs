//! Matching as ratios in one run, against the strategy of CoEpi on the published crate
//! `tcn`: verify every report, expand it, look each number up in a `HashMap` built for
//! the call, on all processors by rayon.
//!
//! `cargo bench -p tcn-matching` prints, each with its aim:
//!
//! 1. 10,000 reports of 24 numbers against 100,000 contacts;
//! 2. 2,000 reports of 1,344 numbers against 26,880 contacts;
//! 3. bytes and nanoseconds per observed number in the index;
//! 4. numbers expanded per second, several reports at once, by the best kernel and
//!    the portable one, and one by one; and the kernels' compressions back to back;
//! 5. a million contacts against 100,000 reports of 24 numbers, read from a
//!    file in slices: time, and resident memory before, at its peak, after.
//!
//! A word after `--` selects one of them: `short`, `long`, `index`, `kernel`,
//! `million`.
//!
//! glibc raises the size from which memory goes straight back to the kernel whenever
//! such a piece is freed, so from the second round on it keeps some. The fifth
//! measurement is repeated with that turned off.
//!
//! Variants alternate, one round each. A figure is the median over the rounds, a ratio
//! the median of the ratios within a round. Times are the process's processor time with
//! one thread, wall time with one for every processor. Of each thousand reports one
//! matches, and of ten thousand five more match with a broken signature. The crate
//! leaves out the last number of every report; nothing else here does.
//!
//! Our index is built before, as in a daemon that has several files to match. The time
//! that building it for the call would add is printed beside.
//!
//! A number takes three compressions of SHA-256. A share of compressions back to back is
//! three times the numbers, over the compressions that the same kernel computes in the
//! same time and the same round if it does nothing else. It can exceed 1, because eight
//! of a number's 192 rounds are computed once a report.
#![expect(clippy::print_stdout, reason = "a bench speaks on standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

mod measure;

use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::time::Instant;

use measure::{Rounds, processor_time, resident, status, time, wall_time};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use tcn_matching::{
    Budget, Finding, Index, IndexBuilder, MatchOutcome, Secret, ShaKernel, match_reports,
};
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
    TemporaryContactNumber, wire,
};

const UNLIMITED: Budget = Budget {
    numbers: u64::MAX / 2,
};

fn main() {
    let asked: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|word| word == name);
    // First, while this process has used little memory.
    if wanted("million") {
        million();
    }
    if asked.is_empty() {
        println!(
            "the same, and glibc told to give memory back early (MALLOC_TRIM_THRESHOLD_=131072):"
        );
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.arg("million").env("MALLOC_TRIM_THRESHOLD_", "131072");
        assert!(again.status().unwrap().success());
    }
    if wanted("index") {
        for contacts in [26_880, 100_000, 1_000_000] {
            index(contacts);
        }
    }
    if wanted("kernel") {
        kernel();
    }
    if wanted("short") {
        versus(10_000, 24, 100_000, 15, 50.0);
    }
    if wanted("long") {
        versus(2_000, 1344, 26_880, 7, 14.0);
    }
}

/// Both strategies on the same reports and contacts.
fn versus(reports: usize, length: u16, contacts: usize, rounds: usize, aim: f64) {
    let fixture = Fixture::new(reports, length, contacts);
    let theirs: Vec<_> = fixture
        .reports
        .iter()
        .map(|report| tcn::SignedReport::read(&wire::write(report)[..]).unwrap())
        .collect();
    let index = fixture.index();
    let cores = std::thread::available_parallelism().unwrap();
    println!("{reports} reports of {length} numbers, {contacts} contacts, {rounds} rounds:");
    for (threads, clock, what) in [
        (
            NonZeroUsize::MIN,
            processor_time as fn() -> f64,
            "processor time",
        ),
        (cores, wall_time, "wall time"),
    ] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .build()
            .unwrap();
        let mut measured = Rounds::new();
        for _ in 0..rounds {
            let (ours, findings) = time(clock, || {
                match_reports(
                    &index,
                    &fixture.reports,
                    &mut { UNLIMITED },
                    threads,
                    || false,
                )
                .unwrap()
            });
            let compressions = 3 * reports * usize::from(length);
            let limit = back_to_back(clock, ShaKernel::best(), compressions);
            let (building, _) = time(clock, || fixture.index());
            let (peer, matched) = time(clock, || {
                pool.install(|| verify_all(&fixture.observed, &theirs))
            });
            assert_eq!(honest(&findings), matched, "not the same reports");
            measured.push([ours, building, peer, limit / threads.get() as f64]);
        }
        let [ours, building, peer, _] = measured.medians();
        let each = 1e6 / reports as f64;
        println!(
            "  {} thread(s), {what}: {:.2} µs a report against {:.1}: {:.1} times as fast (aim: {aim}), {:.1} \
             with the index built for the call ({:.2} µs a report); {:.2} of compressions back to back (aim: 0.90)",
            threads,
            ours * each,
            peer * each,
            measured.ratio(|[ours, _, peer, _]| peer / ours),
            measured.ratio(|[ours, building, peer, _]| peer / (ours + building)),
            building * each,
            measured.ratio(|[ours, _, _, limit]| limit / ours),
        );
    }
}

/// The time of so many compressions by `kernel`, with nothing in between.
fn back_to_back(clock: fn() -> f64, kernel: ShaKernel, compressions: usize) -> f64 {
    time(clock, || kernel.back_to_back(compressions)).0
}

/// Numbers per second: several reports at once, by each kernel, and one after another.
fn kernel() {
    let fixture = Fixture::new(64, 1344, 0);
    let numbers = 64 * 1344;
    let mut measured = Rounds::new();
    let (best, portable) = (ShaKernel::best(), ShaKernel::PORTABLE);
    for _ in 0..25 {
        let claims = || fixture.reports.iter().map(SignedReport::claim).enumerate();
        let abreast = |kernel: ShaKernel| {
            let expand = || {
                kernel.expand(claims(), |_, _, number| {
                    black_box(number);
                    ControlFlow::<()>::Continue(())
                })
            };
            time(processor_time, expand).0
        };
        let (single, ()) = time(processor_time, || {
            for (_, claim) in claims() {
                claim.temporary_contact_numbers().for_each(|number| {
                    black_box(number);
                });
            }
        });
        let [ours, portably] = [best, portable].map(abreast);
        let limits =
            [best, portable].map(|kernel| back_to_back(processor_time, kernel, 3 * numbers));
        measured.push([ours, portably, single, limits[0], limits[1]]);
    }
    let millions = measured.medians().map(|time| numbers as f64 / time / 1e6);
    println!("millions of numbers a second, on one thread:");
    println!(
        "  {:.1} several reports at once, kernel {}: {:.2} times as many as portably, {:.2} as one by one, {:.2} of \
         compressions back to back",
        millions[0],
        best.name(),
        measured.ratio(|[ours, portably, ..]| portably / ours),
        measured.ratio(|[ours, _, single, ..]| single / ours),
        measured.ratio(|[ours, _, _, limit, _]| limit / ours),
    );
    println!(
        "  {:.1} several reports at once, kernel {}: {:.2} times as many as one by one, {:.2} of compressions back to back",
        millions[1],
        portable.name(),
        measured.ratio(|[_, portably, single, ..]| single / portably),
        measured.ratio(|[_, portably, _, _, limit]| limit / portably),
    );
    println!("  {:.1} one by one", millions[2]);
}

/// The cost of the index per number.
fn index(contacts: usize) {
    let fixture = Fixture::new(0, 0, contacts);
    let mut measured = Rounds::new();
    let mut bytes = 0;
    for _ in 0..15 {
        let (collecting, builder) = time(processor_time, || fixture.builder());
        let (building, index) = time(processor_time, || builder.build());
        let (asking, found) = time(processor_time, || {
            fixture
                .strangers
                .iter()
                .filter(|number| index.contains(number))
                .count()
        });
        assert_eq!(found, 0);
        bytes = index.bytes();
        measured.push([collecting + building, building, asking]);
    }
    let [all, building, asking] = measured.medians().map(|time| time * 1e9 / contacts as f64);
    println!(
        "index of {contacts} numbers: {:.2} bytes each (aim: 20), built in {all:.1} ns each (aim: 50), {building:.1} \
         of them after the last came in; an unknown number costs {:.1} ns",
        bytes as f64 / contacts as f64,
        asking * contacts as f64 / fixture.strangers.len() as f64
    );
}

/// A machine with more contacts than any real one and a file of many reports, matched
/// as the daemon does.
fn million() {
    const CONTACTS: usize = 1_000_000;
    const REPORTS: usize = 100_000;
    const SLICE: usize = 512;
    let mut file = tempfile::tempfile().unwrap();
    write_reports(&mut file, REPORTS, 24);
    let before = resident();
    for turn in 1..=3 {
        rewind(&mut file);
        let clock = Instant::now();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut builder = IndexBuilder::new(Secret::generate(&mut rng));
        builder
            .extend((0..CONTACTS).map(|_| number(&mut rng)))
            .unwrap();
        let index = builder.build();
        let built = clock.elapsed();
        let indexed = resident();
        let mut peak = indexed;
        let mut stream = Slices::new(&file);
        let mut budget = UNLIMITED;
        let (clock, mut read) = (Instant::now(), 0);
        loop {
            let slice = stream.next(SLICE);
            if slice.is_empty() {
                break;
            }
            read += slice.len();
            let cores = std::thread::available_parallelism().unwrap();
            let findings = match_reports(&index, &slice, &mut budget, cores, || false).unwrap();
            assert!(findings.is_empty());
            peak = peak.max(resident());
        }
        assert_eq!(read, REPORTS);
        let matched = clock.elapsed();
        drop(index);
        drop(stream);
        println!(
            "{CONTACTS} contacts, {REPORTS} reports of 24 in slices of {SLICE}, turn {turn}: index in {:.0} ms, matched in \
             {:.0} ms; resident {:.1} MB before, {:.1} with the index, {:.1} at the peak, {:.1} after",
            built.as_secs_f64() * 1e3,
            matched.as_secs_f64() * 1e3,
            before,
            indexed,
            peak,
            resident(),
        );
    }
    println!(
        "  the most at any time, while the index was built: {:.1} MB",
        status("VmHWM:")
    );
}

/// CoEpi's `TcnMatcherRayon`: which reports are valid and name observed numbers, and
/// how many.
fn verify_all(observed: &[ObservedTcn], reports: &[tcn::SignedReport]) -> Vec<(usize, usize)> {
    let map: HashMap<[u8; 16], ObservedTcn> = observed
        .iter()
        .map(|seen| (seen.tcn, seen.clone()))
        .collect();
    let matched = |(position, report): (usize, &tcn::SignedReport)| {
        let report = report.clone().verify().ok()?;
        let seen: Vec<_> = report
            .temporary_contact_numbers()
            .filter_map(|number| map.get(&number.0).cloned())
            .collect();
        (!seen.is_empty()).then_some((position, seen.len()))
    };
    reports.par_iter().enumerate().filter_map(matched).collect()
}

/// The part of a sighting that CoEpi keeps.
#[derive(Clone)]
struct ObservedTcn {
    tcn: [u8; 16],
    _contact_start: u64,
    _contact_end: u64,
    _min_distance: f32,
    _avg_distance: f32,
    _total_count: usize,
}

impl ObservedTcn {
    const fn new(number: TemporaryContactNumber) -> Self {
        Self {
            tcn: *number.as_bytes(),
            _contact_start: 0,
            _contact_end: 0,
            _min_distance: 0.0,
            _avg_distance: 0.0,
            _total_count: 0,
        }
    }
}

/// Findings in the form of [`verify_all`].
fn honest(findings: &[Finding]) -> Vec<(usize, usize)> {
    let heard = |finding: &Finding| match &finding.outcome {
        MatchOutcome::Heard(heard) => Some((finding.position, usize::from(heard.count))),
        MatchOutcome::Refused(_) => None,
        MatchOutcome::BeyondBudget => panic!("the budget is unlimited"),
    };
    findings.iter().filter_map(heard).collect()
}

/// Reports and contacts, the same in every run.
struct Fixture {
    reports: Vec<SignedReport>,
    observed: Vec<ObservedTcn>,
    /// Numbers that were never heard.
    strangers: Vec<TemporaryContactNumber>,
}

impl Fixture {
    fn new(reports: usize, length: u16, contacts: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut reports: Vec<_> = (0..reports).map(|_| report(&mut rng, length)).collect();
        let mut observed = Vec::new();
        for (position, report) in reports.iter_mut().enumerate() {
            let (honest, broken) = (position % 1000 == 7, position % 2000 == 11);
            if honest || broken {
                // Not the last, which the crate leaves out.
                observed.extend(report.claim().temporary_contact_numbers().take(3));
            }
            if broken {
                let mut bytes = wire::write(report);
                *bytes.last_mut().unwrap() ^= 1;
                *report = wire::parse(&bytes).unwrap();
            }
        }
        observed.extend((observed.len()..contacts).map(|_| number(&mut rng)));
        Self {
            reports,
            observed: observed.into_iter().map(ObservedTcn::new).collect(),
            strangers: (0..100_000).map(|_| number(&mut rng)).collect(),
        }
    }

    fn builder(&self) -> IndexBuilder {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut builder = IndexBuilder::new(Secret::generate(&mut rng));
        let numbers = self
            .observed
            .iter()
            .map(|seen| TemporaryContactNumber::from_bytes(seen.tcn));
        builder.extend(numbers).unwrap();
        builder
    }

    fn index(&self) -> Index {
        self.builder().build()
    }
}

/// A report of `length` numbers with a memo of 18 bytes.
fn report(rng: &mut ChaCha20Rng, length: u16) -> SignedReport {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    let last = RatchetIndex::new(length).unwrap();
    let span = ReportSpan::new(RatchetIndex::FIRST, last).unwrap();
    let memo = Memo::new(MemoType::COEPI_V1, [7; 18]).unwrap();
    SignedReport::create(&ReportAuthorizationKey::from_bytes(&seed), span, memo)
}

fn number(rng: &mut ChaCha20Rng) -> TemporaryContactNumber {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    TemporaryContactNumber::from_bytes(bytes)
}

fn write_reports(file: &mut File, reports: usize, length: u16) {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut out = BufWriter::new(file);
    for _ in 0..reports {
        out.write_all(&wire::write(&report(&mut rng, length)))
            .unwrap();
    }
    out.flush().unwrap();
}

fn rewind(file: &mut File) {
    std::io::Seek::rewind(file).unwrap();
}

/// The reports of a file, a slice at a time; all have one length.
struct Slices<'a> {
    file: BufReader<&'a File>,
}

impl<'a> Slices<'a> {
    fn new(file: &'a File) -> Self {
        Self {
            file: BufReader::new(file),
        }
    }

    fn next(&mut self, most: usize) -> Vec<SignedReport> {
        const LEN: usize = SignedReport::MIN_LEN + 18;
        let mut slice = Vec::with_capacity(most);
        let mut bytes = [0; LEN];
        while slice.len() < most && self.file.read_exact(&mut bytes).is_ok() {
            slice.push(wire::parse(&bytes).unwrap());
        }
        slice
    }
}
