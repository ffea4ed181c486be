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

use super::decoder::{self, DecodedMessage, MessageDecoder, MethodCall, RawMessage};
use super::queue::{CallQueue, RefusalReason, RefusedCall};
use crate::bus::descriptors::{self, ForeignFiles, ReceivedFd};

/// Bytes read at a time.
const CHUNK: usize = 32 << 10;

/// Chunks read before each call that is handed on, if that many are available: most of
/// a flood is refused, and other callers' messages wait behind it.
const MAX_CHUNKS: usize = 32;

/// Messages other than calls that zbus gets before a waiting call.
const MAX_OTHERS: usize = 32;

/// Descriptors that one read can receive: SCM_MAX_FD of Linux.
const MAX_FDS_PER_READ: usize = 253;

/// The state that both halves share.
#[derive(Debug, Default)]
pub(super) struct SharedState {
    state: Mutex<SocketState>,
    foreign: Arc<ForeignFiles>,
    /// Notified when the limits may allow another call.
    capacity: Notify,
    /// Notified when a refusal waits to be sent.
    refusal_added: Notify,
}

#[derive(Debug, Default)]
struct SocketState {
    queue: CallQueue,
    /// Whether the bus does not take the output.
    congested: bool,
    /// The serial number of the refusal that is being sent.
    refusal: Option<NonZeroU32>,
}

impl SharedState {
    fn lock(&self) -> MutexGuard<'_, SocketState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn foreign(&self) -> Arc<ForeignFiles> {
        Arc::clone(&self.foreign)
    }

    /// Waits for a refusal to send.
    pub(super) async fn refused(&self) -> RefusedCall {
        loop {
            let refused = self.lock().queue.refused();
            if let Some(refused) = refused {
                return refused;
            }
            self.refusal_added.notified().await;
        }
    }

    /// The next call to process, unless the bus does not take the replies.
    fn next_call(&self) -> Option<ReadyMessage> {
        loop {
            let mut state = self.lock();
            if state.congested {
                return None;
            }
            let (call, message) = state.queue.next()?;
            drop(state);
            if let Ok(ready) = ReadyMessage::call(&call, message, &self.foreign) {
                return Some(ready);
            }
            self.foreign.forget(&call.sender, call.serial);
            let queue = &mut self.lock().queue;
            queue.answered(&call.sender, call.serial.get());
            queue.refuse(call, RefusalReason::Unacceptable);
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
            self.capacity.notify_one();
        }
    }
}

/// Both halves, before zbus splits them.
pub(super) struct Socket {
    stream: Arc<UnixStream>,
    shared: Arc<SharedState>,
}

impl Socket {
    pub(super) fn new(stream: net::UnixStream, shared: Arc<SharedState>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: Arc::new(UnixStream::from_std(stream)?),
            shared,
        })
    }
}

impl zbus::connection::Socket for Socket {
    type ReadHalf = BusReader;
    type WriteHalf = BusWriter;

    fn split(self) -> Split<BusReader, BusWriter> {
        let reader = BusReader(MessageReader {
            stream: Arc::clone(&self.stream),
            shared: Arc::clone(&self.shared),
            decoder: MessageDecoder::default(),
            others: 0,
            current: None,
            chunk: vec![0; CHUNK].into(),
        });
        let writer = BusWriter {
            stream: self.stream,
            shared: self.shared,
        };
        Split::new(reader, writer)
    }
}

/// The read half. Messages follow a handshake of lines. The handshake is read byte by
/// byte, so that no byte of the first message is taken for it.
#[derive(Debug)]
pub(super) struct BusReader(MessageReader);

#[async_trait]
impl ReadHalf for BusReader {
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
            descriptors
                .into_iter()
                .filter_map(ReceivedFd::pipe_or_socket)
                .collect(),
        ))
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

/// The read half, after the handshake.
struct MessageReader {
    stream: Arc<UnixStream>,
    shared: Arc<SharedState>,
    decoder: MessageDecoder,
    /// Messages other than calls, given to zbus one after another.
    others: usize,
    /// The message that zbus is reading, and how much of it zbus has.
    current: Option<(ReadyMessage, usize)>,
    chunk: Box<[u8]>,
}

/// A message, and its descriptors in the form that zbus may have.
struct ReadyMessage {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl fmt::Debug for MessageReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReader").finish_non_exhaustive()
    }
}

