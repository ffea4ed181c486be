//! Turns a fetched document into a file for tcnd: unpacked, filtered, limited.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tcn_exchange::content_encoding::ContentEncoding;
use tcn_exchange::filter::{
    DocumentError, Expected, FilterOptions, Filtered, Selection, filter_document, select_shortest,
};
use tcn_protocol::file::Foreign;

use super::Fault;
use super::problem::Problem;

/// A fetched document.
pub(super) struct Document {
    /// Its bytes as received.
    pub(super) file: File,
    /// How many of the bytes are read.
    pub(super) length: u64,
    pub(super) packing: ContentEncoding,
    pub(super) expected: Expected,
    /// Whether more bytes follow that are not read.
    pub(super) is_part: bool,
}

impl Document {
    /// A file of this many bytes whose compression is detected from its content; at
    /// most `most` bytes are read.
    pub(super) fn of_file(
        file: File,
        length: u64,
        most: u64,
        expected: Expected,
    ) -> io::Result<Self> {
        let mut head = [0; 4];
        let count = file.read_at(&mut head, 0)?;
        Ok(Self {
            file,
            length: length.min(most),
            packing: ContentEncoding::detect(&head[..count]),
            expected,
            is_part: length > most,
        })
    }

    /// The unpacked bytes, from the first.
    fn reader(&mut self) -> io::Result<Box<dyn Read + '_>> {
        self.file.rewind()?;
        self.packing.reader((&self.file).take(self.length))
    }
}

/// The reports of a document, in the format `tcn`.
pub(super) struct Reports {
    /// Unnamed, and read from its first byte. It has all reports, if they fit.
    pub(super) file: File,
    pub(super) sifted: Filtered,
    document: Document,
    reading: FilterOptions,
}

/// Why there are no reports.
pub(super) enum Unfit {
    /// The document is wrong.
    Document(Problem),
    /// It is a file of another kind.
    Foreign(Foreign),
    /// This machine failed.
    Machine(Fault),
}

/// An unnamed file in `directory`. Closing its descriptor removes it.
pub(super) fn unnamed(directory: &Path) -> Result<File, Fault> {
    tempfile::tempfile_in(directory).map_err(Fault::State)
}

/// Unpacks and filters a document. Also returns how many bytes were read of it,
/// whatever the result.
pub(super) fn unpack(
    mut document: Document,
    mut reading: FilterOptions,
    directory: &Path,
) -> (u64, Result<Reports, Unfit>) {
    reading.is_part = document.is_part;
    let mut read = 0;
    let sifted = written(directory, |out| {
        let source = document.reader().map_err(DocumentError::Source)?;
        let source = Counted {
            source,
            count: &mut read,
        };
        filter_document(source, &reading, out)
    });
    let reports = sifted.map(|(file, sifted)| Reports {
        file,
        sifted,
        document,
        reading,
    });
    (read, reports)
}

/// A source that counts its bytes.
struct Counted<'a, R> {
    source: R,
    count: &'a mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        *self.count += count as u64;
        Ok(count)
    }
}

/// The shortest of these reports, as many as `budget` allows.
pub(super) fn within(
    mut reports: Reports,
    budget: u64,
    directory: &Path,
) -> Result<(File, Selection), Unfit> {
    let (reading, sifted) = (reports.reading, reports.sifted);
    written(directory, |out| {
        let source = reports.document.reader().map_err(DocumentError::Source)?;
        select_shortest(source, &reading, &sifted, budget, out)
    })
}

/// An unnamed file with the output of `write`, positioned at its first byte.
fn written<T>(
    directory: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, DocumentError>,
) -> Result<(File, T), Unfit> {
    let mut file = unnamed(directory).map_err(Unfit::Machine)?;
    let done = write(&mut BufWriter::new(&mut file))?;
    file.rewind()
        .map_err(|error| Unfit::Machine(Fault::State(error)))?;
    Ok((file, done))
}

impl From<DocumentError> for Unfit {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::NotWhole | DocumentError::Source(_) => {
                Self::Document(Problem::WrongAnswer)
            }
            DocumentError::TooLarge => Self::Document(Problem::TooLarge),
            DocumentError::Foreign(foreign) => Self::Foreign(foreign),
            DocumentError::Out(error) => Self::Machine(Fault::State(error)),
        }
    }
}
