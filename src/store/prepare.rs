//! One database file: opened or created, examined, and brought to our format.
//!
//! A file of a newer release is left alone: to write into it would destroy what
//! that release knows.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::contacts;
use super::database::{DATABASE, GROWTH, checkpoint, flags};
use super::error::{Error, OpenError, is_damage};
use super::growth::{Growth, Mark};
use super::migrations::{self, FORMAT};
use super::report_keys::{self, Resume};
use super::schema::{self, APPLICATION_ID};
use super::seal::{KeyCheck, Seal};

/// Bytes a page. Each hour changes a dozen of these, and whole pages go to the journal:
/// with SQLite's own 4096 that writes a third more at twenty neighbours.
const PAGE: u32 = 2048;

/// How long a stranger who reads the database may keep us from writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// A database and its growth.
type Whole = (Connection, Growth);

/// Creates a database where none is.
pub(super) fn create(directory: &Path, seal: &Seal) -> Result<Whole, Error> {
    let path = directory.join(DATABASE);
    private_file(&path).map_err(|error| Error::Files(error.kind()))?;
    let mut db = Connection::open_with_flags(&path, flags())?;
    let found = examine(&db)?;
    prepare(&mut db, found, seal)?;
    let growth = open_growth(directory, Mark::read(&db)?);
    Ok((db, growth.map_err(|error| Error::Files(error.kind()))?))
}

pub(super) fn at(path: &Path, source: io::Error) -> OpenError {
    OpenError::Directory {
        path: path.to_owned(),
        source,
    }
}

/// Opens a file for us alone, whatever the umask; SQLite gives its journal the
/// mode of the database.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
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

/// Opens the file of growth beside the database of this mark. If it is new, its name is
/// made as durable as its content will be.
fn open_growth(directory: &Path, mark: Mark) -> io::Result<Growth> {
    let path = directory.join(format!("{DATABASE}{GROWTH}"));
    let is_new = !path.exists();
    let growth = Growth::new(private_file(&path)?, mark)?;
    if is_new {
        File::open(directory)?.sync_all()?;
    }
    Ok(growth)
}

/// `None` if the database is damaged.
pub(super) fn open_whole(
    directory: &Path,
    seal: &Seal,
) -> Result<Option<(Whole, Resume)>, OpenError> {
    let path = &directory.join(DATABASE);
    private_file(path).map_err(|source| at(path, source))?;
    let failed = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let mut db = Connection::open_with_flags(path, flags()).map_err(failed)?;
    match examine(&db).and_then(|found| prepare(&mut db, found, seal)) {
        Ok(Prepared::Ready(mut resume)) => {
            let mark = Mark::read(&db).map_err(failed)?;
            let growth = open_growth(directory, mark).map_err(|source| at(directory, source))?;
            resume.newest = resume.newest.max(growth.newest());
            Ok(Some(((db, growth), resume)))
        }
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
    db.busy_timeout(BUSY_TIMEOUT)?;
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
    match seal.seal_plaintext(db)? {
        KeyCheck::Readable => {}
        KeyCheck::WrongKey => return Ok(Prepared::Sealed),
        KeyCheck::Damaged => return Ok(Prepared::Damaged),
    }
    // What only a reader of the rows would find must be found here too, or a
    // run that ends because of it would be followed by another.
    contacts::check(db)?;
    // A run that was killed while forgetting left its journal behind.
    checkpoint(db)?;
    report_keys::resume(db, seal).map(Prepared::Ready)
}