#[async_trait]
impl ReadHalf for MessageReader {
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

impl ReadyMessage {
    /// A reply or a signal. zbus closes the connection at a message with fewer
    /// descriptors than its header says, so an empty file replaces a descriptor that is
    /// foreign or was lost. Only logind sends tcnd a descriptor on its own initiative,
    /// and that is a pipe.
    fn other(message: RawMessage) -> io::Result<Self> {
        let usable = message
            .descriptors
            .into_iter()
            .filter_map(ReceivedFd::pipe_or_socket);
        let mut descriptors: Vec<_> = usable.collect();
        while descriptors.len() < decoder::descriptor_count(&message.bytes) {
            descriptors.push(descriptors::substitute()?);
        }
        Ok(Self {
            bytes: message.bytes,
            descriptors,
        })
    }

    /// A call.
    ///
    /// # Errors
    /// When no substitute for a foreign file can be made.
    fn call(call: &MethodCall, message: RawMessage, foreign: &ForeignFiles) -> io::Result<Self> {
        let passed = message.descriptors.into_iter();
        let deposit = |passed| foreign.deposit(passed, &call.sender, call.serial);
        Ok(Self {
            bytes: message.bytes,
            descriptors: passed.map(deposit).collect::<io::Result<_>>()?,
        })
    }
}

impl MessageReader {
    /// The next message for zbus. Everything received is examined first, because
    /// messages that other tasks wait for may be behind a flood of calls. A flood of
    /// signals does not delay a call for long.
    async fn next(&mut self) -> io::Result<ReadyMessage> {
        loop {
            // Tasks with work to do go on first.
            tokio::task::yield_now().await;
            let mut drained = false;
            for _ in 0..MAX_CHUNKS {
                if self.others >= MAX_OTHERS {
                    break;
                }
                if let Some(other) = self.queue_calls() {
                    self.others += 1;
                    return ReadyMessage::other(other);
                }
                let Some(received) = self.try_receive() else {
                    drained = true;
                    break;
                };
                self.add(received?);
            }
            self.others = 0;
            self.shared.refusal_added.notify_one();
            if let Some(ready) = self.shared.next_call() {
                return Ok(ready);
            }
            if drained {
                self.wait().await?;
            }
        }
    }

    /// Queues the received calls, up to the first message that is not a call.
    fn queue_calls(&mut self) -> Option<RawMessage> {
        while let Some(decoded) = self.decoder.next_message() {
            let queue = &mut self.shared.lock().queue;
            match decoded {
                DecodedMessage::Other(message) => return Some(message),
                DecodedMessage::Call(call, message) => queue.enqueue(call, message),
                DecodedMessage::Unacceptable(call) => {
                    queue.refuse(call, RefusalReason::Unacceptable)
                }
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
        self.decoder.add(&self.chunk[..length], descriptors, lost);
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
            () = self.shared.capacity.notified() => {}
        }
        Ok(())
    }
}

/// Bytes read, descriptors that came with them, and whether some are missing.
type Received = (usize, Vec<ReceivedFd>, bool);

fn receive(from: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS_PER_READ))];
    // Without space for them the kernel withholds descriptors.
    let space = match descriptors::can_accept() {
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
            passed.extend(rights.map(ReceivedFd::from));
        }
    }
    let lost = received.flags.contains(ReturnFlags::CTRUNC);
    Ok((received.bytes, passed, lost))
}

/// The write half.
#[derive(Debug)]
pub(super) struct BusWriter {
    stream: Arc<UnixStream>,
    shared: Arc<SharedState>,
}

#[async_trait]
impl WriteHalf for BusWriter {
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
            self.shared.capacity.notify_one();
        }
        if answered.is_some_and(|call| call.no_reply) {
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
        let _congestion = CongestionGuard::begin(&self.shared);
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

/// Marks the connection as congested until it is dropped.
struct CongestionGuard<'a>(&'a SharedState);

impl<'a> CongestionGuard<'a> {
    fn begin(shared: &'a SharedState) -> Self {
        shared.congested(true);
        Self(shared)
    }
}

impl Drop for CongestionGuard<'_> {
    fn drop(&mut self) {
        self.0.congested(false);
    }
}

fn send(to: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS_PER_READ))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL;
    Ok(sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, flags)?)
}
