//! Pauses: which requests keep the daemon off the air, and until when.
//!
//! Several requests may hold at once: a person pauses for an hour, a program while it
//! measures something. The daemon broadcasts again when the last one has ended. A hold of a
//! program ends when the program leaves the bus. A person's pause outlives restarts, so its
//! sum is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use tcn_protocol::UnixTime;

use super::{BootId, ClockRecord, Moment};

/// Whether to stay off the air, and until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pause {
    /// Not paused.
    #[default]
    No,
    /// Until this time.
    Until(UnixTime),
    /// Until a person resumes.
    UntilResumed,
}

impl Pause {
    /// What is left of it after a restart of the process. In the same boot the boot-time
    /// clock decides. In another boot the wall clock decides, but the pause gets no longer
    /// than it was when `record` was written, and no shorter while the clock is doubted to
    /// be `ahead`.
    #[must_use]
    pub fn resumed(
        self,
        now: Moment,
        boot_id: Option<BootId>,
        record: &ClockRecord,
        ahead: bool,
    ) -> Self {
        let Self::Until(end) = self else {
            return self;
        };
        let was_left = end.0.saturating_sub(record.at.wall.0);
        let same = boot_id.is_some() && boot_id == record.boot_id;
        let passed = if same {
            now.boot.saturating_sub(record.at.boot)
        } else {
            now.boot
        };
        let longest = was_left.saturating_sub(passed.as_secs());
        let left = match same || ahead {
            true => longest,
            false => end.0.saturating_sub(now.wall.0).min(longest),
        };
        match left {
            0 => Self::No,
            left => Self::Until(now.wall.after(Duration::from_secs(left))),
        }
    }
}

/// One request to stay off the air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The reason, for people.
    pub reason: String,
    /// The program that asks, by the name of its desktop file; may be empty.
    pub application_id: String,
    /// The bus name that it ends with; `None` for a pause that stays.
    pub owner: Option<String>,
    /// When it ends; `None` for "until resumed". The boot-time clock decides.
    pub ends: Option<Moment>,
}

impl Hold {
    /// The pause that this hold alone makes.
    pub fn pause(&self) -> Pause {
        self.ends
            .map_or(Pause::UntilResumed, |end| Pause::Until(end.wall))
    }
}

/// All holds, by cookie.
#[derive(Debug, Default)]
pub struct Holds {
    holds: BTreeMap<u32, Hold>,
    last_cookie: u32,
}

impl Holds {
    /// The holds after a restart of the daemon: the pause that was stored.
    pub fn resumed(pause: Pause, now: Moment) -> Self {
        let mut holds = Self::default();
        let ends = match pause {
            Pause::No => return holds,
            Pause::Until(at) => {
                let left = Duration::from_secs(at.0.saturating_sub(now.wall.0));
                Some(now.later(left))
            }
            Pause::UntilResumed => None,
        };
        holds.add(Hold {
            reason: "asked for before the daemon was restarted".to_owned(),
            application_id: String::new(),
            owner: None,
            ends,
        });
        holds
    }

    /// Holds at once. More are refused, since a caller could otherwise fill the memory.
    pub const MAX: usize = 32;

    /// Adds a hold and returns its cookie, which is never zero; `None` if there are too many.
    pub fn add(&mut self, hold: Hold) -> Option<u32> {
        if self.holds.len() >= Self::MAX {
            return None;
        }
        self.last_cookie = self.last_cookie.checked_add(1).unwrap_or(1);
        while self.holds.contains_key(&self.last_cookie) {
            self.last_cookie = self.last_cookie.checked_add(1).unwrap_or(1);
        }
        self.holds.insert(self.last_cookie, hold);
        Some(self.last_cookie)
    }

    /// Ends one hold; false if no hold has that cookie.
    pub fn remove(&mut self, cookie: u32) -> bool {
        self.holds.remove(&cookie).is_some()
    }

    /// Ends all holds.
    pub fn clear(&mut self) {
        self.holds.clear();
    }

    /// Ends the holds of a program that left the bus.
    pub fn client_disconnected(&mut self, owner: &str) {
        self.holds
            .retain(|_, hold| hold.owner.as_deref() != Some(owner));
    }

