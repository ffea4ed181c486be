//! Report files: nothing panics, and reports found are found again in every
//! format they are written in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tcnd::exchange::file::{self, Format};

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = file::read(bytes) else { return };
    assert!(!read.items.is_empty());
    let reports: Vec<_> = read.items.iter().flatten().cloned().collect();
    if read.items.len() == reports.len() && read.format == Format::Tcn {
        assert_eq!(
            file::write(Format::Tcn, &reports),
            bytes,
            "what is accepted is written back"
        );
    }
    if reports.is_empty() {
        return;
    }
    for format in [Format::Tcn, Format::Base64, Format::Json] {
        let written = file::write(format, &reports);
        // Bytes made up to look like text may pass for it; a key does not.
        if format == Format::Tcn && printable(&written[..64]) >= 48 {
            continue;
        }
        let again = file::read(&written).expect("our own file is read");
        let found: Vec<_> = again.items.into_iter().flatten().collect();
        assert_eq!((again.format, found), (format, reports.clone()));
    }
});

fn printable(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
        .count()
}
