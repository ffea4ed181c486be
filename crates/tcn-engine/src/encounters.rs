//! Sightings are merged into contacts, within bounds.
//!
//! A neighbour is heard many times a minute, so single sightings are not stored. Deltas
//! collect here and go to the store in batches. A run of sightings ends when the number
//! was not heard for [`IDLE`], the longest life of a number. If it is heard later, a
//! new contact starts.
//!
//! An attacker with a transmitter decides how many numbers are heard. The table holds
//! at most [`MAX_RUNS`] runs. When it is full, numbers heard only once make room, the
//! oldest first; if there are none, the newcomer is dropped. A real neighbour is heard
//! again within seconds and so stays, while a flood of throw-away numbers displaces
//! itself. Every drop is counted.
//!
//! The store takes a limited number of new rows in a quarter of an hour. When more
//! wait, numbers that were heard again go first, then the oldest. The sender chooses
//! the bytes of a number, so the bytes decide nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::timekeeping::shifted;
use super::unheard::{DiscoveryTimes, Unheard};
use super::{Contact, Moment, Sighting, Signal};

/// Runs held at once: forty times a crowd of two hundred people. About 1.5 MiB.
pub(super) const MAX_RUNS: usize = 8192;

/// New numbers stored in a quarter of an hour. With fourteen days of retention a flood
/// fills some 270 MB of disk, never all of it.
pub(super) const MAX_NEW_PER_QUARTER: usize = 4096;

const QUARTER: Duration = Duration::from_secs(900);

/// Silence after which a run is over.
pub(super) const IDLE: Duration = Duration::from_secs(900);

#[derive(Debug, Default)]
pub(super) struct Encounters {
    runs: BTreeMap<TemporaryContactNumber, ContactRun>,
    /// Numbers in the order they came, for making room. May name runs that are gone or
    /// were heard again.
    newcomers: VecDeque<TemporaryContactNumber>,
    discovery: DiscoveryTimes,
    quarter: Quarter,
    /// A delta waits to be taken.
    dirty: bool,
    dropped: u64,
    table_full_until: Option<Duration>,
}

/// The allowance of new rows, and when it is renewed.
#[derive(Debug, Default)]
struct Quarter {
    ends: Duration,
    admitted: usize,
}

#[derive(Debug)]
struct ContactRun {
    start: UnixTime,
    end: UnixTime,
    /// For how long it may have been near before, in seconds.
    unheard_before: u8,
    /// The shortest time between two sightings.
    interval: Option<Duration>,
    /// When it started, on the boot-time clock. Neither a step of the wall clock nor the
    /// sender can change it.
    since: Duration,
    last: Duration,
    heard_again: bool,
    logged: bool,
    delta: Option<ContactDelta>,
}

/// What a run gained since it was last written to the store.
#[derive(Debug)]
struct ContactDelta {
    end: UnixTime,
    unheard_after: u8,
    signal: Signal,
    bridged: bool,
}

impl Encounters {
    pub(super) fn hear(&mut self, now: Moment, sighting: Sighting) {
        self.dirty = true;
        if let Some(run) = self.runs.get_mut(&sighting.tcn) {
            let since = now.boot.saturating_sub(run.last);
            run.interval = Some(run.interval.map_or(since, |least| least.min(since)));
            if !run.heard_again && self.discovery.ran_since(run.since) {
                run.unheard_before = self.discovery.before(run.since, run.interval);
            }
            run.heard_again = true;
            run.last = now.boot;
            run.end = run.end.max(now.wall);
            run.delta
                .get_or_insert_with(|| ContactDelta::new(now.wall))
                .add(now.wall, sighting);
            return;
        }
        if self.runs.len() >= MAX_RUNS {
            self.drop_one(now);
            if !self.make_room() {
                return;
            }
        }
        let mut delta = ContactDelta::new(now.wall);
        delta.add(now.wall, sighting);
        let run = ContactRun {
            start: now.wall,
            end: now.wall,
            unheard_before: self.discovery.before(now.boot, None),
            interval: None,
            since: now.boot,
            last: now.boot,
            heard_again: false,
            logged: false,
            delta: Some(delta),
        };
        self.runs.insert(sighting.tcn, run);
        self.newcomers.push_back(sighting.tcn);
    }

    /// Whether discovery runs now. When it runs again, those heard until it stopped may have
    /// left meanwhile.
    pub(super) fn discovery_runs(&mut self, now: Moment, runs: bool) {
        if !self.discovery.change(now, runs) || !runs {
            return;
        }
        for run in self.runs.values_mut() {
            let after = self.discovery.after(run.last, run.interval);
            if after > 0 {
                let delta = run.delta.get_or_insert_with(|| ContactDelta::new(run.end));
                delta.unheard_after = after;
                self.dirty = true;
            }
        }
    }

