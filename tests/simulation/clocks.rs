//! Machines whose wall clock is wrong, beside twins whose clock is right.
//!
//! Both hear the same neighbours at the same true times. The clock of one is ahead,
//! behind, a month wrong, in 1970, stepped back and forth, and wrong again after a
//! restart. Its log is a model that knows the true time of every event. So the model
//! can decide for every contact whether it was destroyed early, and whether it must be
//! destroyed by now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tcn_engine::{
    BootId, ClockDoubt, ClockRecord, Contact, Engine, FutureDates, Input, KeyId, Moment, Output,
    Policy, RadioCapabilities, Redating, Sighting,
};
use tcn_protocol::{TemporaryContactNumber, UnixTime};
use tcnd::exposure::{Exposure, Rule, exposures};

const EPOCH: u64 = 1_800_000_000;
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;
/// A month, longer than any retention here.
const MONTH: i64 = 30 * 86_400;
/// Minutes for which a neighbour keeps one number.
const LIFE: u64 = 15 * MINUTE;
/// Neighbours that come and go.
const NEIGHBOURS: u64 = 3;

/// The boot of data that belong to no boot: they do not move with the clock.
const OTHER: u64 = 0;

type Tcn = TemporaryContactNumber;

fn policy(retention_days: u64) -> Policy {
    Policy {
        retention: Duration::from_secs(retention_days * DAY),
        ..Policy::default()
    }
}

/// The number of this neighbour at this time.
fn number(neighbour: u64, at: u64) -> Tcn {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&neighbour.to_le_bytes());
    bytes[8..].copy_from_slice(&(at / LIFE).to_le_bytes());
    Tcn::from_bytes(bytes)
}

/// Whether this neighbour is near then: some hours of every day.
fn is_near(neighbour: u64, at: u64) -> bool {
    (at / HOUR + neighbour * 5) % 12 < 3
}

/// A contact as the log has it, with its true times.
#[derive(Clone, Copy)]
struct Row {
    contact: Contact,
    boot: u64,
    /// When the contact really ended.
    ended: u64,
}

/// The log, which knows the boot of each entry.
#[derive(Default)]
struct Log {
    rows: BTreeMap<(u64, Tcn), Row>,
    /// When each number was really last heard.
    heard: BTreeMap<Tcn, u64>,
    future: (usize, Duration),
    record: Option<ClockRecord>,
}

impl Log {
    fn put(&mut self, new: Row) {
        let Row { contact, .. } = new;
        let key = (contact.start.0 / 900, contact.tcn);
        let row = self.rows.entry(key).or_insert(new);
        row.contact.start = row.contact.start.min(contact.start);
        row.contact.end = row.contact.end.max(contact.end);
        row.ended = row.ended.max(new.ended);
    }

    fn redate(&mut self, redating: &Redating, boot: u64) {
        self.record = Some(redating.record);
        let Some(shift) = redating.moved else {
            let rows = self.rows.values_mut();
            let there = rows.filter(|row| row.contact.start >= redating.then);
            return there.for_each(|row| row.boot = OTHER);
        };
        let moved = |at: UnixTime| UnixTime(at.0.saturating_add_signed(shift.by));
        for mut row in std::mem::take(&mut self.rows).into_values() {
            let Contact { start, end, .. } = row.contact;
            if row.boot == boot && start >= shift.since {
                (row.contact.start, row.contact.end) = (moved(start), moved(end));
            }
            self.put(row);
        }
    }

    fn destroy(&mut self, truth: u64, retention: u64, due: impl Fn(&Contact) -> bool) {
        self.rows.retain(|_, row| {
            let due = due(&row.contact);
            let early = (row.ended + retention).saturating_sub(truth);
            assert!(!due || early == 0, "destroyed {early} s early");
            !due
        });
    }

    fn forget_future(&mut self, truth: u64, dates: &FutureDates) {
        let future =
            |contact: &Contact| contact.start >= dates.from.after(Duration::from_secs(900));
        let rows = self.rows.values();
        let rows = rows.filter(|row| future(&row.contact)).count();
        let (before, noticed) = self.future;
        self.future.0 = rows;
        if rows > before {
            self.future.1 = dates.running;
        } else if rows > 0 && dates.running >= noticed + dates.retention {
            self.destroy(truth, dates.retention.as_secs(), future);
        }
    }
}

