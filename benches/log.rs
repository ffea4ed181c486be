//! The contact log as ratios in one run: what batches save over the obvious
//! way, one `INSERT` per advert, and what a day of a neighbourhood costs.
//!
//! `cargo bench --bench log` prints, each with its aim:
//!
//! 1. bytes on disk a contact at 100,000 contacts;
//! 2. bytes written a simulated day at 20 and at 200 neighbours;
//! 3. what it costs to drop an expired day;
//! 4. contacts folded and stored a second, against autocommit (criterion).
//!
//! Every neighbour sends four adverts a second and takes a new number every
//! quarter of an hour, in a phase of its own. A batch holds a minute, so a
//! minute of growth is what a crash costs. The ledger is written along: a
//! reservation and a retirement a quarter, a new key every six hours, each
//! with its `fsync`; and retention runs every hour, with 14 days to keep.
//!
//! Bytes written are counted twice, from `/proc/self/io`: `write_bytes`, the
//! pages this process made dirty and the kernel has to write, and `wchar`, what
//! it handed to `write` calls. A simulated day takes seconds, so the kernel
//! never writes a page before it is full; in a real one the last page of each
//! batch is written again with the next, up to 4 KiB a minute (6 MB a day)
//! more on the device. On tmpfs `write_bytes` is 0: set `TMPDIR` to a disk.
#![expect(clippy::print_stdout, reason = "a bench speaks on standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use rusqlite::{Connection, params};
use tcnd::engine::{Contact, KeyId, RSSI_UNAVAILABLE, Record, Seed, UnixTime};
use tcnd::protocol::{RatchetIndex, TemporaryContactNumber};
use tcnd::store::{Event, Store, open};
use tokio::sync::mpsc;

const START: u64 = 1_793_577_600;
const MINUTE: u64 = 60;
const QUARTER: u64 = 900;
const DAY: u64 = 86_400;
/// Milliseconds between adverts of one neighbour.
const INTERVAL: u64 = 250;

fn main() {
    size(20);
    size(200);
    day(20, 10.0);
    day(200, 45.0);
    retention(200);
    let mut criterion = Criterion::default().configure_from_args();
    rates(&mut criterion);
    criterion.final_summary();
}

fn size(neighbours: u64) {
    const CONTACTS: u64 = 100_000;
    let mut log = Log::new();
    let mut crowd = Crowd::new(neighbours);
    while crowd.numbers < CONTACTS {
        log.save(crowd.minute());
    }
    log.settle();
    let size = log.size();
    let each = size.bytes as f64 / size.rows as f64;
    println!(
        "{neighbours} neighbours, {} contacts: {each:.1} bytes each (aim: 51)",
        size.rows
    );
}

fn day(neighbours: u64, aim: f64) {
    let mut log = Log::new();
    let mut crowd = Crowd::new(neighbours);
    // Fourteen days before, so that the day has something to forget.
    crowd.adverts_a_second = 1;
    for _ in 0..14 * DAY / MINUTE {
        log.save(crowd.minute());
    }
    crowd.adverts_a_second = 1000 / INTERVAL;
    log.settle();
    let before = Written::now();
    let clock = Instant::now();
    let busy = processor_time();
    for minute in 0..DAY / MINUTE {
        log.save(crowd.minute());
        if (minute * MINUTE).is_multiple_of(QUARTER) {
            log.rotate(minute * MINUTE / QUARTER, crowd.now);
        }
        if minute % 60 == 59 {
            log.store.forget(UnixTime(crowd.now - 14 * DAY));
        }
    }
    log.settle();
    let written = Written::now().since(&before);
    let adverts = neighbours * DAY * 1000 / INTERVAL;
    let naive = naive_bytes(neighbours) * adverts as f64;
    println!(
        "{neighbours} neighbours, a day: {:.1} MB written (aim: {aim}), {:.1} MB by write(); one autocommit \
         INSERT per advert would write {:.0} GB, {:.0} times as much (WAL, synchronous=NORMAL; from 20,000 \
         adverts); {:.1} s, {:.1} s of processor with the folding",
        written.device / 1e6,
        written.calls / 1e6,
        naive / 1e9,
        naive / written.device,
        clock.elapsed().as_secs_f64(),
        processor_time() - busy,
    );
}

