//! What systemd is told: READY, STATUS, WATCHDOG, STOPPING (sd_notify(3)).
//!
//! The watchdog is fed by the very loop that rotates numbers, and only while
//! no number is overdue: a daemon that cannot take its number off the air must
//! not look alive. Outside systemd all of this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

#[derive(Debug)]
pub(super) struct Notifier {
    feed_every: Option<Duration>,
    next_feed: Duration,
    last_status: String,
}

impl Notifier {
    pub(super) fn new() -> Self {
        Self {
            // Half the limit, as sd_watchdog_enabled(3) advises.
            feed_every: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            next_feed: Duration::ZERO,
            last_status: String::new(),
        }
    }

    pub(super) fn reloading(&self) {
        if let Ok(when) = NotifyState::monotonic_usec_now() {
            send(&[NotifyState::Reloading, when]);
        }
    }

    pub(super) fn stopping(&self) {
        send(&[NotifyState::Stopping]);
    }

    /// Tells the status, if it is another than before.
    pub(super) fn status(&mut self, status: &str) {
        if status != self.last_status {
            status.clone_into(&mut self.last_status);
            send(&[NotifyState::Status(status)]);
        }
    }

    /// Feeds the watchdog when it is time; `boot` is now.
    pub(super) fn feed(&mut self, boot: Duration) {
        if let Some(every) = self.feed_every
            && boot >= self.next_feed
        {
            self.next_feed = boot + every;
            send(&[NotifyState::Watchdog]);
        }
    }

    /// When the watchdog is to be fed next.
    pub(super) fn next_feed(&self) -> Option<Duration> {
        self.feed_every.map(|_| self.next_feed)
    }
}

/// Tells systemd that the start is over.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(fault) = sd_notify::notify(state) {
        tracing::debug!(%fault, "systemd did not take a notification");
    }
}
