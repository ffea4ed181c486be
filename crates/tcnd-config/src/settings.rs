//! The settings for other modules: checked values, without files.

use std::time::Duration;

use tcn_engine::Policy;

use super::fragment::{Fragment, Located};
use super::{AdapterChoice, Diagnostic, DiagnosticKind, Key, Mode};

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

const fn hours(n: u64) -> Duration {
    minutes(n * 60)
}

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `Some` decides whether tcnd takes part; `None` leaves it to
    /// `tcnctl enable` and `disable`.
    pub consent: Option<bool>,
    /// How tcnd takes part.
    pub mode: Mode,
    /// The adapter to use; `None` takes the first usable one.
    pub adapter: Option<AdapterChoice>,
    /// The engine's parameters.
    pub policy: Policy,
    /// How often discovery is restarted, in case it has silently stalled.
    pub discovery_restart: Duration,
    /// The kernel's timeout of resolvable private addresses, after which a
    /// controller takes a new one.
    pub rpa_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consent: None,
            mode: Mode::Broadcast,
            adapter: None,
            policy: Policy::default(),
            discovery_restart: minutes(5),
            // Kernel: include/net/bluetooth/hci_core.h, DEFAULT_RPA_TIMEOUT.
            rpa_timeout: minutes(15),
        }
    }
}

impl Settings {
    /// Adds defaults to the keys that were set, and checks the ranges. After an error
    /// the result serves only to find further errors.
    pub(super) fn resolve(set: &Fragment, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mode = set.mode.as_ref().map_or(Mode::Broadcast, |set| set.value);
        let default = Self::of(mode);
        let mut pick = |key: Key, default: Duration| {
            set.durations.get(&key).map_or(default, |set| {
                diagnostics.extend(range_error(key, set));
                set.value
            })
        };
        let policy = Policy {
            period: pick(Key::TcnPeriod, default.policy.period),
            jitter: pick(Key::TcnJitter, default.policy.jitter),
            key_life: pick(Key::ReportKeyLife, default.policy.key_life),
            retention: pick(Key::Retention, default.policy.retention),
            flush: pick(Key::Flush, default.policy.flush),
            slot: pick(Key::BridgeSlot, default.policy.slot),
            listen: set
                .listen
                .as_ref()
                .map_or(default.policy.listen, |set| set.value),
            relay: default.policy.relay,
        };
        let discovery_restart = pick(Key::DiscoveryRestart, default.discovery_restart);
        let rpa_timeout = pick(Key::RpaTimeout, default.rpa_timeout);
        if diagnostics.is_empty() {
            diagnostics.extend(disagreements(set, &policy));
        }
        Self {
            consent: set.enabled.as_ref().map(|set| set.value),
            mode,
            adapter: set.adapter.as_ref().map(|set| set.value),
            policy,
            discovery_restart,
            rpa_timeout,
        }
    }

    /// The settings that the radio gets when it starts.
    pub fn of_the_radio(&self) -> (Mode, Option<AdapterChoice>, Duration, Duration) {
        let Self {
            mode,
            adapter,
            discovery_restart,
            rpa_timeout,
            ..
        } = *self;
        (mode, adapter, discovery_restart, rpa_timeout)
    }

    /// The longest time a number stays on the air, by policy or by the kernel's
    /// timeout.
    pub fn longest_life(&self) -> Duration {
        let period = self.policy.period;
        match self.mode {
            Mode::Listen | Mode::Broadcast => period,
            Mode::Full | Mode::Relay => period.max(self.rpa_timeout),
        }
    }

    /// The defaults of a mode.
    fn of(mode: Mode) -> Self {
        let mut settings = Self {
            mode,
            ..Self::default()
        };
        if mode == Mode::Relay {
            settings.policy.relay = true;
            // A kiosk is not a person: contacts of passers-by are of use only for a
            // short time.
            settings.policy.retention = hours(6);
        }
        settings
    }
}