fn retention(neighbours: u64) {
    let mut log = Log::new();
    let mut crowd = Crowd::new(neighbours);
    crowd.adverts_a_second = 1;
    for _ in 0..15 * DAY / MINUTE {
        log.save(crowd.minute());
    }
    // Make the journal empty, as the last hour's retention left it.
    log.store.forget(UnixTime(START));
    log.settle();
    let full = log.size();
    let before = Written::now();
    let clock = Instant::now();
    log.store.forget(UnixTime(START + DAY));
    log.wait();
    let elapsed = clock.elapsed();
    let written = Written::now().since(&before);
    let left = log.size();
    println!(
        "{neighbours} neighbours, dropping a day of 15: {} contacts in {:.1} ms (aim: 20), {:.2} MB written \
         (aim: 2.5), {:.2} MB by write(); file from {:.1} to {:.1} MB",
        full.rows - left.rows,
        elapsed.as_secs_f64() * 1e3,
        written.device / 1e6,
        written.calls / 1e6,
        full.bytes as f64 / 1e6,
        left.bytes as f64 / 1e6,
    );
    let clock = Instant::now();
    log.close();
    open(log.directory.path()).unwrap();
    println!(
        "  opening it again, with its check: {:.0} ms",
        clock.elapsed().as_secs_f64() * 1e3
    );
}

/// The same adverts by both ways; criterion's figure is adverts a second.
fn rates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(4));
    for neighbours in [20, 200] {
        let mut log = Log::new();
        let mut crowd = Crowd::new(neighbours);
        group.throughput(Throughput::Elements(neighbours * MINUTE * 1000 / INTERVAL));
        group.bench_function(
            format!("fold and store a minute, {neighbours} neighbours"),
            |bench| {
                bench.iter(|| log.save(crowd.minute()));
            },
        );
    }
    let naive = Naive::new();
    let mut crowd = Crowd::new(20);
    group.throughput(Throughput::Elements(1));
    group.bench_function("one autocommit INSERT per advert", |bench| {
        bench.iter(|| naive.insert(crowd.advert()))
    });
    group.finish();

    let mut log = Log::new();
    let mut crowd = Crowd::new(20);
    let ours = rate(20 * MINUTE * 1000 / INTERVAL, || log.save(crowd.minute()));
    let naive = Naive::new();
    let theirs = rate(1, || naive.insert(crowd.advert()));
    println!(
        "adverts a second, 20 neighbours: {:.2} M folded and stored, {:.4} M by autocommit INSERT: {:.0} times",
        ours / 1e6,
        theirs / 1e6,
        ours / theirs
    );
}

fn rate(adverts: u64, mut work: impl FnMut()) -> f64 {
    let (clock, mut done) = (Instant::now(), 0);
    while clock.elapsed() < Duration::from_secs(3) {
        work();
        done += adverts;
    }
    done as f64 / clock.elapsed().as_secs_f64()
}

/// The store, and its answers read.
struct Log {
    store: Store,
    events: mpsc::Receiver<Event>,
    seq: u64,
    key: u64,
    index: u16,
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Log {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let opened = open(directory.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            store: opened.store,
            events: opened.events,
            seq: 0,
            key: 0,
            index: 0,
            directory,
            runtime,
        }
    }

    fn save(&mut self, growth: Vec<Contact>) {
        self.seq += 1;
        self.store.save(self.seq, growth);
        self.stored();
    }

    /// A rotation as the engine writes it: the new number before it goes on
    /// the air, the old one when it has left.
    fn rotate(&mut self, quarter: u64, now: u64) {
        if quarter.is_multiple_of(24) {
            self.key += 1;
            self.index = 0;
            let seed = Seed([u8::try_from(self.key).unwrap(); 32].into());
            self.persist(vec![Record::KeyBorn {
                key: KeyId(self.key),
                seed,
                born: UnixTime(now),
            }]);
        }
        let key = KeyId(self.key);
        self.index += 1;
        let index = RatchetIndex::new(self.index).unwrap();
        self.persist(vec![Record::Reserved {
            key,
            index,
            from: UnixTime(now),
        }]);
        self.persist(vec![Record::Retired {
            key,
            index,
            until: UnixTime(now + QUARTER),
        }]);
    }

