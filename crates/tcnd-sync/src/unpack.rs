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

use super::error::SyncError;
use super::problem::Problem;

/// A fetched document.
pub(super) struct FetchedDocument {
    /// Its bytes as received.
    pub(super) file: File,
    /// How many of the bytes are read.
    pub(super) length: u64,
    pub(super) encoding: ContentEncoding,
    pub(super) expected: Expected,
    /// Whether more bytes follow that are not read.
    pub(super) is_part: bool,
}

impl FetchedDocument {
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
            encoding: ContentEncoding::detect(&head[..count]),
            expected,
            is_part: length > most,
        })
    }

    /// The unpacked bytes, from the first.
    fn reader(&mut self) -> io::Result<Box<dyn Read + '_>> {
        self.file.rewind()?;
        self.encoding.reader((&self.file).take(self.length))
    }
}

/// The reports of a document, in the format `tcn`.
pub(super) struct FilteredReports {
    /// Unnamed, and read from its first byte. It has all reports, if they fit.
    pub(super) file: File,
    pub(super) filtered: Filtered,
    document: FetchedDocument,
    options: FilterOptions,
}

/// Why there are no reports.
pub(super) enum UnpackError {
    /// The document is wrong.
    Document(Problem),
    /// It is a file of another kind.
    Foreign(Foreign),
    /// This machine failed.
    Machine(SyncError),
}

/// An unnamed file in `directory`. Closing its descriptor removes it.
pub(super) fn unnamed_file(directory: &Path) -> Result<File, SyncError> {
    tempfile::tempfile_in(directory).map_err(SyncError::State)
}

/// Unpacks and filters a document. Also returns how many bytes were read of it,
/// whatever the result.
pub(super) fn unpack(
    mut document: FetchedDocument,
    mut options: FilterOptions,
    directory: &Path,
) -> (u64, Result<FilteredReports, UnpackError>) {
    options.is_part = document.is_part;
    let mut read = 0;
    let filtered = write_unnamed(directory, |out| {
        let source = document.reader().map_err(DocumentError::Source)?;
        let source = CountingReader {
            source,
            count: &mut read,
        };
        filter_document(source, &options, out)
    });
    let reports = filtered.map(|(file, filtered)| FilteredReports {
        file,
        filtered,
        document,
        options,
    });
    (read, reports)
}

/// A source that counts its bytes.
struct CountingReader<'a, R> {
    source: R,
    count: &'a mut u64,
}

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        *self.count += count as u64;
        Ok(count)
    }
}

/// The shortest of these reports, as many as `budget` allows.
pub(super) fn select_within(
    mut reports: FilteredReports,
    budget: u64,
    directory: &Path,
) -> Result<(File, Selection), UnpackError> {
    let (options, filtered) = (reports.options, reports.filtered);
    write_unnamed(directory, |out| {
        let source = reports.document.reader().map_err(DocumentError::Source)?;
        select_shortest(source, &options, &filtered, budget, out)
    })
}

/// An unnamed file with the output of `write`, positioned at its first byte.
fn write_unnamed<T>(
    directory: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, DocumentError>,
) -> Result<(File, T), UnpackError> {
    let mut file = unnamed_file(directory).map_err(UnpackError::Machine)?;
    let done = write(&mut BufWriter::new(&mut file))?;
    file.rewind()
        .map_err(|error| UnpackError::Machine(SyncError::State(error)))?;
    Ok((file, done))
}

impl From<DocumentError> for UnpackError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::NotWhole | DocumentError::Source(_) => {
                Self::Document(Problem::WrongAnswer)
            }
            DocumentError::TooLarge => Self::Document(Problem::TooLarge),
            DocumentError::Foreign(foreign) => Self::Foreign(foreign),
            DocumentError::Out(error) => Self::Machine(SyncError::State(error)),
        }
    }
}
