//! A document of a source becomes reports for tcnd.
//!
//! Documents come from servers, so they are judged as documents first: one that
//! breaks off, or is another thing altogether, counts for nothing and is
//! fetched again. Inside a document that is whole, one bad item costs only
//! itself.
//!
//! Every item costs work ([`cost`]), a report of 134 bytes up to 65535 numbers,
//! and so somebody can make an interval worth more than a source's budget. Then
//! the shortest reports go first: an honest one, of six hours, names some two
//! dozen numbers, and a flood of the greatest is left out before any of those.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use thiserror::Error;

use super::cost;
use super::file::{self, FileError, Format, ItemError, Place};
use super::source::MemoTypes;
use crate::protocol::{ReportError, SignedReport, wire};

/// What a document has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A JSON array of base64 strings.
    JsonArray,
    /// Signed reports one after another; may be empty.
    Stream,
    /// Any format of report files; a person put it there.
    Any,
}

/// A document that counts for nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is another thing, or breaks off.
    #[error("not a whole document of reports")]
    NotWhole,
    /// It could not be read, or not be unpacked.
    #[error("the document could not be read to its end")]
    Source(#[source] io::Error),
    /// Its reports could not be written.
    #[error("the reports could not be written")]
    Out(#[source] io::Error),
}

/// What was in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sifted {
    /// Reports passed on.
    pub reports: u64,
    /// Items that are no reports.
    pub unreadable: u64,
    /// Reports of a memo type that is not taken from this source.
    pub unwanted: u64,
    costs: Costs,
}

impl Sifted {
    /// What the items cost, by [`cost`]: those passed on, and those that were
    /// only read.
    pub fn cost(&self) -> u64 {
        self.costs.total() + self.reading()
    }

    /// What the items cost that are not passed on.
    const fn reading(&self) -> u64 {
        (self.unreadable + self.unwanted) * cost::READ
    }
}