    /// All deltas since the last call, for the store.
    pub(super) fn take_deltas(&mut self, now: Moment) -> Vec<Contact> {
        if now.boot >= self.quarter.ends {
            self.quarter = Quarter {
                ends: now.boot + QUARTER,
                admitted: 0,
            };
        }
        self.dirty = self.admit();
        let mut batch = Vec::new();
        for (tcn, run) in &mut self.runs {
            if run.logged
                && let Some(delta) = run.delta.take()
            {
                batch.push(delta.contact(*tcn, run));
            }
        }
        self.retire_idle(now);
        batch
    }

    /// Admits new numbers to the store, as many as the quarter still allows: those that
    /// were heard again first, then the oldest. Returns whether some have to wait for
    /// the next quarter. Those may still have to make room.
    fn admit(&mut self) -> bool {
        let room = MAX_NEW_PER_QUARTER - self.quarter.admitted;
        let new = |run: &ContactRun| !run.logged && run.delta.is_some();
        let waiting = self.runs.values().filter(|run| new(run)).count();
        if waiting <= room {
            let runs = self.runs.values_mut().filter(|run| new(run));
            runs.for_each(|run| run.logged = true);
            self.quarter.admitted += waiting;
            return false;
        }
        let mut queue: Vec<_> = self.runs.values_mut().filter(|run| new(run)).collect();
        queue.sort_by_key(|run| (!run.heard_again, run.since));
        queue.truncate(room);
        self.quarter.admitted += queue.len();
        queue.into_iter().for_each(|run| run.logged = true);
        true
    }

    /// Takes back deltas that could not be written. Beyond the bound they are dropped and
    /// counted.
    pub(super) fn restore(&mut self, now: Moment, batch: Vec<Contact>) {
        self.dirty = true;
        for contact in batch {
            if self.runs.len() >= MAX_RUNS && !self.runs.contains_key(&contact.tcn) {
                self.drop_one(now);
                continue;
            }
            let run = self.runs.entry(contact.tcn).or_insert_with(|| ContactRun {
                start: contact.start,
                end: contact.end,
                unheard_before: contact.unheard.before,
                interval: None,
                since: now.boot,
                last: now.boot,
                heard_again: true,
                logged: true,
                delta: None,
            });
            run.delta
                .get_or_insert_with(|| ContactDelta::new(contact.end))
                .absorb(&contact);
        }
    }

    /// Ends every run, because the wall clock jumped and a contact may not span the jump.
    /// Deltas that were not taken are dropped and counted.
    pub(super) fn end(&mut self, now: Moment) {
        self.redate(now, UnixTime(u64::MAX), 0);
        self.newcomers.clear();
    }

    /// Drops the runs that started in `[from, to)`, and their deltas.
    pub(super) fn erase(&mut self, from: UnixTime, to: UnixTime) {
        self.runs
            .retain(|_, run| run.start < from || run.start >= to);
        self.dirty = self.runs.values().any(|run| run.delta.is_some());
    }

    /// Whether there are deltas that were not taken.
    pub(super) fn dirty(&self) -> bool {
        self.dirty
    }

    /// Moves the times of the runs that started at `since` or later by `seconds`,
    /// because the clock that dated them was set. The other runs end.
    pub(super) fn redate(&mut self, now: Moment, since: UnixTime, seconds: i64) {
        let lost = |run: &ContactRun| run.start < since && run.delta.is_some();
        for _ in 0..self.runs.values().filter(|run| lost(run)).count() {
            self.drop_one(now);
        }
        self.runs.retain(|_, run| run.start >= since);
        for run in self.runs.values_mut() {
            run.start = shifted(run.start, seconds);
            run.end = shifted(run.end, seconds);
            if let Some(delta) = &mut run.delta {
                delta.end = shifted(delta.end, seconds);
            }
        }
        self.dirty = self.runs.values().any(|run| run.delta.is_some());
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many numbers were heard since this time.
    pub(super) fn heard_since(&self, time: Duration) -> usize {
        self.runs.values().filter(|run| run.last >= time).count()
    }

    /// Whether sightings had to be dropped within the last quarter of an hour.
    pub(super) fn table_full(&self, now: Moment) -> bool {
        self.table_full_until.is_some_and(|until| now.boot < until)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.runs.len()
    }

    fn drop_one(&mut self, now: Moment) {
        self.dropped += 1;
        self.table_full_until = Some(now.boot + QUARTER);
    }

    /// Drops the oldest number that was heard only once and never stored. False if
    /// there is none.
    fn make_room(&mut self) -> bool {
        while let Some(tcn) = self.newcomers.pop_front() {
            if self
                .runs
                .get(&tcn)
                .is_some_and(|run| !run.heard_again && !run.logged)
            {
                self.runs.remove(&tcn);
                return true;
            }
        }
        false
    }

    fn retire_idle(&mut self, now: Moment) {
        self.runs
            .retain(|_, run| run.delta.is_some() || run.last + IDLE > now.boot);
        let runs = &self.runs;
        self.newcomers.retain(|tcn| {
            runs.get(tcn)
                .is_some_and(|run| !run.heard_again && !run.logged)
        });
    }
}

impl ContactDelta {
    fn new(at: UnixTime) -> Self {
        Self {
            end: at,
            unheard_after: 0,
            signal: Signal::default(),
            bridged: false,
        }
    }

