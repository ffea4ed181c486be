//! The socket of the bus, read many messages at a time.
//!
//! zbus sees everything but the signals of devices: those are looked at in the buffer, and go
//! no further. After signals were read, the socket is left alone for [`GATHER_TIME`], so that
//! a crowd costs a few reads a second, however many adverts it sends. Meanwhile the kernel
//! and the bus hold the messages: a socket holds 208 KiB, which is some 250 signals, and the
//! bus holds the rest in its own memory (dbus-daemon(1), `max_outgoing_bytes`: 127 MiB on a
//! system bus; dbus-broker: 64 MiB a connection).
//!
//! While the socket is left alone it is not registered with epoll either: each message would
//! wake the process.

use std::fmt;
use std::future::pending;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bluez_signals::wire;
use tokio::io::Interest;
use tokio::task::yield_now;
use tokio::time::timeout;
use zbus::connection::socket::{ReadHalf, Split, WriteHalf};
use zbus::message::Message;

/// How long signals gather before they are read: how late a sighting may be.
pub(super) const GATHER_TIME: Duration = Duration::from_millis(200);

/// Bytes read at a time.
const CHUNK: usize = 32 << 10;

/// Chunks read before other tasks go on.
const MAX_CHUNKS: usize = 8;

/// Takes messages; true if the message is not for zbus.
pub(super) type MessageSink = Box<dyn FnMut(&[u8]) -> bool + Send + Sync>;

/// Both halves, before zbus splits them.
pub(super) struct SignalSocket {
    stream: Arc<UnixStream>,
    sink: MessageSink,
}

impl SignalSocket {
    pub(super) fn new(stream: UnixStream, sink: MessageSink) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = Arc::new(stream);
        Ok(Self { stream, sink })
    }
}

impl zbus::connection::Socket for SignalSocket {
    type ReadHalf = SignalReader;
    type WriteHalf = SignalWriter;

    fn split(self) -> Split<SignalReader, SignalWriter> {
        let reader = MessageReader {
            stream: Arc::clone(&self.stream),
            sink: self.sink,
            buffer: Vec::new(),
            start: 0,
            signals_seen: false,
            current: (Vec::new(), 0),
        };
        Split::new(SignalReader(reader), SignalWriter(self.stream))
    }
}

/// Waits until the stream is ready. A duplicate is registered with epoll for this time.
async fn ready(stream: &UnixStream, interest: Interest) -> io::Result<()> {
    let registered = tokio::net::UnixStream::from_std(stream.try_clone()?)?;
    registered.ready(interest).await.map(drop)
}

/// The read half. Messages follow a handshake of lines. The handshake is read byte by byte,
/// so that no byte of the first message is taken for it.
#[derive(Debug)]
pub(super) struct SignalReader(MessageReader);

#[async_trait]
impl ReadHalf for SignalReader {
    async fn receive_message(
        &mut self,
        seq: u64,
        already_received_bytes: &mut Vec<u8>,
        already_received_fds: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        self.0
            .receive_message(seq, already_received_bytes, already_received_fds)
            .await
    }

    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut stream = &*self.0.stream;
        loop {
            match stream.read(&mut buffer[..1]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready(stream, Interest::READABLE).await?;
                }
                read => return Ok((read?, Vec::new())),
            }
        }
    }
}

/// The read half, after the handshake.
struct MessageReader {
    stream: Arc<UnixStream>,
    sink: MessageSink,
    /// The bytes that were read, from `start` on not yet looked at.
    buffer: Vec<u8>,
    start: usize,
    /// Signals of devices were taken since the last wait.
    signals_seen: bool,
    /// The message that zbus is reading, and how much of it zbus has.
    current: (Vec<u8>, usize),
}

impl fmt::Debug for MessageReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReader").finish_non_exhaustive()
    }
}

#[async_trait]
impl ReadHalf for MessageReader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if self.current.1 >= self.current.0.len() {
            self.current = (self.next().await?, 0);
        }
        let (message, done) = &mut self.current;
        let length = buffer.len().min(message.len() - *done);
        buffer[..length].copy_from_slice(&message[*done..*done + length]);
        *done += length;
        Ok((length, Vec::new()))
    }
}

impl MessageReader {
    /// The next message for zbus.
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            for _ in 0..MAX_CHUNKS {
                if let Some(message) = self.look()? {
                    return Ok(message);
                }
                if !self.read()? {
                    self.wait().await?;
                }
            }
            yield_now().await;
        }
    }

    /// Looks at the whole messages in the buffer, up to the first that is for zbus.
    fn look(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let rest = &self.buffer[self.start..];
            let length = wire::length(rest).map_err(|_| io::ErrorKind::InvalidData)?;
            let Some(message) = length.and_then(|length| rest.get(..length)) else {
                return Ok(None);
            };
            self.start += message.len();
            if !(self.sink)(message) {
                return Ok(Some(message.to_vec()));
            }
            self.signals_seen = true;
        }
    }

    /// Reads what is there; false if nothing is.
    fn read(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        // A message that is longer than a chunk arrives in several.
        self.buffer.reserve(CHUNK);
        let held = self.buffer.len();
        self.buffer.resize(held + CHUNK, 0);
        let read = (&*self.stream).read(&mut self.buffer[held..]);
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until it is time to read again. A long buffer is given back.
    async fn wait(&mut self) -> io::Result<()> {
        self.buffer.shrink_to(2 * CHUNK);
        if std::mem::take(&mut self.signals_seen) {
            // No event ends this: the signals gather meanwhile.
            let _ = timeout(GATHER_TIME, pending::<()>()).await;
            return Ok(());
        }
        ready(&self.stream, Interest::READABLE).await
    }
}

/// The write half.
#[derive(Debug)]
pub(super) struct SignalWriter(Arc<UnixStream>);

#[async_trait]
impl WriteHalf for SignalWriter {
    async fn sendmsg(&mut self, buffer: &[u8], _fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        loop {
            match (&*self.0).write(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready(&self.0, Interest::WRITABLE).await?;
                }
                written => return written,
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Both)
    }
}
