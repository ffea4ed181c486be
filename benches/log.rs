//! The contact log as ratios in one run: what folding and batches save over the
//! obvious way, one `INSERT` per advert, and what a day of a neighbourhood costs.
//!
//! `cargo bench --bench log` prints, each with its aim:
//!
//! 1. memory under a flood of a million numbers;
//! 2. bytes on disk a contact at 100,000 contacts;
//! 3. bytes written a simulated day at 20 and at 200 neighbours;
//! 4. how long matching takes to read the contacts, first with an hour of growth to fold,
//!    then without;
//! 5. what it costs to drop an expired day;
//! 6. adverts folded and stored a second, against autocommit (criterion).
//!
//! The engine and the store do all the work, joined as in the daemon. Each advert is an
//! input, and the engine's outputs are written: batches of growth every minute, the
//! keys and settings with every rotation of the own number, retention every hour. Every neighbour
//! sends four adverts a second, unless stated otherwise, and takes a new number every
//! quarter of an hour, in its own phase.
//!
//! Bytes written are counted twice, from `/proc/self/io`: `write_bytes`, the
//! pages this process made dirty and the kernel has to write, and `wchar`, what
//! it handed to `write` calls. A simulated day takes seconds, so the kernel
//! never writes a page before it is full or synced; in a real one the last page of
//! the growth file is written again with the next batch, up to 4 KiB a minute (6 MB a
//! day) more on the device. On tmpfs `write_bytes` is 0: set `TMPDIR` to a disk.
#![expect(clippy::print_stdout, reason = "a bench speaks on standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rusqlite::{Connection, params};
use tcn_engine::{Engine, Input, Moment, Order, Output, Policy, RadioCapabilities, Seq, Sighting};
use tcn_protocol::{TemporaryContactNumber, UnixTime};
use tcnd::store::{Cursor, Event, Seal, Store, open};
use tokio::sync::mpsc;

const START: u64 = 1_793_577_600;
const MINUTE: u64 = 60;
const QUARTER: u64 = 900;
const DAY: u64 = 86_400;
/// Milliseconds between adverts of one neighbour.
const INTERVAL: u64 = 250;
/// The same where only the number of contacts matters: with fewer sightings a row is a
/// byte or two shorter.
const SELDOM: u64 = 4000;

fn main() {
    // First, before others have used and freed memory.
    flood();
    size(20);
    size(200);
    day(20, 3.5);
    day(200, 11.0);
    retention(200);
    let mut criterion = Criterion::default().configure_from_args();
    rates(&mut criterion);
    criterion.final_summary();
}

fn size(neighbours: u64) {
    const CONTACTS: u64 = 100_000;
    let mut daemon = Daemon::keeping(Duration::from_secs(60 * DAY));
    let mut simulation = Simulation::new(neighbours);
    // A count from 128 on takes as many bytes as one four times as large.
    simulation.interval = 4 * INTERVAL;
    while simulation.numbers < CONTACTS {
        simulation.minute(&mut daemon);
    }
    daemon.settle();
    let size = daemon.size();
    let each = size.bytes as f64 / size.rows as f64;
    println!(
        "{neighbours} neighbours, {} contacts: {each:.1} bytes each (aim: 51)",
        size.rows
    );
}

fn day(neighbours: u64, aim: f64) {
    let mut daemon = Daemon::new();
    let mut simulation = Simulation::new(neighbours);
    // Fourteen days before, so that the day has data to forget.
    simulation.live(&mut daemon, 14);
    daemon.settle();
    let before = Written::now();
    let clock = Instant::now();
    let busy = processor_time();
    for _ in 0..DAY / MINUTE {
        simulation.minute(&mut daemon);
    }
    daemon.settle();
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
    // Short of the next retention, which folds.
    for _ in 0..69 {
        simulation.minute(&mut daemon);
    }
    let [first, second] = [(); 2].map(|()| daemon.read_all());
    println!(
        "  reading {} contacts in pages, as matching does: {:.1} ms with an hour of growth to fold, {:.1} ms without",
        first.0,
        first.1.as_secs_f64() * 1e3,
        second.1.as_secs_f64() * 1e3,
    );
}

fn retention(neighbours: u64) {
    let mut daemon = Daemon::new();
    Simulation::new(neighbours).live(&mut daemon, 14);
    // Makes the journal empty, as the last hour's retention left it.
    daemon.settle();
    let full = daemon.size();
    let before = Written::now();
    let clock = Instant::now();
    daemon.store.forget(UnixTime(START + DAY));
    daemon.wait();
    let elapsed = clock.elapsed();
    let written = Written::now().since(&before);
    let left = daemon.size();
    println!(
        "{neighbours} neighbours, dropping a day of 14: {} contacts in {:.1} ms (aim: 20), {:.2} MB written \
         (aim: 2.5), {:.2} MB by write(); file from {:.1} to {:.1} MB",
        full.rows - left.rows,
        elapsed.as_secs_f64() * 1e3,
        written.device / 1e6,
        written.calls / 1e6,
        full.bytes as f64 / 1e6,
        left.bytes as f64 / 1e6,
    );
    let clock = Instant::now();
    daemon.close();
    open(daemon.directory.path(), Seal::default()).unwrap();
    println!(
        "  opening it again, with its check: {:.0} ms",
        clock.elapsed().as_secs_f64() * 1e3
    );
}