    fn persist(&mut self, records: Vec<Record>) {
        self.seq += 1;
        self.store.persist(self.seq, records);
        self.stored();
    }

    fn stored(&mut self) {
        let event = self.events.blocking_recv().unwrap();
        assert!(
            matches!(event, Event::Stored(seq) if seq == self.seq),
            "{event:?}"
        );
    }

    /// Everything sent is done, and the journal is in the database.
    fn settle(&mut self) {
        self.store.forget(UnixTime(0));
        self.wait();
    }

    /// Everything sent is done. An empty range is answered at once, but in
    /// its turn.
    fn wait(&mut self) {
        let nothing = self.store.summary(UnixTime(0), UnixTime(0));
        self.runtime.block_on(nothing).unwrap();
        assert!(self.events.try_recv().is_err());
    }

    fn size(&self) -> tcnd::store::Size {
        self.runtime.block_on(self.store.size()).unwrap()
    }

    fn close(&self) {
        self.runtime.block_on(self.store.clone().close());
    }
}

/// The obvious way: a row an advert, each its own transaction.
struct Naive {
    db: Connection,
    _directory: tempfile::TempDir,
}

impl Naive {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let db = Connection::open(directory.path().join("naive.sqlite")).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE sighting (id INTEGER PRIMARY KEY, tcn BLOB, at INTEGER, rssi INTEGER);
             CREATE INDEX by_tcn ON sighting (tcn);",
        )
        .unwrap();
        Self {
            db,
            _directory: directory,
        }
    }

    fn insert(&self, (tcn, at, rssi): (TemporaryContactNumber, u64, i16)) {
        let mut insert = self
            .db
            .prepare_cached("INSERT INTO sighting (tcn, at, rssi) VALUES (?1, ?2, ?3)")
            .unwrap();
        insert
            .execute(params![tcn.as_bytes(), i64::try_from(at).unwrap(), rssi])
            .unwrap();
    }
}

/// Bytes written an advert, measured over a few.
fn naive_bytes(neighbours: u64) -> f64 {
    const ADVERTS: u64 = 20_000;
    let naive = Naive::new();
    let mut crowd = Crowd::new(neighbours);
    let before = Written::now();
    for _ in 0..ADVERTS {
        naive.insert(crowd.advert());
    }
    Written::now().since(&before).device / ADVERTS as f64
}

/// Neighbours that walk about and rotate, all made up, the same every time.
struct Crowd {
    now: u64,
    numbers: u64,
    adverts_a_second: u64,
    neighbours: Vec<Neighbour>,
    chance: Chance,
    adverts: u64,
}

struct Neighbour {
    tcn: TemporaryContactNumber,
    start: u64,
    until: u64,
    rssi: i16,
}

impl Crowd {
    fn new(neighbours: u64) -> Self {
        let mut chance = Chance(neighbours);
        let neighbours: Vec<_> = (0..neighbours)
            .map(|_| Neighbour {
                tcn: chance.number(),
                start: START,
                until: START + 1 + chance.below(QUARTER),
                rssi: chance.distance(),
            })
            .collect();
        let numbers = neighbours.len() as u64;
        Self {
            now: START,
            numbers,
            adverts_a_second: 1000 / INTERVAL,
            neighbours,
            chance,
            adverts: 0,
        }
    }

