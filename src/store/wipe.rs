//! Everything gone: not rows deleted, but files overwritten and removed.
//!
//! Deleting every row would trust SQLite to have overwritten each place a
//! secret ever stood in. Here the files themselves are filled with zeros,
//! synced and unlinked, and a new database is begun. On flash the controller
//! may still hold old blocks that no program can reach; encryption of the disk
//! is the cure for that.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::Path;

use rusqlite::Connection;

use super::redate::Dates;
use super::thread::Owner;
use super::{DATABASE, Fault, open};

impl Owner {
    pub(super) fn wipe(&mut self) -> Result<(), Fault> {
        // Without a file there is no store: the thread ends, and with it the
        // daemon, rather than keep everything in memory and nothing at all.
        self.homeless = true;
        // Closed first: SQLite must not write into a file that is going.
        let open = std::mem::replace(&mut self.db, Connection::open_in_memory()?);
        open.close().map_err(|(_, error)| Fault::from(error))?;
        // With its companions, what was set aside, and what was handed out.
        let gone = destroy(&self.directory, DATABASE);
        self.db = open::anew(&self.directory, &self.seal)?;
        self.dates = Dates::default();
        self.homeless = false;
        gone.map_err(|error| Fault::Files(error.kind()))
    }
}

/// Overwrites and removes the files whose names begin with `prefix`.
pub(super) fn destroy(directory: &Path, prefix: &str) -> io::Result<()> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        let ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_bytes());
        if ours && entry.file_type()?.is_file() {
            overwrite(&mut OpenOptions::new().write(true).open(entry.path())?)?;
            std::fs::remove_file(entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}

/// Fills a file with zeros, and cuts it to nothing.
pub(super) fn overwrite(file: &mut File) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    file.rewind()?;
    let mut left = file.metadata()?.len();
    while left > 0 {
        let step = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all(&ZEROS[..step])?;
        left -= step as u64;
    }
    file.sync_all()?;
    file.set_len(0)?;
    file.sync_all()
}