/// A million numbers, each heard once, within a minute.
fn flood() {
    const NUMBERS: u64 = 1_000_000;
    let mut daemon = Daemon::new();
    let mut random = Random(1);
    let before = resident();
    let clock = Instant::now();
    for _ in 0..NUMBERS {
        daemon.pass(Duration::from_micros(MINUTE * 1_000_000 / NUMBERS));
        daemon.hear(random.number(), -70);
    }
    daemon.settle();
    println!(
        "a million numbers in a minute: {:.1} MB of memory more, {} rows, {:.1} s",
        (resident() - before) / 1e6,
        daemon.size().rows,
        clock.elapsed().as_secs_f64(),
    );
}

/// The same adverts both ways; criterion's figure is adverts a second.
fn rates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(4));
    for neighbours in [20, 200] {
        let mut daemon = Daemon::new();
        let mut simulation = Simulation::new(neighbours);
        group.throughput(Throughput::Elements(neighbours * MINUTE * 1000 / INTERVAL));
        group.bench_function(
            format!("fold and store a minute, {neighbours} neighbours"),
            |bench| {
                bench.iter(|| simulation.minute(&mut daemon));
            },
        );
    }
    let naive = Naive::new();
    let mut simulation = Simulation::new(20);
    group.throughput(Throughput::Elements(1));
    group.bench_function("one autocommit INSERT per advert", |bench| {
        bench.iter(|| naive.insert(simulation.advert()))
    });
    group.finish();

    let mut daemon = Daemon::new();
    let mut simulation = Simulation::new(20);
    let ours = rate(20 * MINUTE * 1000 / INTERVAL, || {
        simulation.minute(&mut daemon)
    });
    let naive = Naive::new();
    let theirs = rate(1, || naive.insert(simulation.advert()));
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

