//! Report files, bad items among good ones.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tcn_protocol::file::Foreign;
use tcn_protocol::file::{self, FileError, Format, Item, ItemError, ItemPosition};
use tcn_protocol::{Memo, MemoType, RatchetIndex, ReportError, ReportSpan, SignedReport, wire};

use crate::{read_file, spec_key, vectors};

/// Two reports with different memos.
fn two() -> [SignedReport; 2] {
    ["one", "two"].map(|memo| {
        let span = ReportSpan::new(RatchetIndex::FIRST, RatchetIndex::FIRST).unwrap();
        SignedReport::create(
            &spec_key(),
            span,
            Memo::new(MemoType::COEPI_V1, memo).unwrap(),
        )
    })
}

fn line(report: &SignedReport) -> String {
    let text = file::write(Format::Base64, std::slice::from_ref(report));
    String::from_utf8(text).unwrap().trim_end().to_owned()
}

fn read(input: impl AsRef<[u8]>, format: Format) -> Vec<Item> {
    let (found, items) = read_file(input.as_ref()).unwrap();
    assert_eq!(found, format);
    items
}

#[test]
fn a_bad_line_costs_only_itself() {
    let [one, two] = two();
    let text = format!(
        "\u{feff}\n {}\t\r\n\nnot base64!\nAAAA\n{}",
        line(&one),
        line(&two)
    );
    let items = read(text, Format::Base64);
    assert_eq!(items.len(), 4);
    assert_eq!(items[0], Ok(one));
    assert!(matches!(items[1], Err(ItemError::Base64(_))));
    assert_eq!(
        items[2],
        Err(ItemError::Report(ReportError::HeaderTruncated { have: 3 }))
    );
    assert_eq!(items[3], Ok(two));
}

#[test]
fn a_file_of_lines_damaged_at_its_start_is_still_one_of_lines() {
    let [one, two] = two();
    let mut text = format!("{}\n{}\n", line(&one), line(&two)).into_bytes();
    text[..10].fill(0);
    let items = read(text, Format::Base64);
    assert!(matches!(items[0], Err(ItemError::Base64(_))));
    assert_eq!(items[1..], [Ok(two)]);
}

#[test]
fn a_bad_element_costs_only_itself() {
    let [one, two] = two();
    let text = json!([line(&one), 7, -7, 0.5, null, true, [line(&one)], {}, "", {"memo_type": []}, line(&two)]);
    for text in [
        text.to_string(),
        json!({ "n": [1], "reports": text, "m": {} }).to_string(),
    ] {
        let items = read(text, Format::Json);
        assert_eq!(items.len(), 11);
        assert_eq!(items[0], Ok(one.clone()));
        assert!(
            items[1..7]
                .iter()
                .all(|item| *item == Err(ItemError::NotAReport))
        );
        assert!(matches!(items[7], Err(ItemError::Field { .. })));
        assert_eq!(
            items[8],
            Err(ItemError::Report(ReportError::HeaderTruncated { have: 0 }))
        );
        assert!(matches!(items[9], Err(ItemError::Field { .. })));
        assert_eq!(items[10], Ok(two.clone()));
    }
}

#[test]
fn malformed_json_keeps_what_stood_before() {
    let [one, _] = two();
    let items = read(format!("[\"{}\",\n oops]", line(&one)), Format::Json);
    assert_eq!(
        items,
        [
            Ok(one.clone()),
            Err(ItemError::JsonMalformed { line: 2, column: 2 })
        ]
    );
    let items = read(format!("\"{}\" more", line(&one)), Format::Json);
    assert!(matches!(
        items[..],
        [Ok(_), Err(ItemError::JsonMalformed { .. })]
    ));
    let deep = "[".repeat(30);
    assert!(matches!(
        read(deep, Format::Json)[..],
        [Err(ItemError::JsonMalformed { .. })]
    ));
}

