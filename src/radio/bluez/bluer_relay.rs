//! Passes bluer's connections on to the bus, without the signals of devices.
//!
//! bluer asks the bus for `PropertiesChanged` of every object of BlueZ, and decodes each
//! signal, whether anything listens for it or not. While the adapter listens that is a signal
//! for each advert of each device near: as much work as bluetoothd has with them. bluer has
//! no option to ask for less, and connects to the address that libdbus has from the
//! environment. So the environment leads libdbus to a socket of this module, which passes
//! everything on but for that one match: it is narrowed to adapters. The signals of devices
//! come by [`super::device_signals`].
//!
//! The socket has an abstract name, and accepts only this process. Descriptors are not passed
//! on: tcnd uses nothing of bluer or btleplug that passes some. The relay has a thread, since
//! btleplug waits for its connection on the thread of the daemon.
//!
//! bluer 0.17.4, `session.rs` `Event::handle_connection`; D-Bus specification,
//! "Authentication Protocol".

use std::future::pending;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;
use std::time::Duration;

use bluez_signals::wire;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::Address;

use crate::system_bus;

/// The longest line of the handshake, in bytes: dbus-daemon ends a connection that sends more
/// than 16 KiB before it is authenticated.
const MAX_LINE: u64 = 16 << 10;

/// Time until the next try, after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Bytes read at a time.
const CHUNK: usize = 4 << 10;

/// A socket that bluer connects to in place of the bus.
#[derive(Debug)]
pub struct BluerRelay {
    listener: UnixListener,
    name: String,
    upstream: Address,
}

impl BluerRelay {
    /// The environment variable that leads libdbus to the relay.
    pub const VARIABLE: &'static str = "DBUS_SYSTEM_BUS_ADDRESS";

    /// Binds a socket, and keeps the address that the system bus has now. Connections wait
    /// until [`start`](Self::start).
    ///
    /// Abstract names belong to all users. So `unique`, a part of the name, must be random:
    /// a name that can be guessed can be taken by another program.
    ///
    /// # Errors
    /// When the system bus has no valid address, or no socket can be bound.
    pub fn bind(unique: u64) -> io::Result<Self> {
        let upstream = Address::system().map_err(io::Error::other)?;
        Self::before(upstream, unique)
    }

    /// The same, where the system bus has this address.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub fn before(upstream: Address, unique: u64) -> io::Result<Self> {
        let name = format!("tcnd-bluer-{unique:016x}");
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        system_bus::keep_address(upstream.clone());
        Ok(Self {
            listener,
            name,
            upstream,
        })
    }

    /// The address of the relay, as the environment variable has it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:abstract={}", self.name)
    }

    /// Starts the thread of the relay. It runs as long as the process.
    ///
    /// # Errors
    /// When the system refuses a thread or its resources.
    pub fn start(self) -> io::Result<()> {
        self.listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let serve = move || runtime.block_on(self.serve());
        let thread = thread::Builder::new().name("bluer-relay".to_owned());
        thread.spawn(serve).map(drop)
    }

    async fn serve(self) {
        let listener = match tokio::net::UnixListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "bluer cannot reach the bus"),
        };
        loop {
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(error) => {
                    tracing::warn!(%error, "a connection of bluer was not accepted");
                    // Out of descriptors, most likely: that does not end at once.
                    let _ = timeout(ACCEPT_PAUSE, pending::<()>()).await;
                    continue;
                }
            };
            if is_own(&client) {
                tokio::spawn(pass_on(client, self.upstream.clone()));
            }
        }
    }
}

/// Whether this process connected.
fn is_own(client: &UnixStream) -> bool {
    let own = i32::try_from(std::process::id()).ok();
    client.peer_cred().is_ok_and(|peer| peer.pid() == own)
}

/// Passes a connection on until either side ends it. Each side sees that as an end of its
/// own, so the error is told by the program behind it.
async fn pass_on(client: UnixStream, upstream: Address) {
    let connected = system_bus::connect_to(&upstream).and_then(|bus| match bus {
        Some(bus) => {
            bus.set_nonblocking(true)?;
            UnixStream::from_std(bus)
        }
        None => Err(io::ErrorKind::Unsupported.into()),
    });
    if let Ok(bus) = connected {
        join(client, bus).await;
    }
}

/// Passes on what both sides send, until either ends.
async fn join(client: UnixStream, bus: UnixStream) {
    let (mut client, mut bus) = (BufReader::new(client), BufReader::new(bus));
    if authenticate(&mut client, &mut bus).await.is_err() {
        return;
    }
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_bus, mut to_bus) = tokio::io::split(bus);
    tokio::select! {
        _ = pass_calls(&mut from_client, &mut to_bus) => {}
        _ = copy(&mut from_bus, &mut to_client) => {}
    }
}

