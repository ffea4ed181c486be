//! The socket of the bus, as zbus reads and writes it.
//!
//! zbus asks for bytes. It gets those of one message at a time, and those of a call
//! only when the limits allow it. Its output passes unchanged, except for replies to
//! callers that want none.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, recvmsg, sendmsg, shutdown,
};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use zbus::connection::socket::{ReadHalf, Split, WriteHalf};
use zbus::message::{Message, Type};

use super::frame::{self, Call, Cut, Frame, Stream};
use super::queue::{Queue, Refused, Why};
use crate::bus::descriptors::{self, ForeignFiles, Passed};

/// Bytes read at a time.
const CHUNK: usize = 32 << 10;

/// Chunks read before each call that is handed on, if that many are available: most of
/// a flood is refused, and other callers' messages wait behind it.
const MOST_CHUNKS: usize = 32;

/// Messages other than calls that zbus gets before a waiting call.
const MOST_OTHERS: usize = 32;

/// Descriptors that one read can receive: SCM_MAX_FD of Linux.
const MOST_AT_ONCE: usize = 253;

/// The state that both halves share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    foreign: Arc<ForeignFiles>,
    /// Notified when the limits may allow a call.
    room: Notify,
    /// Notified when a refusal waits to be sent.
    told: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// Whether the bus does not take our output.
    congested: bool,
    /// The serial number of the refusal that is being sent.
    refusal: Option<NonZeroU32>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn foreign(&self) -> Arc<ForeignFiles> {
        Arc::clone(&self.foreign)
    }

    /// Waits for a refusal to send.
    pub(super) async fn refused(&self) -> Refused {
        loop {
            let refused = self.lock().queue.refused();
            if let Some(refused) = refused {
                return refused;
            }
            self.told.notified().await;
        }
    }

    /// The next call to process, unless the bus does not take the replies.
    fn next_call(&self) -> Option<Ready> {
        loop {
            let mut state = self.lock();
            if state.congested {
                return None;
            }
            let (call, frame) = state.queue.next()?;
            drop(state);
            if let Ok(ready) = Ready::call(&call, frame, &self.foreign) {
                return Some(ready);
            }
            self.foreign.forget(&call.sender, call.serial);
            let queue = &mut self.lock().queue;
            queue.answered(&call.sender, call.serial.get());
            queue.refuse(call, Why::Unfit);
        }
    }

    /// Records the serial number of the next refusal. The refusal is not a reply to a
    /// call in progress, even if that has the same number.
    pub(super) fn refusing(&self, serial: NonZeroU32) {
        self.lock().refusal = Some(serial);
    }

    fn congested(&self, congested: bool) {
        let before = std::mem::replace(&mut self.lock().congested, congested);
        if before && !congested {
            self.room.notify_one();
        }
    }
}

/// Both halves, before zbus splits them.
pub(super) struct Socket {
    stream: Arc<UnixStream>,
    shared: Arc<Shared>,
}

impl Socket {
    pub(super) fn new(stream: net::UnixStream, shared: Arc<Shared>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: Arc::new(UnixStream::from_std(stream)?),
            shared,
        })
    }
}

impl zbus::connection::Socket for Socket {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let reader = Reader(Messages {
            stream: Arc::clone(&self.stream),
            shared: Arc::clone(&self.shared),
            come: Stream::default(),
            others: 0,
            current: None,
            chunk: vec![0; CHUNK].into(),
        });
        let writer = Writer {
            stream: self.stream,
            shared: self.shared,
        };
        Split::new(reader, writer)
    }
}

/// The read half. Messages follow a handshake of lines. The handshake is read byte by
/// byte, so that no byte of the first message is taken for it.
#[derive(Debug)]
pub(super) struct Reader(Messages);

#[async_trait]
impl ReadHalf for Reader {
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
        let byte = &mut buffer[..1];
        let stream = &self.0.stream;
        let (_, descriptors, _) = stream
            .async_io(Interest::READABLE, || receive(stream.as_fd(), &mut *byte))
            .await?;
        Ok((
            1,
            descriptors.into_iter().filter_map(Passed::ready).collect(),
        ))
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

/// The read half, after the handshake.
struct Messages {
    stream: Arc<UnixStream>,
    shared: Arc<Shared>,
    come: Stream,
    /// Messages other than calls, given to zbus one after another.
    others: usize,
    /// The message that zbus is reading, and how much of it zbus has.
    current: Option<(Ready, usize)>,
    chunk: Box<[u8]>,
}

/// A message, and its descriptors in the form that zbus may have.
struct Ready {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

#[async_trait]
impl ReadHalf for Messages {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let (mut ready, done) = match self.current.take() {
            Some(current) => current,
            None => (self.next().await?, 0),
        };
        let length = buffer.len().min(ready.bytes.len() - done);
        buffer[..length].copy_from_slice(&ready.bytes[done..done + length]);
        let descriptors = std::mem::take(&mut ready.descriptors);
        if done + length < ready.bytes.len() {
            self.current = Some((ready, done + length));
        }
        Ok((length, descriptors))
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

impl Ready {
    /// A reply or a signal. zbus closes the connection at a message with fewer
    /// descriptors than its header says, so an empty file replaces a descriptor that is
    /// foreign or was lost. Only logind sends us a descriptor on its own initiative,
    /// and that is a pipe.
    fn other(frame: Frame) -> io::Result<Self> {
        let ready = frame.descriptors.into_iter().filter_map(Passed::ready);
        let mut descriptors: Vec<_> = ready.collect();
        while descriptors.len() < frame::descriptors_of(&frame.bytes) {
            descriptors.push(descriptors::substitute()?);
        }
        Ok(Self {
            bytes: frame.bytes,
            descriptors,
        })
    }

