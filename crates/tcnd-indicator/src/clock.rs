//! The only source of time.
//!
//! The wall clock decides: a reminder of tomorrow is for tomorrow, though the computer slept.

use std::future::pending;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::ZonedDateTime;
use tokio::time::timeout;

/// The seconds of a day.
pub(crate) const DAY: u64 = 24 * 3600;

/// Now, in local time.
#[expect(clippy::disallowed_methods, reason = "this is that source")]
pub(crate) fn local() -> ZonedDateTime {
    ZonedDateTime::now()
}

/// Now, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is that source")]
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Waits until a time in seconds since 1970; for ever if there is none. The timer stands still
/// while the computer sleeps, but tcnd takes a new number then, which is a change.
pub(crate) async fn until(time: Option<u64>) {
    let left = time.map(|time| Duration::from_secs(time.saturating_sub(now())));
    match left {
        Some(left) => drop(timeout(left, pending::<()>()).await),
        None => pending().await,
    }
}
