//! Documents that come packed: nothing panics, no bound is exceeded, and what is
//! passed on of a document that is cut is a part of what is passed on of all.
//!
//! The first byte says how the rest is packed, what it has to be, and whether it
//! is a part; the second how much may be read and passed on of it.
#![no_main]

use std::collections::BTreeSet;
use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use tcn_matching::cost;
use tcn_protocol::file;
use tcn_exchange::packing::Packing;
use tcn_exchange::sieve::{self, DocumentError, Expected, Reading};
use tcn_exchange::source::MemoTypes;
use tcn_protocol::wire;

fuzz_target!(|bytes: &[u8]| {
    let [how, bounds, packed @ ..] = bytes else {
        return;
    };
    let packing = [
        Packing::Plain,
        Packing::Gzip,
        Packing::Zstd,
        Packing::of(packed),
    ];
    let packing = packing[usize::from(how % 4)];
    let expected = [Expected::JsonArray, Expected::Stream, Expected::Any];
    let reading = Reading {
        expected: expected[usize::from(how / 4 % 3)],
        wanted: MemoTypes::ALL,
        most: 1 << (4 + bounds % 16),
        is_part: how / 16 % 2 == 1,
        room: 1 << (4 + bounds / 16),
    };
    let mut all = Vec::new();
    let (counter, sifted) = sift(packing, packed, &reading, &mut all);
    assert!(
        counter <= reading.most + 1,
        "one byte tells that more follows"
    );
    let Ok(sifted) = sifted else { return };
    assert!(sifted.read <= reading.most);
    assert!(
        all.len() as u64 <= reading.room + 389,
        "no more than the room is kept"
    );
    assert!(!reading.is_part || !sifted.whole);
    assert!(sifted.cost() >= (sifted.reports + sifted.unreadable) * cost::READ);
    if sifted.fits {
        assert_eq!(reports(&all).len() as u64, sifted.reports);
    }
    for budget in [0, 600, 70_000, sifted.cost(), u64::MAX] {
        let mut some = Vec::new();
        let source = packing.reader(packed).expect("it was read before");
        let passed = sieve::shortest(source, &reading, &sifted, budget, &mut some);
        let passed = passed.expect("it was read before");
        assert!(passed.cost <= budget && some.len() as u64 <= reading.room);
        let some = reports(&some);
        assert_eq!(some.len() as u64, passed.reports);
        if sifted.fits {
            let all: BTreeSet<_> = reports(&all).into_iter().collect();
            assert!(some.iter().all(|report| all.contains(report)));
            assert!(passed.reports == sifted.reports || budget < sifted.cost());
        }
    }
});

/// Sifts a document; how many bytes came out of the packing, and what was found.
fn sift(
    packing: Packing,
    packed: &[u8],
    reading: &Reading,
    out: &mut Vec<u8>,
) -> (u64, Result<sieve::Sifted, DocumentError>) {
    let Ok(source) = packing.reader(packed) else {
        return (0, Err(DocumentError::NotWhole));
    };
    let mut counted = Counted { source, count: 0 };
    let sifted = sieve::sift(&mut counted, reading, out);
    (counted.count, sifted)
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
