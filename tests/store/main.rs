//! The store from outside: what it keeps, what it refuses, what it destroys.
//!
//! Every test has a directory of its own. Where a test must die or run out of space,
//! this binary runs itself again as a child (see `child`), so that the kill is a real
//! one. A power cut is a kill after which only synced data are left (see `power`).
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod child;
mod contacts;
mod exchange;
mod exports;
mod growth;
mod kill;
mod opening;
mod power;
mod queue;
mod redate;
mod report_keys;
mod reports;
mod retention;
mod schema;
mod seal;
mod wipe;

use std::path::Path;
use std::time::Duration;

use tcn_engine::{Contact, KeyId, Record, Seed, Signal, Unheard};
use tcn_protocol::{RatchetIndex, TemporaryContactNumber, UnixTime};
use tcnd::store::{DATABASE, Error, Event, OpenError, Opened, Seal, Store, Summary};
use tempfile::{TempDir, tempdir};
use tokio::sync::mpsc;

/// 2026-11-02 00:00 UTC, the start of a day and of a quarter.
const DAY_ONE: u64 = 1_793_577_600;
const DAY: u64 = 86_400;

/// Longer than any slow disk takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Opens as the daemon does, but retries a lock that no process really uses: another
/// test that starts a child holds a copy of every lock of this process from `fork` to
/// `exec`. A lock in real use outlasts the attempts.
fn open(directory: &Path) -> Result<Opened, OpenError> {
    const ATTEMPTS: u32 = 100_000;
    for _ in 1..ATTEMPTS {
        match tcnd::store::open(directory, Seal::default()) {
            Err(OpenError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened,
        }
    }
    tcnd::store::open(directory, Seal::default())
}

/// A store with its replies; `opening` tests the rest of [`Opened`].
struct Harness {
    store: Store,
    events: mpsc::Receiver<Event>,
    seq: u64,
}

impl Harness {
    fn new(directory: &Path) -> Self {
        Self::of(open(directory).unwrap())
    }

    fn of(opened: Opened) -> Self {
        assert_eq!(
            opened.quarantined, None,
            "the database was taken for damaged"
        );
        Self {
            store: opened.store,
            events: opened.events,
            seq: 0,
        }
    }

    /// A store in a new directory.
    fn fresh() -> (TempDir, Self) {
        let directory = tempdir().unwrap();
        let harness = Self::new(directory.path());
        (directory, harness)
    }

    /// Whether a contact grew that a report names.
    async fn save(&mut self, growth: Vec<Contact>) -> bool {
        self.try_save(growth).await.unwrap()
    }

    async fn persist(&mut self, records: Vec<Record>) {
        self.try_persist(records).await.unwrap();
    }

    async fn try_save(&mut self, growth: Vec<Contact>) -> Result<bool, Error> {
        self.seq += 1;
        self.store.save(self.seq, growth);
        self.answer().await
    }

    async fn try_persist(&mut self, records: Vec<Record>) -> Result<(), Error> {
        self.seq += 1;
        self.store.persist(self.seq, records);
        self.answer().await.map(|_| ())
    }

    async fn answer(&mut self) -> Result<bool, Error> {
        match self.event().await {
            Event::Stored { seq, matched } => {
                assert_eq!(seq, self.seq);
                Ok(matched)
            }
            Event::NotStored(seq, fault) => {
                assert_eq!(seq, self.seq);
                Err(fault)
            }
            Event::RowsChanged | Event::Failed(_) => unreachable!("not an answer"),
        }
    }

    /// The next answer to a request.
    async fn event(&mut self) -> Event {
        loop {
            let event = tokio::time::timeout(DEADLINE, self.events.recv());
            let event = event.await.unwrap().unwrap();
            if !matches!(event, Event::RowsChanged) {
                return event;
            }
        }
    }

    /// Destroys what is older, and settles.
    async fn forget(&mut self, before: u64) -> bool {
        self.store.forget(UnixTime(before));
        self.settle().await
    }

    /// Waits until all requests are done, without an error. Whether exposures may have
    /// changed by them.
    async fn settle(&mut self) -> bool {
        self.store.size().await.unwrap();
        let mut changed = false;
        while let Ok(event) = self.events.try_recv() {
            assert!(matches!(event, Event::RowsChanged), "unexpected: {event:?}");
            changed = true;
        }
        changed
    }
}

/// The totals of all contacts.
async fn summary(store: &Store) -> Summary {
    let all = store.summary(UnixTime(0), UnixTime(u64::MAX));
    all.await.unwrap()
}

/// Number `n` of a sequence in which no two share a byte pattern by accident.
fn tcn(n: u64) -> TemporaryContactNumber {
    let mut bytes = [0; 16];
    // Two rounds of SplitMix64.
    for (half, salt) in bytes.chunks_exact_mut(8).zip([1u64, 2]) {
        let mut z = n
            .wrapping_add(salt << 60)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        half.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    TemporaryContactNumber::from_bytes(bytes)
}

/// Growth of one measured sighting at −70 dBm, 58 dB, a second or more long.
fn sighting(n: u64, start: u64, end: u64) -> Contact {
    Contact {
        tcn: tcn(n),
        start: UnixTime(start),
        end: UnixTime(end),
        unheard: Unheard::default(),
        signal: Signal {
            max: Some(-70),
            sum: -70,
            attenuation: [0, 1, 0, 0],
            unmeasured: 0,
        },
        bridged: false,
    }
}

fn seed(n: u8) -> [u8; 32] {
    let mut seed = [n; 32];
    seed[..16].copy_from_slice(tcn(u64::from(n) + 1_000_000).as_bytes());
    seed
}

fn born(key: u64, at: u64) -> Record {
    let seed = seed(u8::try_from(key).unwrap());
    Record::KeyBorn {
        key: KeyId(key),
        seed: Seed(Box::new(seed.into())),
        born: UnixTime(at),
    }
}

fn reserved(key: u64, index: u16, from: u64) -> Record {
    let index = RatchetIndex::new(index).unwrap();
    Record::Reserved {
        key: KeyId(key),
        index,
        from: UnixTime(from),
    }
}

/// A key that is born, and whose first number is reserved.
fn begun(key: u64, at: u64) -> Vec<Record> {
    vec![born(key, at), reserved(key, 1, at)]
}

fn retired(key: u64, index: u16, until: u64) -> Record {
    let index = RatchetIndex::new(index).unwrap();
    Record::Retired {
        key: KeyId(key),
        index,
        until: UnixTime(until),
    }
}

/// Another connection, as a curious person or a test opens it.
fn look(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join(DATABASE)).unwrap()
}

/// The value of a query for one.
fn one<T: rusqlite::types::FromSql>(directory: &Path, query: &str) -> T {
    let db = look(directory);
    db.query_row(query, [], |row| row.get(0)).unwrap()
}

/// All rows of all tables, as text, but for the marks of the file of growth: they begin
/// at random.
fn dump(db: &rusqlite::Connection) -> String {
    let mut text = String::new();
    for table in [
        "contact",
        "report_key",
        "broadcast",
        "setting",
        "sqlite_sequence",
        "own_report",
        "own_part",
        "departure",
        "seen_report",
        "matched_report",
        "report_source",
        "matched_contact",
        "source",
        "delivered",
        "delivery",
    ] {
        let kept = match table {
            "setting" => "WHERE name NOT IN ('growth_file', 'growth_folded')",
            _ => "",
        };
        let mut query = db
            .prepare(&format!("SELECT * FROM {table} {kept} ORDER BY 1, 2"))
            .unwrap();
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let row: Vec<_> = (0..columns)
                .map(|i| format!("{:?}", row.get_ref(i).unwrap()))
                .collect();
            text += &format!("{table}: {}\n", row.join(", "));
        }
    }
    text
}
