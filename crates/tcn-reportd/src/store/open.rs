//! Opens the database: private, exclusive, and of a known format.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use rustix::fs::{FlockOperation, flock};
use tcn_exchange::interval::Interval;
use tokio::sync::mpsc;

use super::clock_jump;
use super::schema::{APPLICATION_ID, FORMAT, STEPS};
use super::writer::{StoreWriter, StoredIntervals};
use super::{OpenError, QUEUE_LENGTH, SharedState, Store};
use crate::clock::Clock;

/// Name of the database in the state directory.
const DATABASE: &str = "reportd.sqlite";

const LOCK: &str = "reportd.lock";

/// How long to wait for another writer of the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens the store in `directory`, creating both if need be.
///
/// # Errors
/// See [`OpenError`].
pub(crate) fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    let lock = lock(directory)?;
    let path = directory.join(DATABASE);
    let sqlite = |source| OpenError::Sqlite {
        path: path.clone(),
        source,
    };
    private(&path).map_err(|source| at(directory, source))?;
    let mut db = connect(&path).map_err(sqlite)?;
    if !prepare(&mut db).map_err(sqlite)? {
        return Err(OpenError::Foreign { path });
    }
    let stored = db
        .query_row("SELECT open, doubted FROM state", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .map_err(sqlite)?;
    let (open, doubted): (Option<i64>, Option<i64>) = stored.unwrap_or_default();
    let interval = |number: Option<i64>| Interval::new(u64::try_from(number?).ok()?);
    let stored = StoredIntervals {
        open: interval(open),
        doubted: interval(doubted),
    };
    let of_clock = Interval::of(clock.now());
    let agrees = stored
        .doubted
        .is_some_and(|doubted| clock_jump::agrees(of_clock, doubted));
    let reader = connect(&path).map_err(sqlite)?;
    let shared = Arc::new(SharedState::new(stored.open.unwrap_or(of_clock), agrees));
    let (requests, queue) = mpsc::channel(QUEUE_LENGTH);
    let writer = StoreWriter::new(db, lock, Arc::clone(&clock), Arc::clone(&shared), stored);
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || writer.run(queue))
        .map_err(OpenError::Thread)?;
    Ok(Store {
        requests,
        shared,
        reader: Arc::new(Mutex::new(reader)),
        clock,
    })
}

fn at(path: &Path, source: io::Error) -> OpenError {
    OpenError::Directory {
        path: path.to_owned(),
        source,
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory);
    made.map_err(|source| at(directory, source))?;
    let file = private(&directory.join(LOCK)).map_err(|source| at(directory, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked {
            path: directory.to_owned(),
        }),
        Err(errno) => Err(at(directory, errno.into())),
    }
}

/// Opens a file that only this user may access. SQLite gives its journal the same mode.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    Ok(db)
}

/// Sets the database up; `false` if it belongs to another program.
fn prepare(db: &mut Connection) -> rusqlite::Result<bool> {
    let id: u32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let format: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let fresh = (id, format, tables) == (0, 0, 0);
    let is_ours = id == APPLICATION_ID && (1..=FORMAT).contains(&format);
    if !fresh && !is_ours {
        return Ok(false);
    }
    if fresh {
        // This takes effect only before the first table is created.
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "journal_size_limit", 16 << 20)?;
    for (n, step) in (1..).zip(STEPS).filter(|(n, _)| *n > format) {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", n)?;
        transaction.commit()?;
    }
    Ok(true)
}
