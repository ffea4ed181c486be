//! Reports of the reference, whole and damaged, and of other projects.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, Report, ReportAuthorizationKey, ReportError, ReportSpan,
    SignedReport, TemporaryContactNumber, wire,
};

use crate::{array, index, number, unhex, vectors};

fn verified(bytes: &[u8]) -> Report {
    wire::parse(bytes).unwrap().verify().unwrap()
}

fn expanded(report: &Report) -> Vec<TemporaryContactNumber> {
    let numbers = report.temporary_contact_numbers();
    assert_eq!(numbers.len(), usize::from(report.count()));
    let numbers: Vec<_> = numbers.collect();
    assert_eq!(numbers.len(), usize::from(report.count()));
    numbers
}

/// Compares an expansion with the two digests of a vector: with `tcn_{j_2}`, as we read
/// it, and without, as half of the deployed readers do.
fn assert_expands(numbers: &[TemporaryContactNumber], expected: &Value) {
    let digest = |numbers: &[TemporaryContactNumber]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|tcn| *tcn.as_bytes()).collect();
        <[u8; 32]>::from(Sha256::digest(bytes))
    };
    assert_eq!(numbers.len(), number::<usize>(&expected["count_inclusive"]));
    assert_eq!(digest(numbers), array(&expected["sha256_inclusive"]));

    let exclusive = numbers
        .split_last()
        .map_or(numbers, |(_last, others)| others);
    assert_eq!(
        exclusive.len(),
        number::<usize>(&expected["count_exclusive"])
    );
    assert_eq!(digest(exclusive), array(&expected["sha256_exclusive"]));
}

/// Writes a report as the vector's row says, unless its span is reversed.
fn created(row: &Value) -> Result<SignedReport, ReportError> {
    let rak = ReportAuthorizationKey::from_bytes(&array(&row["rak"]));
    let last = RatchetIndex::new(number(&row["j2"])).ok_or(ReportError::IndexZero)?;
    let span = ReportSpan::new(index(&row["j1"]), last)?;
    let memo = Memo::new(
        MemoType::new(number(&row["memo_type"])),
        unhex(&row["memo"]),
    )?;
    Ok(SignedReport::create(&rak, span, memo))
}

fn assert_fields(report: &Report, row: &Value) {
    assert_eq!(report.j1(), index(&row["j1"]));
    assert_eq!(report.j2(), number::<u16>(&row["j2"]));
    assert_eq!(report.memo().kind().get(), number::<u8>(&row["memo_type"]));
    assert_eq!(report.memo().data(), unhex(&row["memo"]));
}

#[test]
fn the_specification_s_report_is_written_and_read() {
    let reference = vectors!("tcn_reference.json");
    let mut row = reference["report"].clone();
    row["rak"] = reference["rak"].clone();
    let bytes = unhex(&row["signed"]);

    let signed = created(&row).unwrap();
    assert_eq!(wire::write(&signed), bytes);
    assert_eq!(*signed.signature(), array::<64>(&row["signature"]));

    let report = verified(&bytes);
    assert_fields(&report, &row);
    assert_eq!(report.unsigned_bytes(), unhex(&row["unsigned"]));
    assert_expands(&expanded(&report), &row["tcns"]);
}

#[test]
fn spans_at_the_ends_of_the_index_expand_inclusive() {
    for row in vectors!("tcn_reference.json")["index_boundaries"]
        .as_array()
        .unwrap()
    {
        let report = verified(&unhex(&row["signed_report"]));
        assert_eq!(report.j1(), index(&row["j1_written"]));
        assert_expands(&expanded(&report), &row["tcns"]);
    }
}

#[test]
fn random_reports_read_verify_expand_and_are_written_alike() {
    for row in vectors!("tcn_reports.json")["reports"].as_array().unwrap() {
        let bytes = unhex(&row["signed_report"]);
        let signed = wire::parse(&bytes).unwrap();
        assert_eq!(wire::write(&signed), bytes);
        let report = signed.verify().unwrap();
        assert_fields(&report, row);
        assert_eq!(*report.rvk().as_bytes(), array(&row["rvk"]));
        assert_expands(&expanded(&report), &row["tcns"]);

        let reversed = report.j2() < report.j1().get();
        match created(row) {
            Ok(written) => assert_eq!(wire::write(&written), bytes),
            Err(error) => assert!(reversed && error == ReportError::SpanReversed, "{error:?}"),
        }
    }
}

