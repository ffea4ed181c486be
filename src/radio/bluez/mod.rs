//! The radio on BlueZ: adverts, discovery by service UUID and, where the kernel's privacy
//! allows it, connections.
//!
//! One task owns every handle and rebuilds them. BlueZ loses adverts and discovery silently
//! when it is restarted, and when the adapter is switched off, blocked or unplugged. After
//! a crash it does not even report that. [`task`] is this task. [`reconcile`] decides for it
//! and knows no D-Bus. Around them: [`bluez_watch`] watches whether `org.bluez` is there,
//! [`session`] which adapters are. [`advert`] and [`discovery`] do what their names say (the
//! first with zbus, since bluer does not report when BlueZ drops an advert). [`version`]
//! knows what this BlueZ must not be asked. [`status`] reports problems, adapters and
//! counters.
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
mod bluez_watch;
mod capability;
mod central;
mod clock;
mod discovery;
mod gatt_server;
mod inbound;
mod off_air;
mod outbound;
mod reconcile;
mod retry;
mod rpa_schedule;
mod session;
mod status;
mod task;
mod timers;
mod version;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bluez_mgmt::{MgmtError, Privacy};
use futures::future::BoxFuture;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time;

use super::event_queue::{EVENT_CAPACITY, ORDER_CAPACITY};
use super::{Mode, Radio};

pub use central::{Central, CentralError};

use central::Btleplug;

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

/// Starts the radio on the system bus. Must be called within a tokio runtime
/// with time and I/O. It waits for a bus or adapter that is not there.
#[must_use]
pub fn spawn(options: Options) -> Radio {
    let platform = Platform {
        kernel: Arc::new(Mgmt),
        central: Arc::new(Btleplug::default()),
    };
    spawn_with(options, platform)
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

/// What the radio uses besides the D-Bus interface of BlueZ.
#[derive(Clone)]
pub struct Platform {
    /// Answers questions about privacy and addresses.
    pub kernel: Arc<dyn Kernel>,
    /// Connects to peers.
    pub central: Arc<dyn Central>,
}

/// Says whether the privacy of a controller is on, and how its addresses change.
pub trait Kernel: Send + Sync {
    /// As [`bluez_mgmt::privacy`].
    fn privacy<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<Privacy, MgmtError>>;

    /// As [`bluez_mgmt::configured::privacy`].
    fn configured_privacy(&self) -> Privacy;

    /// As [`tcnd_rpa_timeout::known`].
    fn addresses(&self, adapter: &str) -> Option<tcnd_rpa_timeout::Known>;
}

/// The real kernel.
struct Mgmt;

impl Kernel for Mgmt {
    fn privacy<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<Privacy, MgmtError>> {
        Box::pin(bluez_mgmt::privacy(adapter))
    }

    fn configured_privacy(&self) -> Privacy {
        bluez_mgmt::configured::privacy()
    }

    fn addresses(&self, adapter: &str) -> Option<tcnd_rpa_timeout::Known> {
        tcnd_rpa_timeout::known(adapter)
    }
}

/// Time for BlueZ to answer a question that needs no command to the controller.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The error of a call to BlueZ. It appears in the log, and beside the
/// [`Problem`](tcnd_client::Problem) that it led to.
#[derive(Debug, Error)]
enum BluezError {
    #[error("{action}: no answer within {limit:?}")]
    NoAnswer {
        action: &'static str,
        limit: Duration,
    },
    #[error("{action}: {source}")]
    Failed { action: &'static str, source: Cause },
}

#[derive(Debug, Error)]
enum Cause {
    #[error(transparent)]
    BlueZ(#[from] bluer::Error),
    #[error(transparent)]
    Bus(#[from] zbus::Error),
}

/// Waits for an answer, at most for `limit`.
async fn call<T, E: Into<Cause>>(
    action: &'static str,
    limit: Duration,
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, BluezError> {
    match time::timeout(limit, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(BluezError::Failed {
            action,
            source: source.into(),
        }),
        Err(_) => Err(BluezError::NoAnswer { action, limit }),
    }
}
