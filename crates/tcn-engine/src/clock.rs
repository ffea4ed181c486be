//! What the engine does when the wall clock is set, confirmed or doubted.
//!
//! What is known of the clock is kept in [`timekeeping`](super::timekeeping);
//! here stands what follows from it for contacts that still grow, for those on
//! their way to the log, and for retention.

use std::time::Duration;

use tcn_protocol::UnixTime;

use super::broadcast::Event;
use super::timekeeping::{jump, offset};
use super::{CLOCK_FLOOR, Engine, FORGET_EVERY, KeyId, LogEvent, Moment, Output};

/// What is dated so much later than the clock shows is dated in the future.
const FUTURE: Duration = Duration::from_secs(24 * 3600);

/// One run of the kernel, told apart from others by a number without meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId(pub u64);

/// What has to outlive the process: how things were dated, and how far the
/// clock was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRecord {
    /// The boot it was written in; `None` if that was not known.
    pub boot_id: Option<BootId>,
    /// When it was written.
    pub at: Moment,
    /// The kernel said that the clock was synchronised.
    pub synchronised: bool,
    /// What is dated from here on moves with the next jump of the clock.
    pub since: UnixTime,
    /// The first report key that may have moving dates.
    pub keys: KeyId,
    /// The time that it was at least.
    pub at_least: UnixTime,
    /// Somebody confirmed that, in this boot or an earlier one.
    pub confirmed: bool,
    /// By how many seconds the clock was ahead of that, all through this boot.
    pub lead: u64,
    /// How long the machine has been running in all.
    pub running: Duration,
}

/// Dates from `since` on move by so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The first second that moves.
    pub since: UnixTime,
    /// By how much, either way.
    pub by: i64,
}

/// The wall clock was set: what the log has to do with its dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redating {
    /// By how many seconds the clock jumped; 0 when only a new boot begins.
    pub jump: i64,
    /// What this boot dated and has to be dated anew.
    pub moved: Option<Shift>,
    /// What this boot dated before [`CLOCK_FLOOR`], and by how much it moves.
    pub impossible: Option<i64>,
    /// Only report keys from this one on are meant.
    pub keys: KeyId,
    /// What is there from this time on, and does not move now, does not move
    /// with the next jump either: it is of other boots.
    pub then: UnixTime,
    /// To be kept together with the new dates.
    pub record: ClockRecord,
}

/// What is dated in the future, as by a clock that was wrong in another boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutureDates {
    /// The first second of it.
    pub from: UnixTime,
    /// How long the machine has been running in all.
    pub running: Duration,
    /// For so long of that it is kept after it was noticed.
    pub retention: Duration,
}

/// What is wrong with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockDoubt {
    /// It shows a time before [`CLOCK_FLOOR`].
    Impossible,
    /// It is further ahead than retention of the time that it is at least.
    Ahead,
    /// It shows a time before one that has been.
    Behind,
}

impl Engine {
    /// Takes up what an earlier process knew of the clock: its record, or the
    /// newest date in the log if there is none. Called once, before anything
    /// else. `boot_id` is of this boot, `None` if it is not known. Drain
    /// [`poll_output`](Self::poll_output) afterwards.
    pub fn resume_clock(
        &mut self,
        now: Moment,
        boot_id: Option<BootId>,
        record: Option<ClockRecord>,
        newest: Option<UnixTime>,
    ) {
        let redating = self.timekeeping.resume(now, boot_id, record, newest);
        self.outputs.extend(redating.map(Output::Redate));
    }

    /// What has to outlive the process.
    pub fn clock_record(&self, now: Moment) -> ClockRecord {
        self.timekeeping.record(now)
    }

    /// The kernel was asked at `asked` whether the clock is synchronised. A clock
    /// that was set since then is another one.
    pub(super) fn clock_status(&mut self, now: Moment, asked: Moment, synchronised: bool) -> Event {
        if synchronised && jump(asked, now).is_none() {
            return self.confirm_clock(now, true);
        }
        self.timekeeping.unconfirm();
        Event::Reevaluate
    }

    /// The clock is right.
    pub(super) fn confirm_clock(&mut self, now: Moment, synchronised: bool) -> Event {
        let key = self.rotation.key_in_use();
        if self.timekeeping.confirm(now, synchronised, key) {
            let record = self.timekeeping.record(now);
            self.outputs.push_back(Output::KeepClock(record));
        }
        Event::Reevaluate
    }

    /// Contacts that were dated by a clock that nothing confirmed are dated by
    /// the one that was set. All others end, so that none spans the jump.
    pub(super) fn detect_clock_jump(&mut self, now: Moment) {
        let Some(jump) = jump(self.last, now) else {
            return;
        };
        let passed = now.boot.saturating_sub(self.last.boot);
        let before = self.last.wall.after(passed);
        self.outputs
            .push_back(Output::Log(LogEvent::ClockJumped(jump)));
        self.next_forget = self.next_forget.max(now.boot + FORGET_EVERY);
        let was_right = self.timekeeping.synchronised();
        let since = self.timekeeping.since();
        if was_right {
            // The key in use has numbers with dates that stay.
            self.rotation.drop_key();
        }
        let next_key = self.rotation.next_key();
        let redating = self.timekeeping.jumped(before, now, jump, next_key);
        let dated = before >= CLOCK_FLOOR;
        // What an impossible clock dated is in memory alone, and all of it moves.
        let since = if dated { since } else { UnixTime(0) };
        let stays = was_right || (dated && now.wall < CLOCK_FLOOR);
        if dated {
            // Written by the old dates, then moved with the rest of the log.
            let batch = self.encounters.take_deltas(now);
            self.write(batch);
        }
        if stays {
            self.encounters.end(now);
        } else {
            let by = match (dated, now.wall >= CLOCK_FLOOR) {
                (true, _) => jump,
                (false, true) => offset(now),
                (false, false) => 0,
            };
            self.encounters.redate(now, since, by);
            let saving = self.saving.values_mut().flatten();
            saving.for_each(|contact| contact.redate(since, jump));
        }
        self.outputs.extend(redating.map(Output::Redate));
    }

    /// By what a sighting is dated: while the clock is impossible by the boot-time
    /// clock, which does not jump, until the other one is set.
    pub(super) fn dating_moment(now: Moment) -> Moment {
        match now.wall >= CLOCK_FLOOR {
            true => now,
            false => Moment {
                wall: UnixTime(now.boot.as_secs()),
                ..now
            },
        }
    }

    /// Destroys what is older than retention for certain.
    pub(super) fn forget(&mut self, now: Moment) {
        let retention = self.policy.retention;
        let at_least = self.timekeeping.settle(now, retention);
        if let Some(at_least) = at_least {
            self.outputs
                .push_back(Output::Forget(at_least.before(retention)));
        }
        let record = self.timekeeping.record(now);
        self.outputs.push_back(Output::KeepClock(record));
        if now.wall >= CLOCK_FLOOR {
            self.outputs.push_back(Output::ForgetFuture(FutureDates {
                from: now.wall.after(FUTURE),
                running: record.running,
                retention,
            }));
        }
    }
}
