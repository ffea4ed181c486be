//! Timers of the kernel, timerfd_create(2), awaited.
//!
//! tokio's own timers stand still while the machine sleeps. They also wake the process more
//! than once: tokio writes to an eventfd when a new timer is the next one, and its wheel of
//! slots of 64 ms wakes in between to sort a timer in again. So what waits over suspend, or
//! five times a second, waits by these.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

pub(crate) use rustix::time::TimerfdClockId;
use rustix::time::{
    Itimerspec, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer on one of the kernel's clocks.
#[derive(Debug)]
pub(crate) struct Timer(AsyncFd<OwnedFd>);

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// The time has come.
    Expired,
    /// The wall clock was set.
    ClockSet,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// If the kernel refuses it, for want of descriptors.
    #[expect(
        deprecated,
        reason = "its unsafe successor asks that the descriptor stay open while watched, as an \
                  OwnedFd does; this crate does without unsafe here"
    )]
    pub(crate) fn new(clock: TimerfdClockId) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(timerfd_create(clock, flags)?)?))
    }

    /// Sets it to a time of its clock; one that is past expires at once.
    ///
    /// # Errors
    /// If the kernel refuses the time.
    pub(crate) fn set_at(&self, at: Duration) -> io::Result<()> {
        self.set(TimerfdTimerFlags::ABSTIME, timespec(at))
    }

    /// Sets it to a time from now.
    ///
    /// # Errors
    /// If the kernel refuses the time.
    #[cfg(feature = "bluez")]
    pub(crate) fn set_after(&self, after: Duration) -> io::Result<()> {
        self.set(TimerfdTimerFlags::empty(), timespec(after))
    }

    /// Sets it, on [`TimerfdClockId::Realtime`], to expire when the wall clock is set.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub(crate) fn set_until_clock_set(&self) -> io::Result<()> {
        let never = Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        self.set(flags, never)
    }

    fn set(&self, flags: TimerfdTimerFlags, at: Timespec) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: at,
        };
        timerfd_settime(self.0.get_ref(), flags, &once)?;
        Ok(())
    }

    /// Waits until it expires.
    ///
    /// # Errors
    /// If the timer cannot be read.
    pub(crate) async fn expired(&self) -> io::Result<Expiry> {
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut [0u8; 8])?));
            match read {
                Ok(Ok(_)) => return Ok(Expiry::Expired),
                Ok(Err(fault)) if fault.raw_os_error() == Some(CANCELLED) => {
                    return Ok(Expiry::ClockSet);
                }
                Ok(Err(fault)) => return Err(fault),
                Err(_would_block) => {}
            }
        }
    }
}

const CANCELLED: i32 = rustix::io::Errno::CANCELED.raw_os_error();

/// All zeroes would switch a timer off, so the shortest time is a nanosecond.
fn timespec(time: Duration) -> Timespec {
    let time = time.max(Duration::from_nanos(1));
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