/// The sample that Covid Watch's functions test with, in their form and in bytes.
#[test]
fn covid_watch_s_form_is_the_same_report() {
    let object = json!({
        "temporary_contact_key_bytes": "PvLGpfQZgGqnoQRtSr0AHd8J5/WdKwaJNLRCkhGlgHU=",
        "memo_data": "SGVsbG8sIFdvcmxkIQ==", "memo_type": 1, "start_index": 1, "end_index": 8,
        "signature_bytes": "+k7HDsVZPY5Pxcz0cpwVBvDOHrrQ0+AyDVL/MbGkXBYG2WAyoqLaNxFuXiB9rSzkdCesDv1NSSk06hrjx2YABA==",
        "report_verification_public_key_bytes": "v78liBBYQrFXqOH6YydUD1aGpXLMgruKATAjFZ0ycLk=",
    });
    let published = vectors!("implementation_tests.json");
    let bytes = crate::unhex(&published["published_reports"][4]["signed_report"]);
    for text in [object.to_string(), json!([object]).to_string()] {
        assert_eq!(read(text, Format::Json), [Ok(wire::parse(&bytes).unwrap())]);
    }

    let spoilt = |key: &str, value| {
        let mut object = object.clone();
        object[key] = value;
        read(object.to_string(), Format::Json).remove(0)
    };
    let field = |name| ItemError::Field { name };
    for (key, value, error) in [
        ("start_index", json!("1"), field("start_index")),
        ("start_index", json!(0), ReportError::IndexZero.into()),
        ("end_index", json!(null), field("end_index")),
        ("memo_type", json!(10000), field("memo_type")),
        ("signature_bytes", json!("AAAA"), field("signature_bytes")),
        (
            "memo_data",
            json!("AAAA".repeat(100)),
            ReportError::MemoTooLong { have: 300 }.into(),
        ),
    ] {
        assert_eq!(spoilt(key, value), Err(error), "{key}");
    }
}

#[test]
fn a_stream_goes_on_behind_a_refused_report_and_ends_at_a_broken_one() {
    let [one, two] = two().map(|report| wire::write(&report));
    let mut zero = one.clone();
    zero[64..66].fill(0);
    let stream = [&one[..], &zero, &two, &one[..100]].concat();
    let items = read(stream, Format::Tcn);
    assert_eq!(items[0], wire::parse(&one).map_err(ItemError::from));
    assert_eq!(items[1], Err(ReportError::IndexZero.into()));
    assert_eq!(items[2], wire::parse(&two).map_err(ItemError::from));
    assert_eq!(
        items[3],
        Err(ReportError::SignatureTruncated { have: 27 }.into())
    );
    assert_eq!(items.len(), 4);
}

/// A report may begin with any byte; one in a hundred begins like JSON.
#[test]
fn reports_that_begin_like_json_are_no_json() {
    for first in *b"[{\" \n" {
        let mut bytes = wire::write(&two()[0]);
        bytes[0] = first;
        assert!(matches!(read(bytes, Format::Tcn)[..], [Ok(_)]));
    }
}

#[test]
fn files_without_reports_are_refused() {
    let blank = " \n".repeat(10_000);
    for empty in [
        "",
        " \r\n\t",
        "\u{feff}",
        "\u{feff}\n",
        "[]",
        "{\"reports\": []}",
        &blank,
    ] {
        let error = read_file(empty.as_bytes()).unwrap_err();
        assert!(matches!(error, FileError::Empty), "{empty:?}: {error:?}");
    }
}

/// The positions of the items of a file.
fn places(input: impl AsRef<[u8]>) -> Vec<ItemPosition> {
    let mut places = Vec::new();
    let read = file::read(input.as_ref(), |place, _item| {
        places.push(place);
        ControlFlow::Continue(())
    });
    read.unwrap();
    places
}

#[test]
fn items_say_where_they_stand() {
    let [one, two] = two();
    let stream = file::write(Format::Tcn, &[one.clone(), two.clone(), one.clone()]);
    assert_eq!(places(stream), [0, 137, 274].map(ItemPosition::Byte));

    let lines = format!("\n \n{}\n\nbad\n{}", line(&one), line(&two));
    assert_eq!(places(lines), [3, 5, 6].map(ItemPosition::Line));

    let json = format!("\n[\"{}\",\n0,\n{{\n}}, oops]", line(&one));
    assert_eq!(places(&json), [2, 3, 5, 5].map(ItemPosition::Line));
    let fault = read(json, Format::Json).pop();
    let malformed = ItemError::JsonMalformed { line: 5, column: 4 };
    assert_eq!(fault, Some(Err(malformed)));
}