    fn add(&mut self, at: UnixTime, sighting: Sighting) {
        self.end = self.end.max(at);
        self.unheard_after = 0;
        self.signal.add(sighting.rssi);
        self.bridged |= sighting.bridged;
    }

    fn absorb(&mut self, contact: &Contact) {
        if contact.end >= self.end {
            self.unheard_after = match contact.end == self.end {
                true => self.unheard_after.max(contact.unheard.after),
                false => contact.unheard.after,
            };
            self.end = contact.end;
        }
        self.signal.merge(&contact.signal);
        self.bridged |= contact.bridged;
    }

    fn contact(&self, tcn: TemporaryContactNumber, run: &ContactRun) -> Contact {
        Contact {
            tcn,
            start: run.start,
            end: self.end.max(run.start),
            unheard: Unheard {
                before: run.unheard_before,
                after: self.unheard_after,
            },
            signal: self.signal,
            bridged: self.bridged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::new(
            Duration::from_secs(seconds),
            UnixTime(1_800_000_000 + seconds),
        )
    }

    fn number(i: u64) -> TemporaryContactNumber {
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&i.to_le_bytes());
        TemporaryContactNumber::from_bytes(bytes)
    }

    fn sighting(i: u64, rssi: Option<i16>) -> Sighting {
        Sighting {
            tcn: number(i),
            bridged: false,
            rssi,
        }
    }

    #[test]
    fn sightings_fold_into_one_contact() {
        let mut encounters = Encounters::default();
        for (t, rssi) in [(0, Some(-60)), (10, Some(-70)), (20, None), (30, Some(-91))] {
            encounters.hear(at(t), sighting(1, rssi));
        }
        let batch = encounters.take_deltas(at(60));
        let expected = Contact {
            tcn: number(1),
            start: at(0).wall,
            end: at(30).wall,
            unheard: Unheard::default(),
            signal: Signal {
                max: Some(-60),
                sum: -221,
                attenuation: [1, 1, 0, 1],
                unmeasured: 1,
            },
            bridged: false,
        };
        assert_eq!(batch, [expected]);
        encounters.hear(
            at(70),
            Sighting {
                bridged: true,
                ..sighting(1, Some(-50))
            },
        );
        let delta = encounters.take_deltas(at(120));
        assert_eq!(
            (delta[0].start, delta[0].end, delta[0].signal.sightings()),
            (at(0).wall, at(70).wall, 1)
        );
        assert!(delta[0].bridged);
        assert!(encounters.take_deltas(at(180)).is_empty());
    }

    #[test]
    fn a_long_silence_ends_the_run() {
        let mut encounters = Encounters::default();
        encounters.hear(at(0), sighting(1, None));
        encounters.take_deltas(at(60));
        encounters.take_deltas(at(900));
        encounters.hear(at(901), sighting(1, None));
        assert_eq!(encounters.take_deltas(at(960))[0].start, at(901).wall);
    }

    #[test]
    fn a_flood_displaces_itself_and_not_the_neighbours() {
        let mut encounters = Encounters::default();
        for round in 0..3 {
            for i in 0..20 {
                encounters.hear(at(round), sighting(i, Some(-60)));
            }
        }
        for i in 0..1_000_000 {
            encounters.hear(at(3), sighting(1000 + i, Some(-60)));
            assert!(encounters.len() <= MAX_RUNS);
        }
        assert!(
            encounters.newcomers.len() <= 2 * MAX_RUNS,
            "bounded: {}",
            encounters.newcomers.len()
        );
        assert!(encounters.table_full(at(3)) && encounters.dropped() > 900_000);
        let batch = encounters.take_deltas(at(4));
        assert_eq!(batch.len(), MAX_NEW_PER_QUARTER);
        assert!(
            (0..20).all(|i| encounters.runs.contains_key(&number(i))),
            "a neighbour was lost"
        );
        assert_eq!(
            encounters.take_deltas(at(800)).len(),
            0,
            "the allowance of this quarter is spent"
        );
        assert_eq!(encounters.take_deltas(at(905)).len(), MAX_NEW_PER_QUARTER);
    }