    /// A minute of adverts, folded one by one as they come.
    fn minute(&mut self) -> Vec<Contact> {
        let mut growth = BTreeMap::new();
        for _ in 0..MINUTE {
            for neighbour in &mut self.neighbours {
                if self.now >= neighbour.until {
                    neighbour.renew(self.now, &mut self.chance);
                    self.numbers += 1;
                }
                for _ in 0..self.adverts_a_second {
                    let rssi = neighbour.rssi + self.chance.noise();
                    growth
                        .entry(neighbour.tcn)
                        .or_insert_with(|| Growth::new(neighbour.start))
                        .hear(self.now, rssi);
                }
            }
            self.now += 1;
        }
        growth
            .into_iter()
            .map(|(tcn, growth)| growth.contact(tcn))
            .collect()
    }

    /// One advert, in turn.
    fn advert(&mut self) -> (TemporaryContactNumber, u64, i16) {
        let crowd = self.neighbours.len() as u64;
        self.adverts += 1;
        self.now = START + self.adverts / (crowd * self.adverts_a_second);
        let turn = usize::try_from(self.adverts % crowd).unwrap();
        let neighbour = &mut self.neighbours[turn];
        if self.now >= neighbour.until {
            neighbour.renew(self.now, &mut self.chance);
        }
        (
            neighbour.tcn,
            self.now,
            neighbour.rssi + self.chance.noise(),
        )
    }
}

impl Neighbour {
    fn renew(&mut self, now: u64, chance: &mut Chance) {
        let rssi = if chance.below(8) == 0 {
            chance.distance()
        } else {
            self.rssi
        };
        *self = Self {
            tcn: chance.number(),
            start: now,
            until: self.until + QUARTER,
            rssi,
        };
    }
}

/// A fold of its own: the engine's is private, and does more.
struct Growth {
    start: u64,
    end: u64,
    max: i16,
    sum: i64,
    attenuation: [u32; 4],
}

impl Growth {
    const fn new(start: u64) -> Self {
        Self {
            start,
            end: start,
            max: i16::MIN,
            sum: 0,
            attenuation: [0; 4],
        }
    }

    fn hear(&mut self, now: u64, rssi: i16) {
        self.end = now;
        self.max = self.max.max(rssi);
        self.sum += i64::from(rssi);
        let loss = tcnd::engine::ASSUMED_TX_POWER_DBM - rssi;
        let bounds = tcnd::engine::ATTENUATION_BOUNDS_DB;
        self.attenuation[bounds.iter().filter(|bound| loss > **bound).count()] += 1;
    }

    fn contact(&self, tcn: TemporaryContactNumber) -> Contact {
        let count: u32 = self.attenuation.iter().sum();
        Contact {
            tcn,
            start: UnixTime(self.start),
            end: UnixTime(self.end),
            rssi_max: self.max,
            rssi_mean: i16::try_from(self.sum / i64::from(count)).unwrap_or(RSSI_UNAVAILABLE),
            count,
            attenuation: self.attenuation,
            bridged: false,
        }
    }
}

/// SplitMix64: the same crowd in every run.
struct Chance(u64);

impl Chance {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn number(&mut self) -> TemporaryContactNumber {
        let mut bytes = [0; 16];
        for half in bytes.chunks_exact_mut(8) {
            half.copy_from_slice(&self.next().to_le_bytes());
        }
        TemporaryContactNumber::from_bytes(bytes)
    }

    /// Mean signal of somebody between near and far, in dBm.
    fn distance(&mut self) -> i16 {
        -50 - i16::try_from(self.below(40)).unwrap()
    }

    /// Fading by up to 12 dB either way, mostly less: the bits of a number
    /// are counted.
    fn noise(&mut self) -> i16 {
        i16::try_from((self.next() & 0xff_ffff).count_ones()).unwrap() - 12
    }
}

/// Bytes this process has written so far.
struct Written {
    device: f64,
    calls: f64,
}

impl Written {
    fn now() -> Self {
        let io = std::fs::read_to_string(Path::new("/proc/self/io")).unwrap();
        let field = |name: &str| -> f64 {
            let line = io.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        Self {
            device: field("write_bytes:"),
            calls: field("wchar:"),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            device: self.device - before.device,
            calls: self.calls - before.calls,
        }
    }
}

/// Seconds of processor this process has used, all threads.
fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap().as_secs_f64()
}
