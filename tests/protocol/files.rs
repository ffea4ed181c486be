//! Report files, bad items among good ones.

use serde_json::json;
use tcnd::exchange::file::{self, FileError, Format, Item, ItemError};
use tcnd::protocol::{Memo, MemoType, RatchetIndex, ReportError, ReportSpan, SignedReport, wire};

use crate::{spec_key, vectors};

/// Two reports, told apart by their memos.
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
    let read = file::read(input.as_ref()).unwrap();
    assert_eq!(read.format, format);
    read.items
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
    let deep = "[".repeat(100_000);
    assert!(matches!(
        read(deep, Format::Json)[..],
        [Err(ItemError::JsonMalformed { .. })]
    ));
}

/// The sample Covid Watch's functions test with, in their form and in bytes.
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
    assert_eq!(
        spoilt("start_index", json!("1")),
        Err(ItemError::Field {
            name: "start_index"
        })
    );
    assert_eq!(
        spoilt("start_index", json!(0)),
        Err(ReportError::IndexZero.into())
    );
    assert_eq!(
        spoilt("end_index", json!(null)),
        Err(ItemError::Field { name: "end_index" })
    );
    assert_eq!(
        spoilt("memo_type", json!(10000)),
        Err(ItemError::Field { name: "memo_type" })
    );
    assert_eq!(
        spoilt("signature_bytes", json!("AAAA")),
        Err(ItemError::Field {
            name: "signature_bytes"
        })
    );
    assert_eq!(
        spoilt("memo_data", json!("AAAA".repeat(100))),
        Err(ReportError::MemoTooLong { have: 300 }.into())
    );
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

/// A report may begin with any byte; one in a hundred begins as JSON does.
#[test]
fn reports_that_begin_like_json_are_no_json() {
    for first in *b"[{\" \n" {
        let mut bytes = wire::write(&two()[0]);
        bytes[0] = first;
        assert!(matches!(read(bytes, Format::Tcn)[..], [Ok(_)]));
    }
}

#[test]
fn files_without_reports_or_without_end_are_refused() {
    for empty in ["", " \r\n\t", "\u{feff}", "[]", "{\"reports\": []}"] {
        assert_eq!(
            file::read(empty.as_bytes()).unwrap_err(),
            FileError::Empty,
            "{empty:?}"
        );
    }
    let len = file::MAX_LEN + 1;
    assert_eq!(
        file::read(&vec![b'\n'; len]).unwrap_err(),
        FileError::TooLarge { len }
    );
    let many = "x\n".repeat(file::MAX_ITEMS + 1);
    assert_eq!(
        file::read(many.as_bytes()).unwrap_err(),
        FileError::TooManyItems
    );
    let many = format!("[{}0]", "0,".repeat(file::MAX_ITEMS));
    assert_eq!(
        file::read(many.as_bytes()).unwrap_err(),
        FileError::TooManyItems
    );
    let exactly = "x\n".repeat(file::MAX_ITEMS);
    assert_eq!(
        file::read(exactly.as_bytes()).unwrap().items.len(),
        file::MAX_ITEMS
    );
}
