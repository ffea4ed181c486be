//! Opening: private, alone, whole, and of a format we know.
//!
//! A damaged file is renamed and kept, for whoever can mend it; the daemon
//! begins a new one and says so. A file of a newer release is left alone: to
//! write into it would destroy what that release knows.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::mpsc;

use super::ledger::{self, Resume};
use super::thread::{Event, Store};
use super::{OpenError, schema};

/// Name of the database in the state directory.
pub const DATABASE: &str = "tcnd.sqlite";

const LOCK: &str = "tcnd.lock";

/// What goes with a database file.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

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
}

/// Opens the database in `directory`, making both if need be: the directory
/// with mode 0700, the files with 0600.
///
/// # Errors
/// See [`OpenError`]. A damaged database is no error, see
/// [`Opened::set_aside`].
pub fn open(directory: &Path) -> Result<Opened, OpenError> {
    make_private(directory)?;
    let lock = lock(directory)?;
    let path = directory.join(DATABASE);
    let (db, set_aside) = match open_whole(&path)? {
        Some(db) => (db, None),
        None => {
            let aside = set_aside(directory).map_err(|source| at(directory, source))?;
            let fresh = open_whole(&path)?.ok_or_else(|| OpenError::Sqlite {
                path: path.clone(),
                source: rusqlite::Error::InvalidQuery,
            })?;
            (fresh, Some(aside))
        }
    };
    let failed = |source| OpenError::Sqlite {
        path: path.clone(),
        source,
    };
    let resume = ledger::resume(&db).map_err(failed)?;
    let (store, events) =
        Store::start(db, directory.to_owned(), lock).map_err(OpenError::Thread)?;
    Ok(Opened {
        store,
        events,
        resume,
        set_aside,
    })
}

fn at(path: &Path, source: io::Error) -> OpenError {
    OpenError::Directory {
        path: path.to_owned(),
        source,
    }
}

fn make_private(directory: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(|source| at(directory, source))?;
    let metadata = directory
        .metadata()
        .map_err(|source| at(directory, source))?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o022 != 0 {
        return Err(OpenError::NotPrivate {
            path: directory.to_owned(),
        });
    }
    // Readable by others is our own doing or an oversight; mend it.
    let private = Permissions::from_mode(0o700);
    std::fs::set_permissions(directory, private).map_err(|source| at(directory, source))
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
fn open_whole(path: &Path) -> Result<Option<Connection>, OpenError> {
    private_file(path).map_err(|source| at(path, source))?;
    let failed = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
    let found = match schema::format(&db) {
        Ok(found) => found,
        Err(error) if damaged(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if found > schema::FORMAT {
        let path = path.to_owned();
        return Err(OpenError::Newer {
            path,
            found,
            known: schema::FORMAT,
        });
    }
    match prepare(&mut db) {
        Ok(true) => Ok(Some(db)),
        Ok(false) => Ok(None),
        Err(error) if damaged(&error) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Sets the database up; false if it is damaged.
fn prepare(db: &mut Connection) -> rusqlite::Result<bool> {
    // Only before the first table is made does this take effect.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "journal_size_limit", 0)?;
    let check: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Ok(false);
    }
    if let Err(error) = schema::migrate(db) {
        // A file of somebody else's tables is no database of ours.
        return if error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) {
            Ok(false)
        } else {
            Err(error)
        };
    }
    schema::verify(db)
}

fn damaged(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
}

/// Renames the database to the first free `tcnd.sqlite.damaged-N`.
fn set_aside(directory: &Path) -> io::Result<PathBuf> {
    let free = (1u32..).map(|n| directory.join(format!("{DATABASE}.damaged-{n}")));
    let aside = free
        .into_iter()
        .find(|path| !path.exists())
        .ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
    for companion in COMPANIONS {
        let mut to = aside.clone().into_os_string();
        to.push(companion);
        match std::fs::rename(directory.join(format!("{DATABASE}{companion}")), to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}