#[test]
fn a_text_longer_than_a_report_costs_only_itself() {
    let [one, two] = two();
    let [one_line, two_line] = [&one, &two].map(line);
    for junk in [521, 1040, 1041, 5000, 1 << 20] {
        let junk = "A".repeat(junk);
        for (text, format) in [
            (format!("{one_line}\n{junk}\n{two_line}"), Format::Base64),
            (json!([one_line, junk, two_line]).to_string(), Format::Json),
        ] {
            let items = read(text, format);
            let expected = [Ok(one.clone()), Err(ItemError::TooLong), Ok(two.clone())];
            assert_eq!(items, expected, "{}", junk.len());
        }
        let fields =
            json!({"x": junk, junk.as_str(): 1, "reports": [{"memo_data": junk}, two_line]});
        let items = read(fields.to_string(), Format::Json);
        assert_eq!(items[0], Err(ItemError::TooLong));
        assert_eq!(items[1..], [Ok(two.clone())]);
    }
    let spaced = format!("{one_line}\n{}{two_line}{0}\n", " ".repeat(300));
    assert_eq!(read(spaced, Format::Base64), [Ok(one), Ok(two)]);
}

#[test]
fn json_beyond_all_need_ends_the_reading_and_keeps_what_stood_before() {
    let [one, _] = two();
    for junk in [
        "[".repeat(100_000),
        "1".repeat(100_000),
        format!("\"{}\"", "\\u0041".repeat(100_000)),
    ] {
        let items = read(format!("[\"{}\",\n{junk}, 0]", line(&one)), Format::Json);
        let excess = ItemError::JsonExcessive { line: 2 };
        assert_eq!(items, [Ok(one.clone()), Err(excess)]);
    }
}

