//! Follows timedated, which reports whether the kernel's clock is synchronised.
//!
//! The daemon may not ask the kernel itself: adjtimex(2) is among the system calls that
//! `ProtectClock=` denies (systemd.exec(5)). The property `NTPSynchronized` has that
//! same answer, whichever program synchronises the clock
//! (org.freedesktop.timedate1(5)). It sends no signal, so it is read again after a
//! while, and at once when the clock was set or the machine woke. On a system without
//! timedated, the clock counts as not synchronised.

use std::time::Duration;

use tcn_engine::backoff;
use tokio::time::timeout;
use zbus::proxy::CacheProperties;
use zbus::{Connection, proxy};

use crate::daemon::Handle;
use crate::daemon::clock::{self, Jumps};

/// How long timedated may take to answer; the bus may have to start it.
const TIMEOUT: Duration = Duration::from_secs(25);

/// The first wait, doubled while the clock is not synchronised.
const FIRST_WAIT: Duration = Duration::from_secs(30);

/// The longest wait, and the one while the clock is synchronised.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[proxy(
    interface = "org.freedesktop.timedate1",
    default_service = "org.freedesktop.timedate1",
    default_path = "/org/freedesktop/timedate1"
)]
trait TimeDate {
    #[zbus(property(emits_changed_signal = "false"), name = "NTPSynchronized")]
    fn ntp_synchronized(&self) -> zbus::Result<bool>;
}

/// Reports to the daemon whether the clock is synchronised, for as long as there is a
/// bus.
pub async fn watch_timedated(connection: Connection, handle: Handle) {
    let jumps = match Jumps::new() {
        Ok(jumps) => jumps,
        Err(error) => {
            return tracing::warn!(%error, "cannot watch for clock changes; the clock counts as not synchronised");
        }
    };
    let mut failures = 0;
    loop {
        let asked = clock::now();
        let synchronised = timeout(TIMEOUT, ask(&connection)).await;
        let synchronised = matches!(synchronised, Ok(Ok(true)));
        handle.synchronised(asked, synchronised).await;
        match timeout(wait(&mut failures, synchronised), jumps.jumped()).await {
            Err(_elapsed) => {}
            Ok(Ok(())) => failures = 0,
            Ok(Err(error)) => {
                return tracing::warn!(%error, "can no longer watch for clock changes");
            }
        }
    }
}

/// The wait after an answer. `failures` counts the answers in a row that the clock is not
/// synchronised.
fn wait(failures: &mut u32, synchronised: bool) -> Duration {
    if synchronised {
        *failures = 0;
        return LONGEST_WAIT;
    }
    *failures = failures.saturating_add(1);
    backoff(FIRST_WAIT, LONGEST_WAIT, *failures)
}

async fn ask(connection: &Connection) -> zbus::Result<bool> {
    let timedated = TimeDateProxy::builder(connection)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    timedated.ntp_synchronized().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_lost_is_asked_for_again_soon() {
        let mut failures = 0;
        let answers = [false, false, false, true, true, false, false];
        let waits = answers.map(|synchronised| wait(&mut failures, synchronised).as_secs());
        assert_eq!(waits, [30, 60, 120, 3600, 3600, 30, 60]);
        let long: Vec<_> = (0..10).map(|_| wait(&mut failures, false)).collect();
        assert_eq!(long.last(), Some(&LONGEST_WAIT));
    }
}
