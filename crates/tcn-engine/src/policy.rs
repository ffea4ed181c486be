//! The settings of the engine: the mode, how long a number, a key and a contact live, and how
//! much to listen.

use std::time::Duration;

use super::Listen;

/// The settings that the engine follows. `tcnd-config` checks their ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Longest life of one number on the air. Spec: TCN 6b64d09, README
    /// "TCN Generation", every quarter of an hour.
    pub period: Duration,
    /// Each life is shortened by a random part of this, so that rotations are not regular and
    /// cannot be counted through a silence.
    pub jitter: Duration,
    /// Longest span of numbers that one report links. Spec: TCN 6b64d09,
    /// README "Report Timespans and Key Rotation", six hours or less.
    pub key_life: Duration,
    /// Age at which contacts and keys are destroyed.
    pub retention: Duration,
    /// How often deltas of contacts are written; also the most that a crash can lose.
    pub flush: Duration,
    /// How long a carried number is on the air at a time, and our own between two carried
    /// ones.
    pub slot: Duration,
    /// How much to listen.
    pub listen: Listen,
    /// Carry the numbers of others, and broadcast no number of our own.
    pub relay: bool,
}

impl Default for Policy {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            period: 15 * MINUTE,
            jitter: MINUTE,
            key_life: 6 * 60 * MINUTE,
            retention: 14 * 24 * 60 * MINUTE,
            flush: MINUTE,
            slot: Duration::from_secs(20),
            listen: Listen::Auto,
            relay: false,
        }
    }
}

/// The mode of participation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It listens only: what is left of `Relay` where peers may not connect. It cannot be
    /// configured.
    Listen,
    /// A non-connectable advert: heard by all, hears Android and Linux.
    #[default]
    Broadcast,
    /// As the phones do: connectable, so that iPhones can write their numbers, which
    /// are then carried. The radio connects to peers too. Needs the kernel's privacy.
    Full,
    /// As `Full`, but without a number of its own, and it connects to no peer: a kiosk.
    Relay,
}

impl Mode {
    /// The modes that can be configured.
    pub const CONFIGURABLE: [Self; 3] = [Self::Broadcast, Self::Full, Self::Relay];

    /// The mode as it is written in a file, and told on the bus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Broadcast => "broadcast",
            Self::Full => "full",
            Self::Relay => "relay",
        }
    }
}
