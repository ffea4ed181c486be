//! The socket of the bus, read many messages at a time.
//!
//! zbus sees replies alone. Signals are looked at in the buffer, and go no further. After
//! some were read, the socket is left alone for a while, so that a crowd costs a few reads a
//! second, however many adverts it sends. Meanwhile the kernel and the bus hold the messages:
//! a socket holds 208 KiB, which is some 250 signals, and the bus holds more in its own
//! memory (dbus-daemon: `max_outgoing_bytes` of the connection, 127 MiB on a system bus;
//! dbus-broker: a quota of the user, beyond which it ends the connection).
//!
//! While the socket is left alone it is not registered with epoll either: each message would
//! wake the process.
//!
//! Any program may send a message straight to a connection. So one that is neither a reply
//! nor short is skipped as it arrives, and never held.

use std::fmt;
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
use zbus::connection::socket::{ReadHalf, Split, WriteHalf};
use zbus::message::Message;

use crate::timerfd::{Timer, TimerfdClockId};

/// The longest message that is looked at, in bytes. A signal of a device has a few hundred.
const MAX_SIGNAL: usize = 64 << 10;

/// Bytes read at a time.
const CHUNK: usize = 32 << 10;

/// Chunks read before other tasks go on.
const MAX_CHUNKS: usize = 8;

/// Takes messages that are no replies.
pub(super) type MessageSink = Box<dyn FnMut(&[u8]) + Send + Sync>;

/// Both halves, before zbus splits them.
pub(super) struct SignalSocket {
    stream: Arc<UnixStream>,
    gather: (Timer, Duration),
    sink: MessageSink,
}

impl SignalSocket {
    /// `gather` is for how long the socket is left alone after signals were read.
    pub(super) fn new(stream: UnixStream, gather: Duration, sink: MessageSink) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: Arc::new(stream),
            gather: (Timer::new(TimerfdClockId::Monotonic)?, gather),
            sink,
        })
    }
}

impl zbus::connection::Socket for SignalSocket {
    type ReadHalf = SignalReader;
    type WriteHalf = SignalWriter;

