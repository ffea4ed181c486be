//! A log that drops everything, for a bus side that is served without a daemon.

use tcnd::bus::Log;
use tcnd_logging::{LogLevel, LogTarget};

pub(crate) struct SilentLog;

impl Log for SilentLog {
    fn level(&self) -> LogLevel {
        LogLevel::Notice
    }

    fn set_level(&self, _: LogLevel) {}

    fn target(&self) -> LogTarget {
        LogTarget::Console
    }

    fn set_target(&self, target: LogTarget) -> bool {
        target == LogTarget::Console
    }

    fn reset(&self) {}
}
