//! The only source of time.
//!
//! Two clocks: `CLOCK_BOOTTIME`, which counts suspend, for every duration, and
//! the wall clock for what people and reports speak of. Timers run on the
//! former too (timerfd_create(2)), because a tokio timer stands still while
//! the machine sleeps and would let a number go on the air again next morning.
//! A second timer never expires; the kernel cancels it when the wall clock is
//! set and when the machine resumes (`TFD_TIMER_CANCEL_ON_SET`), which tells
//! us of both without a query.

use std::io;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};
use tcn_engine::{BootId, CLOCK_FLOOR, Moment};
use tcn_protocol::UnixTime;

use super::refusal::Refusal;
use crate::timerfd::{Expiry, Timer, TimerfdClockId};

/// Now, by both clocks.
pub fn now() -> Moment {
    let wall = clock_gettime(ClockId::Realtime).tv_sec;
    Moment::new(
        since_boot(clock_gettime(ClockId::Boottime)),
        UnixTime(u64::try_from(wall).unwrap_or(0)),
    )
}

/// Now, unless the wall clock cannot be right.
pub(super) fn plausible() -> Result<Moment, Refusal> {
    let now = Some(now()).filter(|now| now.wall >= CLOCK_FLOOR);
    now.ok_or(Refusal::Clock)
}

/// What the wall clock showed at `boot`, as it is set now.
pub(super) fn wall_at(now: Moment, boot: Duration) -> UnixTime {
    now.wall.before(now.boot.saturating_sub(boot))
}

/// Which boot this is: the id as given, such as systemd's `%b`, else as the kernel
/// tells it (`/proc/sys/kernel/random/boot_id`, random(4)). `None` if neither is
/// to be had.
pub fn boot_id(given: Option<&str>) -> Option<BootId> {
    const KERNELS: &str = "/proc/sys/kernel/random/boot_id";
    let id = match given {
        Some(id) => id.to_owned(),
        None => std::fs::read_to_string(KERNELS).ok()?,
    };
    let digits: String = id.trim().chars().filter(|c| *c != '-').collect();
    let id = u128::from_str_radix(&digits, 16).ok()?;
    // The bits that are random in a UUID of version 4, and fit SQLite's integers.
    u64::try_from(id & u128::from(u64::MAX >> 2))
        .ok()
        .map(BootId)
}

/// Time spent suspended since boot.
pub(super) fn slept() -> Duration {
    let awake = since_boot(clock_gettime(ClockId::Monotonic));
    since_boot(clock_gettime(ClockId::Boottime)).saturating_sub(awake)
}

fn since_boot(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A timer on the boot-time clock.
#[derive(Debug)]
pub(super) struct Alarm(Timer);

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Timer::new(TimerfdClockId::Boottime)?))
    }

    /// Rings at `at`, or at once if that is past.
    pub(super) fn set(&self, at: Duration) -> io::Result<()> {
        self.0.set_at(at)
    }

    /// Waits until it rings.
    pub(super) async fn rang(&self) -> io::Result<()> {
        self.0.expired().await.map(drop)
    }
}

/// Wakes when the wall clock is set and when the machine resumes.
#[derive(Debug)]
pub struct Jumps(Timer);

impl Jumps {
    /// Wakes from now on.
    ///
    /// # Errors
    /// If the kernel refuses the timer.
    pub fn new() -> io::Result<Self> {
        let jumps = Self(Timer::new(TimerfdClockId::Realtime)?);
        jumps.0.set_until_clock_set()?;
        Ok(jumps)
    }

    /// Waits for the next jump.
    ///
    /// # Errors
    /// If the timer cannot be read or set again.
    pub async fn jumped(&self) -> io::Result<()> {
        while self.0.expired().await? != Expiry::ClockSet {}
        self.0.set_until_clock_set()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_rings_when_it_is_due_and_not_before() {
        let alarm = Alarm::new().unwrap();
        let due = now().boot + Duration::from_millis(30);
        alarm.set(due).unwrap();
        alarm.rang().await.unwrap();
        assert!(now().boot >= due);
        alarm.set(Duration::ZERO).unwrap();
        tokio::time::timeout(Duration::from_secs(5), alarm.rang())
            .await
            .unwrap()
            .unwrap();
    }

    #[test]
    fn a_boot_is_known_by_its_id() {
        let id = boot_id(Some("0123456789abcdef0123456789abcdef")).unwrap();
        let same = boot_id(Some("01234567-89ab-cdef-0123-456789abcdef\n"));
        assert_eq!(same, Some(id));
        let other = boot_id(Some("0123456789abcdef0123456789abcdee"));
        assert!(other.is_some_and(|other| other != id));
        assert_eq!(boot_id(Some("%b")), None);
        assert_eq!(boot_id(None), boot_id(None));
    }

    #[tokio::test]
    async fn jumps_stay_quiet_while_the_clock_runs_evenly() {
        let jumps = Jumps::new().unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(50), jumps.jumped()).await;
        assert!(quiet.is_err());
    }
}
