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
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tcn_engine::{BootId, CLOCK_FLOOR, Moment};
use tcn_protocol::UnixTime;
use tokio::io::unix::AsyncFd;

use super::refusal::Refusal;

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
pub(super) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Boottime, FLAGS)?;
        Ok(Self(watch(fd)?))
    }

    /// Rings at `at`, or at once if that is past.
    pub(super) fn set(&self, at: Duration) -> io::Result<()> {
        // All zeroes would switch it off.
        let at = at.max(Duration::from_nanos(1));
        arm(&self.0, TimerfdTimerFlags::ABSTIME, timespec(at))
    }

    /// Waits until it rings.
    pub(super) async fn rang(&self) -> io::Result<()> {
        expired(&self.0).await.map(|_| ())
    }
}

/// Wakes when the wall clock is set and when the machine resumes.
#[derive(Debug)]
pub struct Jumps(AsyncFd<OwnedFd>);

impl Jumps {
    /// Wakes from now on.
    ///
    /// # Errors
    /// If the kernel refuses the timer.
    pub fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Realtime, FLAGS)?;
        let jumps = Self(watch(fd)?);
        jumps.arm()?;
        Ok(jumps)
    }

    /// Waits for the next jump.
    ///
    /// # Errors
    /// If the timer cannot be read or set again.
    pub async fn jumped(&self) -> io::Result<()> {
        while expired(&self.0).await? != Expiry::Cancelled {}
        self.arm()
    }

    fn arm(&self) -> io::Result<()> {
        let never = Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        arm(&self.0, flags, never)
    }
}

#[expect(
    deprecated,
    reason = "its unsafe successor asks that the descriptor stay open while watched, as an OwnedFd \
              does; this room does without unsafe"
)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

const FLAGS: TimerfdFlags = TimerfdFlags::NONBLOCK.union(TimerfdFlags::CLOEXEC);

#[derive(PartialEq, Eq)]
enum Expiry {
    Rang,
    Cancelled,
}

fn arm(fd: &AsyncFd<OwnedFd>, flags: TimerfdTimerFlags, at: Timespec) -> io::Result<()> {
    let once = Itimerspec {
        it_interval: Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: at,
    };
    timerfd_settime(fd.get_ref(), flags, &once)?;
    Ok(())
}

async fn expired(fd: &AsyncFd<OwnedFd>) -> io::Result<Expiry> {
    loop {
        let mut ready = fd.readable().await?;
        let read = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut [0u8; 8])?));
        match read {
            Ok(Ok(_)) => return Ok(Expiry::Rang),
            Ok(Err(fault)) if fault.raw_os_error() == Some(CANCELLED) => {
                return Ok(Expiry::Cancelled);
            }
            Ok(Err(fault)) => return Err(fault),
            Err(_would_block) => {}
        }
    }
}

const CANCELLED: i32 = rustix::io::Errno::CANCELED.raw_os_error();

fn timespec(at: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at.subsec_nanos()),
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
