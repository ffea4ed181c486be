//! The only source of time and randomness for this program.

use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use rustix::time::{ClockId, clock_gettime};
use tcn_protocol::UnixTime;

/// The wall clock: servers count their intervals by it.
pub(super) fn now() -> UnixTime {
    let now = clock_gettime(ClockId::Realtime).tv_sec;
    UnixTime(u64::try_from(now).unwrap_or(0))
}

/// The operating system's generator, for names of files and for waits.
pub(super) fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
