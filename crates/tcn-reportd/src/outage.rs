//! A fault that lasts is told when it begins and when it is over, not each time
//! that somebody meets it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Causes of one outage that are told; more than these take turns.
const CAUSES: usize = 4;

/// One kind of work that can fail, and whether it does.
pub(super) struct Outage {
    severity: Severity,
    begins: &'static str,
    over: &'static str,
    lasts: AtomicBool,
    told: Mutex<Told>,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// Somebody is refused what they came for.
    Error,
    /// It is done later.
    Warning,
}

#[derive(Default)]
struct Told {
    causes: Vec<String>,
    failures: u64,
}

impl Outage {
    /// Of work that does not fail yet: what is said when it begins to, and when
    /// it is done again.
    pub(super) const fn new(severity: Severity, begins: &'static str, over: &'static str) -> Self {
        Self {
            severity,
            begins,
            over,
            lasts: AtomicBool::new(false),
            told: Mutex::new(Told {
                causes: Vec::new(),
                failures: 0,
            }),
        }
    }

    /// It failed so many times, for this cause. Says whether that was told.
    pub(super) fn failed(&self, cause: &dyn fmt::Display, failures: u64) -> bool {
        let cause = cause.to_string();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.lasts.store(true, Ordering::Relaxed);
        told.failures += failures;
        let is_new = told.causes.len() < CAUSES && !told.causes.contains(&cause);
        if is_new {
            match self.severity {
                Severity::Error => tracing::error!(fault = cause, "{}", self.begins),
                Severity::Warning => tracing::warn!(fault = cause, "{}", self.begins),
            }
            told.causes.push(cause);
        }
        is_new
    }

    /// It was done. Says whether that ends an outage.
    pub(super) fn succeeded(&self) -> bool {
        if !self.lasts.load(Ordering::Relaxed) {
            return false;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.lasts.store(false, Ordering::Relaxed);
        let Told { causes, failures } = std::mem::take(&mut *told);
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
        let told = (0..100).filter(|n| outage.failed(n, 1)).count();
        assert_eq!(told, CAUSES);
    }
}
