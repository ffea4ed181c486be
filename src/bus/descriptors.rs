//! File descriptors from other processes, handled so that none can block tcnd.
//!
//! A descriptor may be of a file system that a user serves (FUSE). Then any system call
//! on it can wait for that user forever: fstat(2), poll(2), read(2), write(2), and
//! close(2) too, which flushes. Only pipes, sockets and memory files are known not to
//! wait. They are recognised by calls that reach no file system: getsockopt(2), and
//! fcntl(2) with F_GETPIPE_SZ and F_GET_SEALS. All others are *foreign*: they are used
//! and closed on threads of their own.
//!
//! zbus closes the descriptors of a message wherever it drops it. So zbus gets a
//! substitute for a foreign file, an empty memory file. The file itself stays in the
//! [`ForeignFiles`] until it is claimed, or the call is answered.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, fcntl_get_seals, fstat, memfd_create};
use rustix::net::sockopt::socket_type;
use rustix::pipe::fcntl_getpipe_size;

/// Foreign files that may wait to be closed at once. While this many wait, no
/// descriptors are accepted at all. The unit allows 64 tasks (`TasksMax=`).
const MAX_CLOSING: usize = 16;

/// Foreign files that are to be closed, and the threads that close them. The process
/// has one table of descriptors, and so one of these.
#[derive(Debug)]
struct Closing {
    waiting: VecDeque<File>,
    threads: usize,
}

static CLOSING: Mutex<Closing> = Mutex::new(Closing {
    waiting: VecDeque::new(),
    threads: 0,
});

impl Closing {
    /// Nothing panics while it holds this lock.
    fn lock() -> MutexGuard<'static, Self> {
        CLOSING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes a file on a thread that may wait for it. If no thread can be started, the
    /// file stays open until there is one for the next file.
    fn close(file: File) {
        let mut closing = Self::lock();
        closing.waiting.push_back(file);
        if closing.threads < MAX_CLOSING {
            let thread = std::thread::Builder::new().name("close".to_owned());
            closing.threads += usize::from(thread.spawn(Self::close_all).is_ok());
        }
    }

    fn close_all() {
        loop {
            let mut closing = Self::lock();
            let Some(file) = closing.waiting.pop_front() else {
                closing.threads -= 1;
                return;
            };
            drop(closing);
            drop(file);
        }
    }
}

/// Whether descriptors can be accepted now.
pub(super) fn can_accept() -> bool {
    let closing = Closing::lock();
    closing.threads + closing.waiting.len() < MAX_CLOSING
}

/// An empty memory file, which zbus gets in the place of a foreign file.
pub(super) fn substitute() -> io::Result<OwnedFd> {
    Ok(memfd_create("substitute", MemfdFlags::CLOEXEC)?)
}

/// The kind of a file behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FdKind {
    /// A socket.
    Socket,
    /// A pipe, or a memory file.
    PipeOrMemfd,
    /// Anything else.
    Foreign,
}

/// Finds the kind without waiting.
pub(super) fn kind(file: BorrowedFd<'_>) -> FdKind {
    if socket_type(file).is_ok() {
        FdKind::Socket
    } else if fcntl_getpipe_size(file).is_ok() || fcntl_get_seals(file).is_ok() {
        FdKind::PipeOrMemfd
    } else {
        FdKind::Foreign
    }
}

/// A descriptor from another process. Closing it does not block the caller of `drop`.
#[derive(Debug)]
pub(super) struct ReceivedFd(Option<File>);

impl ReceivedFd {
    /// The file itself. A foreign file is only for a thread that may wait for it.
    pub(super) fn file(&mut self) -> &mut File {
        self.0.as_mut().expect(PRESENT)
    }

    pub(super) fn kind(&self) -> FdKind {
        kind(self.as_fd())
    }

    /// The descriptor, unless it is foreign.
    pub(super) fn pipe_or_socket(self) -> Option<OwnedFd> {
        (self.kind() != FdKind::Foreign).then(|| self.into_inner())
    }

    /// Returns the descriptor. The caller has to close it.
    fn into_inner(mut self) -> OwnedFd {
        OwnedFd::from(self.0.take().expect(PRESENT))
    }
}

const PRESENT: &str = "the file is present until it is taken or dropped";

impl From<OwnedFd> for ReceivedFd {
    fn from(descriptor: OwnedFd) -> Self {
        Self(Some(File::from(descriptor)))
    }
}

