//! Growth of contacts on its way into the table `contact`: appended to a file beside the
//! database, and folded into the table some time later.
//!
//! Contacts grow every minute. SQLite writes whole pages, each twice: into its journal,
//! and later into the database. A minute of twenty neighbours has some 240 bytes and
//! would change three pages. So a batch becomes one record at the end of a file
//! ([`growth_record`](super::growth_record)), and memory holds what the records amount
//! to, merged to rows. A fold writes these rows in one transaction. It comes
//!
//! * with whatever reads or changes the contacts, in the same transaction
//!   ([`Log`]), so that nothing overlooks growth: queries, matching, export, erasure, new
//!   dates, and retention, which comes every hour;
//! * with a batch of which a report names a number: what the report names is written
//!   with it, all or none;
//! * when the file is [`MOST`] bytes long;
//! * when the store is closed, or the machine is about to sleep.
//!
//! Then the file is cut to nothing. Other writes leave it alone.
//!
//! # What a crash leaves
//!
//! Each file has an id. The table `setting` holds how far growth is in the table
//! `contact` ([`Mark`]): the id of a file, and how many of its bytes are folded. The
//! first file of a database has the id after the random one that its mark began with, and
//! each file that follows a cut one has the id after that. At the start, the growth of a
//! file counts:
//!
//! * if it has the id of the mark: what stands behind the folded bytes;
//! * if it has the id after that: all of it;
//! * if it has another id, it belongs to another database, one that was wiped or set
//!   aside for instance: nothing.
//!
//! **Nothing counts twice.** Rows and mark are written in one transaction, so the table
//! has the growth of a file up to the mark, and no more. Whether the file was cut after a
//! fold makes no difference: a file that was not cut has the id of the mark. A fold that
//! reported an error and turns out to be written is one that was written: what was
//! appended after it stands behind the mark.
//!
//! **Nothing is lost that was answered.** A kill leaves what was handed to the kernel. A
//! batch is answered after its record was written, and counts when its record is whole,
//! all or none. A record that could not be written whole has no valid check and is
//! overwritten by the next, and each record counts only behind those before it. The file
//! is cut only after the transaction that folds it was synced.
//!
//! **A power cut loses what is not synced yet, as it does of the database.** Records of
//! keys and numbers are synced, and the file is synced before them, so a power cut loses
//! the contacts since the last rotation at most. What it leaves of the file is a file
//! of the mark or of the id after that, with all that was synced and maybe more; or an
//! older one, whose bytes the mark covers. If the file cannot be synced, the growth is
//! folded instead, since what the kernel failed to write once it may drop.
//!
//! **What is destroyed is gone from here too.** Whatever destroys contacts folds first and
//! then cuts the file to nothing, as it cuts SQLite's journal. A wipe overwrites and
//! removes the file with all others of the database, and a damaged database is set
//! aside together with it. Contacts are not sealed, neither here nor in the table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use rusqlite::{Connection, Transaction};
use tcn_engine::Contact;
use tcn_protocol::{TemporaryContactNumber, UnixTime};

use super::contact_row::{ContactRow, QUARTER};
use super::contacts;
use super::growth_record::{self, Chain, HEADER, PAGE};
use super::log::Log;
use super::settings;
use super::sql::{signed, unsigned};

/// Bytes after which the file is folded: more than an hour of two hundred neighbours. In a
/// flood of numbers, memory holds as many rows as these bytes name, some 10,000.
const MOST: u64 = 1 << 18;

/// How far growth is in the table `contact`.
///
/// It stands in the table `setting`:
///
/// * `growth_file`: the id of a growth file; random in a new database
/// * `growth_folded`: how many of its bytes are folded
#[derive(Clone, Copy)]
pub(super) struct Mark {
    file: i64,
    folded: u64,
}

impl Mark {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            file: settings::get(db, "growth_file")?.unwrap_or(0),
            folded: settings::get(db, "growth_folded")?.map_or(0, unsigned),
        })
    }

    fn write(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        settings::set(transaction, "growth_file", self.file)?;
        settings::set(transaction, "growth_folded", signed(self.folded))
    }

    /// The id of the file that comes after the one of this mark.
    const fn next(self) -> i64 {
        self.file.wrapping_add(1)
    }

    /// How many bytes of the file of this id are folded; `None` if it is not of this
    /// database.
    fn folded(self, id: i64) -> Option<u64> {
        match id {
            id if id == self.file => Some(self.folded),
            id if id == self.next() => Some(0),
            _ => None,
        }
    }
}

/// Growth that is not in the table yet, and its file.
pub(super) struct Growth {
    file: File,
    id: i64,
    /// Where the next record goes; 0 if the file has no header yet.
    length: u64,
    chain: Chain,
    /// What is not folded, by quarter and number as in the table.
    rows: BTreeMap<(u64, TemporaryContactNumber), ContactRow>,
    synced: bool,
}

