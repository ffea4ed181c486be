//! Which reports in a document of a source are passed on to tcnd.
//!
//! Documents come from servers, so they are checked as documents first. A document
//! counts for nothing and is fetched again if it breaks off, is of another kind, or has
//! items none of which can be read. In any other document one bad item costs only
//! itself, and the document still counts as whole: it would be no better the next time.
//!
//! Every item costs work ([`cost`]). A report of 134 bytes can name up to 65535
//! numbers, so an attacker can make an interval more expensive than a source's budget,
//! or longer than it may be. Then the shortest reports go first. An honest report
//! covers six hours and names about two dozen numbers, so a flood of the largest
//! reports is left out before any of the honest ones. No reports are held for this. A
//! document is read once to count, and a second time to pass on what fits.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use tcn_matching::cost;
use tcn_protocol::file::Foreign;
use tcn_protocol::file::{self, FileError, Format, ItemError, ItemPosition};
use tcn_protocol::{ReportError, SignedReport, wire};
use thiserror::Error;

use super::source::MemoTypes;

/// The form that a document must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A JSON array of base64 strings.
    JsonArray,
    /// Signed reports one after another; may be empty.
    Stream,
    /// Any format of report files: a person put the file there.
    Any,
}

/// How a document is read and filtered.
#[derive(Clone, Copy, Debug)]
pub struct FilterOptions {
    /// The form that it must have.
    pub expected: Expected,
    /// The memo types that are passed on.
    pub wanted: MemoTypes,
    /// Bytes of the decoded document that are read. What follows is left out.
    pub most: u64,
    /// It is the start of a document, and may break off anywhere.
    pub is_part: bool,
    /// Bytes that are passed on, in the format `tcn`.
    pub room: u64,
}

/// A document that counts for nothing.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// It has another form, or breaks off, or nothing in it can be read.
    #[error("not a whole document of reports")]
    NotWhole,
    /// It is a file of another kind.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// The part of it that may be read holds nothing.
    #[error("nothing in as much of the document as may be read")]
    TooLarge,
    /// It could not be read or decoded.
    #[error("the document could not be read to its end")]
    Source(#[source] io::Error),
    /// Its reports could not be written.
    #[error("the reports could not be written")]
    Out(#[source] io::Error),
}

/// What a document held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// Reports that may be passed on.
    pub reports: u64,
    /// Items that are not reports.
    pub unreadable: u64,
    /// Reports of a memo type that is not taken from this source, and reports that name
    /// no number, which can match no contact.
    pub unwanted: u64,
    /// Bytes that were read.
    pub read: u64,
    /// It was read to its end.
    pub whole: bool,
    /// All reports fit into [`FilterOptions::room`].
    pub fits: bool,
    costs: CostsByLength,
}

impl Filtered {
    /// What the items cost, by [`cost`]: those that may be passed on, and those that were
    /// only read.
    pub fn cost(&self) -> u64 {
        self.costs.total() + self.read_cost()
    }

    /// What the items cost that are not passed on.
    const fn read_cost(&self) -> u64 {
        (self.unreadable + self.unwanted) * cost::READ
    }
}

/// The reports of a document that were passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Reports.
    pub reports: u64,
    /// What they cost, and the reading of the rest of the document.
    pub cost: u64,
}

