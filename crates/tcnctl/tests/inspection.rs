//! The output of `tcnctl report inspect`.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::io::{self, Read, Write};

use serde_json::{Value, json};
use tcn_protocol::file::{self, FileError, Format};
use tcn_protocol::memo::coepi::{Cough, Day, Fever, SymptomMemo, Symptoms};
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport, wire,
};
use tcnctl::inspect::{InspectError, InspectOptions, inspect};

/// A vector file of the protocol, included as text.
macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            "../../tcn-protocol/tests/protocol/vectors/",
            $name
        )))
        .unwrap()
    };
}

/// The bytes of a hexadecimal string.
fn unhex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    let starts = (0..digits.len()).step_by(2);
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    starts.map(byte).collect()
}

/// The key of the specification's vector.
fn spec_key() -> ReportAuthorizationKey {
    let rak = unhex(&vectors!("tcn_reference.json")["rak"]);
    ReportAuthorizationKey::from_bytes(&rak.try_into().unwrap())
}

fn spec_report() -> (Value, Vec<u8>) {
    let report = vectors!("tcn_reference.json")["report"].clone();
    let bytes = unhex(&report["signed"]);
    (report, bytes)
}

fn options(json: bool, expand: bool) -> InspectOptions {
    InspectOptions { json, expand }
}

fn printed(input: &[u8], options: InspectOptions) -> (String, bool) {
    let mut out = Vec::new();
    let all_valid = inspect(input, options, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), all_valid)
}

fn document(input: &[u8], expand: bool) -> Value {
    let (text, all_valid) = printed(input, options(true, expand));
    let document: Value = serde_json::from_str(&text).unwrap();
    let reports = document["reports"].as_array().unwrap();
    assert_eq!(
        all_valid,
        reports.iter().all(|report| report["valid"] == true)
    );
    document
}

#[test]
fn a_valid_report_is_printed_in_full() {
    let (row, bytes) = spec_report();
    let reference = vectors!("tcn_reference.json");
    let mut expected = json!({"reports": [{
        "valid": true, "error": null, "rvk": reference["rvk"], "j1": 2, "j2": 10,
        "memo_type": 0, "memo": row["memo"], "memo_reading": "'symptom data'", "tcn_count": 9,
    }]});
    assert_eq!(document(&bytes, false), expected);

    let numbers: Vec<_> = reference["ratchet"].as_array().unwrap()[1..10]
        .iter()
        .map(|row| row["tcn"].clone())
        .collect();
    expected["reports"][0]["tcns"] = numbers.into();
    assert_eq!(document(&bytes, true), expected);
    assert_eq!(
        document(row["base64"].as_str().unwrap().as_bytes(), true),
        expected
    );
    assert_eq!(
        document(json!([row["base64"]]).to_string().as_bytes(), true),
        expected
    );
}

