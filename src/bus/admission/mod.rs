//! Decides which calls the daemon accepts, and in what order.
//!
//! A client that may send to the daemon may send as much as the bus takes, and need not
//! read a single reply. zbus starts a task for every call, so the replies would wait in
//! memory without bound. So this module stands between the socket of the bus and zbus:
//! ```text
//!  bus ──▶ decoder ──▶ queue ──▶ zbus ──▶ a method
//!            │           ▲                   │
//!            ▼           └───── replied ◀────┘
//!   replies, signals
//! ```
//!
//! [`decoder`] cuts the stream into messages. [`queue`] keeps the waiting calls and
//! counts those in progress, for each connection and in total. [`socket`] connects both
//! to zbus. Connections are served round robin, so one that sends much waits for
//! itself. No call is accepted while the bus does not take the replies. A call that is
//! too long, or exceeds a limit, gets the error `org.freedesktop.DBus.Error.LimitsExceeded`; a
//! connection that continues all the same gets no reply at all.

mod decoder;
mod queue;
mod socket;

use std::convert::Infallible;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tcnd_client::names;
use tcnd_client::{BusChoice, Unreachable};
use zbus::message::Message;
use zbus::{Address, Connection, connection};

use self::socket::{SharedState, Socket};
use super::descriptors::ForeignFiles;
use crate::system_bus;

/// A connection to serve on. If its transport is a Unix socket, as on every system bus,
/// the limits of this module apply.
#[derive(Debug)]
pub struct ServerConnection {
    pub(super) connection: Connection,
    shared: Option<Arc<SharedState>>,
}

impl ServerConnection {
    /// Connects to `bus`.
    ///
    /// # Errors
    /// When there is no bus to connect to, or the bus refuses the connection.
    pub async fn to(bus: &BusChoice) -> Result<Self, Unreachable> {
        let address = match bus {
            BusChoice::System => system_bus::address(),
            BusChoice::Session => Address::session(),
            BusChoice::Address(address) => Address::try_from(address.as_str()),
        };
        let connected = match address {
            Ok(address) => Self::at(address).await,
            Err(error) => Err(error),
        };
        connected.map_err(|source| Unreachable::new(bus, source))
    }

    async fn at(address: Address) -> zbus::Result<Self> {
        if let Some(stream) = system_bus::connect_to(&address)? {
            return Self::on_stream(stream, None).await;
        }
        let built = connection::Builder::address(address).build().await;
        built.map(Self::from)
    }

    /// Takes a stream that is connected to a bus, and authenticates as this user if one
    /// is given.
    ///
    /// # Errors
    /// When the bus refuses the connection.
    pub async fn on_stream(stream: UnixStream, user: Option<u32>) -> zbus::Result<Self> {
        let shared = Arc::<SharedState>::default();
        let socket = Socket::new(stream, Arc::clone(&shared))?;
        let mut builder = connection::Builder::socket(socket);
        if let Some(user) = user {
            builder = builder.user_id(user);
        }
        Ok(Self {
            connection: builder.build().await?,
            shared: Some(shared),
        })
    }

    /// The store of callers' foreign files.
    pub(super) fn foreign(&self) -> Arc<ForeignFiles> {
        self.shared
            .as_ref()
            .map(|shared| shared.foreign())
            .unwrap_or_default()
    }

    /// The connection itself.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends the refusals to their callers, for as long as it is polled.
    pub(super) async fn refuse(self) -> Infallible {
        let Some(shared) = self.shared else {
            return std::future::pending().await;
        };
        loop {
            let refused = shared.refused().await;
            // The tasks that serve on a connection notice when it is lost.
            if let Ok(error_reply) = error_reply(&refused) {
                shared.refusing(error_reply.primary_header().serial_num());
                let _ = self.connection.send(&error_reply).await;
            }
        }
    }
}

/// A connection that another function made, without limits: a socket pair has only one
/// client.
impl From<Connection> for ServerConnection {
    fn from(connection: Connection) -> Self {
        Self {
            connection,
            shared: None,
        }
    }
}

/// The error that answers a refused call.
fn error_reply(refused: &queue::RefusedCall) -> zbus::Result<Message> {
    // Only the sender and the serial number of the call are needed.
    let call = Message::method_call(names::ROOT, "Refused")
        .sender(&*refused.call.sender)
        .serial(refused.call.serial)
        .build(&())?;
    Message::error(&call.header(), names::error::LIMITS_EXCEEDED).build(&(refused.reason.text(),))
}
