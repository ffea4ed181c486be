//! A document as it came becomes a file for tcnd: unpacked, sifted, bounded.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Fault;
use super::problem::Problem;
use crate::exchange::sieve::{DocumentError, Expected, Sifted, cheapest, sift};
use crate::exchange::source::MemoTypes;

/// How a document is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    /// By gzip, RFC 1952.
    Gzip,
    /// By zstd, RFC 8878.
    Zstd,
}

/// The greatest window of zstd, 8 MiB, as RFC 9659 has it for the web.
const WINDOW_LOG: u32 = 23;

impl Packing {
    /// By the value of `Content-Encoding`, or its absence.
    pub(super) fn named(name: Option<&str>) -> Option<Self> {
        match name.map(str::trim) {
            None | Some("" | "identity") => Some(Self::Plain),
            Some("gzip" | "x-gzip") => Some(Self::Gzip),
            Some("zstd") => Some(Self::Zstd),
            Some(_) => None,
        }
    }

    fn reader(self, file: File) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Plain => Box::new(file),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(file)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// A document that was fetched.
pub(super) struct Document {
    /// Its bytes as they came, from the first.
    pub(super) file: File,
    pub(super) packing: Packing,
    pub(super) expected: Expected,
}

/// The reports of a document, in the format `tcn`.
pub(super) struct Reports {
    /// Unnamed, and read from its first byte.
    pub(super) file: File,
    pub(super) sifted: Sifted,
}

/// Why there are none.
pub(super) enum Unfit {
    /// The document is to blame.
    Document(Problem),
    /// This machine is.
    Machine(Fault),
}

/// An unnamed file in `directory`; it goes with its descriptor.
pub(super) fn unnamed(directory: &Path) -> Result<File, Fault> {
    tempfile::tempfile_in(directory).map_err(Fault::State)
}

/// Unpacks and sifts a document of at most `most` bytes.
pub(super) fn unpack(
    document: Document,
    most: u64,
    wanted: MemoTypes,
    directory: &Path,
) -> Result<Reports, Unfit> {
    let wrong = |_: io::Error| Unfit::Document(Problem::WrongAnswer);
    let machine = |error| Unfit::Machine(Fault::State(error));
    let mut file = unnamed(directory).map_err(Unfit::Machine)?;
    let reader = document.packing.reader(document.file).map_err(wrong)?;
    let mut reader = reader.take(most + 1);
    let sifted = sift(
        &mut reader,
        document.expected,
        wanted,
        BufWriter::new(&mut file),
    );
    if reader.limit() == 0 {
        return Err(Unfit::Document(Problem::TooLarge));
    }
    let sifted = sifted.map_err(|error| match error {
        DocumentError::NotWhole | DocumentError::Source(_) => Unfit::Document(Problem::WrongAnswer),
        DocumentError::Out(error) => machine(error),
    })?;
    file.rewind().map_err(machine)?;
    Ok(Reports { file, sifted })
}

/// The cheapest of these reports, as many as `budget` numbers allow, and what
/// they cost.
pub(super) fn within(
    reports: Reports,
    budget: u64,
    directory: &Path,
) -> Result<(File, u64), Fault> {
    let mut file = unnamed(directory)?;
    let source = BufReader::new(reports.file);
    let spent = cheapest(source, &reports.sifted, budget, BufWriter::new(&mut file))
        .map_err(Fault::State)?;
    file.rewind().map_err(Fault::State)?;
    Ok((file, spent))
}
