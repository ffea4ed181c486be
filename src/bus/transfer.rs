//! Files of callers: descriptors that came over the bus, with a deadline.
//!
//! A descriptor can be anything, a pipe that nobody reads included, and whether
//! it blocks is its owner's choice: the flag belongs to the open file, which is
//! shared. So nothing here reads or writes before poll(2) has said that it can,
//! and never more than fits then: [`CHUNK`] bytes into a pipe (pipe(7)), and
//! sockets are asked not to wait. Writing has a thread of its own, [`MOST`] at
//! once; imports are read by the daemon's own thread, one at once.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zbus::OwnedFd;

use super::error::Error;

/// How long a descriptor may take nothing, or give nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Exports under way at once.
const MOST: usize = 4;

/// How long a wait may go on after nobody waits for the rest any more.
const LOOK: Duration = Duration::from_millis(200);

/// Written at a time: PIPE_BUF of Linux, which a pipe takes whole or not at all.
const CHUNK: usize = 4096;

/// Hands out the turns.
#[derive(Debug)]
pub(super) struct Transfers {
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Transfers {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(MOST)),
            patience,
        }
    }

    /// A turn to write to `file`.
    pub(super) fn outlet(&self, file: OwnedFd) -> Result<Outlet, Error> {
        let far = Far::new(file, OFlags::WRONLY, self.patience)?;
        let turns = Arc::clone(&self.turns);
        let turn = turns.try_acquire_owned().map_err(|_| {
            Error::Busy("too many exports are under way; try again when one is done")
        })?;
        Ok(Outlet { far, _turn: turn })
    }

    /// A way to read `file` until `gone` is set: nobody waits for the rest.
    pub(super) fn intake(&self, file: OwnedFd, gone: Arc<AtomicBool>) -> Result<Intake, Error> {
        let far = Far::new(file, OFlags::RDONLY, self.patience)?;
        Ok(Intake {
            far,
            gone,
            read: Arc::default(),
        })
    }
}

/// Writes, on a thread of its own.
pub(super) struct Outlet {
    far: Far,
    _turn: OwnedSemaphorePermit,
}

impl Outlet {
    /// Has `work` done on a thread of its own. Should whoever asked give up,
    /// or the daemon end, the thread holds nobody up.
    pub(super) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        const NO_THREAD: Error = Error::Failed("the daemon cannot start a thread; try again");
        let (answer, answered) = oneshot::channel();
        let work = move || {
            let _ = answer.send(work(self));
        };
        let thread = std::thread::Builder::new().name("export".to_owned());
        thread.spawn(work).map_err(|_| NO_THREAD)?;
        answered.await.map_err(|_| NO_THREAD)?
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(CHUNK)];
        self.far
            .once(PollFlags::OUT, &AtomicBool::new(false), |far| {
                if far.socket {
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    Ok(send(&far.file, bytes, flags)?)
                } else {
                    far.file.write(bytes)
                }
            })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a caller is told when its file did not take everything.
pub(super) fn broken(error: &io::Error) -> Error {
    let kind = error.kind();
    Error::Failed(if kind == io::ErrorKind::TimedOut {
        "nobody reads what is written; read from the descriptor during the call"
    } else if kind == io::ErrorKind::BrokenPipe || kind == io::ErrorKind::ConnectionReset {
        "the reader went away before everything was written; keep it until the call returns"
    } else {
        "the file cannot be written; check that its disk has space"
    })
}

/// Reads; whoever does must not be in a hurry.
pub(super) struct Intake {
    far: Far,
    gone: Arc<AtomicBool>,
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
                far.file.read(buffer)
            }
        })?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Somebody else's open file.
struct Far {
    file: File,
    socket: bool,
    patience: Duration,
}

impl Far {
    /// Refuses a file that is not open for `way`.
    fn new(file: OwnedFd, way: OFlags, patience: Duration) -> Result<Self, Error> {
        let file = File::from(std::os::fd::OwnedFd::from(file));
        let opened = fcntl_getfl(&file).map(|flags| flags & (OFlags::RWMODE | OFlags::PATH));
        if !opened.is_ok_and(|opened| opened == way || opened == OFlags::RDWR) {
            let way = if way == OFlags::WRONLY {
                "written"
            } else {
                "read"
            };
            return Err(Error::InvalidArgs(format!(
                "the descriptor cannot be {way}; open it so that it can"
            )));
        }
        let kind = fstat(&file).map(|stat| FileType::from_raw_mode(stat.st_mode));
        Ok(Self {
            file,
            socket: kind == Ok(FileType::Socket),
            patience,
        })
    }

    /// Does `work` once, when the file is ready for it.
    fn once(
        &mut self,
        ready: PollFlags,
        gone: &AtomicBool,
        mut work: impl FnMut(&mut Self) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.wait(ready, gone)?;
            match work(self) {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Waits until the file is ready, for as long as there is patience and nobody
    /// has set `gone`.
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
