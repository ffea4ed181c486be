//! Reports that a source delivered, kept until they are matched.
//!
//! What `tcnd-sync` hands over is written to a file here before it is answered,
//! and matched when it has gone: so neither the answer nor its time depends on
//! which contacts this machine has. The file and its directory are synchronised to the disk
//! first; then one transaction adds the row, marks the interval, and counts the
//! bytes. So a run that breaks off, or a loss of power, loses no report that was
//! told to be delivered. A file without a row goes at the next start.
//!
//! The bytes that one source may deliver in a day are bounded ([`day_bytes`]),
//! since they are its disk space and its work. They depend on what the source
//! delivers and on nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tcn_exchange::interval::Interval;
use tcn_protocol::UnixTime;

use super::database::Durable;
use super::error::Error;
use super::handle::Store;
use super::seen::SourceId;
use super::sql::{signed, unsigned};

/// What the names of the files begin with, so that a wipe finds them; a number
/// follows.
const PREFIX: &str = "tcnd.sqlite.delivery-";

/// Files at most: several runs of the most sources, with all of their intervals.
const MOST_FILES: u32 = 1 << 14;

/// Bytes that all sources together may deliver in a day, in the format `tcn`.
const MOST_BYTES: u64 = 2 << 30;

/// Bytes that one source may deliver in a day at most: three million reports.
const MOST_BYTES_A_SOURCE: u64 = 512 << 20;

/// Bytes that each of `sources` sources may deliver in a day: an equal share of
/// 2 GiB, and 512 MiB at most.
pub const fn day_bytes(sources: usize) -> u64 {
    let share = MOST_BYTES / if sources == 0 { 1 } else { sources as u64 };
    if share < MOST_BYTES_A_SOURCE {
        share
    } else {
        MOST_BYTES_A_SOURCE
    }
}

/// A file that reports are written to.
#[derive(Debug)]
pub struct DeliveryFile {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    /// It belongs to a row from now on.
    kept: bool,
}

impl DeliveryFile {
    /// Bytes written so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Synchronises the file, and its name, to the disk.
    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let directory = self.path.parent().ok_or(io::ErrorKind::NotFound)?;
        File::open(directory)?.sync_all()
    }

    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

impl Write for DeliveryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for DeliveryFile {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a file of reports could not be removed; the next start tries again");
        }
    }
}

/// What a source delivered for an interval.
#[derive(Debug)]
pub struct NewDelivery {
    /// The source.
    pub source: SourceId,
    /// Its label, for people.
    pub label: String,
    /// The interval.
    pub interval: Interval,
    /// Nothing will be added to the interval, and nothing is missing.
    pub whole: bool,
    /// When it came.
    pub received: UnixTime,
    /// The reports, in the format `tcn`; `None` if there are none.
    pub file: Option<DeliveryFile>,
}

/// A delivery that is to be matched.
#[derive(Debug)]
pub struct PendingDelivery {
    /// Its local name.
    pub id: u64,
    /// The source.
    pub source: SourceId,
    /// Its label, for people.
    pub label: String,
    /// By when the reports were public, as the source told.
    pub published: UnixTime,
    /// When they came.
    pub received: UnixTime,
    /// The reports, in the format `tcn`.
    pub file: File,
}

impl Store {
    /// An empty file for reports. Dropped before it was given to
    /// [`keep_delivery`](Self::keep_delivery), it is removed.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub async fn begin_delivery(&self) -> Result<DeliveryFile, Error> {
        self.call(|database| {
            let file = begin(&database.directory);
            file.map_err(|error| Error::Files(error.kind()))
        })
        .await
    }

    /// Bytes that a source may still deliver on the day of `now`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn delivery_room(&self, source: SourceId, now: UnixTime) -> Result<u64, Error> {
        self.call(move |database| Ok(room(&database.connection, source, now)?))
            .await
    }

    /// Keeps a delivery durably, and remembers that the interval is delivered if
    /// it is whole.
    ///
    /// # Errors
    /// If the file or the database cannot be written; then nothing is kept.
    pub async fn keep_delivery(&self, mut delivery: NewDelivery) -> Result<(), Error> {
        // On the caller's thread, which may wait for the disk: the store's may not.
        if let Some(file) = &mut delivery.file {
            file.sync().map_err(|error| Error::Files(error.kind()))?;
        }
        self.call(move |database| {
            database.transact(Durable::PowerLoss, |t| keep(t, &delivery))?;
            if let Some(file) = &mut delivery.file {
                file.kept = true;
            }
            Ok(())
        })
        .await
    }

    /// The oldest delivery that is to be matched.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn next_delivery(&self) -> Result<Option<PendingDelivery>, Error> {
        self.call(|database| {
            loop {
                let Some(row) = oldest(&database.connection)? else {
                    return Ok(None);
                };
                match File::open(database.directory.join(&row.file)) {
                    Ok(file) => return Ok(Some(row.opened(file))),
                    // The file was removed by hand.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        database.transact(Durable::Crash, |t| remove(t, row.id))?;
                    }
                    Err(error) => return Err(Error::Files(error.kind())),
                }
            }
        })
        .await
    }

    /// Removes a delivery that was matched.
    ///
    /// # Errors
    /// If the database cannot be written, or the file not be removed.
    pub async fn end_delivery(&self, id: u64) -> Result<(), Error> {
        self.call(move |database| {
            let name = database.transact(Durable::Crash, |t| {
                let name: Option<String> = t
                    .query_row(
                        "SELECT file FROM delivery WHERE id = ?1",
                        [signed(id)],
                        |row| row.get(0),
                    )
                    .optional()?;
                remove(t, id)?;
                Ok(name)
            })?;
            let Some(name) = name else { return Ok(()) };
            match std::fs::remove_file(database.directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Error::Files(error.kind()))
                }
                Ok(()) | Err(_) => Ok(()),
            }
        })
        .await
    }
}

