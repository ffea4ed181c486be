//! The options of the radio.

use std::fmt;
use std::time::Duration;

use super::super::Mode;

/// How to use BlueZ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The mode of participation, as far as the kernel's privacy allows.
    pub mode: Mode,
    /// The only adapter to use. Of several that match, and of all if none is chosen, one that
    /// is on goes before one that is off, then one that can advertise before one that cannot,
    /// then the one used last, then the first by name.
    pub adapter: Option<AdapterChoice>,
    /// Discovery is restarted after this time: it is known to stall silently, and silence is
    /// normal when no device is near.
    pub discovery_restart: Duration,
    /// BlueZ drops an advert after this time, even if tcnd cannot ask for it. Must exceed the
    /// longest time that a number is on the air; at most 65535 s.
    pub advert_timeout: Duration,
    /// The kernel's timeout of resolvable private addresses, where the kernel makes
    /// them.
    pub rpa_timeout: Duration,
}

/// Which adapter to use. `Debug` does not show the address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AdapterChoice {
    /// An adapter with this device address, most significant byte first. There may be
    /// several.
    Address([u8; 6]),
    /// The adapter with this number: 0 is `hci0`.
    Name(u16),
}

impl fmt::Debug for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(_) => f.write_str("Address([REDACTED])"),
            Self::Name(index) => write!(f, "Name(hci{index})"),
        }
    }
}

impl Default for Options {
    /// Broadcast on any adapter, a restart of discovery every 5 minutes, adverts of at most 20
    /// minutes, the kernel's default timeout of addresses.
    fn default() -> Self {
        const RPA_TIMEOUT: Duration = Duration::from_secs(15 * 60);
        Self {
            mode: Mode::Broadcast,
            adapter: None,
            discovery_restart: Duration::from_secs(5 * 60),
            advert_timeout: Duration::from_secs(20 * 60),
            rpa_timeout: RPA_TIMEOUT,
        }
    }
}
