//! An edition: one interval in every form, as files.
//!
//! An edition is rendered in one pass over the interval: each report is written to all
//! forms as it is read. So a million reports take as little memory as one. An edition
//! is served from its files. A small form is held in memory after its first request.
//! All editions of 14 days together so hold at most 57 × 4 × [`SMALL`], some 28 MiB.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tcn_exchange::interval::Interval;
use thiserror::Error;

use super::form::Form;
use super::store::Store;

/// The largest form that is held in memory, in bytes.
pub(super) const SMALL: u64 = 128 << 10;

/// Bytes read from a file at once.
pub(super) const PIECE: usize = 256 << 10;

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// An edition cannot be rendered.
#[derive(Debug, Error)]
pub enum EditionError {
    /// The reports cannot be read.
    #[error("the reports of an interval cannot be read")]
    Sqlite(#[from] rusqlite::Error),
    /// The files cannot be written or read.
    #[error("the files of an interval cannot be written or read; is the disk full?")]
    Files(#[from] io::Error),
}

/// An interval in every form.
#[derive(Debug)]
pub(super) struct Edition {
    forms: [Copy; 4],
}

/// An interval in one form.
#[derive(Debug)]
pub(super) struct Copy {
    file: Arc<File>,
    length: u64,
    etag: String,
    held: OnceLock<Bytes>,
}

impl Edition {
    /// Renders the edition of `interval` as it is now, into unnamed files in
    /// `directory`. Blocks.
    ///
    /// # Errors
    /// See [`EditionError`].
    pub(super) fn make(
        store: &Store,
        interval: Interval,
        directory: &Path,
    ) -> Result<Self, EditionError> {
        let mut json = Sheet::new(directory)?;
        let mut gzip = GzEncoder::new(Sheet::new(directory)?, Compression::default());
        let mut zstd = zstd::Encoder::new(Sheet::new(directory)?, ZSTD_LEVEL)?;
        let mut tcn = Sheet::new(directory)?;
        let mut text = vec![b'['];
        store.read(interval, |report| {
            tcn.write_all(report)?;
            text.push(b'"');
            let mut encoder = EncoderWriter::new(&mut text, &STANDARD);
            encoder.write_all(report)?;
            encoder.finish()?;
            drop(encoder);
            text.push(b'"');
            json.write_all(&text)?;
            gzip.write_all(&text)?;
            zstd.write_all(&text)?;
            text.clear();
            text.push(b',');
            Ok::<_, EditionError>(())
        })?;
        // No report was written: the text has only its opening bracket.
        let end: &[u8] = if text == b"[" { b"[]" } else { b"]" };
        json.write_all(end)?;
        gzip.write_all(end)?;
        zstd.write_all(end)?;
        Ok(Self {
            forms: [
                json.done()?,
                gzip.finish()?.done()?,
                zstd.finish()?.done()?,
                tcn.done()?,
            ],
        })
    }

    /// The edition in these files, in the order of [`Form::ALL`]. Blocks.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn open(files: [File; 4]) -> io::Result<Self> {
        let [json, gzip, zstd, tcn] = files;
        Ok(Self {
            forms: [
                Copy::open(json)?,
                Copy::open(gzip)?,
                Copy::open(zstd)?,
                Copy::open(tcn)?,
            ],
        })
    }

    /// One of its forms.
    pub(super) const fn form(&self, form: Form) -> &Copy {
        let [json, gzip, zstd, tcn] = &self.forms;
        match form {
            Form::Json => json,
            Form::JsonGzip => gzip,
            Form::JsonZstd => zstd,
            Form::Tcn => tcn,
        }
    }
}

impl Copy {
    fn open(mut file: File) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut length = 0;
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok(Self::new(file, length, hash));
            }
            hash.update(&piece[..read]);
            length += read as u64;
        }
    }

    fn new(file: File, length: u64, hash: Sha256) -> Self {
        let digest = hash.finalize();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            file: Arc::new(file),
            length,
            etag: format!("\"{hex}\""),
            held: OnceLock::new(),
        }
    }

    /// Its length in bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// A strong validator: SHA-256 of the content, in quotes.
    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    /// The whole content, if it is small and was read before.
    pub(super) fn held(&self) -> Option<Bytes> {
        self.held.get().cloned()
    }

    /// Holds the whole content for later requests, if it is small.
    pub(super) fn hold(&self, all: Bytes) -> Bytes {
        if self.length > SMALL {
            return all;
        }
        self.held.get_or_init(|| all).clone()
    }
}

/// The next chunk of a form to be read.
#[derive(Debug)]
pub(super) struct Piece {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Piece {
    /// The first chunk.
    pub(super) fn first(copy: &Copy) -> Self {
        Self {
            file: Arc::clone(&copy.file),
            at: 0,
            left: copy.length,
        }
    }

    /// Reads the chunk, and returns it with the next. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read, or has become shorter.
    pub(super) fn read(self) -> io::Result<(Bytes, Option<Self>)> {
        let length = usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = vec![0; length];
        self.file.read_exact_at(&mut piece, self.at)?;
        let next = Self {
            at: self.at + length as u64,
            left: self.left - length as u64,
            ..self
        };
        Ok((piece.into(), Some(next).filter(|next| next.left > 0)))
    }
}

/// A form while it is written.
struct Sheet {
    file: BufWriter<File>,
    hash: Sha256,
    length: u64,
}

impl Sheet {
    fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(tempfile::tempfile_in(directory)?),
            hash: Sha256::new(),
            length: 0,
        })
    }

    fn done(self) -> io::Result<Copy> {
        let mut file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(Copy::new(file, self.length, self.hash))
    }
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
