//! Logs a lasting error when it begins and when it is over, not at each occurrence.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most causes of one outage that are logged.
const CAUSES: usize = 4;

/// One kind of work that can fail, and whether it fails now.
pub(super) struct Outage {
    severity: Severity,
    begins: &'static str,
    over: &'static str,
    lasts: AtomicBool,
    log: Mutex<OutageLog>,
}

/// The severity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// A client is refused.
    Error,
    /// The work is done later.
    Warning,
}

#[derive(Default)]
struct OutageLog {
    causes: Vec<String>,
    failures: u64,
}

impl Outage {
    /// Work that does not fail yet, with the log messages for the start and the end of
    /// an outage.
    pub(super) const fn new(severity: Severity, begins: &'static str, over: &'static str) -> Self {
        Self {
            severity,
            begins,
            over,
            lasts: AtomicBool::new(false),
            log: Mutex::new(OutageLog {
                causes: Vec::new(),
                failures: 0,
            }),
        }
    }

    /// The work failed this many times, for this cause. Returns whether that was
    /// logged.
    pub(super) fn failed(&self, cause: &dyn fmt::Display, failures: u64) -> bool {
        let cause = cause.to_string();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        self.lasts.store(true, Ordering::Relaxed);
        log.failures += failures;
        let is_new = log.causes.len() < CAUSES && !log.causes.contains(&cause);
        if is_new {
            match self.severity {
                Severity::Error => tracing::error!(fault = cause, "{}", self.begins),
                Severity::Warning => tracing::warn!(fault = cause, "{}", self.begins),
            }
            log.causes.push(cause);
        }
        is_new
    }

    /// The work succeeded. Returns whether that ends an outage.
    pub(super) fn succeeded(&self) -> bool {
        if !self.lasts.load(Ordering::Relaxed) {
            return false;
        }
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        self.lasts.store(false, Ordering::Relaxed);
        let OutageLog { causes, failures } = std::mem::take(&mut *log);
        let lasted = !causes.is_empty();
        if lasted {
            tracing::info!(failures, "{}", self.over);
        }
        lasted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_it_begins_and_when_it_is_over() {
        let outage = Outage::new(Severity::Error, "it fails", "it works again");
        assert!(!outage.succeeded());
        assert!(outage.failed(&"full", 1));
        for _ in 0..100 {
            assert!(!outage.failed(&"full", 1));
        }
        assert!(outage.failed(&"locked", 1) && !outage.failed(&"full", 1));
        assert!(outage.succeeded() && !outage.succeeded());
        assert!(outage.failed(&"full", 1));
    }

    #[test]
    fn causes_that_take_turns_are_bounded() {
        let outage = Outage::new(Severity::Warning, "it fails", "it works again");
        let log = (0..100).filter(|n| outage.failed(n, 1)).count();
        assert_eq!(log, CAUSES);
    }
}