    fn split(self) -> Split<SignalReader, SignalWriter> {
        let reader = MessageReader {
            stream: Arc::clone(&self.stream),
            gather: self.gather,
            sink: self.sink,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            drained: false,
            skip: 0,
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
    /// For how long the socket is left alone after signals were read.
    gather: (Timer, Duration),
    sink: MessageSink,
    /// The bytes from `start` to `end` were read and not yet looked at.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read left nothing in the socket.
    drained: bool,
    /// How many of the bytes to come belong to a message that is skipped.
    skip: usize,
    /// Messages that are no replies were taken since the last wait.
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
        if *done == message.len() {
            self.current = (Vec::new(), 0);
        }
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
                if std::mem::take(&mut self.drained) {
                    self.wait().await?;
                }
                self.read()?;
            }
            yield_now().await;
        }
    }

    /// Looks at the whole messages in the buffer, up to the first reply.
    fn look(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let skipped = self.skip.min(self.end - self.start);
            (self.start, self.skip) = (self.start + skipped, self.skip - skipped);
            let rest = &self.buffer[self.start..self.end];
            let length = wire::length(rest).map_err(|_| io::ErrorKind::InvalidData)?;
            let Some(length) = length else {
                return Ok(None);
            };
            let is_reply = wire::is_reply(rest);
            if !is_reply && length > MAX_SIGNAL {
                (self.skip, self.signals_seen) = (length, true);
                continue;
            }
            let Some(message) = rest.get(..length) else {
                return Ok(None);
            };
            self.start += length;
            if is_reply {
                return Ok(Some(message.to_vec()));
            }
            (self.sink)(message);
            self.signals_seen = true;
        }
    }

    /// Reads what is there, up to the room of the buffer, which is at least a chunk.
    fn read(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        // A message that is longer than a chunk arrives in several.
        if self.buffer.len() < self.end + CHUNK {
            self.buffer.resize(self.end + CHUNK, 0);
        }
        let room = &mut self.buffer[self.end..];
        let read = match (&*self.stream).read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => read?,
        };
        // unix(7): a read of a stream returns less than there is room for when nothing is
        // left. What it left for another reason is found after the wait, which it ends.
        self.drained = read < room.len();
        self.end += read;
        Ok(())
    }

    /// Waits until it is time to read again. A long buffer is given back.
    async fn wait(&mut self) -> io::Result<()> {
        if self.buffer.len() > 2 * CHUNK {
            self.buffer.truncate(self.end.max(2 * CHUNK));
            self.buffer.shrink_to_fit();
        }
        if std::mem::take(&mut self.signals_seen) {
            return self.let_gather().await;
        }
        if ready(&self.stream, Interest::READABLE).await.is_err() {
            // Out of descriptors, most likely: that ends no connection.
            return self.let_gather().await;
        }
        Ok(())
    }

    /// Lets signals gather. No event ends this.
    async fn let_gather(&self) -> io::Result<()> {
        let (timer, time) = &self.gather;
        timer.set_after(*time)?;
        timer.expired().await.map(drop)
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const GATHER: Duration = Duration::from_millis(200);

    fn signal(body: usize) -> Vec<u8> {
        let signal = Message::signal("/", "a.b", "C").build(&(vec![7u8; body],));
        signal.unwrap().data().to_vec()
    }

    fn reply() -> Vec<u8> {
        let call = Message::method_call("/", "C").serial(7.try_into().unwrap());
        let call = call.build(&()).unwrap();
        let reply = Message::method_return(&call.header()).serial(8.try_into().unwrap());
        let reply = reply.build(&());
        reply.unwrap().data().to_vec()
    }

    type Taken = Arc<Mutex<Vec<usize>>>;

    /// A reader, its other end, and the lengths of the signals that it took.
    fn reader() -> (MessageReader, UnixStream, Taken) {
        let (bus, stream) = UnixStream::pair().unwrap();
        let taken = Taken::default();
        let take = Arc::clone(&taken);
        let sink = move |signal: &[u8]| take.lock().unwrap().push(signal.len());
        let socket = SignalSocket::new(stream, GATHER, Box::new(sink)).unwrap();
        let (SignalReader(reader), _) = zbus::connection::Socket::split(socket).take();
        (reader, bus, taken)
    }

    #[tokio::test]
    async fn replies_are_passed_on_and_signals_are_not() {
        let (mut reader, mut bus, taken) = reader();
        let messages = [signal(300), reply(), signal(20), reply()].concat();
        for at in [1, 16, 17, 400, messages.len() - 1] {
            bus.write_all(&messages[..at]).unwrap();
            let mut rest = bus.try_clone().unwrap();
            let messages = messages[at..].to_vec();
            let writing = tokio::task::spawn_blocking(move || rest.write_all(&messages));
            assert_eq!(reader.next().await.unwrap(), reply());
            assert_eq!(reader.next().await.unwrap(), reply());
            writing.await.unwrap().unwrap();
            let lengths = std::mem::take(&mut *taken.lock().unwrap());
            assert_eq!(lengths, [signal(300).len(), signal(20).len()], "{at}");
        }
    }

    #[tokio::test]
    async fn a_long_message_of_anybody_is_never_held() {
        let (mut reader, mut bus, taken) = reader();
        let messages = [signal(8 << 20), signal(20), reply()].concat();
        let writing = tokio::task::spawn_blocking(move || bus.write_all(&messages));
        assert_eq!(reader.next().await.unwrap(), reply());
        writing.await.unwrap().unwrap();
        assert_eq!(*taken.lock().unwrap(), [signal(20).len()]);
        let held = reader.buffer.capacity();
        assert!(held <= 4 * CHUNK, "{held} bytes");
    }

    #[tokio::test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel's timer has no simulated time"
    )]
    async fn after_signals_the_socket_is_left_alone_for_a_while() {
        let (mut reader, mut bus, taken) = reader();
        bus.write_all(&signal(20)).unwrap();
        let start = std::time::Instant::now();
        // What comes after the signal was taken waits for the end of the pause.
        let answering = async {
            while taken.lock().unwrap().is_empty() {
                yield_now().await;
            }
            bus.write_all(&reply()).unwrap();
        };
        let (read, ()) = tokio::join!(reader.next(), answering);
        assert_eq!(read.unwrap(), reply());
        assert!(start.elapsed() >= GATHER);
    }
}
