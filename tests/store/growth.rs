//! Growth that waits in its file: it counts once, whatever ends the process, and it is in
//! every answer.
//!
//! A kill leaves what the kernel was given. So the files of a store that is at rest, copied,
//! are what a kill leaves; `kill` and `power` kill real processes at any moment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tcn_engine::{Contact, Signal};
use tcn_protocol::{TemporaryContactNumber, UnixTime};
use tcnd::store::{Cursor, DATABASE, Recorded};
use tempfile::{TempDir, tempdir};

use super::reports::found;
use super::wipe::holds;
use super::{DAY, DAY_ONE, Harness, born, look, one, open, sighting, summary, tcn};

const QUARTER: u64 = 900;

fn growth_file(directory: &Path) -> PathBuf {
    directory.join(format!("{DATABASE}-growth"))
}

fn length(directory: &Path) -> u64 {
    growth_file(directory).metadata().unwrap().len()
}

/// The files as a kill would leave them now.
fn killed(directory: &Path) -> TempDir {
    let copy = tempdir().unwrap();
    for file in directory.read_dir().unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

/// All contacts, read in small pages.
async fn contacts(harness: &Harness) -> Vec<Contact> {
    let (mut cursor, mut all) = (Cursor::since(UnixTime(0)), Vec::new());
    loop {
        let page = harness.store.contacts(cursor, 3).await.unwrap();
        let Some(last) = page.last() else {
            return all;
        };
        cursor = Cursor::behind(last);
        all.extend(page);
    }
}

/// Numbers and sightings in all.
async fn totals(harness: &Harness) -> (u64, u64) {
    let all = summary(&harness.store).await;
    (all.numbers, all.sightings)
}

#[tokio::test]
async fn growth_waits_in_its_file_and_a_kill_loses_none() {
    let (directory, mut harness) = Harness::fresh();
    for minute in 0..5 {
        let at = DAY_ONE + 60 * minute;
        harness.save(vec![sighting(1, DAY_ONE, at)]).await;
    }
    let rows: u32 = one(directory.path(), "SELECT count(*) FROM contact");
    assert_eq!(rows, 0, "nothing is folded yet");
    let left = killed(directory.path());
    let harness = Harness::new(left.path());
    assert_eq!(totals(&harness).await, (1, 5));
    assert_eq!(length(left.path()), 0, "it is folded");
}

/// Every way to ask, each as the first after the growth.
#[tokio::test]
async fn growth_is_in_every_answer() {
    let (from, to) = (UnixTime(DAY_ONE), UnixTime(DAY_ONE + DAY));
    let named = || found(1, vec![(UnixTime(DAY_ONE), tcn(1))]);
    for way in 0..7 {
        let (directory, mut harness) = Harness::fresh();
        harness.save(vec![sighting(1, DAY_ONE, DAY_ONE + 9)]).await;
        harness.save(vec![sighting(2, DAY_ONE, DAY_ONE + 9)]).await;
        assert!(length(directory.path()) > 0);
        let store = &harness.store;
        let counted = match way {
            0 => store.summary(from, to).await.unwrap().numbers,
            1 => store.size().await.unwrap().rows,
            2 => contacts(&harness).await.len() as u64,
            3 => {
                let bars = store.histogram(from, to, Duration::from_secs(DAY));
                bars.await.unwrap()[0].numbers
            }
            4 => store.erase(from, to).await.unwrap(),
            5 => {
                let recorded = store.record_matches(vec![named()]).await.unwrap();
                assert_eq!(recorded, [Recorded::New]);
                store.matched_times().await.unwrap().len() as u64 + 1
            }
            6 => {
                harness.store.close().await;
                let rows: u32 = one(directory.path(), "SELECT count(*) FROM contact");
                u64::from(rows)
            }
            way => unreachable!("{way}"),
        };
        assert_eq!(counted, 2, "way {way}");
        assert_eq!(length(directory.path()), 0, "way {way}");
    }
}

/// A contact that grew since is in the exposures too.
#[tokio::test]
async fn a_matched_contact_has_its_growth_in_every_answer() {
    let (directory, mut harness) = Harness::fresh();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    let named = found(1, vec![(UnixTime(DAY_ONE), tcn(1))]);
    harness.store.record_matches(vec![named]).await.unwrap();
    assert!(harness.save(vec![sighting(1, DAY_ONE, DAY_ONE + 60)]).await);
    let next = DAY_ONE + QUARTER;
    assert!(harness.save(vec![sighting(1, next, next + 5)]).await);
    assert!(!harness.save(vec![sighting(2, next, next)]).await);
    // What the report names is written with the growth, so a kill parts them never.
    let left = killed(directory.path());
    for harness in [harness, Harness::new(left.path())] {
        let report = harness.store.matched_report(1).await.unwrap().unwrap();
        let mut spans: Vec<_> = report
            .contacts
            .iter()
            .map(|contact| (contact.start.0, contact.end.0))
            .collect();
        spans.sort_unstable();
        assert_eq!(spans, [(DAY_ONE, DAY_ONE + 60), (next, next + 5)]);
    }
}

#[tokio::test]
async fn many_queries_fold_once() {
    let (directory, mut harness) = Harness::fresh();
    let fold = || -> (i64, i64) {
        let value = |name| format!("SELECT value FROM setting WHERE name = '{name}'");
        let of = |name| one(directory.path(), &value(name));
        (of("growth_file"), of("growth_folded"))
    };
    let first = fold();
    let batch = (0..50).map(|n| sighting(n, DAY_ONE + 100 * n, DAY_ONE + 100 * n));
    harness.save(batch.collect()).await;
    assert_eq!(contacts(&harness).await.len(), 50);
    let second = fold();
    assert_ne!(first, second);
    assert_eq!(contacts(&harness).await.len(), 50);
    assert_eq!(fold(), second);
    harness.save(vec![sighting(60, DAY_ONE, DAY_ONE)]).await;
    assert_eq!(contacts(&harness).await.len(), 51);
    let third = fold();
    assert_eq!(third.0, second.0.wrapping_add(1), "another file");
}

/// Folded, and killed before the file was cut.
#[tokio::test]
async fn a_file_that_was_folded_and_not_cut_counts_nothing_twice() {
    let (directory, mut harness) = Harness::fresh();
    for round in 1..=3 {
        for minute in 0..4 {
            let at = DAY_ONE + 60 * minute;
            harness.save(vec![sighting(1, DAY_ONE, at)]).await;
        }
        let before = fs::read(growth_file(directory.path())).unwrap();
        assert_eq!(totals(&harness).await, (1, 4 * round));
        let left = killed(directory.path());
        fs::write(growth_file(left.path()), &before).unwrap();
        let mut again = Harness::new(left.path());
        assert_eq!(totals(&again).await, (1, 4 * round));
        again.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
        let left = killed(left.path());
        assert_eq!(totals(&Harness::new(left.path())).await, (1, 4 * round + 1));
    }
}

/// A fold that was answered by an error, and is in the journal all the same: the store goes
/// on to append, and a kill brings the fold to light.
#[tokio::test]
async fn what_comes_after_a_fold_that_seemed_to_fail_counts_once() {
    let (directory, mut harness) = Harness::fresh();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    harness.save(vec![sighting(2, DAY_ONE, DAY_ONE)]).await;
    let unfolded = killed(directory.path());
    assert_eq!(totals(&harness).await, (2, 2));
    let folded = killed(directory.path());

    // The same file, longer. A start does not fold.
    let mut harness = Harness::new(unfolded.path());
    harness.save(vec![sighting(2, DAY_ONE, DAY_ONE + 60)]).await;
    harness.save(vec![sighting(3, DAY_ONE, DAY_ONE + 60)]).await;
    let file = growth_file(unfolded.path());
    fs::copy(file, growth_file(folded.path())).unwrap();
    let mut harness = Harness::new(folded.path());
    assert_eq!(length(folded.path()), length(unfolded.path()), "it waits");
    harness
        .save(vec![sighting(3, DAY_ONE, DAY_ONE + 120)])
        .await;
    let left = killed(folded.path());
    for harness in [harness, Harness::new(left.path())] {
        assert_eq!(totals(&harness).await, (3, 5));
    }
}

#[tokio::test]
async fn the_growth_of_another_database_counts_nothing_and_goes() {
    let (other, mut harness) = Harness::fresh();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    let (directory, harness) = Harness::fresh();
    harness.store.close().await;
    fs::copy(growth_file(other.path()), growth_file(directory.path())).unwrap();
    let mut harness = Harness::new(directory.path());
    assert_eq!(length(directory.path()), 0);
    assert_eq!(totals(&harness).await, (0, 0));
    harness.save(vec![sighting(2, DAY_ONE, DAY_ONE)]).await;
    let left = killed(directory.path());
    assert_eq!(totals(&Harness::new(left.path())).await, (1, 1));
}

/// Wherever a write ended, the batches before are there, each whole, and new ones follow.
#[tokio::test]
async fn a_batch_is_there_whole_or_not_at_all() {
    let (directory, mut harness) = Harness::fresh();
    let mut ends = vec![0];
    for n in 0..4 {
        let batch = (0..3).map(|i| sighting(3 * (n % 2) + i, DAY_ONE, DAY_ONE + n));
        harness.save(batch.collect()).await;
        ends.push(length(directory.path()));
    }
    let all = ends[4];
    for cut in 0..=all {
        let left = killed(directory.path());
        let file = fs::OpenOptions::new()
            .write(true)
            .open(growth_file(left.path()));
        file.unwrap().set_len(cut).unwrap();
        let whole = ends.iter().skip(1).filter(|end| **end <= cut).count() as u64;
        let mut harness = Harness::new(left.path());
        harness.save(vec![sighting(0, DAY_ONE, DAY_ONE)]).await;
        let left = killed(left.path());
        let harness = Harness::new(left.path());
        assert_eq!(totals(&harness).await.1, 3 * whole + 1, "cut at {cut}");
    }
}

/// A record of a number syncs the file, and a page that was synced is not written again.
#[tokio::test]
async fn what_comes_after_a_sync_begins_a_page_and_counts() {
    let (directory, mut harness) = Harness::fresh();
    for key in 1..=3 {
        harness
            .save(vec![sighting(1, DAY_ONE, DAY_ONE + key)])
            .await;
        harness.persist(vec![born(key, DAY_ONE)]).await;
        assert_eq!(length(directory.path()), 4096 * key);
    }
    harness.save(vec![sighting(2, DAY_ONE, DAY_ONE)]).await;
    let left = killed(directory.path());
    assert_eq!(totals(&Harness::new(left.path())).await, (2, 4));
}

/// A flood of numbers does not make the file grow without bound.
#[tokio::test]
async fn a_file_that_is_long_is_folded() {
    let (directory, mut harness) = Harness::fresh();
    let mut longest = 0;
    for minute in 0..24 {
        let at = DAY_ONE + 60 * minute;
        let batch = (0..1000).map(|n| sighting(1000 * minute + n, at, at));
        harness.save(batch.collect()).await;
        longest = longest.max(length(directory.path()));
    }
    assert!((1 << 18..1 << 19).contains(&longest), "{longest} bytes");
    let rows: u32 = one(directory.path(), "SELECT count(*) FROM contact");
    assert!(rows >= 10_000, "{rows} rows are folded");
    assert_eq!(totals(&harness).await, (24_000, 24_000));
}

#[tokio::test]
async fn destroyed_growth_is_in_no_file() {
    let (directory, mut harness) = Harness::fresh();
    let path = directory.path();
    let numbers = [1, 2, 3].map(|n| *tcn(n).as_bytes());
    let held = || numbers.map(|number| holds(path, &number));
    for n in [1, 2, 3] {
        let at = DAY_ONE + n * QUARTER;
        harness.save(vec![sighting(n, at, at)]).await;
    }
    assert_eq!(held(), [true; 3]);
    let erase = harness
        .store
        .erase(UnixTime(0), UnixTime(DAY_ONE + 2 * QUARTER));
    assert_eq!(erase.await.unwrap(), 1);
    assert_eq!(held(), [false, true, true]);
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    assert_eq!(held(), [true; 3]);
    harness.forget(DAY_ONE + 3 * QUARTER).await;
    assert_eq!(held(), [false, false, true]);
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    harness.store.wipe().await.unwrap();
    assert_eq!(held(), [false; 3]);
    harness.save(vec![sighting(2, DAY_ONE, DAY_ONE)]).await;
    let left = killed(path);
    assert_eq!(totals(&Harness::new(left.path())).await, (1, 1));
}

#[tokio::test]
async fn growth_is_set_aside_with_its_database_and_forgotten_with_it() {
    let (directory, mut harness) = Harness::fresh();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    let left = killed(directory.path());
    let path = left.path();
    fs::write(path.join(DATABASE), [0xa5; 10_000]).unwrap();
    let growth = fs::read(growth_file(path)).unwrap();
    let opened = open(path).unwrap();
    let aside = opened.quarantined.clone().unwrap();
    let mut name = aside.into_os_string();
    name.push("-growth");
    let aside = PathBuf::from(name);
    assert_eq!(fs::read(&aside).unwrap(), growth);
    assert_eq!(opened.store.size().await.unwrap().rows, 0);
    opened.store.forget(UnixTime(u64::MAX));
    opened.store.size().await.unwrap();
    assert!(!aside.exists());
}

#[tokio::test]
async fn a_file_that_is_refused_keeps_its_growth() {
    let (directory, mut harness) = Harness::fresh();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    let left = killed(directory.path());
    let before = fs::read(growth_file(left.path())).unwrap();
    let of = |format: u32| {
        let set = look(left.path());
        set.pragma_update(None, "user_version", format).unwrap();
    };
    let known: u32 = one(left.path(), "PRAGMA user_version");
    of(known + 1);
    open(left.path()).unwrap_err();
    assert_eq!(fs::read(growth_file(left.path())).unwrap(), before);
    of(known);
    assert_eq!(totals(&Harness::new(left.path())).await, (1, 1));
}

/// What a simple store would do.
#[derive(Clone, Default)]
struct Model(BTreeMap<(u64, TemporaryContactNumber), Contact>);

impl Model {
    fn save(&mut self, batch: &[Contact]) {
        for growth in batch {
            let key = (growth.start.0 / QUARTER, growth.tcn);
            let row = self.0.entry(key).or_insert(Contact {
                signal: Signal::default(),
                ..*growth
            });
            row.start = row.start.min(growth.start);
            row.end = row.end.max(growth.end);
            row.signal.merge(&growth.signal);
            row.bridged |= growth.bridged;
        }
    }

    fn rows(&self) -> Vec<Contact> {
        self.0.values().copied().collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Save(Vec<Contact>),
    /// A record of a key.
    Persist,
    /// A query, and with it a fold.
    Ask,
    Restart,
    Kill,
    /// Killed when this many bytes of a record were written.
    KillInWrite(usize),
    /// Asked, and killed when the fold was written and the file not cut.
    KillInFold,
    Forget(u64),
    Erase(u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || (0u64..3 * QUARTER).prop_map(|after| DAY_ONE + after);
    let growth = (0u64..5, at(), 0u64..1000, any::<bool>()).prop_map(|(n, start, long, odd)| {
        let mut growth = sighting(n, start, start + long);
        growth.bridged = odd;
        growth.signal.unmeasured = u32::from(odd);
        growth
    });
    let step = prop_oneof![
        8 => proptest::collection::vec(growth, 1..5).prop_map(Step::Save),
        1 => Just(Step::Persist),
        2 => Just(Step::Ask),
        1 => Just(Step::Restart),
        2 => Just(Step::Kill),
        1 => (1usize..60).prop_map(Step::KillInWrite),
        1 => Just(Step::KillInFold),
        1 => at().prop_map(Step::Forget),
        1 => (at(), at()).prop_map(|(from, to)| Step::Erase(from, to)),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A store, its directory, and what it has to answer.
struct Trial {
    directory: TempDir,
    harness: Harness,
    model: Model,
    keys: u64,
}

impl Trial {
    async fn take(&mut self, step: Step) {
        match step {
            Step::Save(batch) => {
                self.model.save(&batch);
                self.harness.save(batch).await;
            }
            Step::Persist => {
                self.keys += 1;
                self.harness.persist(vec![born(self.keys, DAY_ONE)]).await;
            }
            Step::Ask => assert_eq!(contacts(&self.harness).await, self.model.rows()),
            Step::Restart => {
                self.harness.store.clone().close().await;
                self.harness = Harness::new(self.directory.path());
            }
            Step::Kill => self.kill(|_| {}),
            Step::KillInWrite(written) => self.kill(|file| {
                let begun = file.clone();
                file.extend(begun.iter().cycle().take(written));
            }),
            Step::KillInFold => {
                let before = fs::read(growth_file(self.directory.path())).unwrap();
                contacts(&self.harness).await;
                self.kill(|file| *file = before);
            }
            Step::Forget(before) => {
                self.model.0.retain(|_, row| row.end.0 >= before);
                self.harness.store.forget(UnixTime(before));
                self.harness.settle().await;
            }
            Step::Erase(from, to) => {
                self.model
                    .0
                    .retain(|_, row| !(from..to).contains(&row.start.0));
                let (from, to) = (UnixTime(from), UnixTime(to));
                self.harness.store.erase(from, to).await.unwrap();
            }
        }
    }

    /// Goes on with what a kill leaves, the growth file changed by `change`.
    fn kill(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let left = killed(self.directory.path());
        let file = growth_file(left.path());
        let mut bytes = fs::read(&file).unwrap();
        change(&mut bytes);
        fs::write(file, bytes).unwrap();
        self.harness = Harness::new(left.path());
        self.directory = left;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens between, the rows are those that a simple model has.
    #[test]
    fn rows_are_those_of_a_simple_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (directory, harness) = Harness::fresh();
            let mut trial = Trial { directory, harness, model: Model::default(), keys: 0 };
            for step in steps {
                trial.take(step).await;
            }
            trial.take(Step::Kill).await;
            trial.take(Step::Ask).await;
        });
    }
}
