//! The radio on BlueZ: adverts, discovery by service UUID and, where the kernel's privacy
//! allows it, connections.
//!
//! One task owns every handle and rebuilds them. BlueZ loses adverts and discovery silently
//! when it is restarted, and when the adapter is switched off, blocked or unplugged. After
//! a crash it does not even report that. [`task`] is this task. [`reconcile`] decides for it
//! and knows no D-Bus. Around them: [`bluez_watch`] watches whether `org.bluez` is there,
//! [`session`] which adapters are. [`advert`] and [`discovery`] do what their names say (the
//! first with zbus, since bluer does not report when BlueZ drops an advert). [`version`]
//! knows what this BlueZ must not be asked. [`device_signals`] reads what BlueZ says of
//! devices, and [`bluer_relay`] keeps it from bluer.
//! [`status`] reports problems, adapters and counters.
//!
//! For the modes full and relay: [`capability`] says whether peers may connect at all.
//! [`gatt_server`] is the service that they connect for, [`inbound`] tracks who is
//! connected. [`outbound`] says which peer to connect to, [`central`] connects.
//! [`rpa_schedule`] knows when the address that the kernel keeps is a new one, [`off_air`]
//! the same for a controller that makes its addresses itself.
//!
//! Every call has a deadline. An adapter is never switched on, made discoverable or
//! otherwise configured here: it belongs to the user of the machine.
//!
//! A bluetoothd that crashed leaves its last advert in the kernel until it runs again. Only
//! [`Options::advert_timeout`] bounds that.

mod advert;
mod bluer_relay;
mod bluez_watch;
mod call;
mod capability;
mod central;
mod clock;
mod device_signals;
mod discovery;
mod gatt_server;
mod inbound;
mod off_air;
mod options;
mod outbound;
mod platform;
mod reconcile;
mod retry;
mod rpa_schedule;
mod session;
mod status;
mod task;
mod timers;
mod version;

use tokio::sync::mpsc;

use super::Radio;
use super::event_queue::{EVENT_CAPACITY, ORDER_CAPACITY};
use call::{BluezError, READ_TIMEOUT, call};

pub use bluer_relay::BluerRelay;
pub use central::{Central, CentralError};
pub use options::{AdapterChoice, Options};
pub use platform::{Kernel, Platform};

/// Starts the radio on the system bus. Must be called within a tokio runtime
/// with time and I/O. It waits for a bus or adapter that is not there.
#[must_use]
pub fn spawn(options: Options) -> Radio {
    spawn_with(options, Platform::real())
}

/// The same, on another platform than the real one.
#[must_use]
pub fn spawn_with(options: Options, platform: Platform) -> Radio {
    let (orders_in, orders) = mpsc::channel(ORDER_CAPACITY);
    let (events, events_out) = mpsc::channel(EVENT_CAPACITY);
    tokio::spawn(task::BluezTask::new(options, platform, events).run(orders));
    Radio {
        orders: orders_in,
        events: events_out,
    }
}
