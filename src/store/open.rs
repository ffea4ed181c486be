//! Opening: private, alone, whole, and of a format we know.
//!
//! A damaged file is set aside (see `aside`); the daemon begins a new one and
//! says so. A file of a newer release is left alone: to write into it would
//! destroy what that release knows.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::mpsc;

use super::aside::set_aside;
use super::error::is_damage;
use super::ledger::{self, Resume};
use super::log;
use super::migrations::{self, FORMAT};
use super::schema::{self, APPLICATION_ID};
use super::seal::{Keys, Seal};
use super::sheet;
use super::thread::{Event, Store};
use super::{Fault, OpenError, deliveries};

/// Name of the database in the state directory.
pub const DATABASE: &str = "tcnd.sqlite";

const LOCK: &str = "tcnd.lock";

/// Bytes a page. All that grows in a minute at twenty neighbours fits one or
/// two of these, and whole pages go to the journal: with SQLite's own 4096 a
/// day writes half as much again.
const PAGE: u32 = 2048;

/// How long a stranger who reads the database may keep us from writing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A store, and what it remembers.
#[derive(Debug)]
pub struct Opened {
    /// The way to it.
    pub store: Store,
    /// What became of the work sent to it.
    pub events: mpsc::Receiver<Event>,
    /// What the last run left.
    pub resume: Resume,
    /// Where a damaged database was put.
    pub set_aside: Option<PathBuf>,
    /// Report keys are sealed.
    pub sealed: bool,
}

/// Opens the database in `directory`, making both if need be: the directory
/// with mode 0700, the files with 0600. Report keys are sealed by `seal`, those too
/// that were not yet.
///
/// # Errors
/// See [`OpenError`]. A damaged database is no error, see
/// [`Opened::set_aside`].
pub fn open(directory: &Path, seal: Seal) -> Result<Opened, OpenError> {
    make_private(directory)?;
    let lock = lock(directory)?;
    sheet::sweep(directory).map_err(|source| at(directory, source))?;
    let path = directory.join(DATABASE);
    let (whole, set_aside) = match open_whole(&path, &seal)? {
        Some(whole) => (whole, None),
        None => {
            let aside = set_aside(directory).map_err(|source| at(directory, source))?;
            let fresh = open_whole(&path, &seal)?.ok_or_else(|| OpenError::Sqlite {
                path: path.clone(),
                source: rusqlite::Error::InvalidQuery,
            })?;
            (fresh, Some(aside))
        }
    };
    let (db, resume) = whole;
    let swept =
        deliveries::sweep(&db, directory).map_err(|source| OpenError::Sqlite { path, source })?;
    swept.map_err(|source| at(directory, source))?;
    let sealed = seal.seals();
    let (store, events) =
        Store::start(db, directory.to_owned(), lock, seal).map_err(OpenError::Thread)?;
    Ok(Opened {
        store,
        events,
        resume,
        set_aside,
        sealed,
    })
}

/// A new database where none is.
pub(super) fn anew(directory: &Path, seal: &Seal) -> Result<Connection, Fault> {
    let path = directory.join(DATABASE);
    private_file(&path).map_err(|error| Fault::Files(error.kind()))?;
    let mut db = Connection::open_with_flags(&path, flags())?;
    let found = examine(&db)?;
    prepare(&mut db, found, seal)?;
    Ok(db)
}

pub(super) fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn at(path: &Path, source: io::Error) -> OpenError {
    OpenError::Directory {
        path: path.to_owned(),
        source,
    }
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
    // Somebody's directory of other things, /etc say, keeps its mode.
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

/// Opens a file for us alone, whatever the umask; SQLite gives its journal the
/// mode of the database.
fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// `None` if the file is damaged.
fn open_whole(path: &Path, seal: &Seal) -> Result<Option<(Connection, Resume)>, OpenError> {
    private_file(path).map_err(|source| at(path, source))?;
    let failed = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let mut db = Connection::open_with_flags(path, flags()).map_err(failed)?;
    match examine(&db).and_then(|found| prepare(&mut db, found, seal)) {
        Ok(Prepared::Ready(resume)) => Ok(Some((db, resume))),
        Ok(Prepared::Damaged) => Ok(None),
        Ok(Prepared::Newer(found)) => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: FORMAT,
        }),
        Ok(Prepared::Sealed) => Err(OpenError::Sealed {
            path: path.to_owned(),
        }),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// What a file turned out to be.
#[derive(Clone, Copy)]
enum Examined {
    Fresh,
    Ours,
    Newer(u32),
    Damaged,
}

fn examine(db: &Connection) -> rusqlite::Result<Examined> {
    let format = migrations::format(db)?;
    let id: u32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (format, id) {
        (0, 0) if tables == 0 => Examined::Fresh,
        (1..=FORMAT, APPLICATION_ID) => Examined::Ours,
        (_, APPLICATION_ID) if format > FORMAT => {
            // SQLite would move the journal into the file when it closes it.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            Examined::Newer(format)
        }
        (_, _) => Examined::Damaged,
    })
}

/// What setting a file up came to.
enum Prepared {
    Ready(Resume),
    Newer(u32),
    Damaged,
    Sealed,
}

/// Sets a sound database up and reads what it remembers.
fn prepare(db: &mut Connection, found: Examined, seal: &Seal) -> rusqlite::Result<Prepared> {
    match found {
        // Only before the first table is made do these take effect.
        Examined::Fresh => {
            db.pragma_update(None, "page_size", PAGE)?;
            db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        Examined::Ours => {}
        Examined::Newer(found) => return Ok(Prepared::Newer(found)),
        Examined::Damaged => return Ok(Prepared::Damaged),
    }
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "journal_size_limit", 0)?;
    let check: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Ok(Prepared::Damaged);
    }
    migrations::migrate(db)?;
    if !schema::verify(db)? {
        return Ok(Prepared::Damaged);
    }
    match seal.adopt(db)? {
        Keys::Open => {}
        Keys::Closed => return Ok(Prepared::Sealed),
        Keys::Damaged => return Ok(Prepared::Damaged),
    }
    // What only a reader of the rows would find must be found here too, or a
    // run that ends because of it would be followed by another.
    log::check(db)?;
    // A run that was killed while forgetting left its journal behind.
    checkpoint(db)?;
    ledger::resume(db, seal).map(Prepared::Ready)
}

/// Moves the journal into the database and cuts it to nothing.
pub(super) fn checkpoint(db: &Connection) -> rusqlite::Result<()> {
    let busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        let code = ffi::Error::new(ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(code, None));
    }
    Ok(())
}