/// Engine and store, joined as in the daemon, with their own clock and a radio that
/// executes every command.
struct Daemon {
    engine: Engine,
    now: Moment,
    random: ChaCha8Rng,
    store: Store,
    events: mpsc::Receiver<Event>,
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Daemon {
    fn new() -> Self {
        Self::keeping(Policy::default().retention)
    }

    fn keeping(retention: Duration) -> Self {
        let policy = Policy {
            retention,
            ..Policy::default()
        };
        let directory = tempfile::tempdir().unwrap();
        let opened = open(directory.path(), Seal::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let now = Moment::new(Duration::ZERO, UnixTime(START));
        let mut daemon = Self {
            engine: Engine::new(now, policy, opened.resume.next_key, []),
            now,
            random: ChaCha8Rng::seed_from_u64(1),
            store: opened.store,
            events: opened.events,
            directory,
            runtime,
        };
        daemon.tell(Input::Consent(true));
        daemon.tell(Input::RadioUp(RadioCapabilities {
            can_air: true,
            can_listen: true,
            ..RadioCapabilities::default()
        }));
        daemon
    }

    fn hear(&mut self, tcn: TemporaryContactNumber, rssi: i16) {
        self.tell(Input::Heard(Sighting {
            tcn,
            bridged: false,
            rssi: Some(rssi),
        }));
    }

    /// Advances the clock by `span`.
    fn pass(&mut self, span: Duration) {
        self.now.boot += span;
        self.now.wall = UnixTime(START + self.now.boot.as_secs());
        if self.now.boot >= self.engine.poll_timeout() {
            self.tell(Input::Timeout);
        }
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(self.now, input, &mut self.random);
        while let Some(output) = self.engine.poll_output() {
            if let Some(answer) = self.carry_out(output) {
                self.engine.handle(self.now, answer, &mut self.random);
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Persist(seq, records) => {
                self.store.persist(seq.0, records);
                Some(self.stored(seq))
            }
            Output::Save(seq, growth) => {
                self.store.save(seq.0, growth);
                Some(self.stored(seq))
            }
            Output::Forget(before) => {
                self.store.forget(before);
                None
            }
            Output::ForgetFuture(dates) => {
                self.store.forget_future(dates);
                None
            }
            Output::KeepClock(record) => {
                self.store.keep_clock(record);
                None
            }
            Output::Redate(_) => unreachable!("the clock runs evenly here"),
            Output::Radio(Order::Air(frame) | Order::Swap(frame)) => Some(Input::Aired(frame)),
            Output::Radio(Order::Rest) => Some(Input::Rested),
            Output::Radio(_) | Output::Log(_) => None,
        }
    }

    fn stored(&mut self, seq: Seq) -> Input {
        loop {
            match self.events.blocking_recv().unwrap() {
                Event::Stored { seq: stored, .. } => {
                    assert_eq!(stored, seq.0);
                    return Input::Stored(seq);
                }
                // Of the retention before it.
                Event::RowsChanged => {}
                Event::NotStored(_, error) | Event::Failed(error) => panic!("{error}"),
            }
        }
    }

    /// Writes every sighting, and moves the journal into the database.
    fn settle(&mut self) {
        self.engine.flush(self.now);
        // A spurious timeout: it only makes the engine hand out its outputs.
        self.tell(Input::Timeout);
        self.store.forget(UnixTime(0));
        self.wait();
    }

    /// Waits until all work sent before is done. An empty range is answered at once,
    /// but in order.
    fn wait(&mut self) {
        let nothing = self.store.summary(UnixTime(0), UnixTime(0));
        self.runtime.block_on(nothing).unwrap();
        while let Ok(event) = self.events.try_recv() {
            assert!(matches!(event, Event::RowsChanged), "{event:?}");
        }
    }

    fn size(&self) -> tcnd::store::Size {
        self.runtime.block_on(self.store.size()).unwrap()
    }

    /// Reads all contacts in pages; how many they are, and how long that took.
    fn read_all(&self) -> (usize, Duration) {
        const PAGE: u32 = 4096;
        let (clock, mut read) = (Instant::now(), 0);
        let mut cursor = Cursor::since(UnixTime(0));
        loop {
            let page = self.store.contacts(cursor, PAGE);
            let page = self.runtime.block_on(page).unwrap();
            let Some(last) = page.last() else {
                return (read, clock.elapsed());
            };
            read += page.len();
            cursor = Cursor::behind(last);
        }
    }

    fn close(&self) {
        self.runtime.block_on(self.store.clone().close());
    }
}

/// The obvious way: a row for each advert, each in its own transaction.
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
    let mut simulation = Simulation::new(neighbours);
    let before = Written::now();
    for _ in 0..ADVERTS {
        naive.insert(simulation.advert());
    }
    Written::now().since(&before).device / ADVERTS as f64
}

/// Simulated neighbours that move and rotate, the same in every run.
struct Simulation {
    numbers: u64,
    /// Milliseconds between adverts of one neighbour.
    interval: u64,
    neighbours: Vec<Neighbour>,
    random: Random,
    adverts: u64,
}

struct Neighbour {
    tcn: TemporaryContactNumber,
    until: u64,
    rssi: i16,
}

impl Simulation {
    fn new(neighbours: u64) -> Self {
        let mut random = Random(neighbours);
        let neighbours: Vec<_> = (0..neighbours)
            .map(|_| Neighbour {
                tcn: random.number(),
                until: START + 1 + random.below(QUARTER),
                rssi: random.distance(),
            })
            .collect();
        let numbers = neighbours.len() as u64;
        Self {
            numbers,
            interval: INTERVAL,
            neighbours,
            random,
            adverts: 0,
        }
    }

    /// Days of which only the contacts matter.
    fn live(&mut self, daemon: &mut Daemon, days: u64) {
        self.interval = SELDOM;
        for _ in 0..days * DAY / MINUTE {
            self.minute(daemon);
        }
        self.interval = INTERVAL;
    }

    /// A minute of adverts, passed on one by one.
    fn minute(&mut self, daemon: &mut Daemon) {
        for _ in 0..MINUTE * 1000 / self.interval {
            let now = daemon.now.wall.0;
            for neighbour in &mut self.neighbours {
                if now >= neighbour.until {
                    neighbour.renew(&mut self.random);
                    self.numbers += 1;
                }
                daemon.hear(neighbour.tcn, neighbour.rssi + self.random.noise());
            }
            daemon.pass(Duration::from_millis(self.interval));
        }
    }

    /// The next advert.
    fn advert(&mut self) -> (TemporaryContactNumber, u64, i16) {
        let neighbours = self.neighbours.len() as u64;
        self.adverts += 1;
        let now = START + self.adverts / neighbours * self.interval / 1000;
        let turn = usize::try_from(self.adverts % neighbours).unwrap();
        let neighbour = &mut self.neighbours[turn];
        if now >= neighbour.until {
            neighbour.renew(&mut self.random);
        }
        (neighbour.tcn, now, neighbour.rssi + self.random.noise())
    }
}

impl Neighbour {
    fn renew(&mut self, random: &mut Random) {
        let rssi = if random.below(8) == 0 {
            random.distance()
        } else {
            self.rssi
        };
        *self = Self {
            tcn: random.number(),
            until: self.until + QUARTER,
            rssi,
        };
    }
}

/// SplitMix64: the same neighbours in every run.
struct Random(u64);

impl Random {
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

    /// Mean signal of a neighbour between near and far, in dBm.
    fn distance(&mut self) -> i16 {
        -50 - i16::try_from(self.below(40)).unwrap()
    }

    /// Fading by up to 12 dB either way, mostly less: it counts the bits of a number.
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

/// Bytes of memory this process has now.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes = line.trim().trim_end_matches(" kB");
    kilobytes.parse::<f64>().unwrap() * 1024.0
}

/// Seconds of processor time this process has used, all threads.
fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap().as_secs_f64()
}
