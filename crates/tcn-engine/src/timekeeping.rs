//! How far the wall clock can be trusted.
//!
//! A Raspberry Pi has no clock that runs without power, a battery fails, a person mistypes
//! a year. Dates written by such a clock are corrected when it is set, and nothing is
//! destroyed because of its age until the clock is confirmed. `CLOCK_BOOTTIME` gives three
//! facts that do not depend on the wall clock:
//!
//! * how long ago an event of this boot was. So a jump of the wall clock moves all dates
//!   since the clock was last known to be right, or since this boot;
//! * a lower bound of the time: the time at which the clock was last known to be right,
//!   plus the time that the machine has been running since. Retention destroys by this
//!   bound ([`Timekeeping::at_least`]);
//! * how long the machine has been running over all boots, for dates in the future.
//!
//! A clock is confirmed when the kernel says that it is synchronised (`STA_UNSYNC`,
//! adjtimex(2)), or when a person says that it is right. Agreement of two boots counts too:
//! if the clock was ahead of the lower bound in one boot, and is ahead in the next, the
//! smaller of both leads is trusted.

use std::time::Duration;

use tcn_protocol::UnixTime;

use super::{BootId, CLOCK_FLOOR, ClockDoubt, ClockRecord, KeyId, Moment, Redating, Shift};

/// How far the wall clock and the boot-time clock may drift apart, in seconds, before it
/// counts as a jump.
pub(super) const JUMP: u64 = 30;

/// How long a boot must last before it can agree with the one before.
const SETTLED: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Timekeeping {
    boot_id: Option<BootId>,
    synchronised: bool,
    since: UnixTime,
    keys: KeyId,
    /// A lower bound of the time, at this time on the boot-time clock; `None` until the clock
    /// showed a possible time.
    at_least: Option<(UnixTime, Duration)>,
    /// The newest stored date, if nothing else is known of the past.
    newest: Option<UnixTime>,
    /// How long the machine ran before this boot.
    ran_before: Duration,
    /// The lower bound was confirmed. Then a clock that is behind does not lower it.
    confirmed: bool,
    /// By how many seconds the clock was ahead all through the boot before; `None` once this
    /// was used.
    lead_before: Option<u64>,
    /// The same for this boot.
    lead: u64,
    /// A time that is known to be past, at this time on the boot-time clock.
    has_been: Option<(UnixTime, Duration)>,
    /// While the clock is impossible: by how many seconds it was ahead of the boot-time clock
    /// before, when it wrote the stored dates.
    dated_by: Option<i64>,
}

impl Timekeeping {
    /// Nothing is known of the past.
    pub(super) fn new(now: Moment, keys: KeyId) -> Self {
        Self {
            boot_id: None,
            synchronised: false,
            since: now.wall,
            keys,
            at_least: possible(now.wall).then_some((now.wall, now.boot)),
            newest: None,
            ran_before: Duration::ZERO,
            confirmed: false,
            lead_before: None,
            lead: 0,
            has_been: None,
            dated_by: None,
        }
    }

    /// Resumes what an earlier process knew, or the newest stored date if there is no record.
    /// Returns how the stored dates have to change.
    pub(super) fn resume(
        &mut self,
        now: Moment,
        boot_id: Option<BootId>,
        record: Option<ClockRecord>,
        newest: Option<UnixTime>,
    ) -> Option<Redating> {
        self.boot_id = boot_id;
        let Some(record) = record else {
            self.newest = newest;
            let known = newest.map_or(now.wall, |newest| newest.min(now.wall));
            self.at_least = possible(now.wall).then_some((known, now.boot));
            return self.begin(now, 0);
        };
        let known = boot_id.is_some() && record.boot_id.is_some();
        if known && boot_id == record.boot_id {
            return self.resume_boot(now, record);
        }
        // A boot that is not known to be another one may be the same.
        let ran = if known { now.boot } else { Duration::ZERO };
        self.ran_before = (record.running + ran).saturating_sub(now.boot);
        let least = possible(record.at_least).then(|| (record.at_least.after(ran), now.boot));
        (self.at_least, self.has_been, self.newest) = (least, least, newest);
        self.confirmed = record.confirmed;
        self.lead_before = (known && record.lead > 0).then_some(record.lead);
        self.believe_less(now);
        self.lead = self.ahead(now);
        self.begin(now, 0)
    }

