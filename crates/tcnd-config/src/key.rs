//! The keys of the configuration.

use std::fmt;

/// The keys that can be configured, in the order of the shipped file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Consent: `true` and `false` decide, absent leaves it to `tcnctl enable`.
    Enabled,
    /// How tcnd takes part: a [`Mode`](super::Mode).
    Mode,
    /// The adapter to use, by its device address or its kernel name.
    Adapter,
    /// How much to listen: a [`Listen`](tcn_engine::Listen).
    Listen,
    /// Longest time one number stays on the air.
    TcnPeriod,
    /// By how much a period may be shortened at random.
    TcnJitter,
    /// Longest time one report key is used.
    ReportKeyLife,
    /// How long keys and contacts are kept.
    Retention,
    /// Longest time a sighting waits in memory.
    Flush,
    /// How often discovery is restarted.
    DiscoveryRestart,
    /// How long a carried number stays on the air at a time.
    BridgeSlot,
    /// The kernel's timeout of resolvable private addresses.
    RpaTimeout,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 12] = [
        Self::Enabled,
        Self::Mode,
        Self::Adapter,
        Self::Listen,
        Self::TcnPeriod,
        Self::TcnJitter,
        Self::ReportKeyLife,
        Self::Retention,
        Self::Flush,
        Self::DiscoveryRestart,
        Self::BridgeSlot,
        Self::RpaTimeout,
    ];

    /// The names of all keys.
    pub(super) const NAMES: [&str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    /// The name of the key in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Mode => "mode",
            Self::Adapter => "adapter",
            Self::Listen => "listen",
            Self::TcnPeriod => "tcn_period",
            Self::TcnJitter => "tcn_jitter",
            Self::ReportKeyLife => "report_key_life",
            Self::Retention => "retention",
            Self::Flush => "flush",
            Self::DiscoveryRestart => "discovery_restart",
            Self::BridgeSlot => "bridge_slot",
            Self::RpaTimeout => "rpa_timeout",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
