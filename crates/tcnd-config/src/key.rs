//! The keys of the configuration.

use std::fmt;

/// Declares the keys, each with its name in a file.
macro_rules! keys {
    ($(#[$attribute:meta])* pub enum $key:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$attribute])*
        pub enum $key {
            $($(#[$doc])* $variant,)*
        }

        impl $key {
            /// Every key.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The names of all keys.
            pub(super) const NAMES: &[&str] = &[$($name),*];

            /// The name of the key in a file.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

keys! {
    /// The keys that can be configured, in the order of the shipped file.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Key {
        /// Consent: `true` and `false` decide, absent leaves it to `tcnctl enable`.
        Enabled = "enabled",
        /// How tcnd takes part: a [`Mode`](super::Mode).
        Mode = "mode",
        /// The adapter to use, by its device address or its kernel name.
        Adapter = "adapter",
        /// How much to listen: a [`Listen`](tcn_engine::Listen).
        Listen = "listen",
        /// Longest time one number stays on the air.
        TcnPeriod = "tcn_period",
        /// By how much a period may be shortened at random.
        TcnJitter = "tcn_jitter",
        /// Longest time one report key is used.
        ReportKeyLife = "report_key_life",
        /// How long keys and contacts are kept.
        Retention = "retention",
        /// Longest time a sighting waits in memory.
        Flush = "flush",
        /// How often discovery is restarted.
        DiscoveryRestart = "discovery_restart",
        /// How long a carried number stays on the air at a time.
        BridgeSlot = "bridge_slot",
        /// The kernel's timeout of resolvable private addresses.
        RpaTimeout = "rpa_timeout",
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
