//! The radio: orders in, events out.
//!
//! A radio is a task that owns every handle to the controller. It takes [`Order`]s and
//! reports what really happened in [`Event`]s. Missing hardware is an event, not an error.
//! [`bluez`] is the real radio, [`fake`] a simulated one that ships (`--radio fake`). The
//! daemon can tell them apart only by [`Status::simulated`].
//!
//! An order stands until the next one. `Air` and `Listen` start a radio epoch: advert and
//! discovery are started in the order that the controller needs, under a private address of
//! their own. `Swap` replaces the frame within the epoch, and with the frame the address.
//! `StopDiscovery` and `StartDiscovery` pause discovery within the epoch.
//! `Rest` ends the epoch: discovery is stopped, the advert unregistered, strangers are
//! disconnected, and [`Event::Rested`] is sent only after all of it was seen. No number of
//! this machine is aired in two epochs: if the radio loses the advert by itself, it sends
//! [`Event::Withdrawn`] and waits for the next order.

#[cfg(feature = "bluez")]
pub mod bluez;
mod event_queue;
pub mod fake;

use std::collections::BTreeMap;
use std::fmt;

pub use tcn_engine::Mode;
pub use tcn_engine::Order;
use tcn_engine::RadioCapabilities;
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;
use tcnd_client::Problem;
use tokio::sync::mpsc;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The adapter can be used from now on, with these capabilities. Sent again when they
    /// change.
    Up(RadioCapabilities),
    /// The adapter cannot be used. Nothing is on the air any more, and the last order is
    /// void.
    Down,
    /// The ordered frame is on the air: the controller confirmed it. Sent again when the
    /// advert was registered again under another address.
    Aired(Frame),
    /// This frame left the air without an order, and will not come back.
    Withdrawn(Frame),
    /// Discovery runs. Sent each time it was started.
    DiscoveryStarted,
    /// None of our frames is on the air, and the radio does not listen.
    Rested,
    /// A frame was heard.
    Heard {
        /// The frame.
        frame: Frame,
        /// Signal in dBm, if the controller measured it.
        rssi: Option<i16>,
    },
    /// A peer connected and wrote its number.
    Written {
        /// The number.
        tcn: TemporaryContactNumber,
        /// Signal in dBm, if it is known.
        rssi: Option<i16>,
        /// The peer.
        peer: Peer,
    },
    /// Service data 0xC019 was heard that is not a TCN frame.
    Malformed,
    /// The status changed. Always the complete status.
    Status(Status),
}

/// A peer that connected. The value tells peers apart while this process runs. It is no
/// address, and no address can be computed from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub u64);

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer([REDACTED])")
    }
}

/// The state of the radio, for people to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The mode in effect, which may be less than the configured one.
    pub mode: Mode,
    /// The neighbourhood is simulated (`--radio fake`).
    pub simulated: bool,
    /// Our advert is on the air, verified.
    pub advertising: bool,
    /// Discovery runs, verified, or pauses by order.
    pub scanning: bool,
    /// The current problems, each with the error of the call that failed, or an empty text
    /// where no call failed. At most [`printable::MAX_TEXT`] bytes.
    pub problems: BTreeMap<Problem, String>,
    /// All adapters, by name.
    pub adapters: Vec<Adapter>,
    /// Adverts that the controller accepted since the start.
    pub adverts_ok: u64,
    /// Adverts that the controller refused since the start.
    pub adverts_failed: u64,
    /// How often discovery was restarted since the start.
    pub scan_restarts: u64,
}

/// One controller, without its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Kernel name, such as `hci0`.
    pub name: String,
    /// Switched on.
    pub powered: bool,
    /// The one in use.
    pub selected: bool,
    /// Offers `org.bluez.LEAdvertisingManager1`.
    pub can_advertise: bool,
    /// The kind of address of our adverts on it.
    pub address: AddressKind,
    /// Advertising instances left.
    pub instances_free: u8,
    /// How often it was lost and used again since the start.
    pub recoveries: u32,
    /// The last problem with it.
    pub last_problem: Option<Problem>,
}

/// The kind of device address an advert is sent under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressKind {
    /// Non-resolvable private: new with every registration.
    NonResolvable,
    /// Resolvable private: the kernel's privacy is on.
    Resolvable,
    /// The controller's own address. Nothing is ever broadcast under it.
    Public,
    /// Not determined.
    #[default]
    Unknown,
}

/// The daemon's end of a radio.
///
/// Both queues are bounded. For orders, the sender waits. For events, the radio keeps all
/// but [`Event::Heard`] until there is room. A full queue drops [`Event::Heard`]: the
/// neighbour will be heard again in a moment.
#[derive(Debug)]
pub struct Radio {
    /// Orders to it.
    pub orders: mpsc::Sender<Order>,
    /// Events from it. Ends when its task ended, which is an error.
    pub events: mpsc::Receiver<Event>,
}
