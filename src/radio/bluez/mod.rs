//! The radio on BlueZ: adverts, discovery by service UUID and, where the
//! kernel's privacy allows it, connections.
//!
//! One task owns every handle and rebuilds them: BlueZ loses adverts and
//! discovery silently when it is restarted, when the adapter is switched off,
//! blocked or pulled, and in a crash it does not even say so. [`task`] is this
//! task; [`reconcile`] decides for it and knows no D-Bus. Around them:
//! [`bluez_watch`] watches whether `org.bluez` is there, [`session`] which
//! adapters, [`advert`] and [`discovery`] do what their names say (the first by
//! zbus, for bluer does not tell when BlueZ drops an advert), [`version`] knows
//! what this BlueZ must not be asked, [`status`]
//! says what is wrong in words of the border.
//!
//! Mode full and relay: [`capability`] says whether anybody may connect at all,
//! [`server`] is what they connect for, [`inbound`] who is there; [`outbound`]
//! says whom to connect to, [`central`] does; [`rpa_schedule`] knows when an address
//! that the kernel keeps is another, [`off_air`] when those of a controller that
//! makes them itself are.
//!
//! Every call has a deadline. An adapter is never switched on, made
//! discoverable or otherwise set up here: it belongs to the person at the
//! desk.
//!
//! A bluetoothd that crashed leaves its last advert in the kernel until it
//! runs again; only [`Options::advert_timeout`] bounds that.

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
    /// How to take part, as far as the kernel's privacy allows.
    pub mode: Mode,
    /// The only adapter to use. Of several that fit, and of all without a
    /// choice, one that is on goes before one that is off, then one that can
    /// advertise before one that cannot, then the one used last, then the first
    /// by name.
    pub adapter: Option<AdapterChoice>,
    /// Discovery is started anew after this time: it is known to stall
    /// without a word, and silence is normal when nobody is near.
    pub discovery_restart: Duration,
    /// BlueZ drops an advert after this time even if we cannot tell it to.
    /// Must exceed the longest time a number is on the air; at most 65535 s.
    pub advert_timeout: Duration,
    /// The kernel's timeout of resolvable private addresses, where the kernel makes
    /// them.
    pub rpa_timeout: Duration,
}

/// Which adapter to use. `Debug` keeps the address to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AdapterChoice {
    /// One of this device address, most significant byte first; there may be
    /// several.
    Address([u8; 6]),
    /// The one of this number: 0 is `hci0`.
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
    /// Broadcast on any adapter, a restart every 5 minutes, adverts of at most
    /// 20, the kernel's own timeout of addresses.
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
/// with time and I/O; a bus or adapter that is not there is waited for.
#[must_use]
pub fn spawn(options: Options) -> Radio {
    let platform = Platform {
        kernel: Arc::new(Mgmt),
        central: Arc::new(Btleplug::default()),
    };
    spawn_with(options, platform)
}

/// The same, in other surroundings than the machine's.
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

/// What the radio knows of beside BlueZ.
#[derive(Clone)]
pub struct Platform {
    /// Who is asked about privacy and addresses.
    pub kernel: Arc<dyn Kernel>,
    /// Who connects to others.
    pub central: Arc<dyn Central>,
}

/// Says whether a controller's privacy is on, and what its addresses go by.
pub trait Kernel: Send + Sync {
    /// As [`bluez_mgmt::privacy`].
    fn privacy<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<Privacy, MgmtError>>;

    /// As [`bluez_mgmt::configured::privacy`].
    fn configured_privacy(&self) -> Privacy;

    /// As [`tcnd_rpa_timeout::known`].
    fn addresses(&self, adapter: &str) -> Option<tcnd_rpa_timeout::Known>;
}

/// The real one.
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

/// Time for BlueZ to answer what it knows without asking the controller.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A call that brought nothing. These stay in the room and its log; what a
/// person sees is a [`super::Trouble`].
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

/// Waits for an answer, but not for longer than `limit`.
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
