//! Report files: nothing panics, and reports found are found again in every
//! format they are written in.

use std::ops::ControlFlow;

use tcn_exchange::content_encoding::ContentEncoding;
use tcn_protocol::file::{self, FileError, Format, Item};

/// Checks that for one input.
pub fn run(bytes: &[u8]) {
    let Ok((format, items)) = read(bytes) else {
        return;
    };
    assert!(!items.is_empty());
    let reports: Vec<_> = items.iter().flatten().cloned().collect();
    let is_plain = ContentEncoding::detect(bytes) == ContentEncoding::Identity;
    if items.len() == reports.len() && format == Format::Tcn && is_plain {
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
        // Bytes composed to look like something else may pass for it, unless the
        // signature of a report at the beginning holds; a key does not.
        let is_true = || reports[0].clone().verify().is_ok();
        if format == Format::Tcn && looks_like_another(&written) && !is_true() {
            continue;
        }
        let (found_format, again) = read(&written).expect("our own file is read");
        let found: Vec<_> = again.into_iter().flatten().collect();
        assert_eq!((found_format, found), (format, reports.clone()));
    }
}

fn read(bytes: &[u8]) -> Result<(Format, Vec<Item>), FileError> {
    let mut items = Vec::new();
    let format = file::read(bytes, |_place, item| {
        items.push(item);
        ControlFlow::Continue(())
    })?;
    Ok((format, items))
}

/// Whether the first bytes may be text, or name another kind of file.
fn looks_like_another(stream: &[u8]) -> bool {
    const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    let key = &stream[..64];
    let printable = key
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
        .count();
    printable >= 48
        || key
            .utf8_chunks()
            .next()
            .is_some_and(|chunk| chunk.valid().len() > 32)
        || MARKS.iter().any(|mark| key.starts_with(mark))
        || ContentEncoding::detect(key) != ContentEncoding::Identity
        || matches!(read(stream), Err(FileError::Foreign(_)))
}