impl Growth {
    /// What this file holds behind the mark.
    ///
    /// # Errors
    /// If the file cannot be read or cut.
    pub(super) fn new(mut file: File, mark: Mark) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut growth = Self {
            file,
            id: mark.next(),
            length: 0,
            chain: Chain::new(mark.next()),
            rows: BTreeMap::new(),
            synced: false,
        };
        let id = growth_record::id(&bytes);
        if let Some((id, folded)) = id.and_then(|id| Some((id, mark.folded(id)?))) {
            growth.replay(id, &bytes, folded);
        }
        if growth.is_folded() {
            growth.begin(mark.next());
        }
        // Off goes a record that was written in part, and what is folded or foreign.
        growth.file.set_len(growth.length)?;
        Ok(growth)
    }

    /// Goes on with the file of this id, which is empty.
    fn begin(&mut self, id: i64) {
        self.id = id;
        self.length = 0;
        self.chain = Chain::new(id);
    }

    fn replay(&mut self, id: i64, bytes: &[u8], folded: u64) {
        self.begin(id);
        let mut at = HEADER;
        while let Some((rows, end)) = growth_record::read(bytes, at, &mut self.chain) {
            if end as u64 > folded {
                rows.into_iter().for_each(|(tcn, row)| self.merge(tcn, row));
            }
            at = end;
        }
        self.length = at as u64;
    }

    fn merge(&mut self, tcn: TemporaryContactNumber, row: ContactRow) {
        self.rows
            .entry((row.start / QUARTER, tcn))
            .and_modify(|old| *old = old.merge(&row))
            .or_insert(row);
    }

    /// Whether the table has all of it.
    pub(super) fn is_folded(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether it is time to fold.
    pub(super) fn is_full(&self) -> bool {
        self.length >= MOST
    }

    /// The start of the newest contact in it, rounded down to the quarter of an hour.
    pub(super) fn newest(&self) -> Option<UnixTime> {
        let ((quarter, _), _) = self.rows.last_key_value()?;
        Some(UnixTime(quarter.saturating_mul(QUARTER)))
    }

    /// Bytes of the file.
    pub(super) const fn bytes(&self) -> u64 {
        self.length
    }

    /// Writes a batch, all or none; a kill does not lose it then.
    ///
    /// # Errors
    /// If the file cannot be written; then none of it is there.
    pub(super) fn append(&mut self, batch: &[Contact]) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut bytes = match self.length {
            0 => growth_record::header(self.id),
            _ => Vec::new(),
        };
        let before = self.chain.end();
        bytes.extend(growth_record::write(batch, &mut self.chain));
        if let Err(error) = self.file.write_all_at(&bytes, self.length) {
            self.chain.cut(before);
            // What stays of it is no whole record, and the next one overwrites it.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += bytes.len() as u64;
        self.synced = false;
        for growth in batch {
            self.merge(growth.tcn, ContactRow::new(growth));
        }
        Ok(())
    }

    /// Has a power cut lose none of it. Zeros fill the last page, and what comes next
    /// begins another: so a page that was synced is not written again.
    ///
    /// # Errors
    /// If the disk cannot be written; then a power cut may lose any of it, even if a later
    /// call succeeds.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_folded() && !self.synced {
            let end = self.length.next_multiple_of(PAGE as u64);
            let zeros = usize::try_from(end - self.length).map_or(0, |zeros| zeros.min(PAGE));
            self.file.write_all_at(&[0; PAGE][..zeros], self.length)?;
            self.file.sync_data()?;
            self.length = end;
            self.synced = true;
        }
        Ok(())
    }

    /// Writes it into the table. When the transaction is durable, [`Self::folded`]
    /// has to be called.
    pub(super) fn fold<'a>(&self, transaction: &'a Transaction<'a>) -> rusqlite::Result<Log<'a>> {
        if !self.is_folded() {
            for ((_, tcn), row) in &self.rows {
                contacts::put(transaction, *tcn, row.clone())?;
            }
            let mark = Mark {
                file: self.id,
                folded: self.length,
            };
            mark.write(transaction)?;
        }
        Ok(Log::folded(transaction))
    }

    /// The table has all of it, durably.
    pub(super) fn folded(&mut self) {
        self.rows.clear();
        // A file that cannot be cut goes on behind the mark, and is cut after the next
        // fold.
        let _ = self.cut();
    }

    /// Cuts the file to nothing, if the table has all of it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        if self.is_folded() && self.length > 0 {
            self.file.set_len(0)?;
            self.begin(self.id.wrapping_add(1));
        }
        Ok(())
    }
}