#[test]
fn a_reader_that_has_seen_enough_gets_no_more() {
    for format in [Format::Tcn, Format::Base64, Format::Json] {
        let file = file::write(format, &two());
        let mut seen = 0;
        let read = file::read(&file[..], |_place, _item| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!((read.unwrap(), seen), (format, 1));
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn a_source_that_fails_is_no_end_of_the_file() {
    for format in [Format::Tcn, Format::Base64, Format::Json] {
        let file = file::write(format, &two());
        for len in [0, 10, file.len() / 2 + 20, file.len() - 30] {
            let mut reports = 0;
            let read = file::read(file[..len].chain(Broken), |_place, item| {
                reports += usize::from(item.is_ok());
                ControlFlow::Continue(())
            });
            let error = read.unwrap_err();
            assert!(matches!(error, FileError::Source(_)), "{format:?}, {len}");
            assert_eq!(reports, usize::from(len > 20), "{format:?}, {len}");
        }
    }
}

/// `head`, then `piece` repeated until no byte is `left`.
struct Endless {
    head: Vec<u8>,
    piece: Vec<u8>,
    at: usize,
    left: usize,
    /// The most bytes that were asked for at once.
    asked: usize,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.asked = self.asked.max(out.len());
        let bytes = match self.head.get(self.at..) {
            Some(head) if !head.is_empty() => head,
            Some(_) | None => &self.piece[(self.at - self.head.len()) % self.piece.len()..],
        };
        let len = bytes.len().min(out.len()).min(self.left);
        out[..len].copy_from_slice(&bytes[..len]);
        self.at += len;
        self.left -= len;
        Ok(len)
    }
}

/// `tcnctl` has the test that nothing is held: it runs out of memory if a file is.
#[test]
fn files_of_any_size_are_read_in_small_pieces() {
    const LEN: usize = 64 << 20;
    let [one, _] = two();
    let (report, text) = (wire::write(&one), line(&one));
    for (head, piece, format) in [
        (String::new(), report, Format::Tcn),
        (
            String::new(),
            format!("{text}\n").into_bytes(),
            Format::Base64,
        ),
        (
            "[0".into(),
            format!(",\n\"{text}\"").into_bytes(),
            Format::Json,
        ),
    ] {
        // JSON is read byte by byte, which is slow without optimisation.
        let left = if format == Format::Json {
            LEN / 16
        } else {
            LEN
        };
        let whole = (left - head.len()) / piece.len();
        let mut source = Endless {
            head: head.into_bytes(),
            piece,
            at: 0,
            left,
            asked: 0,
        };
        let mut reports = 0;
        let read = file::read(&mut source, |_place, item| {
            reports += usize::from(item.is_ok());
            ControlFlow::Continue(())
        });
        assert_eq!((read.unwrap(), reports), (format, whole));
        assert!(source.asked <= 16 << 10, "{} bytes at once", source.asked);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn utf_16(text: &str, big_endian: bool) -> Vec<u8> {
    let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
    let bytes = units.flat_map(|unit| match big_endian {
        true => unit.to_be_bytes(),
        false => unit.to_le_bytes(),
    });
    bytes.collect()
}

fn hex(report: &SignedReport) -> String {
    let bytes = wire::write(report);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// This text, wrapped into lines of this many characters.
fn wrapped(text: &str, width: usize, end: &str) -> String {
    let lines = text.as_bytes().chunks(width);
    let lines = lines.map(|line| format!("{}{end}", std::str::from_utf8(line).unwrap()));
    lines.collect()
}

/// Every way to write base64 and hexadecimal, of one report, of two, and of two in one
/// text.
#[test]
fn text_is_read_however_it_is_wrapped() {
    let [one, two] = two();
    let stream = file::write(Format::Tcn, &[one.clone(), two.clone()]);
    let of_stream: String = stream.iter().map(|byte| format!("{byte:02x}")).collect();
    let of_stream_64 = STANDARD.encode(&stream);
    for end in ["\n", "\r\n", " \n\t"] {
        for width in [60, 64, 76, 100] {
            for text in [
                of_stream.clone(),
                of_stream.to_uppercase(),
                of_stream_64.clone(),
                of_stream_64.trim_end_matches('=').to_owned(),
            ] {
                let text = wrapped(&text, width, end);
                let items = read(&text, Format::Base64);
                assert_eq!(items, [Ok(one.clone()), Ok(two.clone())], "{text}");
            }
            for lines in [[line(&one), line(&two)], [hex(&one), hex(&two)]] {
                for between in ["", "\n", "\r\n\r\n"] {
                    let texts = lines.each_ref().map(|text| wrapped(text, width, end));
                    let text = format!("\n{}{between}{}", texts[0], texts[1]);
                    let items = read(&text, Format::Base64);
                    assert_eq!(items, [Ok(one.clone()), Ok(two.clone())], "{text}");
                }
            }
        }
    }
}

#[test]
fn lines_are_read_in_every_alphabet_and_case() {
    let [one, two] = two();
    let urls = line(&one).replace('+', "-").replace('/', "_");
    let bare = line(&two).trim_end_matches('=').to_owned();
    let text = format!(
        "{urls}\n{bare}\n{}\n{}\n",
        hex(&one),
        hex(&two).to_uppercase()
    );
    let expected = [&one, &two, &one, &two].map(|report| Ok(report.clone()));
    assert_eq!(read(&text, Format::Base64), expected);
    let items = json!([urls, bare, hex(&one), format!("{}\n", line(&two))]).to_string();
    assert_eq!(read(&items, Format::Json), expected);
    for big_endian in [false, true] {
        assert_eq!(read(utf_16(&text, big_endian), Format::Base64), expected);
        assert_eq!(read(utf_16(&items, big_endian), Format::Json), expected);
    }
}

/// A damaged line of wrapped text costs only the reports in it.
#[test]
fn damage_in_wrapped_text_costs_what_is_wrapped_with_it() {
    let [one, two] = two();
    let whole = wrapped(&line(&one), 76, "\n");
    let second = format!("\n*{}", whole.lines().nth(1).unwrap().split_at(1).1);
    for damaged in [
        whole.replacen('\n', "*\n", 1),
        format!("*{}", whole.split_at(1).1),
        format!(
            "{}{second}\n{}\n",
            whole.lines().next().unwrap(),
            whole.lines().nth(2).unwrap()
        ),
    ] {
        let two_wrapped = wrapped(&line(&two), 76, "\n");
        let text = format!("{damaged}{two_wrapped}\n{}", line(&one));
        let items = read(&text, Format::Base64);
        assert!(
            matches!(items[..], [Err(_), Ok(_), Ok(_)]),
            "{text}{items:?}"
        );
        assert_eq!(items[1..], [Ok(two.clone()), Ok(one.clone())]);
    }
}

#[test]
fn what_is_packed_once_is_read() {
    for format in [Format::Tcn, Format::Base64, Format::Json] {
        let plain = file::write(format, &two());
        let packed = gzip(&plain);
        assert_eq!(read(&packed, format), two().map(Ok));
        // Two members, as `cat a.gz b.gz` makes them.
        if format != Format::Json {
            let twice = [packed.clone(), packed.clone()].concat();
            assert_eq!(read(&twice, format).len(), 4);
        }
        let error = read_file(&gzip(&packed)).unwrap_err();
        assert!(matches!(error, FileError::Foreign(Foreign::PackedTwice)));
        for damaged in [&packed[..packed.len() - 9], &packed[..20]] {
            let error = read_file(damaged).unwrap_err();
            assert!(matches!(error, FileError::Packing), "{error:?}");
        }
    }
    assert!(matches!(read_file(&gzip(b"")), Err(FileError::Empty)));
    let text = utf_16(
        &String::from_utf8(file::write(Format::Json, &two())).unwrap(),
        false,
    );
    assert_eq!(read(gzip(&text), Format::Json), two().map(Ok));
}

/// What was already read from a source that fails counts, compressed or not.
#[test]
fn a_packed_source_that_fails_is_no_damage() {
    let packed = gzip(&file::write(Format::Tcn, &two()));
    let read = file::read(packed[..packed.len() / 2].chain(Broken), |_, _| {
        ControlFlow::Continue(())
    });
    assert!(matches!(read, Err(FileError::Source(_))), "{read:?}");
}

/// Reports may look like anything: the signature identifies them.
#[test]
fn a_stream_is_never_taken_for_anything_else() {
    let good = wire::write(&two()[0]);
    for looks in [
        &b"[\"reports are here\"] "[..],
        b"<html>",
        b"PK\x03\x04",
        b"\x1f\x8b\x08\0",
    ] {
        // A report whose key and hash its author chose, before one with a valid
        // signature.
        let mut first = good.clone();
        first[..64].fill(b'x');
        first[..looks.len()].copy_from_slice(looks);
        let stream = [&first[..], &good].concat();
        assert_eq!(read(stream, Format::Tcn).len(), 2);
    }
}

/// A line of base64 may begin with any letters, those of other files included.
#[test]
fn text_is_never_taken_for_anything_else() {
    for looks in ["GIF89a", "GIF87a", "RIFFAAAAWEBP", "AAAAftyp"] {
        let [first, good] = two().map(|report| line(&report));
        let first = format!("{looks}{}", &first[looks.len()..]);
        let lines = format!("{first}\n{good}\n");
        assert_eq!(read(&lines, Format::Base64).len(), 2, "{looks}");
    }
    let [first, good] = two().map(|report| line(&report));
    let array = format!("[\"AAftyp{}\",\"{good}\"]", &first[6..]);
    assert_eq!(read(&array, Format::Json).len(), 2);
}

#[test]
fn files_of_other_kinds_are_named() {
    let zip = |name: &[u8]| [b"PK\x03\x04", &[0; 26][..], name, &[0x9c; 300]].concat();
    let passwd = "root:x:0:0:root:/root:/bin/bash\n\
                  daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nbin:x:2:2\n\
                  systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin\n";
    let prose = "Hello\nthis is, as you see, a letter.\n\nYours\nA.\n".repeat(20);
    let russian = "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, ".repeat(50);
    let cases: [(Vec<u8>, Foreign); 12] = [
        (zip(b"export.bin"), Foreign::ExposureNotification),
        (zip(b"export.sig"), Foreign::ExposureNotification),
        (
            b"EK Export v1    \x08\x01".repeat(9),
            Foreign::ExposureNotification,
        ),
        (zip(b"reports/1.tcn"), Foreign::Zip),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".repeat(20), Foreign::Pdf),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".repeat(20),
            Foreign::Picture,
        ),
        (b"\x28\xb5\x2f\xfd\x04\0".repeat(50), Foreign::Packed),
        (b" \n<!DOCTYPE html><html></html>".to_vec(), Foreign::Markup),
        (passwd.into(), Foreign::Text),
        (prose.into(), Foreign::Text),
        (russian.into(), Foreign::Text),
        (b"# a comment and nothing else".to_vec(), Foreign::Text),
    ];
    for (bytes, kind) in cases {
        for bytes in [gzip(&bytes), bytes] {
            let mut items = 0;
            let read = file::read(&bytes[..], |_, _| {
                items += 1;
                ControlFlow::Continue(())
            });
            let is_twice = kind == Foreign::Packed && bytes.starts_with(b"\x1f");
            match read {
                Err(FileError::Foreign(Foreign::PackedTwice)) if is_twice => {}
                Err(FileError::Foreign(found)) => assert_eq!(found, kind),
                other => panic!("{kind:?}: {other:?}"),
            }
            assert_eq!(items, 0, "{kind:?}");
        }
    }
    assert!(Foreign::Text.to_string().contains("hexadecimal"));
}

/// Lines that are neither are one bad item, however many follow each other.
#[test]
fn notes_between_reports_are_one_bad_item() {
    let [one, two] = two();
    let notes = "-- these came by mail --\n# see: the letter\n";
    let text = format!("{notes}{}\n{notes}{}\n{notes}", line(&one), line(&two));
    let items = read(&text, Format::Base64);
    assert_eq!(items.len(), 5, "{items:?}");
    assert_eq!([&items[1], &items[3]], [&Ok(one), &Ok(two)]);
    assert_eq!(places(&text), [1, 3, 4, 6, 7].map(ItemPosition::Line));
}
