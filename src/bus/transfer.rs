//! Reads and writes callers' files: descriptors from the bus, with a deadline.
//!
//! A descriptor can be of any file, even a pipe that no process reads. Whether it
//! blocks is its owner's choice, because the flag belongs to the open file, which is
//! shared. So nothing here reads or writes before poll(2) reports it ready, and then
//! never more than fits: [`CHUNK`] bytes into a pipe (pipe(7)), and sockets are asked
//! not to wait. Each export has a thread of its own, [`MOST`] at once; the daemon's own
//! thread reads imports, one at once.
//!
//! A foreign file ([`Kind::Foreign`]) may block even poll(2). A separate thread copies
//! it from or to a pipe, and this module reads or writes the pipe. [`MOST_RELAYS`] such
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

use super::descriptors::{ForeignFiles, Kind, Passed};
use super::error::Error;

/// How long a descriptor may accept nothing, or provide nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Exports in progress at once.
const MOST: usize = 4;

/// Foreign files read or written at once, those that do not answer included.
const MOST_RELAYS: usize = 8;

/// How often a wait checks whether the result is still wanted.
const LOOK: Duration = Duration::from_millis(250);

/// Bytes written at a time: PIPE_BUF of Linux, which a pipe takes whole or not at all.
const CHUNK: usize = 4096;

/// Limits the transfers at once.
#[derive(Debug)]
pub(super) struct Transfers {
    turns: Arc<Semaphore>,
    relays: Arc<Semaphore>,
    foreign: Arc<ForeignFiles>,
    patience: Duration,
}

impl Transfers {
    pub(super) fn new(patience: Duration, foreign: Arc<ForeignFiles>) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(MOST)),
            relays: Arc::new(Semaphore::new(MOST_RELAYS)),
            foreign,
            patience,
        }
    }

    /// A permit to write to `file`.
    pub(super) fn outlet(&self, file: zbus::OwnedFd) -> Result<Outlet, Error> {
        let file = self.open(file, OFlags::WRONLY)?;
        let turns = Arc::clone(&self.turns);
        let turn = turns.try_acquire_owned().map_err(|_| {
            Error::Busy("too many exports are under way; try again when one is done")
        })?;
        let (far, copied) = if file.kind() == Kind::Foreign {
            let (reader, writer) = io::pipe().map_err(|_| NO_PIPE)?;
            let (done, copied) = mpsc::channel();
            self.relay(move || {
                let _ = done.send(copy_to(reader, file));
            })?;
            (OwnedFd::from(writer).into(), Some(copied))
        } else {
            (file, None)
        };
        Ok(Outlet {
            far: Some(Far::new(far, self.patience)),
            copied,
            patience: self.patience,
            _turn: turn,
        })
    }

    /// A reader of `file`, until `gone` is set because the rest is not wanted.
    pub(super) fn intake(
        &self,
        file: zbus::OwnedFd,
        gone: Arc<AtomicBool>,
    ) -> Result<Intake, Error> {
        let file = self.open(file, OFlags::RDONLY)?;
        let broken = Arc::<AtomicBool>::default();
        let far = if file.kind() == Kind::Foreign {
            let (reader, writer) = io::pipe().map_err(|_| NO_PIPE)?;
            let broke = Arc::clone(&broken);
            self.relay(move || copy_from(file, writer, &broke))?;
            OwnedFd::from(reader).into()
        } else {
            file
        };
        Ok(Intake {
            far: Far::new(far, self.patience),
            gone,
            broken,
            read: Arc::default(),
        })
    }

    /// Refuses a file that is not open for `way`.
    fn open(&self, file: zbus::OwnedFd, way: OFlags) -> Result<Passed, Error> {
        let file = self.foreign.claim(file.into());
        let opened = fcntl_getfl(&file).map(|flags| flags & (OFlags::RWMODE | OFlags::PATH));
        if opened.is_ok_and(|opened| opened == way || opened == OFlags::RDWR) {
            return Ok(file);
        }
        let way = if way == OFlags::WRONLY {
            "written"
        } else {
            "read"
        };
        Err(Error::InvalidArgs(format!(
            "the descriptor cannot be {way}; open it so that it can"
        )))
    }

    /// Runs `copy` on a thread that may wait forever.
    fn relay(&self, copy: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let relays = Arc::clone(&self.relays);
        let turn = relays.try_acquire_owned().map_err(|_| {
            Error::Busy("too many files are waited for that do not answer; hand over a pipe")
        })?;
        let copy = move || {
            let _turn = turn;
            copy();
        };
        let thread = std::thread::Builder::new().name("file".to_owned());
        thread.spawn(copy).map_err(|_| NO_THREAD)?;
        Ok(())
    }
}

