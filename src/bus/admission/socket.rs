//! The socket of the bus, as zbus reads and writes it.
//!
//! zbus asks for bytes; it gets those of one message at a time, and of a call
//! only when there is room for it. What it writes goes through, but for answers
//! to those who want none.

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

/// Read at a time, in bytes.
const CHUNK: usize = 32 << 10;

/// Chunks read before each call that is handed on, if so many are there: of a
/// flood much is refused, and others wait behind it.
const MOST_CHUNKS: usize = 32;

/// Messages that are no calls which zbus is given before a call, if one waits.
const MOST_OTHERS: usize = 32;

/// Descriptors that can come with one read: SCM_MAX_FD of Linux.
const MOST_AT_ONCE: usize = 253;

/// What both halves know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    foreign: Arc<ForeignFiles>,
    /// There may be room for a call.
    room: Notify,
    /// There is a refusal to tell.
    told: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// The bus does not take what is written.
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

    /// Waits for a refusal to tell.
    pub(super) async fn refused(&self) -> Refused {
        loop {
            let refused = self.lock().queue.refused();
            if let Some(refused) = refused {
                return refused;
            }
            self.told.notified().await;
        }
    }

    /// The call to work on next, unless the bus does not take the answers.
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

    /// The next refusal has this serial number; it is no answer to a call that is
    /// worked on, even if that has the same.
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

/// Both halves, before zbus takes them apart.
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

/// The half that is read. Before messages there is a handshake, of lines; it is
/// read byte by byte, so that nothing of the first message is taken for it.
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

/// The half that is read, after the handshake.
struct Messages {
    stream: Arc<UnixStream>,
    shared: Arc<Shared>,
    come: Stream,
    /// Messages that are no calls, given to zbus one after another.
    others: usize,
    /// The message that zbus is given, and how much of it zbus has.
    current: Option<(Ready, usize)>,
    chunk: Box<[u8]>,
}

/// A message, and its descriptors as zbus may have them.
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
    /// A reply or a signal. zbus ends the connection at a message with fewer
    /// descriptors than its header says, so what is foreign, or was lost, is an
    /// empty file there. logind, the only one who passes us a descriptor of its own
    /// accord, passes a pipe.
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
    /// When there is no room for what stands in the place of a foreign file.
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
    /// The message to give to zbus next. All that has come is looked at first:
    /// what others wait for may stand behind a flood of calls. A flood of signals
    /// keeps no call waiting for long.
    async fn next(&mut self) -> io::Result<Ready> {
        loop {
            // Whoever is at work goes on first.
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

    /// Queues the calls that have come, to the first message that is none.
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

    /// What is there to be read, if anything is.
    fn try_receive(&mut self) -> Option<io::Result<Received>> {
        match receive(self.stream.as_fd(), &mut self.chunk) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            received => Some(received),
        }
    }

    fn add(&mut self, (length, descriptors, lost): Received) {
        self.come.add(&self.chunk[..length], descriptors, lost);
    }

    /// Waits for something to read, or for room.
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
    // Without room for them the kernel keeps descriptors from us.
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

/// The half that is written.
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

/// The bus does not take what is written, until this is dropped.
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
