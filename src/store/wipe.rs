//! Everything gone: not rows deleted, but files overwritten and removed.
//!
//! Deleting every row would trust SQLite to have overwritten each place a
//! secret ever stood in. Here the files themselves are filled with zeros,
//! synced and unlinked, and a new database is begun. On flash the controller
//! may still hold old blocks that no program can reach; encryption of the disk
//! is the cure for that.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use rusqlite::Connection;

use super::thread::Owner;
use super::{DATABASE, Fault, open};

impl Owner {
    pub(super) fn wipe(&mut self) -> Result<(), Fault> {
        // Closed first: SQLite must not write into a file that is going.
        let open = std::mem::replace(&mut self.db, Connection::open_in_memory()?);
        open.close().map_err(|(_, error)| Fault::from(error))?;
        let gone = destroy(&self.directory);
        self.db = open::anew(&self.directory)?;
        gone.map_err(|error| Fault::Files(error.kind()))
    }
}

/// Overwrites and removes the database, its companions, and what was set aside.
fn destroy(directory: &Path) -> io::Result<()> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        let ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(DATABASE.as_bytes());
        if ours && entry.file_type()?.is_file() {
            overwrite(&entry.path())?;
            std::fs::remove_file(entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}

fn overwrite(path: &Path) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut file = OpenOptions::new().write(true).open(path)?;
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
