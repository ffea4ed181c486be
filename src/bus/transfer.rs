//! Reads and writes callers' files: descriptors from the bus, with a deadline.
//!
//! A descriptor can be of any file, even a pipe that no process reads. Whether it
//! blocks is its owner's choice, because the flag belongs to the open file, which is
//! shared. So nothing here reads or writes before poll(2) reports it ready, and then
//! never more than fits: [`CHUNK`] bytes into a pipe (pipe(7)), and `MSG_DONTWAIT` for a
//! socket. Each export has its own thread, [`MAX_EXPORTS`] at once; the daemon's own
//! thread reads imports, one at once.
//!
//! A foreign file ([`FdKind::Foreign`]) may block even poll(2). A separate thread copies
//! it from or to a pipe, and this module reads or writes the pipe. [`MAX_RELAYS`] such
//! threads may wait for their files at once.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::descriptors::{FdKind, ForeignFiles, ReceivedFd};
use super::error::ErrorReply;

/// How long a descriptor may accept nothing, or provide nothing.
pub const FD_TIMEOUT: Duration = Duration::from_secs(30);

/// Exports in progress at once.
const MAX_EXPORTS: usize = 4;

/// Foreign files read or written at once, including those that do not respond.
const MAX_RELAYS: usize = 8;

/// How often a wait checks whether it was cancelled.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Bytes written at a time: PIPE_BUF of Linux, which a pipe takes whole or not at all.
const CHUNK: usize = 4096;

/// Limits the transfers at once.
#[derive(Debug)]
pub(super) struct Transfers {
    exports: Arc<Semaphore>,
    relays: Arc<Semaphore>,
    foreign: Arc<ForeignFiles>,
    timeout: Duration,
}

impl Transfers {
    pub(super) fn new(timeout: Duration, foreign: Arc<ForeignFiles>) -> Self {
        Self {
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            relays: Arc::new(Semaphore::new(MAX_RELAYS)),
            foreign,
            timeout,
        }
    }

    /// A permit to write to `file`.
    pub(super) fn writer(&self, file: zbus::OwnedFd) -> Result<FdWriter, ErrorReply> {
        let file = self.open(file, OFlags::WRONLY)?;
        let exports = Arc::clone(&self.exports);
        let permit = exports.try_acquire_owned().map_err(|_| {
            ErrorReply::busy("too many exports are in progress; try again when one is done")
        })?;
        let (fd, copied) = if file.kind() == FdKind::Foreign {
            let (reader, writer) = io::pipe().map_err(no_pipe)?;
            let (done, copied) = mpsc::channel();
            self.relay(move || {
                let _ = done.send(copy_to(reader, file));
            })?;
            (OwnedFd::from(writer).into(), Some(copied))
        } else {
            (file, None)
        };
        Ok(FdWriter {
            fd: Some(CallerFd::new(fd, self.timeout)),
            copied,
            timeout: self.timeout,
            _permit: permit,
        })
    }

    /// A reader of `file`. It fails from when `cancelled` is set.
    pub(super) fn reader(
        &self,
        file: zbus::OwnedFd,
        cancelled: Arc<AtomicBool>,
    ) -> Result<FdReader, ErrorReply> {
        let file = self.open(file, OFlags::RDONLY)?;
        let copy_failed = Arc::<AtomicBool>::default();
        let fd = if file.kind() == FdKind::Foreign {
            let (reader, writer) = io::pipe().map_err(no_pipe)?;
            let copy_failed = Arc::clone(&copy_failed);
            self.relay(move || copy_from(file, writer, &copy_failed))?;
            OwnedFd::from(reader).into()
        } else {
            file
        };
        Ok(FdReader {
            fd: CallerFd::new(fd, self.timeout),
            cancelled,
            copy_failed,
            read: Arc::default(),
        })
    }

    /// Refuses a file that is not open for `access`.
    fn open(&self, file: zbus::OwnedFd, access: OFlags) -> Result<ReceivedFd, ErrorReply> {
        let file = self.foreign.claim(file.into());
        let opened = fcntl_getfl(&file).map(|flags| flags & (OFlags::RWMODE | OFlags::PATH));
        if opened.is_ok_and(|opened| opened == access || opened == OFlags::RDWR) {
            return Ok(file);
        }
        let access = if access == OFlags::WRONLY {
            "written"
        } else {
            "read"
        };
        Err(ErrorReply::invalid_args(format!(
            "the descriptor cannot be {access}; open the file for that"
        )))
    }

    /// Runs `copy` on a thread that may wait forever.
    fn relay(&self, copy: impl FnOnce() + Send + 'static) -> Result<(), ErrorReply> {
        let relays = Arc::clone(&self.relays);
        let permit = relays
            .try_acquire_owned()
            .map_err(|_| ErrorReply::busy("too many files do not respond; pass a pipe instead"))?;
        let copy = move || {
            let _permit = permit;
            copy();
        };
        let thread = std::thread::Builder::new().name("file".to_owned());
        thread.spawn(copy).map_err(no_thread)?;
        Ok(())
    }
}