const NO_PIPE: Error = Error::Failed("the daemon has no room for a pipe; try again");
const NO_THREAD: Error = Error::Failed("the daemon cannot start a thread; try again");

/// Copies the contents of the pipe to `file`, and closes it.
fn copy_to(mut pipe: PipeReader, mut file: Passed) -> io::Result<()> {
    io::copy(&mut pipe, file.file()).map(|_| ())
}

/// Copies `file` into the pipe. A failure is recorded before the pipe ends.
fn copy_from(mut file: Passed, mut pipe: PipeWriter, broke: &AtomicBool) {
    let copied = io::copy(file.file(), &mut pipe);
    broke.store(copied.is_err(), Ordering::Release);
}

/// A writer that runs on a thread of its own.
pub(super) struct Outlet {
    /// `None` when all is written.
    far: Option<Far>,
    /// For a foreign file: the result of the copy.
    copied: Option<mpsc::Receiver<io::Result<()>>>,
    patience: Duration,
    _turn: OwnedSemaphorePermit,
}

impl Outlet {
    /// Runs `work` on a thread of its own. If the caller gives up, or the daemon ends,
    /// neither has to wait for the thread.
    pub(super) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let work = move || {
            let _ = answer.send(work(self));
        };
        let thread = std::thread::Builder::new().name("export".to_owned());
        thread.spawn(work).map_err(|_| NO_THREAD)?;
        answered.await.map_err(|_| NO_THREAD)?
    }
}

impl Outlet {
    /// The result of the copy to a foreign file, when the pipe to it is closed.
    fn end_of_copy(&mut self) -> io::Result<()> {
        self.far = None;
        let Some(copied) = self.copied.take() else {
            return Ok(());
        };
        copied
            .recv_timeout(self.patience)
            .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        let far = self.far.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = far.once(PollFlags::OUT, &AtomicBool::new(false), |far| {
            if far.socket {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(send(&far.file, bytes, flags)?)
            } else {
                far.file.file().write(bytes)
            }
        });
        if written
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            // For a foreign file, the pipe breaks when the copy does.
            self.end_of_copy()?;
        }
        written
    }

    /// Returns when the file has everything; nothing can be written after.
    fn flush(&mut self) -> io::Result<()> {
        self.end_of_copy()
    }
}

/// The error for a caller whose file did not accept everything.
pub(super) fn broken(error: &io::Error) -> Error {
    let kind = error.kind();
    Error::Failed(if kind == io::ErrorKind::TimedOut {
        "nobody takes what is written; read from the descriptor during the call, or give a file that answers"
    } else if kind == io::ErrorKind::BrokenPipe || kind == io::ErrorKind::ConnectionReset {
        "the reader went away before everything was written; keep it until the call returns"
    } else {
        "the file cannot be written; check that its disk has space"
    })
}

/// A reader that may block its thread.
pub(super) struct Intake {
    far: Far,
    gone: Arc<AtomicBool>,
    /// For a foreign file: whether it could not be read to its end.
    broken: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
}

impl Intake {
    /// How many bytes have been read so far.
    pub(super) fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }
}

impl Read for Intake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.far.once(PollFlags::IN, &self.gone, |far| {
            if far.socket {
                Ok(recv(&far.file, &mut *buffer, RecvFlags::DONTWAIT)?.0)
            } else {
                far.file.file().read(buffer)
            }
        })?;
        if read == 0 && !buffer.is_empty() && self.broken.load(Ordering::Acquire) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A pipe, socket or memory file of another process.
struct Far {
    file: Passed,
    socket: bool,
    patience: Duration,
}

impl Far {
    fn new(file: Passed, patience: Duration) -> Self {
        Self {
            socket: file.kind() == Kind::Socket,
            file,
            patience,
        }
    }

    /// Runs `work` once, when the file is ready for it.
    fn once(
        &mut self,
        ready: PollFlags,
        gone: &AtomicBool,
        mut work: impl FnMut(&mut Self) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.wait(ready, gone)?;
            match work(self) {
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Waits until the file is ready, until the deadline passes or the rest is not
    /// wanted any more.
    fn wait(&self, ready: PollFlags, gone: &AtomicBool) -> io::Result<()> {
        let mut file = [PollFd::new(&self.file, ready)];
        let mut waited = Duration::ZERO;
        while waited < self.patience {
            if gone.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let look = LOOK.min(self.patience - waited);
            let timeout = Timespec::try_from(look).map_err(io::Error::other)?;
            match retry_on_intr(|| poll(&mut file, Some(&timeout))) {
                Ok(0) => waited += look,
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}