    /// Ends the holds whose time is over.
    pub fn expire(&mut self, now: Moment) {
        self.holds
            .retain(|_, hold| hold.ends.is_none_or(|end| end.boot > now.boot));
    }

    /// Dates the ends again, after the wall clock was set. Nothing else moves them, so the
    /// same pause always ends at the same second.
    pub fn redate(&mut self, now: Moment) {
        for end in self
            .holds
            .values_mut()
            .filter_map(|hold| hold.ends.as_mut())
        {
            *end = now.later(end.boot.saturating_sub(now.boot));
        }
    }

    /// When the next one ends by itself.
    pub fn next_end(&self) -> Option<Duration> {
        let ends = self.holds.values().filter_map(|hold| hold.ends);
        ends.map(|end| end.boot).min()
    }

    /// The sum of all holds.
    pub fn sum(&self) -> Pause {
        Self::sum_of(self.holds.values())
    }

    /// The sum of the holds that no program owns: what a restart must keep.
    pub fn lasting(&self) -> Pause {
        Self::sum_of(self.holds.values().filter(|hold| hold.owner.is_none()))
    }

    /// The holds with their cookies, for people to see.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Hold)> {
        self.holds.iter().map(|(cookie, hold)| (*cookie, hold))
    }

    fn sum_of<'a>(holds: impl Iterator<Item = &'a Hold>) -> Pause {
        holds.fold(Pause::No, |sum, hold| match (sum, hold.pause()) {
            (Pause::Until(one), Pause::Until(other)) => Pause::Until(one.max(other)),
            (Pause::UntilResumed, _) => sum,
            (_, pause) => pause,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(ends: Option<u64>, owner: Option<&str>) -> Hold {
        Hold {
            reason: "test".into(),
            application_id: String::new(),
            owner: owner.map(str::to_owned),
            ends: ends.map(at),
        }
    }

    fn at(boot: u64) -> Moment {
        Moment::new(Duration::from_secs(boot), UnixTime(1_000_000 + boot))
    }

    #[test]
    fn the_longest_hold_counts() {
        let mut holds = Holds::default();
        assert_eq!(holds.sum(), Pause::No);
        holds.add(hold(Some(10), None)).unwrap();
        holds.add(hold(Some(30), Some(":1.7"))).unwrap();
        assert_eq!(holds.sum(), Pause::Until(UnixTime(1_000_030)));
        assert_eq!(holds.lasting(), Pause::Until(UnixTime(1_000_010)));
        assert_eq!(holds.next_end(), Some(Duration::from_secs(10)));
        holds.expire(at(10));
        assert_eq!(holds.lasting(), Pause::No);
        let forever = holds.add(hold(None, None)).unwrap();
        assert_eq!(holds.sum(), Pause::UntilResumed);
        assert!(holds.remove(forever) && !holds.remove(forever));
        holds.client_disconnected(":1.7");
        assert_eq!(holds.sum(), Pause::No);
    }

    #[test]
    fn only_a_wall_clock_that_was_set_moves_the_end() {
        let mut holds = Holds::default();
        holds.add(hold(Some(30), None)).unwrap();
        holds.expire(Moment::new(
            Duration::from_millis(9_999),
            UnixTime(1_000_009),
        ));
        assert_eq!(holds.sum(), Pause::Until(UnixTime(1_000_030)));
        holds.redate(Moment::new(Duration::from_secs(10), UnixTime(2_000_000)));
        assert_eq!(holds.sum(), Pause::Until(UnixTime(2_000_020)));
        assert_eq!(holds.next_end(), Some(Duration::from_secs(30)));
    }

    #[test]
    fn cookies_are_never_zero_and_holds_are_bounded() {
        let mut holds = Holds {
            last_cookie: u32::MAX - 1,
            ..Holds::default()
        };
        let cookies: Vec<_> = (0..Holds::MAX)
            .map(|_| holds.add(hold(None, None)).unwrap())
            .collect();
        assert!(cookies.iter().all(|cookie| *cookie != 0));
        assert_eq!(holds.add(hold(None, None)), None);
        holds.clear();
        assert!(holds.add(hold(None, None)).is_some());
    }
}