/// A file under the first name that is free: reports that are not matched yet have
/// the others.
fn begin(directory: &Path) -> io::Result<DeliveryFile> {
    for number in 0..MOST_FILES {
        let path = directory.join(format!("{PREFIX}{number}"));
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match made {
            Ok(file) => {
                return Ok(DeliveryFile {
                    path,
                    file: BufWriter::new(file),
                    bytes: 0,
                    kept: false,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::QuotaExceeded.into())
}

fn room(db: &Connection, source: SourceId, now: UnixTime) -> rusqlite::Result<u64> {
    let sources: i64 = db.query_row("SELECT count(*) FROM source", [], |row| row.get(0))?;
    let most = day_bytes(usize::try_from(sources).unwrap_or(usize::MAX));
    let today = signed(now.day());
    let taken: Option<i64> = db
        .query_row(
            "SELECT bytes FROM source WHERE id = ?1 AND day = ?2",
            [source.0, today],
            |row| row.get(0),
        )
        .optional()?;
    Ok(most.saturating_sub(unsigned(taken.unwrap_or(0))))
}

fn keep(transaction: &Transaction<'_>, delivery: &NewDelivery) -> rusqlite::Result<()> {
    let interval = delivery.interval;
    if let Some(file) = &delivery.file {
        transaction.execute(
            "INSERT INTO delivery (file, source, label, published, received) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                file.name(),
                delivery.source.0,
                delivery.label,
                signed(interval.end().0),
                signed(delivery.received.0),
            ],
        )?;
        let today = signed(delivery.received.day());
        transaction.execute(
            "UPDATE source SET bytes = CASE day WHEN ?2 THEN bytes ELSE 0 END + ?3, day = ?2 \
             WHERE id = ?1",
            [delivery.source.0, today, signed(file.bytes)],
        )?;
    }
    if delivery.whole {
        transaction.execute(
            "INSERT OR IGNORE INTO delivered (interval, source) \
             SELECT ?1, name FROM source WHERE id = ?2",
            [signed(interval.number()), delivery.source.0],
        )?;
    }
    Ok(())
}

/// A row: a delivery whose file is not open yet.
struct DeliveryRow {
    id: u64,
    file: String,
    source: SourceId,
    label: String,
    published: UnixTime,
    received: UnixTime,
}

impl DeliveryRow {
    fn opened(self, file: File) -> PendingDelivery {
        PendingDelivery {
            id: self.id,
            source: self.source,
            label: self.label,
            published: self.published,
            received: self.received,
            file,
        }
    }
}

fn oldest(db: &Connection) -> rusqlite::Result<Option<DeliveryRow>> {
    db.prepare_cached(
        "SELECT id, file, source, label, published, received FROM delivery ORDER BY id LIMIT 1",
    )?
    .query_row([], |row| {
        Ok(DeliveryRow {
            id: unsigned(row.get(0)?),
            file: row.get(1)?,
            source: SourceId(row.get(2)?),
            label: row.get(3)?,
            published: UnixTime(unsigned(row.get(4)?)),
            received: UnixTime(unsigned(row.get(5)?)),
        })
    })
    .optional()
}

fn remove(transaction: &Transaction<'_>, id: u64) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM delivery WHERE id = ?1", [signed(id)])?;
    Ok(())
}

/// Removes files that no row names: their run broke off before they were kept.
pub(super) fn remove_leftovers(
    db: &Connection,
    directory: &Path,
) -> rusqlite::Result<io::Result<()>> {
    let named = db
        .prepare("SELECT file FROM delivery")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let remove = || {
        for entry in directory.read_dir()? {
            let entry = entry?;
            let name = entry.file_name();
            let ours = name.to_str().filter(|name| name.starts_with(PREFIX));
            if ours.is_some_and(|name| !named.iter().any(|kept| kept == name)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    Ok(remove())
}