    /// Senders choose their numbers. A sender with low numbers must not come before
    /// neighbours with high ones.
    #[test]
    fn the_log_takes_those_heard_again_first_and_then_the_oldest() {
        /// Their bytes come after all of the flood's.
        const HIGH: [u64; 2] = [u64::MAX, u64::MAX - (1 << 16)];
        let mut encounters = Encounters::default();
        let flood = MAX_NEW_PER_QUARTER as u64;
        encounters.hear(at(0), sighting(HIGH[0], None));
        for i in 0..flood {
            encounters.hear(at(1), sighting(i, None));
        }
        for second in [2, 3] {
            encounters.hear(at(second), sighting(HIGH[1], None));
        }
        let batch = encounters.take_deltas(at(60));
        assert_eq!(batch.len(), MAX_NEW_PER_QUARTER);
        for high in HIGH {
            assert!(batch.iter().any(|contact| contact.tcn == number(high)));
        }
        assert!(encounters.dirty(), "two of the flood wait");
        assert_eq!(encounters.take_deltas(at(961)).len(), 2);
    }

    #[test]
    fn what_was_not_written_comes_back() {
        let mut encounters = Encounters::default();
        encounters.hear(at(0), sighting(1, Some(-60)));
        let batch = encounters.take_deltas(at(60));
        encounters.hear(at(61), sighting(1, Some(-40)));
        encounters.restore(at(62), batch);
        let again = encounters.take_deltas(at(120));
        assert_eq!(
            (
                again[0].signal.sightings(),
                again[0].signal.max,
                again[0].signal.sum
            ),
            (2, Some(-40), -100)
        );
        assert_eq!((again[0].start, again[0].end), (at(0).wall, at(61).wall));
    }

    /// Discovery runs until second 100 and from second 120 on.
    #[test]
    fn a_pause_bears_on_those_who_were_heard_just_before_and_just_after() {
        let mut encounters = Encounters::default();
        encounters.discovery_runs(at(0), true);
        for second in (0..100).step_by(2) {
            encounters.hear(at(second), sighting(1, Some(-60)));
            encounters.hear(at(second), sighting(2, Some(-60)));
        }
        encounters.take_deltas(at(99));
        encounters.discovery_runs(at(100), false);
        assert!(!encounters.dirty());
        encounters.discovery_runs(at(120), true);
        encounters.hear(at(121), sighting(2, Some(-60)));
        encounters.hear(at(121), sighting(3, Some(-60)));
        encounters.hear(at(125), sighting(4, Some(-60)));
        let batch = encounters.take_deltas(at(130));
        let found: Vec<_> = batch
            .iter()
            .map(|contact| (contact.end, contact.signal.sightings(), contact.unheard))
            .collect();
        let unheard = |before, after| Unheard { before, after };
        assert_eq!(
            found,
            [
                (at(98).wall, 0, unheard(0, 22)),
                (at(121).wall, 1, unheard(0, 0)),
                (at(121).wall, 1, unheard(21, 0)),
                (at(125).wall, 1, unheard(0, 0)),
            ]
        );
        encounters.discovery_runs(at(130), false);
        encounters.discovery_runs(at(150), true);
        encounters.restore(at(151), batch);
        let again = encounters.take_deltas(at(160));
        let ends: Vec<_> = again.iter().map(|contact| contact.unheard.after).collect();
        assert_eq!(
            ends,
            [22, 0, 0, 0],
            "heard last long before discovery stopped"
        );
    }

    #[test]
    fn what_is_erased_does_not_grow_back() {
        let mut encounters = Encounters::default();
        encounters.hear(at(0), sighting(1, Some(-60)));
        encounters.hear(at(100), sighting(2, Some(-60)));
        encounters.take_deltas(at(101));
        encounters.hear(at(110), sighting(1, Some(-60)));
        encounters.hear(at(110), sighting(2, Some(-60)));
        encounters.erase(at(0).wall, at(100).wall);
        encounters.hear(at(120), sighting(1, Some(-60)));
        let starts = encounters.take_deltas(at(121));
        let starts: Vec<_> = starts.iter().map(|c| (c.tcn, c.start)).collect();
        assert_eq!(
            starts,
            [(number(1), at(120).wall), (number(2), at(100).wall)],
            "the first is a new contact"
        );
    }
}