/// Passes the lines of the handshake on. Each line of the client has one in reply, but for
/// the last. The client may not pass descriptors.
async fn authenticate(
    client: &mut BufReader<UnixStream>,
    bus: &mut BufReader<UnixStream>,
) -> io::Result<()> {
    loop {
        let command = line(client).await?;
        if command == b"NEGOTIATE_UNIX_FD\r\n" {
            client.write_all(b"ERROR\r\n").await?;
            continue;
        }
        bus.write_all(&command).await?;
        if command == b"BEGIN\r\n" {
            return Ok(());
        }
        let reply = line(bus).await?;
        client.write_all(&reply).await?;
    }
}

async fn line(stream: &mut BufReader<UnixStream>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    match line.ends_with(b"\n") {
        true => Ok(line),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Passes the messages of the client on.
async fn pass_calls(
    client: &mut (impl AsyncReadExt + Unpin),
    bus: &mut (impl AsyncWriteExt + Unpin),
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        while let Some(message) = first_message(&buffer)? {
            let narrowed = narrowed(message);
            let length = message.len();
            bus.write_all(narrowed.as_deref().unwrap_or(message))
                .await?;
            buffer.drain(..length);
        }
        buffer.reserve(CHUNK);
        if client.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

fn first_message(buffer: &[u8]) -> io::Result<Option<&[u8]>> {
    let length = wire::length(buffer).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(length.and_then(|length| buffer.get(..length)))
}

/// The call in place of this one, if it asks for the changes of every object's properties.
fn narrowed(message: &[u8]) -> Option<Vec<u8>> {
    let (header, mut body) = wire::message(message, wire::METHOD_CALL)?;
    if header.member != "AddMatch" || header.interface != "org.freedesktop.DBus" {
        return None;
    }
    let rule = body.string()?;
    let is_wide = rule.contains("member='PropertiesChanged'")
        && !rule.contains("path")
        && !rule.contains("arg0");
    is_wide.then(|| wire::with_argument(message, &format!("{rule},arg0='org.bluez.Adapter1'")))?
}

#[cfg(test)]
mod tests {
    use zbus::message::Message;

    use super::*;

    async fn expect(stream: &mut UnixStream, expected: &[u8]) {
        let mut read = vec![0; expected.len()];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(read, expected);
    }

    /// Both ends of a relay that has passed the handshake on.
    async fn joined() -> (UnixStream, UnixStream) {
        let (mut client, to_relay) = UnixStream::pair().unwrap();
        let (mut bus, to_bus) = UnixStream::pair().unwrap();
        tokio::spawn(join(to_relay, to_bus));
        for (command, reply) in [
            ("\0AUTH EXTERNAL 30\r\n", "REJECTED ANONYMOUS\r\n"),
            ("AUTH ANONYMOUS\r\n", "OK 00\r\n"),
        ] {
            client.write_all(command.as_bytes()).await.unwrap();
            expect(&mut bus, command.as_bytes()).await;
            bus.write_all(reply.as_bytes()).await.unwrap();
            expect(&mut client, reply.as_bytes()).await;
        }
        client.write_all(b"NEGOTIATE_UNIX_FD\r\n").await.unwrap();
        expect(&mut client, b"ERROR\r\n").await;
        client.write_all(b"BEGIN\r\n").await.unwrap();
        expect(&mut bus, b"BEGIN\r\n").await;
        (client, bus)
    }

    fn add_match(rule: &str) -> Vec<u8> {
        let call = Message::method_call("/org/freedesktop/DBus", "AddMatch");
        let call = call.interface("org.freedesktop.DBus");
        let call = call.serial(7.try_into().unwrap()).build(&(rule,));
        call.unwrap().data().to_vec()
    }

    #[tokio::test]
    async fn one_match_is_narrowed_and_all_else_passed_on() {
        let (mut client, mut bus) = joined().await;
        let wide = "type='signal',member='PropertiesChanged'";
        let others = [
            add_match("type='signal',member='InterfacesAdded'"),
            add_match("member='PropertiesChanged',path_namespace='/org/bluez/hci0'"),
            add_match("member='PropertiesChanged',arg0='org.bluez.Device1'"),
        ]
        .concat();
        let sent = [add_match(wide), others.clone()].concat();
        let expected = [
            add_match(&format!("{wide},arg0='org.bluez.Adapter1'")),
            others,
        ]
        .concat();
        // Cut wherever a read may end.
        for at in [1, 15, 16, 40, sent.len() / 2, sent.len() - 1] {
            client.write_all(&sent[..at]).await.unwrap();
            tokio::task::yield_now().await;
            client.write_all(&sent[at..]).await.unwrap();
            expect(&mut bus, &expected).await;
        }
        bus.write_all(b"anything").await.unwrap();
        expect(&mut client, b"anything").await;
    }

    #[tokio::test]
    async fn the_end_of_one_side_is_the_end_of_the_other() {
        let (client, mut bus) = joined().await;
        drop(client);
        assert_eq!(bus.read(&mut [0]).await.unwrap(), 0);
        let (mut client, bus) = joined().await;
        drop(bus);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}