struct Machine {
    engine: Engine,
    rng: ChaCha20Rng,
    policy: Policy,
    truth: u64,
    booted: u64,
    boot: u64,
    /// By how much the wall clock is ahead of the true time.
    wrong: i64,
    log: Log,
}

impl Machine {
    fn new(policy: Policy, wrong: i64) -> Self {
        let mut machine = Self {
            engine: Engine::new(moment(EPOCH, EPOCH - 100, wrong), policy, KeyId(1), []),
            rng: ChaCha20Rng::seed_from_u64(1),
            policy,
            truth: EPOCH,
            booted: EPOCH - 100,
            boot: 1,
            wrong,
            log: Log::default(),
        };
        machine.begin();
        machine
    }

    fn now(&self) -> Moment {
        moment(self.truth, self.booted, self.wrong)
    }

    fn begin(&mut self) {
        let newest = self.log.rows.values().map(|row| row.contact.end).max();
        let boot_id = Some(BootId(self.boot));
        self.engine
            .resume_clock(self.now(), boot_id, self.log.record, newest);
        let ears = RadioCapabilities {
            can_listen: true,
            ..RadioCapabilities::default()
        };
        self.tell(Input::RadioUp(ears));
        self.tell(Input::Consent(true));
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(self.now(), input, &mut self.rng);
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            let stored = match output {
                Output::Save(seq, batch) => {
                    self.write(batch);
                    Some(seq)
                }
                Output::Persist(seq, _) => Some(seq),
                Output::Forget(before) => {
                    let retention = self.policy.retention.as_secs();
                    let due = |row: &Contact| row.end < before;
                    self.log.destroy(self.truth, retention, due);
                    None
                }
                Output::ForgetFuture(dates) => {
                    self.log.forget_future(self.truth, &dates);
                    None
                }
                Output::Redate(redating) => {
                    self.log.redate(&redating, self.boot);
                    None
                }
                Output::KeepClock(record) => {
                    self.log.record = Some(record);
                    None
                }
                Output::Radio(_) | Output::Log(_) => None,
            };
            if let Some(seq) = stored {
                self.engine
                    .handle(self.now(), Input::Stored(seq), &mut self.rng);
            }
        }
    }

    fn write(&mut self, batch: Vec<Contact>) {
        for contact in batch {
            self.log.put(Row {
                contact,
                boot: self.boot,
                ended: self.log.heard[&contact.tcn],
            });
        }
    }

    /// Time passes, and every neighbour in range is heard every minute.
    fn live(&mut self, seconds: u64) {
        for _ in 0..seconds / MINUTE {
            let truth = self.truth;
            for neighbour in (0..NEIGHBOURS).filter(|n| is_near(*n, truth)) {
                let tcn = number(neighbour, self.truth);
                self.log.heard.insert(tcn, self.truth);
                self.tell(Input::Heard(Sighting {
                    tcn,
                    bridged: false,
                    rssi: Some(-60),
                }));
            }
            self.truth += MINUTE;
            self.tell(Input::Timeout);
        }
    }

    /// The clock is set.
    fn set(&mut self, wrong: i64) {
        self.wrong = wrong;
        self.tell(Input::Timeout);
    }

    /// The clock is set to the right time, and the kernel reports it synchronised.
    fn synchronise(&mut self) {
        self.set(0);
        self.tell(Input::Synchronised(self.now(), true));
    }

    fn write_out(&mut self) {
        self.engine.flush(self.now());
        self.obey();
    }

    /// The process ends in order, and another starts.
    fn restart(&mut self) {
        self.write_out();
        let next_key = self.engine.next_key();
        self.engine = Engine::new(self.now(), self.policy, next_key, []);
        self.begin();
    }

    /// The machine is off for a while, and boots with this clock.
    fn reboot(&mut self, off: u64, wrong: i64) {
        self.write_out();
        self.truth += off;
        (self.booted, self.wrong) = (self.truth - 20, wrong);
        self.boot += 1;
        let next_key = self.engine.next_key();
        self.engine = Engine::new(self.now(), self.policy, next_key, []);
        self.begin();
    }

    fn doubt(&self) -> Option<ClockDoubt> {
        self.engine.view(self.now()).clock
    }

    /// The exposures from a report of this neighbour that was published then.
    fn exposures(&self, neighbour: u64, published: u64) -> Vec<Exposure> {
        let mark = number(neighbour, 0);
        let rows = self.log.rows.values().map(|row| row.contact);
        let of_it = rows.filter(|row| row.tcn.as_bytes()[..8] == mark.as_bytes()[..8]);
        exposures(Rule::STANDARD, of_it, UnixTime(published))
    }
}

