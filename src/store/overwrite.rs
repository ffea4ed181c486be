//! Files overwritten with zeros before they are removed.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::Path;

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
