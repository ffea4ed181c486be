//! Decides which calls the daemon accepts, and in what order.
//!
//! A client that may send to the daemon may send as much as the bus takes, and need not
//! read a single reply. zbus starts a task for every call, so the replies would wait in
//! memory without bound. So this module stands between the socket of the bus and zbus:
//! ```text
//!  bus ──▶ frame ──▶ queue ──▶ zbus ──▶ a method
//!            │         ▲                   │
//!            ▼         └──── answered ◀────┘
//!   replies, signals
//! ```
//!
//! [`frame`] cuts the stream into messages. [`queue`] keeps the waiting calls and
//! counts those in progress, for each connection and in total. [`socket`] connects both
//! to zbus. Connections are served round robin, so one that sends much waits for
//! itself. No call is accepted while the bus does not take the replies. A call that is
//! too long, or too much, gets the error `org.freedesktop.DBus.Error.LimitsExceeded`; a
//! connection that continues all the same gets no reply at all.

mod frame;
mod queue;
mod socket;

use std::convert::Infallible;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::Arc;

use tcnd_client::names;
use tcnd_client::{BusChoice, Unreachable};
use zbus::address::transport::{Transport, UnixSocket};
use zbus::message::Message;
use zbus::{Address, Connection, connection};

use self::socket::{Shared, Socket};
use super::descriptors::ForeignFiles;

/// A connection to serve on. If its transport is a Unix socket, as on every system bus,
/// the limits of this module apply.
#[derive(Debug)]
pub struct ServerConnection {
    pub(super) connection: Connection,
    shared: Option<Arc<Shared>>,
}

impl ServerConnection {
    /// Connects to `bus`.
    ///
    /// # Errors
    /// When there is no bus to connect to, or the bus refuses us.
    pub async fn to(bus: &BusChoice) -> Result<Self, Unreachable> {
        let address = match bus {
            BusChoice::System => Address::system(),
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
        if let Transport::Unix(unix) = address.transport()
            && let Some(place) = place(unix.path())?
        {
            let stream = UnixStream::connect_addr(&place)?;
            return Self::over(stream, None).await;
        }
        let built = connection::Builder::address(address).build().await;
        built.map(Self::from)
    }

    /// Takes a stream that is connected to a bus, and authenticates as this user if one
    /// is given.
    ///
    /// # Errors
    /// When the bus refuses us.
    pub async fn over(stream: UnixStream, user: Option<u32>) -> zbus::Result<Self> {
        let shared = Arc::<Shared>::default();
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
            if let Ok(reply) = reply(&refused) {
                shared.refusing(reply.primary_header().serial_num());
                let _ = self.connection.send(&reply).await;
            }
        }
    }
}

/// A connection that another function made, without limits: between two ends of a
/// socket pair there is only one peer.
impl From<Connection> for ServerConnection {
    fn from(connection: Connection) -> Self {
        Self {
            connection,
            shared: None,
        }
    }
}

/// The path or name of a socket, if its address has one.
fn place(path: &UnixSocket) -> io::Result<Option<SocketAddr>> {
    if let UnixSocket::File(path) = path {
        return SocketAddr::from_pathname(path).map(Some);
    }
    if let UnixSocket::Abstract(name) = path {
        return SocketAddr::from_abstract_name(name.as_bytes()).map(Some);
    }
    Ok(None)
}

/// The error that answers a refused call.
fn reply(refused: &queue::Refused) -> zbus::Result<Message> {
    // Only the sender and the serial number of the call are needed.
    let call = Message::method_call(names::ROOT, "Refused")
        .sender(&*refused.call.sender)
        .serial(refused.call.serial)
        .build(&())?;
    Message::error(&call.header(), names::error::LIMITS_EXCEEDED).build(&(refused.why.text(),))
}
