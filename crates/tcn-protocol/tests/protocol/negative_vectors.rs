//! Negative vectors: one invalid input in each file, and the name of its error.

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tcn_protocol::beacon::Frame;
use tcn_protocol::{Memo, MemoType, ReportError, ReportSpan, TemporaryContactKey, wire};

use crate::{array, index, number, read_file, unhex};

/// The name of the variant a result failed with, if it failed.
fn error_name<T: Debug, E: Debug>(result: Result<T, E>) -> Option<String> {
    let debug = format!("{:?}", result.err()?);
    let name = debug.split(|c: char| !c.is_ascii_alphanumeric()).next();
    name.map(str::to_owned)
}

fn outcome(row: &Value) -> Option<String> {
    match row["operation"].as_str().unwrap() {
        "parse" => error_name(wire::parse(&unhex(&row["bytes"]))),
        "verify" => error_name(wire::parse(&unhex(&row["bytes"])).unwrap().verify()),
        "expand" => {
            let report = wire::parse(&unhex(&row["bytes"]))
                .unwrap()
                .verify()
                .unwrap();
            let count = report.temporary_contact_numbers().count();
            assert_eq!(count, number::<usize>(&row["tcn_count"]));
            None
        }
        "create" => error_name(creatable(row)),
        "aired" => error_name(ReportSpan::of_aired(index(&row["j1"]), index(&row["j2"]))),
        "key" => error_name(TemporaryContactKey::from_bytes(&array(&row["bytes"]))),
        "service_data" => error_name(Frame::from_service_data(&unhex(&row["bytes"]))),
        "advertisement" => error_name(Frame::from_advertisement(&unhex(&row["bytes"]))),
        "base64" => {
            let (_, mut items) = read_file(row["text"].as_str().unwrap().as_bytes()).unwrap();
            assert_eq!(items.len(), 1);
            error_name(items.remove(0))
        }
        operation => panic!("no operation {operation}"),
    }
}

/// The conditions for creating a report.
fn creatable(row: &Value) -> Result<(ReportSpan, Memo), ReportError> {
    let span = ReportSpan::new(index(&row["j1"]), index(&row["j2"]))?;
    Ok((
        span,
        Memo::new(MemoType::COEPI_V1, vec![0; number(&row["memo_len"])])?,
    ))
}

#[test]
fn every_sin_is_called_by_its_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocol/vectors/bad");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let row: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), row["name"].as_str());
        assert_eq!(
            outcome(&row).as_deref(),
            row["error"].as_str(),
            "{}",
            row["name"]
        );
        seen += 1;
    }
    assert!(seen >= 25, "only {seen} vectors were found");
}