/// The range of a duration. The lower limit is what the radio can do, the upper limit
/// what the privacy promises allow.
const fn range(key: Key) -> (Duration, Duration) {
    match key {
        // Above an hour, one number would cover a person's places for half a day.
        Key::TcnPeriod => (Duration::from_secs(10), hours(1)),
        Key::TcnJitter => (Duration::ZERO, minutes(30)),
        // Spec: TCN 6b64d09, README "Report Timespans".
        Key::ReportKeyLife => (minutes(1), hours(6)),
        // 21 days: the longest incubation period that any deployed system assumed.
        Key::Retention => (hours(1), hours(21 * 24)),
        Key::Flush => (Duration::from_secs(1), minutes(5)),
        Key::DiscoveryRestart => (Duration::from_secs(30), hours(1)),
        // A phone that scans to save power sometimes receives a slot of 2 s.
        Key::BridgeSlot => (Duration::from_secs(2), minutes(1)),
        // Kernel: net/bluetooth/hci_debugfs.c, rpa_timeout_set, allows 30 s to 24 h. A
        // number may not stay longer than an hour.
        Key::RpaTimeout => (Duration::from_secs(30), hours(1)),
        Key::Enabled | Key::Mode | Key::Adapter | Key::Listen => (Duration::ZERO, Duration::MAX),
    }
}

fn range_error(key: Key, set: &Located<Duration>) -> Option<Diagnostic> {
    let (least, most) = range(key);
    let error = DiagnosticKind::OutOfRange {
        key,
        value: set.value,
        least,
        most,
    };
    (!(least..=most).contains(&set.value)).then(|| Diagnostic::at(&set.file, set.line, error))
}

/// Rules between two values. The error is reported at the one that was set; the
/// defaults agree with each other.
fn disagreements(set: &Fragment, policy: &Policy) -> Vec<Diagnostic> {
    let Policy {
        period,
        jitter,
        key_life: life,
        retention,
        flush: _,
        slot: _,
        listen: _,
        relay: _,
    } = *policy;
    let blame = |first, second, error| {
        let set = set.durations.get(&first).or(set.durations.get(&second));
        set.map(|set| Diagnostic::at(&set.file, set.line, error))
    };
    let mut found = Vec::new();
    if jitter > period / 2 {
        let error = match set.durations.get(&Key::TcnJitter) {
            Some(_) => DiagnosticKind::JitterTooLong { jitter, period },
            None => DiagnosticKind::PeriodTooShort { jitter },
        };
        found.extend(blame(Key::TcnJitter, Key::TcnPeriod, error));
    }
    if life < period {
        let error = DiagnosticKind::KeyLifeTooShort { life, period };
        found.extend(blame(Key::ReportKeyLife, Key::TcnPeriod, error));
    }
    if retention < life {
        let error = DiagnosticKind::RetentionTooShort { retention, life };
        found.extend(blame(Key::Retention, Key::ReportKeyLife, error));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_keep_their_own_rules() {
        let mut diagnostics = Vec::new();
        let settings = Settings::resolve(&Fragment::default(), &mut diagnostics);
        assert!(disagreements(&Fragment::default(), &settings.policy).is_empty());
        let Policy {
            period,
            jitter,
            key_life,
            retention,
            flush,
            slot,
            listen: _,
            relay: _,
        } = settings.policy;
        for (key, value) in [
            (Key::TcnPeriod, period),
            (Key::TcnJitter, jitter),
            (Key::ReportKeyLife, key_life),
            (Key::Retention, retention),
            (Key::Flush, flush),
            (Key::DiscoveryRestart, settings.discovery_restart),
            (Key::BridgeSlot, slot),
            (Key::RpaTimeout, settings.rpa_timeout),
        ] {
            let (least, most) = range(key);
            assert!((least..=most).contains(&value), "{key}");
        }
        assert!(jitter <= period / 2 && period <= key_life && key_life <= retention);
    }
}
