//! Opening the store: a private directory, one process, a whole database.
//!
//! A damaged file is set aside (see `aside`); the daemon begins a new one and
//! says so.

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tokio::sync::mpsc;

use super::database::{DATABASE, Database};
use super::error::OpenError;
use super::handle::{Event, Store};
use super::prepare::{at, open_whole, private_file};
use super::quarantine::quarantine;
use super::report_keys::Resume;
use super::seal::Seal;
use super::{deliveries, export, worker};

const LOCK: &str = "tcnd.lock";

/// A store, and what it remembers.
#[derive(Debug)]
pub struct Opened {
    /// The way to it.
    pub store: Store,
    /// What became of the work sent to it.
    pub events: mpsc::Receiver<Event>,
    /// What the last run left.
    pub resume: Resume,
    /// Where a damaged database was moved to.
    pub quarantined: Option<PathBuf>,
    /// Report keys are sealed.
    pub sealed: bool,
}

/// Opens the database in `directory`, making both if need be: the directory
/// with mode 0700, the files with 0600. Report keys are sealed by `seal`, those too
/// that were not yet.
///
/// # Errors
/// See [`OpenError`]. A damaged database is no error, see
/// [`Opened::quarantined`].
pub fn open(directory: &Path, seal: Seal) -> Result<Opened, OpenError> {
    make_private(directory)?;
    let lock = lock(directory)?;
    export::remove_leftovers(directory).map_err(|source| at(directory, source))?;
    let path = directory.join(DATABASE);
    let (whole, quarantined) = match open_whole(directory, &seal)? {
        Some(whole) => (whole, None),
        None => {
            let moved_to = quarantine(directory).map_err(|source| at(directory, source))?;
            let fresh = open_whole(directory, &seal)?.ok_or_else(|| OpenError::Sqlite {
                path: path.clone(),
                source: rusqlite::Error::InvalidQuery,
            })?;
            (fresh, Some(moved_to))
        }
    };
    let (whole, resume) = whole;
    let swept = deliveries::remove_leftovers(&whole.0, directory)
        .map_err(|source| OpenError::Sqlite { path, source })?;
    swept.map_err(|source| at(directory, source))?;
    let sealed = seal.seals();
    let database = Database::new(whole, seal, lock, directory.to_owned());
    let (store, events) = worker::start(database).map_err(OpenError::Thread)?;
    Ok(Opened {
        store,
        events,
        resume,
        quarantined,
        sealed,
    })
}

fn make_private(directory: &Path) -> Result<(), OpenError> {
    let failed = |source| at(directory, source);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    let metadata = directory.metadata().map_err(failed)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(OpenError::NotOurs {
            path: directory.to_owned(),
        });
    }
    let wider = metadata.mode() & 0o077 != 0;
    // A directory that holds other files, /etc for example, keeps its mode.
    let ours = [LOCK, DATABASE]
        .iter()
        .any(|file| directory.join(file).exists())
        || directory.read_dir().map_err(failed)?.next().is_none();
    if metadata.mode() & 0o022 != 0 || (wider && !ours) {
        return Err(OpenError::NotPrivate {
            path: directory.to_owned(),
        });
    }
    std::fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(failed)
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let file = private_file(&directory.join(LOCK)).map_err(|source| at(directory, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked {
            path: directory.to_owned(),
        }),
        Err(errno) => Err(at(directory, errno.into())),
    }
}