    /// The record is of another process in this boot, which wrote the stored dates.
    fn resume_boot(&mut self, now: Moment, record: ClockRecord) -> Option<Redating> {
        let next_key = self.keys;
        let passed = now.boot.saturating_sub(record.at.boot);
        self.ran_before = (record.running + passed).saturating_sub(now.boot);
        self.at_least =
            possible(record.at_least).then(|| (record.at_least.after(passed), now.boot));
        (self.since, self.keys) = (record.since, record.keys);
        self.synchronised = record.synchronised;
        (self.confirmed, self.lead) = (record.confirmed, record.lead);
        let jump = jump(record.at, now)?;
        self.jumped(record.at.wall, now, jump, next_key)
    }

    /// The dates of this boot start here.
    fn begin(&mut self, now: Moment, jump: i64) -> Option<Redating> {
        self.since = now.wall;
        possible(now.wall).then(|| self.redating(now, jump, None, None))
    }

    /// The wall clock jumped. `before` is the time that it would show without the jump,
    /// `next_key` the first key that has no date yet.
    pub(super) fn jumped(
        &mut self,
        before: UnixTime,
        now: Moment,
        jump: i64,
        next_key: KeyId,
    ) -> Option<Redating> {
        let was_right = std::mem::take(&mut self.synchronised);
        self.believe_less(now);
        match (possible(before), possible(now.wall)) {
            // Dates written by a right clock stay.
            (true, _) if was_right => {
                self.keys = next_key;
                self.begin(now, jump)
            }
            (true, true) => {
                let moved = self.shift(jump);
                Some(self.redating(now, jump, Some(moved), None))
            }
            (true, false) => {
                let offset = offset(now).saturating_sub(jump);
                self.dated_by = Some(offset);
                None
            }
            (false, true) => {
                let Some(dated_by) = self.dated_by.take() else {
                    self.since = shifted(self.since, jump).max(CLOCK_FLOOR);
                    return Some(self.redating(now, jump, None, Some(jump)));
                };
                let moved = self.shift(offset(now).saturating_sub(dated_by));
                Some(self.redating(now, jump, Some(moved), Some(jump)))
            }
            (false, false) => {
                if self.dated_by.is_none() {
                    self.since = shifted(self.since, jump);
                }
                None
            }
        }
    }

    fn shift(&mut self, by: i64) -> Shift {
        let since = self.since;
        self.since = shifted(since, by);
        Shift { since, by }
    }

    fn redating(
        &self,
        now: Moment,
        jump: i64,
        moved: Option<Shift>,
        impossible: Option<i64>,
    ) -> Redating {
        Redating {
            jump,
            moved,
            impossible,
            keys: self.keys,
            then: self.since,
            record: self.record(now),
        }
    }

    /// The clock is right: the kernel or a person says so. `key` is the first key whose
    /// numbers may still get dates. Returns whether this is new.
    pub(super) fn confirm(&mut self, now: Moment, synchronised: bool, key: KeyId) -> bool {
        if !possible(now.wall) {
            return false;
        }
        let new = !self.synchronised || !synchronised;
        self.synchronised = synchronised;
        (self.since, self.keys) = (now.wall, key);
        self.at_least = Some((now.wall, now.boot));
        (self.lead_before, self.has_been, self.newest) = (None, None, None);
        (self.confirmed, self.lead) = (true, 0);
        new
    }

    /// The kernel does not say that the clock is synchronised.
    pub(super) fn unconfirm(&mut self) {
        self.synchronised = false;
    }

    pub(super) const fn since(&self) -> UnixTime {
        self.since
    }

    /// Whether dates written now stay as they are, whatever the clock does next.
    pub(super) const fn synchronised(&self) -> bool {
        self.synchronised
    }