fn moment(truth: u64, booted: u64, wrong: i64) -> Moment {
    Moment::new(
        Duration::from_secs(truth - booted),
        UnixTime(truth.saturating_add_signed(wrong)),
    )
}

/// A wall clock that shows 1970.
fn in_1970(truth: u64) -> i64 {
    1000 - i64::try_from(truth).unwrap()
}

/// Every exposure that a right clock gives is given, to the second. Where a contact was
/// cut in two, at most a minute of its duration is missing.
fn assert_same(wrong: &mut Machine, right: &mut Machine, cuts: u64, story: &str) {
    wrong.write_out();
    right.write_out();
    assert_eq!(wrong.truth, right.truth);
    for neighbour in 0..NEIGHBOURS {
        for published in (EPOCH..=right.truth).step_by(5 * 3600 + 7) {
            let (a, b) = (
                wrong.exposures(neighbour, published),
                right.exposures(neighbour, published),
            );
            let spans =
                |all: &[Exposure]| -> Vec<_> { all.iter().map(|e| (e.start, e.end)).collect() };
            assert_eq!(spans(&a), spans(&b), "{story}: published {published}");
            for (a, b) in a.iter().zip(&b) {
                let missing = b.duration().abs_diff(a.duration());
                let most = Duration::from_secs(cuts * 2 * MINUTE);
                assert!(
                    missing <= most,
                    "{story}: {missing:?} of {:?}",
                    b.duration()
                );
            }
        }
    }
}

#[test]
fn contacts_dated_by_a_wrong_clock_are_dated_anew_when_it_is_set() {
    let hours = |n: i64| n * 3600;
    for (story, wrong) in [
        ("7 h ahead", hours(7)),
        ("5 h behind", hours(-5)),
        ("a month ahead", MONTH),
        ("a month behind", -MONTH),
        ("in 1970", in_1970(EPOCH)),
    ] {
        let mut right = Machine::new(policy(14), 0);
        let mut machine = Machine::new(policy(14), wrong);
        for machine in [&mut right, &mut machine] {
            machine.live(16 * HOUR);
        }
        machine.set(0);
        assert_same(&mut machine, &mut right, 1, story);
        for machine in [&mut right, &mut machine] {
            machine.live(8 * HOUR);
        }
        assert_same(&mut machine, &mut right, 1, story);
        let twelve_hours = right.truth - 12 * HOUR;
        assert!(!right.exposures(0, twelve_hours).is_empty());
    }
}

/// Steps back and forth over days, also by amounts too small to notice.
#[test]
fn every_exposure_of_a_right_clock_is_given_once_the_clock_is_right() {
    for seed in 0..10 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut right = Machine::new(policy(14), 0);
        let mut machine = Machine::new(policy(14), 0);
        let steps = 8;
        for _ in 0..steps {
            let wrong = match rng.next_u64() % 8 {
                0 => MONTH,
                1 => -MONTH,
                2 => in_1970(machine.truth),
                3 => 7 * 3600,
                4 => -7 * 3600,
                5 => 0,
                _ => i64::try_from(rng.next_u64() % 5).unwrap() * 100 - 200,
            };
            machine.set(wrong);
            if rng.next_u64().is_multiple_of(4) && wrong != in_1970(machine.truth) {
                machine.restart();
                right.restart();
            }
            let lived = HOUR + rng.next_u64() % (12 * HOUR) / MINUTE * MINUTE;
            machine.live(lived);
            right.live(lived);
        }
        machine.synchronise();
        assert_same(&mut machine, &mut right, steps, &format!("seed {seed}"));
    }
}

#[test]
fn what_a_synchronised_clock_dated_stays_when_a_person_sets_it_wrong() {
    for wrong in [MONTH, -MONTH, 5 * 3600] {
        let mut right = Machine::new(policy(14), 0);
        let mut machine = Machine::new(policy(14), 0);
        machine.synchronise();
        for machine in [&mut right, &mut machine] {
            machine.live(15 * HOUR);
        }
        machine.set(wrong);
        assert_same(&mut machine, &mut right, 1, "while it is wrong");
        for machine in [&mut right, &mut machine] {
            machine.live(15 * HOUR);
        }
        machine.set(0);
        assert_same(&mut machine, &mut right, 2, "set right");
    }
}

