//! The air: orders in, events out.
//!
//! A radio is a task that owns every handle to the controller. It takes
//! [`Order`]s and says what really happened in [`Event`]s; "no hardware" is an
//! event, not an error. [`bluez`] is the real one, [`fake`] a simulated
//! neighbourhood that ships (`--radio fake`), and the rest of the house cannot
//! tell them apart but by [`Status::simulated`].
//!
//! An order stands until the next one. `Air` and `Listen` begin a radio epoch:
//! advert and discovery are started in the order the controller needs, under a
//! private address of their own. `Swap` replaces the frame within it, and with
//! the frame the address. `Rest` ends it: discovery stopped, advert
//! unregistered, strangers sent away, and all of it seen before
//! [`Event::Rested`] is sent. No number of our own is aired in two epochs: when
//! the radio loses the advert by itself it says [`Event::Withdrawn`] and waits
//! for the next order.

#[cfg(feature = "bluez")]
pub mod bluez;
mod event_queue;
pub mod fake;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;
use tokio::sync::mpsc;

/// What the radio shall do from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Broadcast this frame, and listen. Only after [`Event::Rested`], or when
    /// nothing was ever ordered. Whoever connects is told its number, if it is
    /// the sender's own.
    Air(Frame),
    /// Broadcast this frame in place of the one that is on the air. Ignored
    /// while none is ordered.
    Swap(Frame),
    /// Listen only.
    Listen,
    /// Leave the air; answered by [`Event::Rested`].
    Rest,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The adapter can be used from now on, this far; when that changes, the
    /// event comes again.
    Up(Capabilities),
    /// The adapter cannot be used; whatever was on the air is gone. Standing
    /// orders are forgotten.
    Down,
    /// The frame ordered is on the air: the controller confirmed it. Comes
    /// again when it had to be aired anew under another address.
    Aired(Frame),
    /// This frame left the air without an order, and will not come back.
    Withdrawn(Frame),
    /// Nothing of ours is on the air and nothing is listened for.
    Rested,
    /// A frame was heard.
    Heard {
        /// What it said.
        frame: Frame,
        /// Signal in dBm, if the controller measured it.
        rssi: Option<i16>,
    },
    /// Somebody connected and wrote their number.
    Written {
        /// It.
        tcn: TemporaryContactNumber,
        /// Signal in dBm, if it is known.
        rssi: Option<i16>,
        /// Who it was.
        peer: Peer,
    },
    /// Service data 0xC019 that is no TCN frame was heard.
    Malformed,
    /// The status changed. Always the whole of it.
    Status(Status),
}

/// What a radio is good for. By default, for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether [`Order::Air`] has a chance: an advert would be taken, and sent
    /// under an address that is not the controller's own and that no number of
    /// ours had.
    pub can_air: bool,
    /// Whether [`Order::Swap`] has: each advert gets a new address.
    pub can_carry: bool,
    /// Whether others can be listened for, with [`Order::Air`] or without: not
    /// while scanning would go on under an address that was used with an earlier
    /// number.
    pub can_listen: bool,
    /// How long the addresses last that go with a number, and so the number; zero
    /// where each can have new ones at any time.
    pub address_lifetime: Duration,
}

/// Somebody who connected, told apart from others while this process runs. Not
/// an address, and nothing one could be computed from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub u64);

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer([REDACTED])")
    }
}

/// How the radio takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It only listens: what is left of `Relay` where nobody may connect.
    Listen,
    /// By adverts that nobody can connect to.
    #[default]
    Broadcast,
    /// Others can connect, and are connected to.
    Full,
    /// Others can connect.
    Relay,
}