impl AsFd for ReceivedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect(PRESENT).as_fd()
    }
}

impl Drop for ReceivedFd {
    fn drop(&mut self) {
        let Some(file) = self.0.take() else { return };
        if kind(file.as_fd()) != FdKind::Foreign {
            return;
        }
        Closing::close(file);
    }
}

/// The foreign files of calls in progress.
#[derive(Debug, Default)]
pub(super) struct ForeignFiles(Mutex<BTreeMap<FileId, DepositedFile>>);

/// The device and inode number of a substitute. Memory files that other processes make
/// are on another device, and may have any number.
type FileId = (u64, u64);

fn id_of(substitute: &OwnedFd) -> io::Result<FileId> {
    let stat = fstat(substitute)?;
    Ok((stat.st_dev, stat.st_ino))
}

#[derive(Debug)]
struct DepositedFile {
    received: ReceivedFd,
    sender: Arc<str>,
    serial: NonZeroU32,
}

impl ForeignFiles {
    /// The descriptors of a call in the form that zbus may have.
    ///
    /// # Errors
    /// When no substitute can be made.
    pub(super) fn deposit(
        &self,
        received: ReceivedFd,
        sender: &Arc<str>,
        serial: NonZeroU32,
    ) -> io::Result<OwnedFd> {
        if received.kind() != FdKind::Foreign {
            return Ok(received.into_inner());
        }
        let substitute = substitute()?;
        let id = id_of(&substitute)?;
        let sender = Arc::clone(sender);
        let deposited = DepositedFile {
            received,
            sender,
            serial,
        };
        self.lock().insert(id, deposited);
        Ok(substitute)
    }

    /// The file that a method received.
    pub(super) fn claim(&self, file: OwnedFd) -> ReceivedFd {
        // Only a memory file can be a substitute, so only such a file is asked for its
        // inode number.
        if fcntl_get_seals(&file).is_ok()
            && let Ok(id) = id_of(&file)
            && let Some(deposited) = self.lock().remove(&id)
        {
            return deposited.received;
        }
        file.into()
    }

    /// Drops the files of a call that was answered.
    pub(super) fn forget(&self, sender: &str, serial: NonZeroU32) {
        let of_it =
            |deposited: &DepositedFile| *deposited.sender == *sender && deposited.serial == serial;
        self.lock().retain(|_, deposited| !of_it(deposited));
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileId, DepositedFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serial() -> NonZeroU32 {
        NonZeroU32::MIN
    }

    #[test]
    fn what_cannot_wait_is_told_from_what_can() {
        let (reader, writer) = io::pipe().unwrap();
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let memory = memfd_create("memory", MemfdFlags::CLOEXEC).unwrap();
        let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        let null = File::open("/dev/null").unwrap();
        assert_eq!(kind(reader.as_fd()), FdKind::PipeOrMemfd);
        assert_eq!(kind(writer.as_fd()), FdKind::PipeOrMemfd);
        assert_eq!(kind(memory.as_fd()), FdKind::PipeOrMemfd);
        assert_eq!(kind(one.as_fd()), FdKind::Socket);
        assert_eq!(kind(file.as_fd()), FdKind::Foreign);
        assert_eq!(kind(null.as_fd()), FdKind::Foreign);
    }

    #[test]
    fn a_foreign_file_is_kept_until_its_call_is_answered() {
        let foreign = ForeignFiles::default();
        let sender: Arc<str> = ":1.7".into();
        let open = || OwnedFd::from(File::open("/dev/zero").unwrap());
        let substitute = foreign.deposit(open().into(), &sender, serial()).unwrap();
        assert_eq!(kind(substitute.as_fd()), FdKind::PipeOrMemfd);
        assert_eq!(foreign.claim(substitute).kind(), FdKind::Foreign);
        assert!(foreign.lock().is_empty());

        let substitute = foreign.deposit(open().into(), &sender, serial()).unwrap();
        foreign.forget(":1.8", serial());
        assert_eq!(foreign.lock().len(), 1);
        foreign.forget(":1.7", serial());
        assert!(foreign.lock().is_empty());
        assert_eq!(
            foreign.claim(substitute).kind(),
            FdKind::PipeOrMemfd,
            "it is worth nothing"
        );

        let (reader, _) = io::pipe().unwrap();
        let pipe = foreign.deposit(OwnedFd::from(reader).into(), &sender, serial());
        assert!(fcntl_getpipe_size(pipe.unwrap()).is_ok(), "it goes through");
    }
}