/// Reads a document and writes its reports to `out` in the format `tcn`.
///
/// # Errors
/// A document that is not whole, and then what was written is to be thrown
/// away; and what `source` and `out` say.
pub fn sift(
    source: impl Read,
    expected: Expected,
    wanted: MemoTypes,
    mut out: impl Write,
) -> Result<Sifted, DocumentError> {
    let mut sifted = Sifted {
        reports: 0,
        unreadable: 0,
        unwanted: 0,
        costs: Costs::default(),
    };
    let mut failed = None;
    let mut source = Noted {
        source,
        first: None,
        length: 0,
    };
    let read = file::read(&mut source, |place, item| {
        let taken = match item {
            Ok(report) if !wanted.contains(report.claim().memo().kind()) => {
                sifted.unwanted += 1;
                Ok(())
            }
            Ok(report) => {
                sifted.reports += 1;
                sifted.costs.add(&report);
                out.write_all(&wire::write(&report))
                    .map_err(DocumentError::Out)
            }
            Err(error) if expected != Expected::Any && breaks_off(place, &error) => {
                Err(DocumentError::NotWhole)
            }
            Err(_) => {
                sifted.unreadable += 1;
                Ok(())
            }
        };
        taken.map_or_else(
            |error| {
                failed = Some(error);
                ControlFlow::Break(())
            },
            ControlFlow::Continue,
        )
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let whole = match (read, expected) {
        (Ok(Format::Json), Expected::JsonArray) => source.is_array(),
        (Ok(Format::Tcn), Expected::Stream) | (Ok(_), Expected::Any) => true,
        // An empty array, and an empty stream.
        (Err(FileError::Empty), Expected::JsonArray) => source.is_array(),
        (Err(FileError::Empty), Expected::Stream) => source.length == 0,
        (Err(FileError::Empty), Expected::Any) => true,
        (Err(FileError::Source(error)), _) => return Err(DocumentError::Source(error)),
        (Ok(_), Expected::JsonArray | Expected::Stream) => false,
    };
    if !whole {
        return Err(DocumentError::NotWhole);
    }
    out.flush().map_err(DocumentError::Out)?;
    Ok(sifted)
}

/// Copies the cheapest reports of what [`sift`] wrote, as many as `budget`
/// allows; gives what the document costs then.
///
/// # Errors
/// What `source` and `out` say.
pub fn cheapest(
    source: impl Read,
    sifted: &Sifted,
    budget: u64,
    mut out: impl Write,
) -> io::Result<u64> {
    let mut spent = sifted.reading().min(budget);
    let (class, mut room) = sifted.costs.cut(budget - spent);
    let mut failed = Ok(());
    let read = file::read(source, |_, item| {
        let Ok(report) = item else {
            return ControlFlow::Continue(());
        };
        let (own, cost) = (Costs::class(&report), cost::report(&report));
        if own < class || (own == class && cost <= room) {
            if own == class {
                room -= cost;
            }
            spent += cost;
            failed = out.write_all(&wire::write(&report));
        }
        if failed.is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    failed?;
    match read {
        Ok(_) | Err(FileError::Empty) => {}
        Err(FileError::Source(error)) => return Err(error),
    }
    out.flush()?;
    Ok(spent)
}

/// Whether the document breaks off here, so that what would follow is lost.
fn breaks_off(place: Place, error: &ItemError) -> bool {
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
    syntax || (short && matches!(place, Place::Byte(_)))
}

/// How much the reports of a document cost, by classes of length: class *k* has
/// those of fewer than 2ᵏ numbers and no fewer than half of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Costs([u64; 17]);

impl Costs {
    fn class(report: &SignedReport) -> usize {
        let count = report.claim().count();
        usize::try_from(u16::BITS - count.leading_zeros()).unwrap_or(16)
    }

    fn add(&mut self, report: &SignedReport) {
        self.0[Self::class(report)] += cost::report(report);
    }

    fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The first class that `budget` does not cover whole, and what is left for
    /// it.
    fn cut(&self, budget: u64) -> (usize, u64) {
        let mut room = budget;
        for (class, cost) in self.0.iter().enumerate() {
            match room.checked_sub(*cost) {
                Some(left) => room = left,
                None => return (class, room),
            }
        }
        (self.0.len(), 0)
    }
}

/// Notes what a document begins with besides white space, and how long it is.
struct Noted<R> {
    source: R,
    first: Option<u8>,
    length: u64,
}

impl<R> Noted<R> {
    fn is_array(&self) -> bool {
        self.first == Some(b'[')
    }
}

impl<R: Read> Read for Noted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.length += count as u64;
        if self.first.is_none() {
            self.first = buffer[..count].trim_ascii_start().first().copied();
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan};

    /// A report of so many numbers, with a memo of this type.
    fn report(seed: u8, numbers: u16, kind: u8) -> SignedReport {
        let rak = ReportAuthorizationKey::from_bytes(&[seed; 32]);
        let index = |n| RatchetIndex::new(n).unwrap();
        let span = ReportSpan::new(index(1), index(numbers)).unwrap();
        let memo = Memo::new(MemoType::new(kind), vec![seed; 3]).unwrap();
        SignedReport::create(&rak, span, memo)
    }

    fn sifted(
        bytes: &[u8],
        expected: Expected,
        wanted: MemoTypes,
    ) -> Result<(Sifted, Vec<u8>), DocumentError> {
        let mut out = Vec::new();
        sift(bytes, expected, wanted, &mut out).map(|sifted| (sifted, out))
    }

    fn counts(bytes: &[u8], expected: Expected) -> Option<(u64, u64)> {
        match sifted(bytes, expected, MemoTypes::ALL) {
            Ok((sifted, _)) => Some((sifted.reports, sifted.unreadable)),
            Err(DocumentError::NotWhole) => None,
            Err(DocumentError::Source(error) | DocumentError::Out(error)) => panic!("{error}"),
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
    fn a_short_item_of_an_array_costs_only_itself() {
        let json = "[\"AAAA\", \"\"]";
        assert_eq!(counts(json.as_bytes(), Expected::JsonArray), Some((0, 2)));
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
        let (sifted, out) = sifted(&stream, Expected::Stream, only).unwrap();
        assert_eq!(
            (sifted.reports, sifted.unwanted, sifted.unreadable),
            (1, 2, 0)
        );
        assert_eq!(out, wire::write(&reports[1]));
    }

    #[test]
    fn a_flood_of_great_reports_is_left_out_before_any_honest_one() {
        let mut reports: Vec<_> = (0..40).map(|seed| report(seed, 65_535, 0)).collect();
        reports.extend((100..140).map(|seed| report(seed, 25, 0)));
        let stream = file::write(Format::Tcn, &reports);
        let (sifted, out) = sifted(&stream, Expected::Stream, MemoTypes::ALL).unwrap();
        assert_eq!(sifted.cost(), 40 * (65_535 + 512) + 40 * (25 + 512));
        let mut kept = Vec::new();
        let spent = cheapest(&out[..], &sifted, 90_000, &mut kept).unwrap();
        assert_eq!(spent, 40 * (25 + 512) + 65_535 + 512);
        assert_eq!(kept.len(), 41 * wire::write(&reports[0]).len());
    }

    proptest! {
        #[test]
        fn no_document_panics_and_none_is_spent_on_beyond_the_budget(
            sizes in proptest::collection::vec(1u16..2000, 0..12), budget in 0u64..10_000,
        ) {
            let reports: Vec<_> = sizes.iter().zip(0..).map(|(n, seed)| report(seed, *n, 0)).collect();
            let stream = file::write(Format::Tcn, &reports);
            let (sifted, out) = sifted(&stream, Expected::Stream, MemoTypes::ALL).unwrap();
            prop_assert_eq!(&out, &stream);
            let all: u64 = sizes.iter().map(|n| cost::REPORT + u64::from(*n)).sum();
            prop_assert_eq!(sifted.cost(), all);
            let mut kept = Vec::new();
            let spent = cheapest(&out[..], &sifted, budget, &mut kept).unwrap();
            prop_assert!(spent <= budget);
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
