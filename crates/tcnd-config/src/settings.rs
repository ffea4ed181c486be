//! The settings for other modules: checked values, without files.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tcn_engine::Policy;
use thiserror::Error;

use super::fragment::{Fragment, Key, Set};
use super::{Fault, Flaw};

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

/// How tcnd takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A non-connectable advert: heard by all, hears Android and Linux.
    #[default]
    Broadcast,
    /// As the phones do: connectable, so that iPhones can write their numbers, which
    /// are then carried. Needs the kernel's privacy.
    Full,
    /// As `Full`, but without a number of its own: a kiosk.
    Relay,
}

/// The adapter to use. An address identifies the machine, so `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AdapterChoice {
    /// By its device address, most significant byte first. Of several adapters with one
    /// address, which cheap ones can have, the most capable is used.
    Address([u8; 6]),
    /// By the number in the kernel's name for it: 0 is `hci0`. The kernel may give an
    /// adapter another name when it is plugged in again.
    Name(u16),
}

/// Neither six bytes in hexadecimal with colons between, nor `hci` and a number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "expected a device address such as \"AA:BB:CC:DD:EE:FF\", or a kernel name such as \"hci0\""
)]
pub struct NotAnAdapter;

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
    /// Adds defaults to the keys that were set, and checks the ranges. After a fault
    /// the result serves only to find further faults.
    pub(super) fn settle(set: &Fragment, faults: &mut Vec<Fault>) -> Self {
        let mode = set.mode.as_ref().map_or(Mode::Broadcast, |set| set.value);
        let default = Self::of(mode);
        let mut pick = |key: Key, set: &Option<Set<Duration>>, default: Duration| {
            set.as_ref().map_or(default, |set| {
                faults.extend(range_fault(key, set));
                set.value
            })
        };
        let policy = Policy {
            period: pick(Key::TcnPeriod, &set.tcn_period, default.policy.period),
            jitter: pick(Key::TcnJitter, &set.tcn_jitter, default.policy.jitter),
            key_life: pick(
                Key::ReportKeyLife,
                &set.report_key_life,
                default.policy.key_life,
            ),
            retention: pick(Key::Retention, &set.retention, default.policy.retention),
            flush: pick(Key::Flush, &set.flush, default.policy.flush),
            slot: pick(Key::BridgeSlot, &set.bridge_slot, default.policy.slot),
            relay: default.policy.relay,
        };
        let discovery_restart = pick(
            Key::DiscoveryRestart,
            &set.discovery_restart,
            default.discovery_restart,
        );
        let rpa_timeout = pick(Key::RpaTimeout, &set.rpa_timeout, default.rpa_timeout);
        if faults.is_empty() {
            faults.extend(disagreements(set, &policy));
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
            Mode::Broadcast => period,
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

impl FromStr for AdapterChoice {
    type Err = NotAnAdapter;

    fn from_str(text: &str) -> Result<Self, NotAnAdapter> {
        if let Some(number) = text.strip_prefix("hci") {
            let index: u16 = number.parse().map_err(|_| NotAnAdapter)?;
            // "+1" and "01" parse as numbers, but are not kernel names.
            let is_name = index.to_string() == number;
            return is_name.then_some(Self::Name(index)).ok_or(NotAnAdapter);
        }
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or(NotAnAdapter)?;
            if part.len() != 2 || part.starts_with('+') {
                return Err(NotAnAdapter);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| NotAnAdapter)?;
        }
        match parts.next() {
            None => Ok(Self::Address(octets)),
            Some(_) => Err(NotAnAdapter),
        }
    }
}

impl fmt::Debug for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(_) => f.write_str("Address([REDACTED])"),
            Self::Name(index) => write!(f, "Name(hci{index})"),
        }
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
        Key::Enabled | Key::Mode | Key::Adapter => (Duration::ZERO, Duration::MAX),
    }
}

fn range_fault(key: Key, set: &Set<Duration>) -> Option<Fault> {
    let (least, most) = range(key);
    let flaw = Flaw::OutOfRange {
        key,
        value: set.value,
        least,
        most,
    };
    (!(least..=most).contains(&set.value)).then(|| Fault::at(&set.file, set.line, flaw))
}

/// Rules between two values. The fault is reported at the one that was set; the
/// defaults agree with each other.
fn disagreements(set: &Fragment, policy: &Policy) -> Vec<Fault> {
    let Policy {
        period,
        jitter,
        key_life: life,
        retention,
        flush: _,
        slot: _,
        relay: _,
    } = *policy;
    let blame = |first: &Option<Set<Duration>>, second: &Option<Set<Duration>>, flaw: Flaw| {
        let set = first.as_ref().or(second.as_ref());
        set.map(|set| Fault::at(&set.file, set.line, flaw))
    };
    let mut found = Vec::new();
    if jitter > period / 2 {
        let flaw = match set.tcn_jitter {
            Some(_) => Flaw::JitterTooLong { jitter, period },
            None => Flaw::PeriodTooShort { jitter },
        };
        found.extend(blame(&set.tcn_jitter, &set.tcn_period, flaw));
    }
    if life < period {
        let flaw = Flaw::KeyLifeTooShort { life, period };
        found.extend(blame(&set.report_key_life, &set.tcn_period, flaw));
    }
    if retention < life {
        let flaw = Flaw::RetentionTooShort { retention, life };
        found.extend(blame(&set.retention, &set.report_key_life, flaw));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_six_bytes_with_colons_or_a_kernel_name() {
        let address = "AA:bb:00:DD:EE:FF".parse();
        let octets = [0xaa, 0xbb, 0x00, 0xdd, 0xee, 0xff];
        assert_eq!(address, Ok(AdapterChoice::Address(octets)));
        assert_eq!("hci0".parse(), Ok(AdapterChoice::Name(0)));
        assert_eq!("hci65535".parse(), Ok(AdapterChoice::Name(u16::MAX)));
        for text in [
            "",
            "hci",
            "hci+1",
            "hci01",
            "hci65536",
            "HCI0",
            "hci0 ",
            "fake0",
            "AA:BB:CC:DD:EE",
            "AA:BB:CC:DD:EE:FF:00",
            "AABBCCDDEEFF",
            "+A:BB:CC:DD:EE:FF",
            "AA:BB:CC:DD:EE:GG",
        ] {
            assert_eq!(text.parse::<AdapterChoice>(), Err(NotAnAdapter), "{text}");
        }
    }

    #[test]
    fn debug_does_not_tell_the_address() {
        let address: AdapterChoice = "AA:BB:CC:DD:EE:FF".parse().unwrap();
        let shown = format!("{address:?}").to_lowercase();
        assert!(!shown.contains("aa") && !shown.contains("170"), "{shown}");
    }

    #[test]
    fn the_defaults_keep_their_own_rules() {
        let mut faults = Vec::new();
        let settings = Settings::settle(&Fragment::default(), &mut faults);
        assert!(disagreements(&Fragment::default(), &settings.policy).is_empty());
        let Policy {
            period,
            jitter,
            key_life,
            retention,
            flush,
            slot,
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