    /// Lowers the bound to a possible clock that shows less, unless the bound was confirmed:
    /// an unconfirmed bound was then too high.
    fn believe_less(&mut self, now: Moment) {
        if possible(now.wall) {
            let known = self.known(now).or(self.newest).unwrap_or(now.wall);
            let known = if self.confirmed {
                known
            } else {
                known.min(now.wall)
            };
            self.at_least = Some((known, now.boot));
            self.lead = self.lead.min(self.ahead(now));
        }
    }

    fn known(&self, now: Moment) -> Option<UnixTime> {
        self.at_least.map(|known| advanced(known, now))
    }

    /// The lower bound of the time; `None` until the clock showed a possible time.
    fn at_least(&self, now: Moment) -> Option<UnixTime> {
        let known = self.known(now)?;
        Some(match possible(now.wall) {
            true => known.min(now.wall),
            false => known,
        })
    }

    /// By how many seconds the clock is ahead of the lower bound.
    fn ahead(&self, now: Moment) -> u64 {
        let known = self.at_least(now).unwrap_or(now.wall);
        now.wall.0.saturating_sub(known.0)
    }

    /// Updates the lower bound of the time, before data is destroyed for its age.
    pub(super) fn settle(&mut self, now: Moment, retention: Duration) -> Option<UnixTime> {
        self.believe_less(now);
        let known = self.at_least(now)?;
        let ahead = self.ahead(now);
        // Dates that do not move with the clock are older than those that do.
        let moving_for = now.wall.0.saturating_sub(self.since.0);
        if possible(now.wall) && moving_for >= retention.as_secs() {
            self.at_least = Some((now.wall, now.boot));
        } else if now.boot >= SETTLED
            && let Some(before) = self.lead_before.take()
        {
            let agreed = Duration::from_secs(before.min(ahead));
            self.at_least = Some((known.after(agreed), now.boot));
        }
        self.at_least(now)
    }

    pub(super) fn doubt(&self, now: Moment, retention: Duration) -> Option<ClockDoubt> {
        if !possible(now.wall) {
            return Some(ClockDoubt::Impossible);
        }
        if self.synchronised {
            return None;
        }
        let has_been = self.has_been.map(|known| advanced(known, now));
        if has_been.is_some_and(|known| now.wall.0 + JUMP < known.0) {
            return Some(ClockDoubt::Behind);
        }
        let known = self.at_least(now)?;
        (now.wall > known.after(retention)).then_some(ClockDoubt::Ahead)
    }

    /// Total running time of the machine, over all boots.
    pub(super) fn running(&self, now: Moment) -> Duration {
        self.ran_before + now.boot
    }

    /// What has to outlive the process.
    pub(super) fn record(&self, now: Moment) -> ClockRecord {
        ClockRecord {
            boot_id: self.boot_id,
            at: now,
            synchronised: self.synchronised,
            since: self.since,
            keys: self.keys,
            at_least: self.known(now).unwrap_or_default(),
            confirmed: self.confirmed,
            lead: self.lead.min(self.ahead(now)),
            running: self.running(now),
        }
    }
}

/// By how many seconds the wall clock jumped between two moments; `None` if it did not.
pub(super) fn jump(from: Moment, to: Moment) -> Option<i64> {
    let jump = offset(to).saturating_sub(offset(from));
    (jump.unsigned_abs() > JUMP).then_some(jump)
}

/// This time, moved.
pub(super) fn shifted(at: UnixTime, seconds: i64) -> UnixTime {
    UnixTime(at.0.saturating_add_signed(seconds))
}

fn possible(wall: UnixTime) -> bool {
    wall >= CLOCK_FLOOR
}

/// By how many seconds the wall clock is ahead of the boot-time clock.
pub(super) fn offset(at: Moment) -> i64 {
    let wall = i64::try_from(at.wall.0).unwrap_or(i64::MAX);
    wall.saturating_sub(i64::try_from(at.boot.as_secs()).unwrap_or(i64::MAX))
}

fn advanced((known, at): (UnixTime, Duration), now: Moment) -> UnixTime {
    known.after(now.boot.saturating_sub(at))
}
