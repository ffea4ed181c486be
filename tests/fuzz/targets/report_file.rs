//! Report files: nothing panics, and reports found are found again in every
//! format they are written in.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use tcnd::exchange::file::{self, FileError, Format, Item};

fuzz_target!(|bytes: &[u8]| {
    let Ok((format, items)) = read(bytes) else { return };
    assert!(!items.is_empty());
    let reports: Vec<_> = items.iter().flatten().cloned().collect();
    if items.len() == reports.len() && format == Format::Tcn {
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
        let (found_format, again) = read(&written).expect("our own file is read");
        let found: Vec<_> = again.into_iter().flatten().collect();
        assert_eq!((found_format, found), (format, reports.clone()));
    }
});

fn read(bytes: &[u8]) -> Result<(Format, Vec<Item>), FileError> {
    let mut items = Vec::new();
    let format = file::read(bytes, |_place, item| {
        items.push(item);
        ControlFlow::Continue(())
    })?;
    Ok((format, items))
}

fn printable(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
        .count()
}
