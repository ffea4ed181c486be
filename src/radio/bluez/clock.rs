//! The radio's own clock, for what it schedules: outbound connections, and how long a
//! controller keeps its address. It stops in suspend, as the kernel's Bluetooth timers do,
//! and its times are used nowhere else.

use std::time::Duration;

use tokio::time::Instant;

/// Time since the radio was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel's timers, which are awaited here, stand still in suspend too"
    )]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