    /// A call.
    ///
    /// # Errors
    /// When no substitute for a foreign file can be made.
    fn call(call: &Call, frame: Frame, foreign: &ForeignFiles) -> io::Result<Self> {
        let passed = frame.descriptors.into_iter();
        let deposit = |passed| foreign.deposit(passed, &call.sender, call.serial);
        Ok(Self {
            bytes: frame.bytes,
            descriptors: passed.map(deposit).collect::<io::Result<_>>()?,
        })
    }
}

impl Messages {
    /// The next message for zbus. Everything received is examined first, because
    /// messages that other tasks wait for may be behind a flood of calls. A flood of
    /// signals does not delay a call for long.
    async fn next(&mut self) -> io::Result<Ready> {
        loop {
            // Tasks with work to do go on first.
            tokio::task::yield_now().await;
            let mut drained = false;
            for _ in 0..MOST_CHUNKS {
                if self.others >= MOST_OTHERS {
                    break;
                }
                if let Some(other) = self.queue_calls() {
                    self.others += 1;
                    return Ready::other(other);
                }
                let Some(received) = self.try_receive() else {
                    drained = true;
                    break;
                };
                self.add(received?);
            }
            self.others = 0;
            self.shared.told.notify_one();
            if let Some(ready) = self.shared.next_call() {
                return Ok(ready);
            }
            if drained {
                self.wait().await?;
            }
        }
    }

    /// Queues the received calls, up to the first message that is not a call.
    fn queue_calls(&mut self) -> Option<Frame> {
        while let Some(cut) = self.come.cut() {
            let queue = &mut self.shared.lock().queue;
            match cut {
                Cut::Other(frame) => return Some(frame),
                Cut::Call(call, frame) => queue.arrive(call, frame),
                Cut::Unfit(call) => queue.refuse(call, Why::Unfit),
            }
        }
        None
    }

    /// Reads what is available, if anything is.
    fn try_receive(&mut self) -> Option<io::Result<Received>> {
        match receive(self.stream.as_fd(), &mut self.chunk) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            received => Some(received),
        }
    }

    fn add(&mut self, (length, descriptors, lost): Received) {
        self.come.add(&self.chunk[..length], descriptors, lost);
    }

    /// Waits until there is something to read, or the limits allow a call.
    async fn wait(&mut self) -> io::Result<()> {
        let (stream, chunk) = (&self.stream, &mut self.chunk);
        let received = stream.async_io(Interest::READABLE, || receive(stream.as_fd(), &mut *chunk));
        tokio::select! {
            received = received => {
                let received = received?;
                self.add(received);
            }
            () = self.shared.room.notified() => {}
        }
        Ok(())
    }
}

/// Bytes read, descriptors that came with them, and whether some are missing.
type Received = (usize, Vec<Passed>, bool);

fn receive(from: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_AT_ONCE))];
    // Without space for them the kernel withholds descriptors.
    let space = match descriptors::acceptable() {
        true => &mut space[..],
        false => &mut [],
    };
    let mut ancillary = RecvAncillaryBuffer::new(space);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = recvmsg(from, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let mut passed = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            passed.extend(rights.map(Passed::from));
        }
    }
    let lost = received.flags.contains(ReturnFlags::CTRUNC);
    Ok((received.bytes, passed, lost))
}

/// The write half.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Arc<UnixStream>,
    shared: Arc<Shared>,
}

#[async_trait]
impl WriteHalf for Writer {
    async fn send_message(&mut self, message: &Message) -> zbus::Result<()> {
        let header = message.header();
        let answers = matches!(message.message_type(), Type::MethodReturn | Type::Error);
        let answered = match (header.destination(), header.reply_serial()) {
            (Some(caller), Some(serial)) if answers => {
                let mut state = self.shared.lock();
                if state.refusal == Some(message.primary_header().serial_num()) {
                    None
                } else {
                    state.queue.answered(caller.as_str(), serial.get())
                }
            }
            _ => None,
        };
        if let Some(call) = &answered {
            self.shared.foreign.forget(&call.sender, call.serial);
            self.shared.room.notify_one();
        }
        if answered.is_some_and(|call| call.silent) {
            return Ok(());
        }
        let data = message.data();
        let descriptors: Vec<_> = data.fds().iter().map(AsFd::as_fd).collect();
        let mut descriptors = &descriptors[..];
        let mut rest: &[u8] = data;
        while !rest.is_empty() {
            let written = self.sendmsg(rest, descriptors).await?;
            rest = &rest[written..];
            descriptors = &[];
        }
        Ok(())
    }

    async fn sendmsg(&mut self, buffer: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        match send(self.stream.as_fd(), buffer, fds) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return sent,
        }
        let _congestion = Congestion::begin(&self.shared);
        let stream = &self.stream;
        stream
            .async_io(Interest::WRITABLE, || send(stream.as_fd(), buffer, fds))
            .await
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(shutdown(&*self.stream, Shutdown::Both)?)
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

/// The bus does not take our output, until this is dropped.
struct Congestion<'a>(&'a Shared);

impl<'a> Congestion<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.congested(true);
        Self(shared)
    }
}

impl Drop for Congestion<'_> {
    fn drop(&mut self) {
        self.0.congested(false);
    }
}

fn send(to: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_AT_ONCE))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL;
    Ok(sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, flags)?)
}
