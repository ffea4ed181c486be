//! The radio on BlueZ: non-connectable adverts, discovery by service UUID.
//!
//! One task owns every handle and rebuilds them: BlueZ loses adverts and
//! discovery silently when it is restarted, when the adapter is switched off,
//! blocked or pulled, and in a crash it does not even say so. [`edge`] is this
//! task; [`reconcile`] decides for it and knows no D-Bus. Around them:
//! [`presence`] watches whether `org.bluez` is there, [`session`] which
//! adapters, [`advert`] and [`discovery`] do what their names say, [`status`]
//! says what is wrong in words of the border.
//!
//! Every call has a deadline. An adapter is never switched on, made
//! discoverable or otherwise set up here: it belongs to the person at the
//! desk.
//!
//! A bluetoothd that crashed leaves its last advert in the kernel until it
//! runs again; only [`Options::advert_timeout`] bounds that.

mod advert;
mod alarm;
mod discovery;
mod edge;
mod presence;
mod reconcile;
mod session;
mod status;

use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time;

use super::Radio;
use super::outbox::{EVENTS, ORDERS};

/// How to use BlueZ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The address of the only adapter to use, most significant byte first.
    /// Without one, the adapter used last is preferred, then the first by
    /// name that is on and can advertise.
    pub adapter: Option<[u8; 6]>,
    /// Discovery is started anew after this time: it is known to stall
    /// without a word, and silence is normal when nobody is near.
    pub discovery_restart: Duration,
    /// BlueZ drops an advert after this time even if we cannot tell it to.
    /// Must exceed the longest time a number is on the air; at most 65535 s.
    pub advert_timeout: Duration,
}

impl Default for Options {
    /// Any adapter, a restart every 5 minutes, adverts of at most 20.
    fn default() -> Self {
        Self {
            adapter: None,
            discovery_restart: Duration::from_secs(5 * 60),
            advert_timeout: Duration::from_secs(20 * 60),
        }
    }
}

/// Starts the radio on the system bus. Must be called within a tokio runtime
/// with time and I/O; a bus or adapter that is not there is waited for.
#[must_use]
pub fn spawn(options: Options) -> Radio {
    let (orders_in, orders) = mpsc::channel(ORDERS);
    let (events, events_out) = mpsc::channel(EVENTS);
    tokio::spawn(edge::Edge::new(options, events).run(orders));
    Radio {
        orders: orders_in,
        events: events_out,
    }
}

/// Time for BlueZ to answer what it knows without asking the controller.
const READ: Duration = Duration::from_secs(5);

/// A call that brought nothing. These stay in the room and its log; what a
/// person sees is a [`super::Trouble`].
#[derive(Debug, Error)]
enum Fault {
    #[error("{doing}: no answer within {limit:?}")]
    Silent {
        doing: &'static str,
        limit: Duration,
    },
    #[error("{doing}: {source}")]
    Failed { doing: &'static str, source: Cause },
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
    doing: &'static str,
    limit: Duration,
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match time::timeout(limit, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Fault::Failed {
            doing,
            source: source.into(),
        }),
        Err(_) => Err(Fault::Silent { doing, limit }),
    }
}