#[test]
fn a_clock_that_went_ahead_destroys_nothing_until_it_is_confirmed() {
    let two_days = policy(2);
    let mut machine = Machine::new(two_days, 0);
    machine.live(DAY);
    let rows = machine.log.rows.len();
    assert!(rows > 10 && machine.doubt().is_none());
    // In one step, in many small ones, and over a restart of the machine.
    for step in 1..=30 {
        machine.set(step * 86_400);
        machine.live(10 * MINUTE);
    }
    machine.reboot(HOUR, MONTH);
    machine.live(3 * HOUR);
    assert_eq!(machine.doubt(), Some(ClockDoubt::Ahead));
    let there = |machine: &Machine| {
        machine
            .log
            .heard
            .keys()
            .all(|tcn| machine.log.rows.keys().any(|(_, of)| of == tcn))
    };
    assert!(machine.log.rows.len() > rows && there(&machine));
    machine.synchronise();
    assert_eq!(machine.doubt(), None);
    machine.live(2 * HOUR);
    assert!(there(&machine));
}

#[test]
fn a_person_or_a_second_boot_confirms_a_clock_that_went_ahead() {
    // Everything really is a month later: the machine was off.
    let away = u64::try_from(MONTH).unwrap();
    let mut machine = Machine::new(policy(2), 0);
    machine.live(DAY);
    let old: BTreeSet<Tcn> = machine.log.rows.keys().map(|(_, tcn)| *tcn).collect();
    let left = |machine: &Machine| {
        let rows = machine.log.rows.keys();
        rows.filter(|(_, tcn)| old.contains(tcn)).count()
    };
    machine.reboot(away, 0);
    machine.live(12 * HOUR);
    assert_eq!(
        left(&machine),
        old.len(),
        "nothing confirms that it was off so long"
    );
    assert_eq!(machine.doubt(), Some(ClockDoubt::Ahead));
    machine.reboot(HOUR, 0);
    machine.live(2 * HOUR);
    assert_eq!(
        (left(&machine), machine.doubt()),
        (0, None),
        "two boots agree"
    );

    let mut machine = Machine::new(policy(2), 0);
    machine.live(DAY);
    machine.reboot(away, 0);
    machine.tell(Input::ClockConfirmed);
    assert_eq!(machine.doubt(), None);
    machine.live(2 * HOUR);
    assert_eq!(left(&machine), 0, "a person says so");
}

#[test]
fn a_clock_behind_what_has_been_is_named() {
    let mut machine = Machine::new(policy(14), 0);
    machine.synchronise();
    machine.live(DAY);
    machine.reboot(HOUR, -MONTH);
    assert_eq!(machine.doubt(), Some(ClockDoubt::Behind));
    machine.live(HOUR);
    machine.set(0);
    assert_eq!(machine.doubt(), None);
}

/// Any sequence of clock changes, over restarts too: the model panics when a contact is
/// destroyed early. In the end everything is destroyed that must be.
#[test]
fn nothing_is_destroyed_early_and_nothing_is_kept_for_ever() {
    for seed in 0..12 {
        let mut rng = ChaCha20Rng::seed_from_u64(100 + seed);
        let mut machine = Machine::new(policy(2), 0);
        for _ in 0..10 {
            let wrong = match rng.next_u64() % 6 {
                0 => MONTH,
                1 => -MONTH,
                2 => in_1970(machine.truth),
                3 => 86_400,
                4 => -86_400,
                _ => 0,
            };
            let off = rng.next_u64() % (20 * HOUR);
            match rng.next_u64() % 4 {
                // A second boot that agrees with the first would confirm it, so
                // every other one is right.
                0 => {
                    machine.reboot(off, 0);
                    machine.live(HOUR);
                    machine.reboot(off, wrong);
                }
                1 => machine.synchronise(),
                _ => machine.set(wrong),
            }
            machine.live(rng.next_u64() % (15 * HOUR));
            if wrong != 0 {
                machine.set(0);
                machine.live(MINUTE);
                if rng.next_u64().is_multiple_of(2) {
                    machine.reboot(off, 0);
                }
            }
        }
        let story = machine.truth;
        machine.synchronise();
        machine.live(4 * DAY + 6 * HOUR);
        let rows = machine.log.rows.values();
        let kept = rows.filter(|row| row.ended <= story);
        assert_eq!(kept.count(), 0, "seed {seed}: kept past retention");
    }
}
