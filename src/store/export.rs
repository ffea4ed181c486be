//! Contacts exported as a database of their own.
//!
//! The file lives for one export. It is built in the state directory, which no other
//! user can read, with as little in memory as SQLite needs. Then it is read once from
//! front to back. However that ends, its bytes are overwritten and the file is
//! removed. What a crash leaves behind is removed at the next start, or by a wipe,
//! which destroys every file of the database's name.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, params};
use tcn_engine::Contact;

use super::database::flags;
use super::error::Error;
use super::overwrite;
use super::sql::signed;

/// What the names of these files begin with; a number follows.
const PREFIX: &str = "tcnd.sqlite.sheet-";

/// One more for each export of this process. A name is never used again: a wipe
/// may have removed the file of an export that still runs.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Signals that were never measured are NULL.
const SCHEMA: &str = "\
CREATE TABLE contact (
  number TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  rssi_max INTEGER,
  rssi_mean INTEGER,
  sightings INTEGER NOT NULL,
  to_55_db INTEGER NOT NULL,
  to_63_db INTEGER NOT NULL,
  to_73_db INTEGER NOT NULL,
  over_73_db INTEGER NOT NULL,
  bridged INTEGER NOT NULL,
  unheard_before_s INTEGER NOT NULL,
  unheard_after_s INTEGER NOT NULL
)";

/// The directory in which exports are built.
#[derive(Clone, Debug)]
pub struct ExportDir {
    directory: PathBuf,
}

impl ExportDir {
    /// In this directory: the state directory, when [`open()`](super::open())
    /// has made it private.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Creates an empty export. Blocks on the disk, as everything here does.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn begin(&self) -> Result<ExportDb, Error> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = TempFile::new(self.directory.join(format!("{PREFIX}{number}")))
            .map_err(|error| Error::Files(error.kind()))?;
        let db = Connection::open_with_flags(&file.path, flags())?;
        // An export that breaks off is thrown away: nothing to roll back, nothing
        // to make durable. Without a journal, what memory does not hold goes
        // straight to the file.
        db.pragma_update(None, "journal_mode", "OFF")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.execute_batch(SCHEMA)?;
        db.execute_batch("BEGIN")?;
        Ok(ExportDb { db, file })
    }
}

/// An export that is being written.
#[derive(Debug)]
pub struct ExportDb {
    db: Connection,
    file: TempFile,
}

impl ExportDb {
    /// Adds contacts, each under the name its number shall have.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, contacts: &[(String, Contact)]) -> Result<(), Error> {
        let mut insert = self
            .db
            .prepare_cached("INSERT INTO contact VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        for (number, contact) in contacts {
            let [to_55, to_63, to_73, over] = contact.signal.attenuation;
            insert.execute(params![
                number,
                signed(contact.start.0),
                signed(contact.end.0),
                contact.signal.max,
                contact.signal.mean(),
                contact.signal.sightings(),
                to_55,
                to_63,
                to_73,
                over,
                contact.bridged,
                contact.unheard.before,
                contact.unheard.after,
            ])?;
        }
        Ok(())
    }

    /// Ends the writing; what comes is the whole file, from its start.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(self) -> Result<impl Read + Send, Error> {
        // The database is dropped first, whatever fails.
        let Self { mut file, db } = self;
        db.execute_batch("COMMIT")?;
        db.close().map_err(|(_, error)| Error::from(error))?;
        file.file
            .rewind()
            .map_err(|error| Error::Files(error.kind()))?;
        Ok(file)
    }
}

/// The file of an export; overwritten and removed when dropped.
#[derive(Debug)]
struct TempFile {
    file: File,
    path: PathBuf,
}

impl TempFile {
    fn new(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self { file, path })
    }
}

impl Read for TempFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let removed = overwrite::overwrite(&mut self.file);
        match removed.and_then(|()| std::fs::remove_file(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "an export file could not be removed; the next start tries again");
            }
            // A wipe was here before.
            Ok(()) | Err(_) => {}
        }
    }
}

/// Removes what an earlier run left behind.
pub(super) fn remove_leftovers(directory: &Path) -> io::Result<()> {
    overwrite::destroy(directory, PREFIX)
}
