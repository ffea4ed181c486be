//! A sheet: contacts in a database of their own, made to be handed out.
//!
//! It lives for one export. It is built in the state directory, where nobody
//! else can look, with as little in memory as SQLite needs; then it is read
//! once from front to back, and however that ends its bytes are overwritten
//! and the file is removed. What a crash leaves behind goes at the next start,
//! or with a wipe, which takes every file of the database's name.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, params};
use tcn_engine::{Contact, RSSI_UNAVAILABLE};

use super::database::flags;
use super::error::Fault;
use super::overwrite;
use super::sql::signed;

/// What the names of sheets begin with; a number follows.
const PREFIX: &str = "tcnd.sqlite.sheet-";

/// One more for each sheet of this process. A name is never used again: a wipe
/// may have removed the file of a sheet that is still at work.
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
  bridged INTEGER NOT NULL
)";

/// Where sheets are made.
#[derive(Clone, Debug)]
pub struct Sheets {
    directory: PathBuf,
}

impl Sheets {
    /// In this directory: the state directory, when [`open()`](super::open())
    /// has made it private.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Begins an empty sheet. Blocks on the disk, as everything here does.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn begin(&self) -> Result<Sheet, Fault> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let paper = Paper::new(self.directory.join(format!("{PREFIX}{number}")))
            .map_err(|error| Fault::Files(error.kind()))?;
        let db = Connection::open_with_flags(&paper.path, flags())?;
        // A sheet that breaks off is thrown away: nothing to roll back, nothing
        // to make durable. Without a journal, what memory does not hold goes
        // straight to the file.
        db.pragma_update(None, "journal_mode", "OFF")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.execute_batch(SCHEMA)?;
        db.execute_batch("BEGIN")?;
        Ok(Sheet { db, paper })
    }
}

/// A sheet that is being written.
#[derive(Debug)]
pub struct Sheet {
    db: Connection,
    paper: Paper,
}

impl Sheet {
    /// Adds contacts, each under the name its number shall have.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, contacts: &[(String, Contact)]) -> Result<(), Fault> {
        let mut insert = self
            .db
            .prepare_cached("INSERT INTO contact VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        for (number, contact) in contacts {
            let [to_55, to_63, to_73, over] = contact.attenuation;
            insert.execute(params![
                number,
                signed(contact.start.0),
                signed(contact.end.0),
                measured(contact.rssi_max),
                measured(contact.rssi_mean),
                contact.count,
                to_55,
                to_63,
                to_73,
                over,
                contact.bridged,
            ])?;
        }
        Ok(())
    }

    /// Ends the writing; what comes is the whole file, from its start.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(self) -> Result<impl Read + Send, Fault> {
        // The database is dropped first, whatever fails.
        let Self { mut paper, db } = self;
        db.execute_batch("COMMIT")?;
        db.close().map_err(|(_, error)| Fault::from(error))?;
        paper
            .file
            .rewind()
            .map_err(|error| Fault::Files(error.kind()))?;
        Ok(paper)
    }
}

fn measured(rssi: i16) -> Option<i16> {
    (rssi != RSSI_UNAVAILABLE).then_some(rssi)
}

/// The file of a sheet, gone when dropped.
#[derive(Debug)]
struct Paper {
    file: File,
    path: PathBuf,
}

impl Paper {
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

impl Read for Paper {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Drop for Paper {
    fn drop(&mut self) {
        let removed = overwrite::overwrite(&mut self.file);
        match removed.and_then(|()| std::fs::remove_file(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a sheet could not be removed; the next start tries again");
            }
            // A wipe was here before.
            Ok(()) | Err(_) => {}
        }
    }
}

/// Removes what an earlier run left behind.
pub(super) fn sweep(directory: &Path) -> io::Result<()> {
    overwrite::destroy(directory, PREFIX)
}
