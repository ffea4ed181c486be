//! File descriptors that others pass to us, handled so that none can stop us.
//!
//! A descriptor may be of a file system that a user serves (FUSE), and then any
//! system call on it can wait for that user, for ever: fstat(2), poll(2), read(2),
//! write(2), and close(2) too, which flushes. Only pipes, sockets and files of
//! memory are known not to wait, and are told apart by calls that ask no file
//! system: getsockopt(2), and fcntl(2) with F_GETPIPE_SZ and F_GET_SEALS. All
//! others are *foreign*: they are used and closed on threads of their own.
//!
//! zbus closes the descriptors of a message wherever it drops it. So what zbus is
//! given in the place of a foreign file is a placeholder, an empty file of memory, and
//! the file itself stays in the [`ForeignFiles`] until it is claimed, or the call is
//! answered.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, fcntl_get_seals, fstat, memfd_create};
use rustix::net::sockopt::socket_type;
use rustix::pipe::fcntl_getpipe_size;

/// Foreign files that may wait to be closed at once. While there are so many, no
/// descriptors are accepted at all; the unit has 64 tasks.
const MOST_CLOSING: usize = 16;

/// The process has one table of descriptors, and so one count.
static CLOSING: AtomicUsize = AtomicUsize::new(0);

/// Whether descriptors can be accepted now.
pub(super) fn acceptable() -> bool {
    CLOSING.load(Ordering::Relaxed) < MOST_CLOSING
}

/// What a descriptor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A socket.
    Socket,
    /// A pipe, or a file that is memory.
    Ready,
    /// Anything else.
    Foreign,
}

/// Tells what it is of, without waiting.
pub(super) fn kind(file: BorrowedFd<'_>) -> Kind {
    if socket_type(file).is_ok() {
        Kind::Socket
    } else if fcntl_getpipe_size(file).is_ok() || fcntl_get_seals(file).is_ok() {
        Kind::Ready
    } else {
        Kind::Foreign
    }
}

/// A descriptor of somebody else's, closed where that may take its time.
#[derive(Debug)]
pub(super) struct Passed(Option<File>);

impl Passed {
    /// The file itself; of a foreign one, for a thread that may wait for it.
    pub(super) fn file(&mut self) -> &mut File {
        self.0.as_mut().expect(THERE)
    }

    pub(super) fn kind(&self) -> Kind {
        kind(self.as_fd())
    }

    /// The descriptor, unless it is foreign.
    pub(super) fn ready(self) -> Option<OwnedFd> {
        (self.kind() != Kind::Foreign).then(|| self.into_inner())
    }

    /// Gives the descriptor away, and with it the duty to close it.
    fn into_inner(mut self) -> OwnedFd {
        OwnedFd::from(self.0.take().expect(THERE))
    }
}

const THERE: &str = "the file is there until it is given away or dropped";

impl From<OwnedFd> for Passed {
    fn from(descriptor: OwnedFd) -> Self {
        Self(Some(File::from(descriptor)))
    }
}

impl AsFd for Passed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect(THERE).as_fd()
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        let Some(file) = self.0.take() else { return };
        if kind(file.as_fd()) != Kind::Foreign {
            return;
        }
        CLOSING.fetch_add(1, Ordering::Relaxed);
        // Should there be no thread for it, it stays open.
        let file = ManuallyDrop::new(file);
        let close = move || {
            drop(ManuallyDrop::into_inner(file));
            CLOSING.fetch_sub(1, Ordering::Relaxed);
        };
        let thread = std::thread::Builder::new().name("close".to_owned());
        // It is not waited for.
        let _ = thread.spawn(close);
    }
}

/// The foreign files of calls that are worked on.
#[derive(Debug, Default)]
pub(super) struct ForeignFiles(Mutex<BTreeMap<u64, Kept>>);

#[derive(Debug)]
struct Kept {
    passed: Passed,
    sender: Arc<str>,
    serial: NonZeroU32,
}

impl ForeignFiles {
    /// What zbus may have of a call's descriptors.
    ///
    /// # Errors
    /// When there is no room for a placeholder.
    pub(super) fn deposit(
        &self,
        passed: Passed,
        sender: &Arc<str>,
        serial: NonZeroU32,
    ) -> io::Result<OwnedFd> {
        if passed.kind() != Kind::Foreign {
            return Ok(passed.into_inner());
        }
        let placeholder = memfd_create("placeholder", MemfdFlags::CLOEXEC)?;
        let number = fstat(&placeholder)?.st_ino;
        let sender = Arc::clone(sender);
        let kept = Kept {
            passed,
            sender,
            serial,
        };
        self.lock().insert(number, kept);
        Ok(placeholder)
    }

    /// The file that a method was given.
    pub(super) fn claim(&self, file: OwnedFd) -> Passed {
        // Only a file of memory can be a placeholder, and only it is asked for its
        // number.
        if fcntl_get_seals(&file).is_ok()
            && let Ok(stat) = fstat(&file)
            && let Some(kept) = self.lock().remove(&stat.st_ino)
        {
            return kept.passed;
        }
        file.into()
    }

    /// The call was answered, and its files are of no use any more.
    pub(super) fn forget(&self, sender: &str, serial: NonZeroU32) {
        let of_it = |kept: &Kept| *kept.sender == *sender && kept.serial == serial;
        self.lock().retain(|_, kept| !of_it(kept));
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Kept>> {
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
        assert_eq!(kind(reader.as_fd()), Kind::Ready);
        assert_eq!(kind(writer.as_fd()), Kind::Ready);
        assert_eq!(kind(memory.as_fd()), Kind::Ready);
        assert_eq!(kind(one.as_fd()), Kind::Socket);
        assert_eq!(kind(file.as_fd()), Kind::Foreign);
        assert_eq!(kind(null.as_fd()), Kind::Foreign);
    }

    #[test]
    fn a_foreign_file_is_kept_until_its_call_is_answered() {
        let foreign = ForeignFiles::default();
        let sender: Arc<str> = ":1.7".into();
        let open = || OwnedFd::from(File::open("/dev/zero").unwrap());
        let placeholder = foreign.deposit(open().into(), &sender, serial()).unwrap();
        assert_eq!(kind(placeholder.as_fd()), Kind::Ready);
        assert_eq!(foreign.claim(placeholder).kind(), Kind::Foreign);
        assert!(foreign.lock().is_empty());

        let placeholder = foreign.deposit(open().into(), &sender, serial()).unwrap();
        foreign.forget(":1.8", serial());
        assert_eq!(foreign.lock().len(), 1);
        foreign.forget(":1.7", serial());
        assert!(foreign.lock().is_empty());
        assert_eq!(
            foreign.claim(placeholder).kind(),
            Kind::Ready,
            "it is worth nothing"
        );

        let (reader, _) = io::pipe().unwrap();
        let pipe = foreign.deposit(OwnedFd::from(reader).into(), &sender, serial());
        assert!(fcntl_getpipe_size(pipe.unwrap()).is_ok(), "it goes through");
    }
}
