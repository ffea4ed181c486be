//! How much of a contact is heard where discovery runs in windows.
//!
//! One engine listens as on battery. Neighbours pass: each airs one number for as long as
//! they are near, at one of the intervals that phones use, and a tenth of their adverts is
//! lost. What the engine asks to be stored is compared with how long they were near.
//!
//! Intervals: Android, `ADVERTISE_MODE_LOW_LATENCY` (100 ms) to `ADVERTISE_MODE_LOW_POWER`
//! (1 s); iOS, 152.5 ms to 1285 ms (Apple, Accessory Design Guidelines, "Advertising
//! Interval").

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tcn_engine::{
    Contact, Engine, Input, KeyId, ListenConditions, Moment, Output, Policy, RadioCapabilities,
    Sighting,
};
use tcn_protocol::{TemporaryContactNumber, UnixTime};

const BATTERY: ListenConditions = ListenConditions {
    on_battery: true,
    power_saver: false,
    audio: false,
    device: false,
};

const AUDIO: ListenConditions = ListenConditions {
    audio: true,
    ..BATTERY
};

/// Neighbours of each kind.
const NEIGHBOURS: usize = 400;

/// The longest time a controller takes to start discovery here.
const SLOW_START: u64 = 800;

/// One neighbour passing.
struct Neighbour {
    tcn: TemporaryContactNumber,
    from: Duration,
    length: Duration,
}

/// An engine with a radio that does what it says.
struct Listener {
    engine: Engine,
    rng: ChaCha20Rng,
    now: Duration,
    discovering: bool,
    /// What the radio will say, and when.
    answers: BTreeMap<Duration, Input>,
    rows: BTreeMap<(u64, TemporaryContactNumber), Contact>,
    /// How long discovery ran.
    heard_for: Duration,
}

impl Listener {
    fn new(seed: u64, conditions: ListenConditions) -> Self {
        let now = Duration::from_secs(100);
        let mut listener = Self {
            engine: Engine::new(moment(now), Policy::default(), KeyId(1), []),
            rng: ChaCha20Rng::seed_from_u64(seed),
            now,
            discovering: false,
            answers: BTreeMap::new(),
            rows: BTreeMap::new(),
            heard_for: Duration::ZERO,
        };
        listener.tell(Input::ListenConditions(conditions));
        listener.tell(Input::RadioUp(RadioCapabilities {
            can_air: true,
            can_listen: true,
            ..RadioCapabilities::default()
        }));
        listener.tell(Input::Consent(true));
        listener
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(moment(self.now), input, &mut self.rng);
        while let Some(output) = self.engine.poll_output() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Persist(seq, _) => self.answer(20, Input::Stored(seq)),
            Output::Save(seq, batch) => {
                for contact in batch {
                    self.save(contact);
                }
                self.answer(20, Input::Stored(seq));
            }
            Output::Air(frame) => {
                self.start_discovery();
                self.answer(100, Input::Aired(frame));
            }
            Output::Listen | Output::StartDiscovery => self.start_discovery(),
            Output::StopDiscovery => self.discovering = false,
            Output::Rest => {
                self.discovering = false;
                self.answer(300, Input::Rested);
            }
            Output::Swap(_)
            | Output::Forget(_)
            | Output::ForgetFuture(_)
            | Output::Redate(_)
            | Output::KeepClock(_)
            | Output::Log(_) => {}
        }
    }

    fn start_discovery(&mut self) {
        let slow = self.rng.next_u64() % SLOW_START;
        self.answer(slow, Input::DiscoveryStarted);
    }

    fn answer(&mut self, millis: u64, input: Input) {
        let mut at = self.now + Duration::from_millis(millis);
        while self.answers.contains_key(&at) {
            at += Duration::from_nanos(1);
        }
        self.answers.insert(at, input);
    }

    fn save(&mut self, delta: Contact) {
        let row = self
            .rows
            .entry((delta.start.0, delta.tcn))
            .or_insert(Contact {
                signal: tcn_engine::Signal::default(),
                ..delta
            });
        row.end = row.end.max(delta.end);
        row.signal.merge(&delta.signal);
    }

    /// Lets time pass until then.
    fn run_to(&mut self, end: Duration) {
        loop {
            let timeout = self.engine.poll_timeout();
            let answer = self.answers.keys().next().copied();
            let next = answer.map_or(timeout, |at| at.min(timeout)).max(self.now);
            if next > end {
                break;
            }
            if self.discovering {
                self.heard_for += next - self.now;
            }
            self.now = next;
            match answer.filter(|at| *at <= next) {
                Some(at) => {
                    let input = self.answers.remove(&at).unwrap();
                    self.discovering |= matches!(input, Input::DiscoveryStarted);
                    self.tell(input);
                }
                None => self.tell(Input::Timeout),
            }
        }
        if self.discovering {
            self.heard_for += end - self.now;
        }
        self.now = end;
    }

    fn hear(&mut self, tcn: TemporaryContactNumber) {
        if self.discovering {
            self.tell(Input::Heard(Sighting {
                tcn,
                bridged: false,
                rssi: Some(-60),
            }));
        }
    }

    fn sightings(&self, tcn: TemporaryContactNumber) -> u32 {
        let rows = self.rows.values().filter(|row| row.tcn == tcn);
        rows.map(|row| row.signal.sightings()).sum()
    }
}

fn moment(boot: Duration) -> Moment {
    Moment {
        boot,
        wall: UnixTime(1_800_000_000 + boot.as_secs()),
    }
}

/// Lets neighbours pass who air every `interval` and are near for `length`.
fn pass(
    seed: u64,
    conditions: ListenConditions,
    interval: Duration,
    length: Duration,
) -> (Listener, Vec<Neighbour>) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0xA1);
    let mut listener = Listener::new(seed, conditions);
    let mut millis = |most: u64| Duration::from_millis(rng.next_u64() % most);
    let (mut adverts, mut neighbours) = (BTreeSet::new(), Vec::new());
    let mut from = Duration::from_secs(200);
    for number in 0..NEIGHBOURS {
        from += millis(40_000);
        let mut at = from + millis(1285);
        while at < from + length {
            if millis(10) >= Duration::from_millis(1) {
                adverts.insert((at, number));
            }
            // Core Specification 5.4, Vol 6, Part B, 4.4.2.2.1: advDelay.
            at += interval + millis(10);
        }
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        neighbours.push(Neighbour {
            tcn: TemporaryContactNumber::from_bytes(bytes),
            from,
            length,
        });
    }
    for (at, number) in adverts {
        listener.run_to(at);
        listener.hear(neighbours[number].tcn);
    }
    listener.run_to(from + length + Duration::from_secs(120));
    (listener, neighbours)
}

#[test]
fn each_contact_of_a_minute_is_heard_twice() {
    for (conditions, most) in [(BATTERY, 0.20), (AUDIO, 0.17)] {
        for (interval, minutes) in [(270, 1), (1000, 1), (1285, 1), (1285, 2), (1285, 5)] {
            let interval = Duration::from_millis(interval);
            let length = Duration::from_secs(60 * minutes);
            let (listener, neighbours) = pass(7 + minutes, conditions, interval, length);
            let twice = |neighbour: &&Neighbour| listener.sightings(neighbour.tcn) >= 2;
            let heard = neighbours.iter().filter(twice).count();
            assert_eq!(heard, NEIGHBOURS, "{interval:?} for {length:?}");
            let last = neighbours.last().unwrap();
            let share = listener.heard_for.as_secs_f64() / (last.from + last.length).as_secs_f64();
            assert!(
                share < most && share > 0.1,
                "discovery ran {share} of the time"
            );
        }
    }
}