#[test]
fn the_fields_stand_in_the_documented_order() {
    let options = options(true, true);
    let (text, _) = printed(&spec_report().1, options);
    let keys = [
        "valid",
        "error",
        "rvk",
        "j1",
        "j2",
        "memo_type",
        "memo",
        "memo_reading",
        "tcn_count",
        "tcns",
    ];
    let places: Vec<_> = keys
        .iter()
        .map(|key| text.find(&format!("\"{key}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn a_forged_report_shows_its_claims_and_no_numbers() {
    let (_, mut bytes) = spec_report();
    bytes[66] = 11;
    let report = &document(&bytes, true)["reports"][0];
    assert_eq!(report["valid"], false);
    assert!(report["error"].as_str().unwrap().contains("signature"));
    assert_eq!(
        (&report["j2"], &report["tcn_count"]),
        (&json!(11), &json!(10))
    );
    assert_eq!(report["tcns"], Value::Null);
}

#[test]
fn an_unreadable_item_is_null_but_for_its_error() {
    let (row, _) = spec_report();
    let text = format!("no report!\n{}\n", row["base64"].as_str().unwrap());
    let document = document(text.as_bytes(), false);
    let error = document["reports"][0]["error"].as_str().unwrap();
    assert!(error.contains("base64"));
    assert_eq!(
        document["reports"][0],
        json!({"valid": false, "error": error, "rvk": null, "j1": null, "j2": null,
               "memo_type": null, "memo": null, "memo_reading": null, "tcn_count": null})
    );
    assert_eq!(document["reports"][1]["valid"], true);
}

#[test]
fn nothing_is_an_error_and_no_document() {
    for json in [false, true] {
        let mut out = Vec::new();
        let options = options(json, false);
        let error = inspect(&b""[..], options, &mut out).unwrap_err();
        assert!(matches!(error, InspectError::File(FileError::Empty)));
        assert_eq!(out, b"");
    }
}

/// A source that breaks off ends the document properly. A reader that stops reading
/// does not change the verdict; another failure does.
#[test]
fn what_breaks_off_is_told_apart() {
    let json = options(true, false);
    let (_, bytes) = spec_report();
    let mut out = Vec::new();
    let broken = bytes[..].chain(Failing(io::ErrorKind::TimedOut));
    let error = inspect(broken, json, &mut out).unwrap_err();
    assert!(matches!(error, InspectError::File(FileError::Source(_))));
    let document: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(document["reports"][0]["valid"], true);

    let mut forged = bytes.clone();
    *forged.last_mut().unwrap() ^= 1;
    let two = [bytes.clone(), forged].concat();
    let gone = || Failing(io::ErrorKind::BrokenPipe);
    assert!(inspect(&bytes[..], json, gone()).unwrap());
    assert!(!inspect(&two[..], json, gone()).unwrap());
    let full = inspect(&bytes[..], json, Failing(io::ErrorKind::StorageFull));
    assert!(matches!(full, Err(InspectError::Output(_))));
}

struct Failing(io::ErrorKind);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
}

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

/// The finding for one report, the same in base64, as a line and in JSON.
fn verdict(bytes: &[u8]) -> Value {
    let [line, json] = [base64(bytes), json!([base64(bytes)]).to_string()]
        .map(|text| document(text.as_bytes(), true));
    assert_eq!(line, json);
    assert_eq!(line["reports"].as_array().unwrap().len(), 1);
    line["reports"][0].clone()
}

#[test]
fn reports_are_refused_as_decided() {
    for (row, why) in [
        (vectors!("bad/trailing_byte.json"), "follow"),
        (vectors!("bad/two_reports.json"), "follow"),
        (vectors!("bad/index_zero.json"), "index 0"),
        (vectors!("bad/key_small_order.json"), "small order"),
        (vectors!("bad/key_not_a_point.json"), "not a point"),
        (vectors!("bad/signature_malleable.json"), "signature"),
    ] {
        let report = verdict(&unhex(&row["bytes"]));
        assert_eq!(report["valid"], false, "{report}");
        let error = report["error"].as_str().unwrap();
        assert!(error.contains(why), "{error}");
        assert!(report["tcns"].is_null());
    }
}

#[test]
fn reports_of_any_type_and_span_are_accepted() {
    let reversed = verdict(&unhex(&vectors!("bad/span_reversed.json")["bytes"]));
    assert_eq!(reversed["valid"], true);
    assert_eq!(reversed["tcn_count"], 0);
    assert_eq!(reversed["tcns"], json!([]));

    let reports = [0, 1, 2, 3, 77, 0xff].map(|kind| {
        let memo = Memo::new(MemoType::new(kind), *b"\x01\x00x").unwrap();
        let first = RatchetIndex::new(65_530).unwrap();
        let span = ReportSpan::new(first, RatchetIndex::LAST).unwrap();
        let signed = SignedReport::create(&spec_key(), span, memo);
        (kind, verdict(&wire::write(&signed)))
    });
    for (kind, report) in reports {
        assert_eq!(report["valid"], true, "{kind}");
        assert_eq!(report["memo_type"], kind);
        assert_eq!(report["tcn_count"], 6);
        assert_eq!(report["tcns"].as_array().unwrap().len(), 6);
    }
}

#[test]
fn the_longest_span_is_expanded_whole() {
    let span = ReportSpan::new(RatchetIndex::FIRST, RatchetIndex::LAST).unwrap();
    let memo = Memo::new(MemoType::RESERVED, []).unwrap();
    let signed = SignedReport::create(&spec_key(), span, memo);
    let report = &document(&file::write(Format::Tcn, &[signed]), true)["reports"][0];
    let numbers = report["tcns"].as_array().unwrap();
    assert_eq!(numbers.len(), 65_535);
    assert_eq!(report["tcn_count"], 65_535);
    let reference = vectors!("tcn_reference.json");
    let last = reference["ratchet"].as_array().unwrap().last().unwrap();
    assert_eq!(last["index"], 65_535);
    assert_eq!(numbers.last(), Some(&last["tcn"]));
}

#[test]
fn memos_are_shown_in_words_where_they_can_be() {
    let day = |days: u64| Day::of(1_795_132_800 + days * 86_400);
    let felt = Symptoms {
        cough: Cough::Dry,
        fever: Fever::Mild,
        ..Symptoms::default()
    };
    let span = ReportSpan::new(RatchetIndex::FIRST, RatchetIndex::FIRST).unwrap();
    let shown = |memo| {
        let signed = [SignedReport::create(&spec_key(), span, memo)];
        let file = file::write(Format::Base64, &signed);
        let reading = document(&file, false)["reports"][0]["memo_reading"].clone();
        (printed(&file, InspectOptions::default()).0, reading)
    };
    let memo = SymptomMemo::new(day(3), Some(day(0)), felt).to_memo();
    let says = "dry cough, mild fever, since 2026-11-20, reported 2026-11-23";
    let (text, reading) = shown(memo);
    assert!(text.ends_with(&format!("\n  says     {says}\n")), "{text}");
    assert_eq!(reading, says);

    let (text, reading) = shown(Memo::new(MemoType::HUTCH_TRACE, *b"x").unwrap());
    assert!(
        text.ends_with("type 3 (HutchTrace), 1 bytes 78\n"),
        "{text}"
    );
    assert_eq!(reading, Value::Null);
}

fn base64(report: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(report)
}

#[test]
fn people_read_it_too() {
    let (row, mut bytes) = spec_report();
    let text = |input: &[u8], expand| {
        let options = options(false, expand);
        printed(input, options).0
    };
    let valid = text(&bytes, true);
    assert!(valid.starts_with("report 1: valid\n"), "{valid}");
    assert!(valid.contains("2 to 10, 9 in all"), "{valid}");
    assert!(valid.contains(row["memo"].as_str().unwrap()), "{valid}");
    assert!(
        valid.ends_with("    45ecbf11a44a30144f95f3f8f3fb3e81\n"),
        "{valid}"
    );
    assert_eq!(
        text(&bytes, false).lines().count(),
        valid.lines().count() - 9
    );

    *bytes.last_mut().unwrap() ^= 1;
    let forged = text(&bytes, true);
    assert!(
        forged.starts_with("report 1 at byte 0: INVALID: the signature does not match"),
        "{forged}"
    );
    assert!(!forged.contains("45ecbf11"), "{forged}");
}