/// What is true of the radio now, for people to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The mode in effect, which may be less than was asked for.
    pub mode: Mode,
    /// The neighbourhood is made up (`--radio fake`).
    pub simulated: bool,
    /// Our advert is on the air, verified.
    pub advertising: bool,
    /// Discovery runs, verified.
    pub scanning: bool,
    /// What is wrong now.
    pub troubles: BTreeSet<Trouble>,
    /// All adapters, by name.
    pub adapters: Vec<Adapter>,
    /// Adverts the controller took, and refused, since the start.
    pub adverts_ok: u64,
    /// See `adverts_ok`.
    pub adverts_failed: u64,
    /// Times discovery was started anew, since the start.
    pub scan_restarts: u64,
}

/// One controller, without its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Kernel name, `hci0`.
    pub name: String,
    /// Switched on.
    pub powered: bool,
    /// The one in use.
    pub selected: bool,
    /// Offers `org.bluez.LEAdvertisingManager1`.
    pub can_advertise: bool,
    /// How our adverts on it are addressed.
    pub address: AddressKind,
    /// Advertising instances left.
    pub instances_free: u8,
    /// Times it was lost and taken up again since the start.
    pub recoveries: u32,
    /// The last thing that went wrong on it.
    pub last_trouble: Option<Trouble>,
}

/// The kind of device address an advert is sent under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressKind {
    /// Non-resolvable private, new with every registration.
    NonResolvable,
    /// Resolvable private: the kernel's privacy is on.
    Resolvable,
    /// The controller's own address: never broadcast under it.
    Public,
    /// Not determined.
    #[default]
    Unknown,
}

/// What can be wrong with a radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// No `org.bluez` on the bus.
    BluetoothdMissing,
    /// No adapter, or not the one remembered.
    AdapterMissing,
    /// Powered off; tcnd never powers an adapter on unasked.
    AdapterOff,
    /// Blocked by rfkill.
    AdapterBlocked,
    /// The adapter has no LE advertising.
    AdvertiseUnsupported,
    /// BlueZ refuses the advert; tried again with growing pauses.
    AdvertiseFailed,
    /// The adapter is discoverable, so an advert would carry its real address.
    AddressNotPrivate,
    /// Discovery cannot be started; tried again with growing pauses.
    ScanFailed,
    /// The kernel's privacy is off, so nobody may connect.
    PrivacyOff,
    /// Whether it is on cannot be seen, so nobody may connect.
    PrivacyUnknown,
    /// The controller keeps an address for now, and the next number, or
    /// listening with it, waits for another one.
    AddressHeld,
    /// The controller makes its addresses by a timer of its own, and how long each
    /// lasts is not known, so numbers and addresses cannot change together.
    AddressOutOfStep,
    /// The controller keeps its address too long to carry numbers of others.
    BridgeUnavailable,
    /// BlueZ refuses the GATT server; tried again with growing pauses.
    ConnectFailed,
}

impl Trouble {
    /// Its word, stable.
    pub const fn token(self) -> &'static str {
        match self {
            Self::BluetoothdMissing => "bluetoothd-missing",
            Self::AdapterMissing => "adapter-missing",
            Self::AdapterOff => "adapter-off",
            Self::AdapterBlocked => "adapter-blocked",
            Self::AdvertiseUnsupported => "advertise-unsupported",
            Self::AdvertiseFailed => "advertise-failed",
            Self::AddressNotPrivate => "address-not-private",
            Self::ScanFailed => "scan-failed",
            Self::PrivacyOff => "privacy-off",
            Self::PrivacyUnknown => "privacy-unknown",
            Self::AddressHeld => "address-held",
            Self::AddressOutOfStep => "address-out-of-step",
            Self::BridgeUnavailable => "bridge-unavailable",
            Self::ConnectFailed => "connect-failed",
        }
    }
}

/// The daemon's end of a radio.
///
/// Both queues are bounded. Orders: the sender waits. Events: the radio waits
/// with all but [`Event::Heard`], which it drops when the queue is full (the
/// neighbour will be heard again in a moment).
#[derive(Debug)]
pub struct Radio {
    /// Orders to it.
    pub orders: mpsc::Sender<Order>,
    /// Events from it; ends when its task ended, which is a fault.
    pub events: mpsc::Receiver<Event>,
}
