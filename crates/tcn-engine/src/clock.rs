//! What the engine does when the wall clock is set, confirmed or doubted.
//!
//! [`timekeeping`](super::timekeeping) holds what is known of the clock. This file
//! holds the consequences: for contacts that still grow, for those on their way to the
//! store, and for retention.

use std::time::Duration;

use tcn_protocol::UnixTime;

use super::broadcast::BroadcastEvent;
use super::timekeeping::{jump, offset};
use super::{
    BootId, CLOCK_FLOOR, ClockRecord, Engine, FORGET_EVERY, FutureDates, LogEvent, Moment, Output,
};

/// A date counts as in the future when it is this much later than the clock.
const FUTURE: Duration = Duration::from_secs(UnixTime::DAY);

impl Engine {
    /// Resumes what an earlier process knew of the clock: its record, or the newest
    /// stored date if there is none. Called once, before anything else. `boot_id` is of
    /// this boot, `None` if it is not known. Drain [`poll_output`](Self::poll_output)
    /// afterwards.
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

    /// The kernel was asked at `asked` whether the clock is synchronised. The answer is
    /// void if the clock was set since then.
    pub(super) fn clock_status(
        &mut self,
        now: Moment,
        asked: Moment,
        synchronised: bool,
    ) -> BroadcastEvent {
        if synchronised && jump(asked, now).is_none() {
            return self.confirm_clock(now, true);
        }
        self.timekeeping.unconfirm();
        BroadcastEvent::Reevaluate
    }

    /// The clock is right.
    pub(super) fn confirm_clock(&mut self, now: Moment, synchronised: bool) -> BroadcastEvent {
        let key = self.rotation.key_in_use();
        if self.timekeeping.confirm(now, synchronised, key) {
            let record = self.timekeeping.record(now);
            self.outputs.push_back(Output::KeepClock(record));
        }
        BroadcastEvent::Reevaluate
    }

    /// Moves contacts dated by an unconfirmed clock to the new time. All other contacts
    /// end, so that none spans the jump.
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
            // The key in use has numbers whose dates stay.
            self.rotation.drop_key();
        }
        let next_key = self.rotation.next_key();
        let redating = self.timekeeping.jumped(before, now, jump, next_key);
        let dated = before >= CLOCK_FLOOR;
        // Contacts dated by an impossible clock are in memory alone, and all of them
        // move.
        let since = if dated { since } else { UnixTime(0) };
        let stays = was_right || (dated && now.wall < CLOCK_FLOOR);
        if dated {
            // Stored with the old dates, then moved with the other stored contacts.
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

    /// The moment that a sighting is dated by. While the wall clock is impossible, this
    /// is the boot-time clock, which does not jump.
    pub(super) fn dating_moment(now: Moment) -> Moment {
        match now.wall >= CLOCK_FLOOR {
            true => now,
            false => Moment {
                wall: UnixTime(now.boot.as_secs()),
                ..now
            },
        }
    }

    /// Destroys what is certainly older than the retention.
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
