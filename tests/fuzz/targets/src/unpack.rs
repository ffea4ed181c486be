//! Documents that come packed: nothing panics, no bound is exceeded, and what is
//! passed on of a document that is cut is a part of what is passed on of all.
//!
//! The first byte says how the rest is packed, what it has to be, and whether it
//! is a part; the second how much may be read and passed on of it.

use std::collections::BTreeSet;
use std::io::{self, Read};

use tcn_exchange::content_encoding::ContentEncoding;
use tcn_exchange::filter::{self, DocumentError, Expected, FilterOptions};
use tcn_exchange::source::MemoTypes;
use tcn_matching::cost;
use tcn_protocol::file;
use tcn_protocol::wire;

/// Checks that for one input.
pub fn run(bytes: &[u8]) {
    let [how, bounds, packed @ ..] = bytes else {
        return;
    };
    let packing = [
        ContentEncoding::Identity,
        ContentEncoding::Gzip,
        ContentEncoding::Zstd,
        ContentEncoding::detect(packed),
    ];
    let packing = packing[usize::from(how % 4)];
    let expected = [Expected::JsonArray, Expected::Stream, Expected::Any];
    let reading = FilterOptions {
        expected: expected[usize::from(how / 4 % 3)],
        wanted: MemoTypes::ALL,
        most: 1 << (4 + bounds % 16),
        is_part: how / 16 % 2 == 1,
        room: 1 << (4 + bounds / 16),
    };
    let mut all = Vec::new();
    let (counter, filtered) = filter(packing, packed, &reading, &mut all);
    assert!(
        counter <= reading.most + 1,
        "one byte tells that more follows"
    );
    let Ok(filtered) = filtered else { return };
    assert!(filtered.read <= reading.most);
    assert!(
        all.len() as u64 <= reading.room + 389,
        "no more than the room is kept"
    );
    assert!(!reading.is_part || !filtered.whole);
    assert!(filtered.cost() >= (filtered.reports + filtered.unreadable) * cost::READ);
    if filtered.fits {
        assert_eq!(reports(&all).len() as u64, filtered.reports);
    }
    for budget in [0, 600, 70_000, filtered.cost(), u64::MAX] {
        let mut some = Vec::new();
        let source = packing.reader(packed).expect("it was read before");
        let passed = filter::select_shortest(source, &reading, &filtered, budget, &mut some);
        let passed = passed.expect("it was read before");
        assert!(passed.cost <= budget && some.len() as u64 <= reading.room);
        let some = reports(&some);
        assert_eq!(some.len() as u64, passed.reports);
        if filtered.fits {
            let all: BTreeSet<_> = reports(&all).into_iter().collect();
            assert!(some.iter().all(|report| all.contains(report)));
            assert!(passed.reports == filtered.reports || budget < filtered.cost());
        }
    }
}

/// Filters a document. Returns how many bytes the decoder gave, and what was found.
fn filter(
    packing: ContentEncoding,
    packed: &[u8],
    reading: &FilterOptions,
    out: &mut Vec<u8>,
) -> (u64, Result<filter::Filtered, DocumentError>) {
    let Ok(source) = packing.reader(packed) else {
        return (0, Err(DocumentError::NotWhole));
    };
    let mut counted = Counted { source, count: 0 };
    let filtered = filter::filter_document(&mut counted, reading, out);
    (counted.count, filtered)
}

struct Counted<R> {
    source: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// The reports in a stream, as they are signed.
fn reports(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut reports = Vec::new();
    while let Ok((report, rest)) = wire::parse_first(stream) {
        reports.push(file::write(file::Format::Tcn, &[report]));
        stream = rest;
    }
    assert!(stream.is_empty(), "what is passed on is whole reports");
    reports
}
