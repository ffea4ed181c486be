//! A rendered interval: all representations of one interval, as files.
//!
//! All representations are written in one pass over the interval: each report goes to
//! every file as it is read. So a million reports take as little memory as one.
//! Responses are sent from the files. A small representation is held in memory after its
//! first request. The rendered intervals of 14 days together hold at most 57 × 4 ×
//! [`MAX_HELD_BYTES`], some 28 MiB.

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

use super::representation::Representation;
use super::store::Store;

/// The largest representation that is held in memory, in bytes.
pub(super) const MAX_HELD_BYTES: u64 = 128 << 10;

/// Bytes read from a file at once.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// An interval cannot be rendered.
#[derive(Debug, Error)]
pub enum RenderError {
    /// The reports cannot be read.
    #[error("the reports of an interval cannot be read")]
    Sqlite(#[from] rusqlite::Error),
    /// The files cannot be written or read.
    #[error("the files of an interval cannot be written or read; is the disk full?")]
    Files(#[from] io::Error),
}

/// All representations of an interval.
#[derive(Debug)]
pub(super) struct RenderedInterval {
    files: [RepresentationFile; 4],
}

/// The content of one representation.
#[derive(Debug)]
pub(super) struct RepresentationFile {
    file: Arc<File>,
    length: u64,
    etag: String,
    held: OnceLock<Bytes>,
}

impl RenderedInterval {
    /// Renders `interval` as it is now, into unnamed files in `directory`. Blocks.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub(super) fn render(
        store: &Store,
        interval: Interval,
        directory: &Path,
    ) -> Result<Self, RenderError> {
        let mut json = HashingWriter::new(directory)?;
        let mut gzip = GzEncoder::new(HashingWriter::new(directory)?, Compression::default());
        let mut zstd = zstd::Encoder::new(HashingWriter::new(directory)?, ZSTD_LEVEL)?;
        let mut tcn = HashingWriter::new(directory)?;
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
            Ok::<_, RenderError>(())
        })?;
        // No report was written: the text has only its opening bracket.
        let end: &[u8] = if text == b"[" { b"[]" } else { b"]" };
        json.write_all(end)?;
        gzip.write_all(end)?;
        zstd.write_all(end)?;
        Ok(Self {
            files: [
                json.finish()?,
                gzip.finish()?.finish()?,
                zstd.finish()?.finish()?,
                tcn.finish()?,
            ],
        })
    }

    /// Reads the representations in these files, in the order of
    /// [`Representation::ALL`]. Blocks.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn open(files: [File; 4]) -> io::Result<Self> {
        let [json, gzip, zstd, tcn] = files;
        Ok(Self {
            files: [
                RepresentationFile::open(json)?,
                RepresentationFile::open(gzip)?,
                RepresentationFile::open(zstd)?,
                RepresentationFile::open(tcn)?,
            ],
        })
    }

    /// The file of a representation.
    pub(super) const fn file(&self, representation: Representation) -> &RepresentationFile {
        let [json, gzip, zstd, tcn] = &self.files;
        match representation {
            Representation::Json => json,
            Representation::JsonGzip => gzip,
            Representation::JsonZstd => zstd,
            Representation::Tcn => tcn,
        }
    }
}

impl RepresentationFile {
    fn open(mut file: File) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut length = 0;
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                return Ok(Self::new(file, length, hash));
            }
            hash.update(&chunk[..read]);
            length += read as u64;
        }
    }

    fn new(file: File, length: u64, hash: Sha256) -> Self {
        let hex = base16ct::lower::encode_string(&hash.finalize());
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
        if self.length > MAX_HELD_BYTES {
            return all;
        }
        self.held.get_or_init(|| all).clone()
    }
}

/// The next chunk of a file to be read.
#[derive(Debug)]
pub(super) struct Chunk {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Chunk {
    /// The first chunk.
    pub(super) fn first(file: &RepresentationFile) -> Self {
        Self {
            file: Arc::clone(&file.file),
            at: 0,
            left: file.length,
        }
    }

    /// Reads the chunk, and returns it with the next. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read, or has become shorter.
    pub(super) fn read(self) -> io::Result<(Bytes, Option<Self>)> {
        let length = usize::try_from(self.left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let mut chunk = vec![0; length];
        self.file.read_exact_at(&mut chunk, self.at)?;
        let next = Self {
            at: self.at + length as u64,
            left: self.left - length as u64,
            ..self
        };
        Ok((chunk.into(), Some(next).filter(|next| next.left > 0)))
    }
}

/// A representation while it is written. It counts and hashes its bytes.
struct HashingWriter {
    file: BufWriter<File>,
    hash: Sha256,
    length: u64,
}

impl HashingWriter {
    fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(tempfile::tempfile_in(directory)?),
            hash: Sha256::new(),
            length: 0,
        })
    }

    fn finish(self) -> io::Result<RepresentationFile> {
        let mut file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(RepresentationFile::new(file, self.length, self.hash))
    }
}

impl Write for HashingWriter {
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