/// Reads a document and writes its reports to `out` in the format `tcn`, as long as
/// there is room.
///
/// # Errors
/// The document counts for nothing, or `source` or `out` failed. What was written must
/// then be thrown away, and also where not all of it fits.
pub fn filter_document(
    source: impl Read,
    options: &FilterOptions,
    mut out: impl Write,
) -> Result<Filtered, DocumentError> {
    let mut filtered = Filtered {
        reports: 0,
        unreadable: 0,
        unwanted: 0,
        read: 0,
        whole: true,
        fits: true,
        costs: CostsByLength::default(),
    };
    let state = ReadState::default();
    let mut failed = None;
    let read = file::read_unpacked(
        BoundedReader::new(source, options, &state),
        |place, item| {
            match item {
                Ok(report) if !is_wanted(&report, options) => filtered.unwanted += 1,
                Ok(report) => {
                    filtered.reports += 1;
                    filtered.costs.add(&report);
                    filtered.fits = filtered.costs.bytes() <= options.room;
                    let written = filtered.fits.then(|| out.write_all(&wire::write(&report)));
                    if let Some(Err(error)) = written {
                        failed = Some(DocumentError::Out(error));
                    }
                }
                // The end of the part that may be read is not an error of the document.
                Err(error) if state.cut.get() && breaks_off(place, &error) => {}
                Err(error) if options.expected != Expected::Any && breaks_off(place, &error) => {
                    failed = Some(DocumentError::NotWhole);
                }
                Err(_) => filtered.unreadable += 1,
            }
            match failed {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        },
    );
    filtered.read = state.length.get();
    filtered.whole = !state.cut.get();
    if let Some(error) = failed {
        return Err(error);
    }
    let judged = is_as_expected(read, options.expected, &state);
    match judged.and_then(|()| filtered.has_something()) {
        // The beginning of a line of base64 may look like any word.
        Err(DocumentError::NotWhole | DocumentError::Foreign(Foreign::Text)) if state.cut.get() => {
            return Err(DocumentError::TooLarge);
        }
        judged => judged?,
    }
    out.flush().map_err(DocumentError::Out)?;
    Ok(filtered)
}

/// Reads a document that [`filter_document`] has read before and writes its shortest
/// reports to `out`, as many as fit into `budget` and into [`FilterOptions::room`].
///
/// # Errors
/// `source` or `out` failed.
pub fn select_shortest(
    source: impl Read,
    options: &FilterOptions,
    filtered: &Filtered,
    budget: u64,
    mut out: impl Write,
) -> Result<Selection, DocumentError> {
    let mut selection = Selection {
        reports: 0,
        cost: filtered.read_cost().min(budget),
    };
    let mut cut = filtered.costs.cut(budget - selection.cost, options.room);
    let mut failed = None;
    let state = ReadState::default();
    let read = file::read_unpacked(BoundedReader::new(source, options, &state), |_, item| {
        let report = item.ok().filter(|report| is_wanted(report, options));
        if let Some(report) = report.filter(|report| cut.takes(report)) {
            selection.reports += 1;
            selection.cost += cost::report(&report);
            if let Err(error) = out.write_all(&wire::write(&report)) {
                failed = Some(DocumentError::Out(error));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    match (failed, read) {
        (Some(error), _) => return Err(error),
        (None, Err(FileError::Source(error))) => return Err(DocumentError::Source(error)),
        (None, _) => {}
    }
    out.flush().map_err(DocumentError::Out)?;
    Ok(selection)
}

impl Filtered {
    /// Fails if the document has items and none of them can be read.
    const fn has_something(&self) -> Result<(), DocumentError> {
        if self.unreadable > 0 && self.reports + self.unwanted == 0 {
            return Err(DocumentError::NotWhole);
        }
        Ok(())
    }
}

fn is_wanted(report: &SignedReport, options: &FilterOptions) -> bool {
    let claim = report.claim();
    claim.count() > 0 && options.wanted.contains(claim.memo().kind())
}

/// Checks that the document has the form it must have.
fn is_as_expected(
    read: Result<Format, FileError>,
    expected: Expected,
    state: &ReadState,
) -> Result<(), DocumentError> {
    let is_array = state.first.get() == Some(b'[');
    let is_it = match (read, expected) {
        (Err(FileError::Source(error)), _) => return Err(DocumentError::Source(error)),
        (Err(FileError::Foreign(foreign)), Expected::Any) => return Err(foreign.into()),
        (Ok(Format::Json), Expected::JsonArray) => is_array,
        (Ok(Format::Tcn), Expected::Stream) | (Ok(_), Expected::Any) => true,
        // An empty array, and an empty stream.
        (Err(FileError::Empty), Expected::JsonArray) => is_array,
        (Err(FileError::Empty), Expected::Stream) => state.length.get() == 0,
        (Err(FileError::Empty), Expected::Any) => true,
        (Ok(_) | Err(_), _) => false,
    };
    is_it.then_some(()).ok_or(DocumentError::NotWhole)
}

/// Whether the document breaks off here, so that what would follow is lost.
fn breaks_off(place: ItemPosition, error: &ItemError) -> bool {
    let short = matches!(
        error,
        ItemError::Report(
            ReportError::HeaderTruncated { .. }
                | ReportError::MemoTruncated { .. }
                | ReportError::SignatureTruncated { .. }
        )
    );
    let syntax = matches!(
        error,
        ItemError::JsonMalformed { .. } | ItemError::JsonExcessive { .. }
    );
    // Only the last report of a stream can be short; any text can.
    syntax || (short && matches!(place, ItemPosition::Byte(_)))
}

/// The number of length classes. Class *k* has the reports with fewer than 2ᵏ numbers
/// and at least half as many.
const CLASSES: usize = 17;

fn class(report: &SignedReport) -> usize {
    let count = report.claim().count();
    usize::try_from(u16::BITS - count.leading_zeros()).unwrap_or(CLASSES - 1)
}

/// Length of a report, in bytes.
fn length(report: &SignedReport) -> u64 {
    (SignedReport::MIN_LEN + report.claim().memo().data().len()) as u64
}

/// What the reports of a document cost, and their length in bytes, by length class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct CostsByLength {
    work: [u64; CLASSES],
    bytes: [u64; CLASSES],
}

impl CostsByLength {
    fn add(&mut self, report: &SignedReport) {
        self.work[class(report)] += cost::report(report);
        self.bytes[class(report)] += length(report);
    }

    fn total(&self) -> u64 {
        self.work.iter().sum()
    }

    fn bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// The cutoff at which the reports fit into `work` and `bytes`.
    fn cut(&self, mut work: u64, mut bytes: u64) -> Cutoff {
        for class in 0..CLASSES {
            let left = (
                work.checked_sub(self.work[class]),
                bytes.checked_sub(self.bytes[class]),
            );
            let (Some(less_work), Some(fewer_bytes)) = left else {
                return Cutoff { class, work, bytes };
            };
            (work, bytes) = (less_work, fewer_bytes);
        }
        Cutoff {
            class: CLASSES,
            work,
            bytes,
        }
    }
}

/// The point past which longer reports are left out.
struct Cutoff {
    /// The first class that does not fit whole.
    class: usize,
    /// Work and bytes left for that class.
    work: u64,
    bytes: u64,
}

impl Cutoff {
    fn takes(&mut self, report: &SignedReport) -> bool {
        if class(report) != self.class {
            return class(report) < self.class;
        }
        let left = (
            self.work.checked_sub(cost::report(report)),
            self.bytes.checked_sub(length(report)),
        );
        let (Some(work), Some(bytes)) = left else {
            return false;
        };
        (self.work, self.bytes) = (work, bytes);
        true
    }
}

/// What is noted of a document while it is read.
#[derive(Debug, Default)]
struct ReadState {
    /// Its first byte that is neither white space nor a byte-order mark of UTF-8 or
    /// UTF-16.
    first: Cell<Option<u8>>,
    /// Bytes that were read.
    length: Cell<u64>,
    /// More follows that is not read.
    cut: Cell<bool>,
}

/// Reads a document up to its bound.
struct BoundedReader<'a, R> {
    source: R,
    most: u64,
    is_part: bool,
    state: &'a ReadState,
}

impl<'a, R> BoundedReader<'a, R> {
    fn new(source: R, options: &FilterOptions, state: &'a ReadState) -> Self {
        state.cut.set(options.is_part);
        Self {
            source,
            most: options.most,
            is_part: options.is_part,
            state,
        }
    }
}

impl<R: Read> Read for BoundedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.most - self.state.length.get();
        let room = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            // One more byte shows that more follows. It is asked for once.
            if !self.state.cut.get() {
                self.state.cut.set(self.source.read(&mut [0])? > 0);
            }
            return Ok(0);
        }
        let count = match self.source.read(&mut buffer[..room]) {
            // Compressed data breaks off where the part does.
            Err(error) if self.is_part && error.kind() != io::ErrorKind::Interrupted => 0,
            read => read?,
        };
        self.state
            .length
            .set(self.state.length.get() + count as u64);
        if self.state.first.get().is_none() {
            let is_mark = |byte: &u8| b"\xef\xbb\xbf\xff\xfe\0".contains(byte);
            let mut bytes = buffer[..count].iter();
            let first = bytes.find(|byte| !byte.is_ascii_whitespace() && !is_mark(byte));
            self.state.first.set(first.copied());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tcn_protocol::{Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan};

    use super::*;

    /// A report of this many numbers, with a memo of this type.
    fn report(seed: u8, numbers: u16, kind: u8) -> SignedReport {
        let rak = ReportAuthorizationKey::from_bytes(&[seed; 32]);
        let index = |n| RatchetIndex::new(n).unwrap();
        let span = ReportSpan::new(index(1), index(numbers)).unwrap();
        let memo = Memo::new(MemoType::new(kind), vec![seed; 3]).unwrap();
        SignedReport::create(&rak, span, memo)
    }

    /// Options without bounds.
    fn options(expected: Expected, wanted: MemoTypes) -> FilterOptions {
        FilterOptions {
            expected,
            wanted,
            most: u64::MAX,
            is_part: false,
            room: u64::MAX,
        }
    }

    fn filtered(
        bytes: &[u8],
        options: &FilterOptions,
    ) -> Result<(Filtered, Vec<u8>), DocumentError> {
        let mut out = Vec::new();
        filter_document(bytes, options, &mut out).map(|filtered| (filtered, out))
    }

    fn cut(bytes: &[u8], options: &FilterOptions, budget: u64) -> (Selection, Vec<u8>) {
        let (filtered, _) = filtered(bytes, options).unwrap();
        let mut kept = Vec::new();
        let selection = select_shortest(bytes, options, &filtered, budget, &mut kept).unwrap();
        (selection, kept)
    }

    fn counts(bytes: &[u8], expected: Expected) -> Option<(u64, u64)> {
        match filtered(bytes, &options(expected, MemoTypes::ALL)) {
            Ok((filtered, _)) => Some((filtered.reports, filtered.unreadable)),
            Err(DocumentError::NotWhole | DocumentError::Foreign(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn only_a_whole_array_counts_where_one_is_expected() {
        let reports = [report(1, 4, 0), report(2, 4, 0)];
        let json = file::write(Format::Json, &reports);
        let text = String::from_utf8(json.clone()).unwrap();
        let is = |bytes: &[u8]| counts(bytes, Expected::JsonArray);
        assert_eq!(is(&json), Some((2, 0)));
        assert_eq!(is(b"[]"), Some((0, 0)));
        assert_eq!(is(b" [ ] \n"), Some((0, 0)));
        let junk = text.replacen('[', "[\"junk\", 7, {\"a\": 1}, ", 1);
        assert_eq!(is(junk.as_bytes()), Some((2, 3)));
        for not in [
            "",
            "[",
            "{}",
            "{\"reports\": []}",
            "\"\"",
            "null",
            "<html>",
            "[] []",
            "[1,]",
        ] {
            assert_eq!(is(not.as_bytes()), None, "{not}");
        }
        assert_eq!(is(&file::write(Format::Base64, &reports)), None);
        assert_eq!(is(&file::write(Format::Tcn, &reports)), None);
        // Broken off anywhere, the last line end apart.
        for end in 0..json.len() - 1 {
            assert_eq!(is(&json[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_document_of_which_nothing_can_be_read_is_none() {
        for json in [
            "[\"AAAA\", \"\"]",
            "[null]",
            "[7, {\"a\": []}]",
            "[\"no base64!\"]",
        ] {
            assert_eq!(counts(json.as_bytes(), Expected::JsonArray), None, "{json}");
        }
        let mut zero = wire::write(&report(1, 4, 0));
        zero[64..66].fill(0);
        assert_eq!(counts(&zero, Expected::Stream), None);
        // One that can be read is enough, wanted or not.
        let one = String::from_utf8(file::write(Format::Json, &[report(1, 4, 9)])).unwrap();
        let json = one.replacen('[', "[\"AAAA\", \"\", null, ", 1);
        let options = options(Expected::JsonArray, MemoTypes::NONE);
        let (filtered, _) = filtered(json.as_bytes(), &options).unwrap();
        assert_eq!(
            (filtered.unwanted, filtered.unreadable, filtered.whole),
            (1, 3, true)
        );
    }

    #[test]
    fn an_array_may_be_written_as_people_write_it() {
        let reports = [report(1, 4, 0), report(2, 4, 0)];
        let text = String::from_utf8(file::write(Format::Json, &reports)).unwrap();
        let utf_16 = |text: &str| -> Vec<u8> {
            let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect()
        };
        for text in [
            format!("\u{feff}{text}").into_bytes(),
            text.replace('=', "").into_bytes(),
            text.replace('+', "-").replace('/', "_").into_bytes(),
            text.replace("\",", "\\n\",").into_bytes(),
            utf_16(&text),
        ] {
            assert_eq!(counts(&text, Expected::JsonArray), Some((2, 0)), "{text:?}");
        }
        assert_eq!(counts(&utf_16("[]"), Expected::JsonArray), Some((0, 0)));
        assert_eq!(counts(&utf_16("{}"), Expected::JsonArray), None);
    }

    /// Whatever reports look like, a stream is read as one.
    #[test]
    fn a_stream_that_looks_like_text_is_a_stream() {
        let mut looks = report(1, 4, 0);
        for seed in 0.. {
            looks = report(seed, 4, 0);
            if wire::write(&looks)[0] == b'[' || seed == 255 {
                break;
            }
        }
        // The hash that a report begins at is its maker's to choose.
        let mut bytes = wire::write(&looks);
        bytes[..64].fill(b'<');
        let honest = wire::write(&report(9, 4, 0));
        let stream = [&bytes[..], &honest].concat();
        assert_eq!(counts(&stream, Expected::Stream), Some((2, 0)));
    }

    #[test]
    fn only_a_whole_stream_counts_where_one_is_expected() {
        let reports = [report(1, 4, 0), report(2, 4, 0)];
        let stream = file::write(Format::Tcn, &reports);
        let is = |bytes: &[u8]| counts(bytes, Expected::Stream);
        assert_eq!(is(&stream), Some((2, 0)));
        assert_eq!(is(b""), Some((0, 0)));
        for not in ["\n", "[]", "<html></html>", "AAAA"] {
            assert_eq!(is(not.as_bytes()), None, "{not}");
        }
        assert_eq!(is(&file::write(Format::Json, &reports)), None);
        // It cannot be seen that reports are missing at the end; the transport
        // sees that.
        let boundary = stream.len() / 2;
        for end in (1..stream.len()).filter(|end| *end != boundary) {
            assert_eq!(is(&stream[..end]), None, "{end}");
        }
        assert_eq!(is(&stream[..boundary]), Some((1, 0)));
    }

    #[test]
    fn a_persons_file_may_be_anything() {
        let reports = [report(1, 4, 0), report(2, 4, 0)];
        for format in [Format::Tcn, Format::Base64, Format::Json] {
            let bytes = file::write(format, &reports);
            assert_eq!(counts(&bytes, Expected::Any), Some((2, 0)), "{format:?}");
        }
        assert_eq!(counts(b"", Expected::Any), Some((0, 0)));
        let stream = file::write(Format::Tcn, &reports);
        assert_eq!(counts(&stream[..200], Expected::Any), Some((1, 1)));
    }

    #[test]
    fn only_wanted_types_come_through() {
        let reports = [report(1, 4, 0), report(2, 4, 1), report(3, 4, 200)];
        let stream = file::write(Format::Tcn, &reports);
        let only = MemoTypes::NONE.with(MemoType::COVID_WATCH_V1);
        let (filtered, out) = filtered(&stream, &options(Expected::Stream, only)).unwrap();
        assert_eq!(
            (filtered.reports, filtered.unwanted, filtered.unreadable),
            (1, 2, 0)
        );
        assert_eq!(out, wire::write(&reports[1]));
    }

    #[test]
    fn a_flood_of_great_reports_is_left_out_before_any_honest_one() {
        let mut reports: Vec<_> = (0..40).map(|seed| report(seed, 65_535, 0)).collect();
        reports.extend((100..140).map(|seed| report(seed, 25, 0)));
        let stream = file::write(Format::Tcn, &reports);
        let options = options(Expected::Stream, MemoTypes::ALL);
        let (filtered, _) = filtered(&stream, &options).unwrap();
        assert_eq!(filtered.cost(), 40 * (65_535 + 512) + 40 * (25 + 512));
        let (selection, kept) = cut(&stream, &options, 90_000);
        assert_eq!(selection.cost, 40 * (25 + 512) + 65_535 + 512);
        assert_eq!(kept.len(), 41 * wire::write(&reports[0]).len());
    }

    #[test]
    fn what_can_name_nobody_is_not_passed_on() {
        let mut bytes = wire::write(&report(1, 4, 0));
        bytes[66..68].fill(0);
        let stream = [bytes, wire::write(&report(2, 4, 0))].concat();
        let options = options(Expected::Stream, MemoTypes::ALL);
        let (filtered, out) = filtered(&stream, &options).unwrap();
        assert_eq!((filtered.reports, filtered.unwanted), (1, 1));
        assert_eq!(filtered.cost(), 4 + cost::REPORT + cost::READ);
        assert_eq!(out, wire::write(&report(2, 4, 0)));
    }

    /// What is within the bounds counts, however much follows.
    #[test]
    fn a_document_beyond_its_bounds_gives_what_is_within() {
        let reports: Vec<_> = (0..20).map(|seed| report(seed, 4, 0)).collect();
        for (expected, format) in [
            (Expected::Stream, Format::Tcn),
            (Expected::JsonArray, Format::Json),
            (Expected::Any, Format::Base64),
        ] {
            let bytes = file::write(format, &reports);
            let each = bytes.len() as u64 / 20;
            let mut options = options(expected, MemoTypes::ALL);
            for most in [10 * each + 60, bytes.len() as u64 - 3] {
                options.most = most;
                let (read, out) = filtered(&bytes, &options).unwrap();
                let count = most / each;
                assert_eq!((read.reports, read.whole), (count, false), "{format:?}");
                // A line that breaks off cannot be told from a damaged one.
                let broken = u64::from(expected == Expected::Any);
                assert_eq!((read.read, read.unreadable), (most, broken), "{format:?}");
                let kept = &reports[..usize::try_from(count).unwrap()];
                assert_eq!(out, file::write(Format::Tcn, kept));
                assert_eq!(cut(&bytes, &options, u64::MAX).1, out);
            }
            options.most = bytes.len() as u64;
            assert!(filtered(&bytes, &options).unwrap().0.whole);
            // The same of a part, as it came.
            options.most = u64::MAX;
            options.is_part = true;
            let part = &bytes[..usize::try_from(10 * each + 60).unwrap()];
            let (filtered, _) = filtered(part, &options).unwrap();
            assert_eq!((filtered.reports, filtered.whole), (10, false));
            // Nothing of it within the bounds.
            options.most = 20;
            let none = filter_document(&bytes[..], &options, io::sink());
            let is_none = matches!(none, Err(DocumentError::TooLarge))
                || none.is_ok_and(|filtered| filtered.reports == 0 && !filtered.whole);
            assert!(is_none, "{format:?}");
        }
    }

    #[test]
    fn what_is_passed_on_fits_into_the_room_there_is() {
        let reports: Vec<_> = (0..20).map(|seed| report(seed, 25, 0)).collect();
        let stream = file::write(Format::Tcn, &reports);
        let mut options = options(Expected::Stream, MemoTypes::ALL);
        options.room = stream.len() as u64 / 2;
        let (filtered, out) = filtered(&stream, &options).unwrap();
        assert!(!filtered.fits && filtered.whole && out.len() as u64 <= options.room);
        let (selection, kept) = cut(&stream, &options, u64::MAX);
        assert_eq!((selection.reports, kept.len() as u64), (10, options.room));
    }

    proptest! {
        #[test]
        fn no_document_panics_and_none_is_spent_on_beyond_the_budget(
            sizes in proptest::collection::vec(1u16..2000, 0..12), budget in 0u64..10_000,
        ) {
            let reports: Vec<_> = sizes.iter().zip(0..).map(|(n, seed)| report(seed, *n, 0)).collect();
            let stream = file::write(Format::Tcn, &reports);
            let options = options(Expected::Stream, MemoTypes::ALL);
            let (filtered, out) = filtered(&stream, &options).unwrap();
            prop_assert_eq!(&out, &stream);
            let all: u64 = sizes.iter().map(|n| cost::REPORT + u64::from(*n)).sum();
            prop_assert_eq!(filtered.cost(), all);
            let (selection, kept) = cut(&stream, &options, budget);
            prop_assert!(selection.cost <= budget);
            if all <= budget {
                prop_assert_eq!(kept, stream);
            }
        }

        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            for expected in [Expected::JsonArray, Expected::Stream, Expected::Any] {
                let _ = counts(&bytes, expected);
            }
        }
    }
}