fn no_pipe<E>(_: E) -> ErrorReply {
    ErrorReply::failed("the daemon cannot create a pipe; try again")
}

fn no_thread<E>(_: E) -> ErrorReply {
    ErrorReply::failed("the daemon cannot start a thread; try again")
}

/// Copies the contents of the pipe to `file`, and closes it.
fn copy_to(mut pipe: PipeReader, mut file: ReceivedFd) -> io::Result<()> {
    io::copy(&mut pipe, file.file()).map(|_| ())
}

/// Copies `file` into the pipe. A failure is recorded before the pipe ends.
fn copy_from(mut file: ReceivedFd, mut pipe: PipeWriter, copy_failed: &AtomicBool) {
    let copied = io::copy(file.file(), &mut pipe);
    copy_failed.store(copied.is_err(), Ordering::Release);
}

/// Writes to a caller's file, on its own thread.
pub(super) struct FdWriter {
    /// `None` when all is written.
    fd: Option<CallerFd>,
    /// For a foreign file: the result of the copy.
    copied: Option<mpsc::Receiver<io::Result<()>>>,
    timeout: Duration,
    _permit: OwnedSemaphorePermit,
}

impl FdWriter {
    /// Runs `work` on a new thread. If the caller gives up, or the daemon ends, neither
    /// has to wait for the thread.
    pub(super) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(Self) -> Result<T, ErrorReply> + Send + 'static,
    ) -> Result<T, ErrorReply> {
        let (result, received) = oneshot::channel();
        let work = move || {
            let _ = result.send(work(self));
        };
        let thread = std::thread::Builder::new().name("export".to_owned());
        thread.spawn(work).map_err(no_thread)?;
        received.await.map_err(no_thread)?
    }
}

impl FdWriter {
    /// The result of the copy to a foreign file, when the pipe to it is closed.
    fn finish_copy(&mut self) -> io::Result<()> {
        self.fd = None;
        let Some(copied) = self.copied.take() else {
            return Ok(());
        };
        copied
            .recv_timeout(self.timeout)
            .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Write for FdWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        let fd = self.fd.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = fd.once(PollFlags::OUT, &AtomicBool::new(false), |fd| {
            if fd.socket {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(send(&fd.file, bytes, flags)?)
            } else {
                fd.file.file().write(bytes)
            }
        });
        if written
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            // For a foreign file, the pipe breaks when the copy does.
            self.finish_copy()?;
        }
        written
    }

    /// Returns when the file has everything; nothing can be written after.
    fn flush(&mut self) -> io::Result<()> {
        self.finish_copy()
    }
}

/// The error for a caller whose file did not accept everything.
pub(super) fn write_error(failure: &io::Error) -> ErrorReply {
    let kind = failure.kind();
    ErrorReply::failed(if kind == io::ErrorKind::TimedOut {
        "the other end of the descriptor does not read; read from it during the call, or pass a file that responds"
    } else if kind == io::ErrorKind::BrokenPipe || kind == io::ErrorKind::ConnectionReset {
        "the reader closed the descriptor before everything was written; keep it open until the call returns"
    } else {
        "the file cannot be written; check that its disk has space"
    })
}

/// Reads a caller's file. It may block its thread.
pub(super) struct FdReader {
    fd: CallerFd,
    cancelled: Arc<AtomicBool>,
    /// For a foreign file: whether it could not be read to its end.
    copy_failed: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
}

impl FdReader {
    /// How many bytes have been read so far.
    pub(super) fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }
}

impl Read for FdReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fd.once(PollFlags::IN, &self.cancelled, |fd| {
            if fd.socket {
                Ok(recv(&fd.file, &mut *buffer, RecvFlags::DONTWAIT)?.0)
            } else {
                fd.file.file().read(buffer)
            }
        })?;
        if read == 0 && !buffer.is_empty() && self.copy_failed.load(Ordering::Acquire) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A pipe, socket or memory file of another process.
struct CallerFd {
    file: ReceivedFd,
    socket: bool,
    timeout: Duration,
}

impl CallerFd {
    fn new(file: ReceivedFd, timeout: Duration) -> Self {
        Self {
            socket: file.kind() == FdKind::Socket,
            file,
            timeout,
        }
    }

    /// Runs `work` once, when the file is ready for it.
    fn once(
        &mut self,
        ready: PollFlags,
        cancelled: &AtomicBool,
        mut work: impl FnMut(&mut Self) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.wait(ready, cancelled)?;
            match work(self) {
                // Another process read or wrote first.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Waits until the file is ready, the deadline passes, or the transfer is cancelled.
    fn wait(&self, ready: PollFlags, cancelled: &AtomicBool) -> io::Result<()> {
        let mut file = [PollFd::new(&self.file, ready)];
        let mut elapsed = Duration::ZERO;
        while elapsed < self.timeout {
            if cancelled.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let interval = POLL_INTERVAL.min(self.timeout - elapsed);
            let timeout = Timespec::try_from(interval).map_err(io::Error::other)?;
            match retry_on_intr(|| poll(&mut file, Some(&timeout))) {
                Ok(0) => elapsed += interval,
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}