/// Our verdict on the damaged reports, derived from the reference's.
///
/// We differ from it in three ways, each by decision: bytes after a report are refused,
/// memo types are not checked, and `j_2` is included.
#[test]
fn damaged_reports_are_judged_as_the_reference_does_but_for_three_rules() {
    let mut differences = [0; 3];
    for row in vectors!("tcn_reports_corrupted.json")["signed"]
        .as_array()
        .unwrap()
    {
        let (what, theirs) = (row["what"].as_str().unwrap(), &row["reference"]);
        let bytes = unhex(&row["bytes"]);
        let refusal = theirs["error"].as_str().unwrap_or_default();
        let ours = wire::parse(&bytes);

        if let Some(consumed) = theirs["bytes_consumed"].as_u64() {
            let (first, rest) = wire::parse_first(&bytes).unwrap();
            assert_eq!(
                bytes.len() - rest.len(),
                usize::try_from(consumed).unwrap(),
                "{what}"
            );
            if !rest.is_empty() {
                assert_eq!(
                    ours,
                    Err(ReportError::TrailingBytes { count: rest.len() }),
                    "{what}"
                );
                differences[0] += 1;
            }
            differences[2] += assert_same_verdict(what, first, theirs);
        } else if refusal.starts_with("UnknownMemoType") {
            // Kept as opaque; it verifies if it was signed like this.
            let verdict = ours.unwrap().verify();
            assert_eq!(verdict.is_ok(), what.starts_with("resigned"), "{what}");
            differences[1] += 1;
        } else if refusal == "InvalidReportIndex" {
            assert_eq!(ours, Err(ReportError::IndexZero), "{what}");
        } else {
            assert!(refusal.contains("UnexpectedEof"), "{what}: {refusal}");
            assert!(is_truncation(&ours), "{what}: {ours:?}");
        }
    }
    assert!(
        differences.iter().all(|&seen| seen > 0),
        "each rule was met: {differences:?}"
    );
}

/// Compares verdicts; 1 if the reference left `tcn_{j_2}` out.
fn assert_same_verdict(what: &str, ours: SignedReport, theirs: &Value) -> usize {
    match (ours.verify(), theirs["verdict"].as_str().unwrap()) {
        (Ok(report), "accept") => {
            assert_eq!(
                report.memo().kind().get(),
                number::<u8>(&theirs["memo_type"]),
                "{what}"
            );
            assert_eq!(
                report.memo().data().len(),
                number::<usize>(&theirs["memo_len"]),
                "{what}"
            );
            let last = usize::from(report.j2() >= report.j1().get());
            let exclusive = number::<usize>(&theirs["tcns_crate_0_4_1"]);
            assert_eq!(expanded(&report).len(), exclusive + last, "{what}");
            last
        }
        (
            Err(
                ReportError::KeyInvalid
                | ReportError::KeySmallOrder
                | ReportError::SignatureInvalid,
            ),
            "verify_error",
        ) => 0,
        (verdict, theirs) => panic!("{what}: {verdict:?}, the reference says {theirs}"),
    }
}

fn is_truncation(result: &Result<SignedReport, ReportError>) -> bool {
    matches!(
        result,
        Err(ReportError::HeaderTruncated { .. }
            | ReportError::MemoTruncated { .. }
            | ReportError::SignatureTruncated { .. })
    )
}

/// No function takes unsigned reports, so none can shorten them.
#[test]
fn unsigned_reports_are_refused_as_truncated() {
    for row in vectors!("tcn_reports_corrupted.json")["unsigned"]
        .as_array()
        .unwrap()
    {
        let bytes = unhex(&row["bytes"]);
        let consumed = row["reference"]["bytes_consumed"].as_u64();
        let has_signature = consumed.is_some_and(|n| bytes.len() as u64 == n + 64);
        let ours = wire::parse(&bytes);
        assert_ne!(
            ours.is_ok(),
            is_truncation(&ours),
            "{}: {ours:?}",
            row["what"]
        );
        assert_eq!(ours.is_ok(), has_signature, "{}", row["what"]);
    }
}

#[test]
fn reports_published_by_other_projects_verify_and_expand() {
    let published = vectors!("implementation_tests.json");
    for row in published["published_reports"].as_array().unwrap() {
        let report = verified(&unhex(&row["signed_report"]));
        assert_fields(&report, row);
        let numbers = expanded(&report);
        assert_eq!(numbers.len(), number::<usize>(&row["tcns_inclusive"]));
        assert_eq!(*numbers[0].as_bytes(), array(&row["first"]));
        assert_eq!(*numbers.last().unwrap().as_bytes(), array(&row["last"]));
        if let Some(at) = row["at_index"].as_u64() {
            let tcn = numbers[usize::try_from(at).unwrap() - usize::from(report.j1().get())];
            assert_eq!(*tcn.as_bytes(), array(&row["test_says_contains"]));
        }
    }
    for row in published["ito_reports"].as_array().unwrap() {
        let report = verified(&unhex(&row["signed_report"]));
        assert_eq!(report.memo().data(), b"symptom data");
        let expected: Vec<[u8; 16]> = row["spec_inclusive"]
            .as_array()
            .unwrap()
            .iter()
            .map(array)
            .collect();
        let numbers: Vec<[u8; 16]> = expanded(&report)
            .iter()
            .map(|tcn| *tcn.as_bytes())
            .collect();
        assert_eq!(numbers, expected);
    }
}
