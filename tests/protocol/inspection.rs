//! What `tcnctl report inspect` prints.

use serde_json::{Value, json};
use tcnd::cli::inspect::inspect;
use tcnd::exchange::file::FileError;

use crate::{unhex, vectors};

fn spec_report() -> (Value, Vec<u8>) {
    let report = vectors!("tcn_reference.json")["report"].clone();
    let bytes = unhex(&report["signed"]);
    (report, bytes)
}

fn document(input: &[u8], expand: bool) -> Value {
    serde_json::to_value(inspect(input, expand).unwrap()).unwrap()
}

#[test]
fn a_valid_report_is_printed_in_full() {
    let (row, bytes) = spec_report();
    let reference = vectors!("tcn_reference.json");
    let mut expected = json!({"reports": [{
        "valid": true, "error": null, "rvk": reference["rvk"], "j1": 2, "j2": 10,
        "memo_type": 0, "memo": row["memo"], "tcn_count": 9,
    }]});
    assert_eq!(document(&bytes, false), expected);
    assert!(inspect(&bytes, false).unwrap().all_valid());

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
    let text = serde_json::to_string(&inspect(&spec_report().1, true).unwrap()).unwrap();
    let keys = [
        "valid",
        "error",
        "rvk",
        "j1",
        "j2",
        "memo_type",
        "memo",
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
    assert!(!inspect(&bytes, true).unwrap().all_valid());
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
               "memo_type": null, "memo": null, "tcn_count": null})
    );
    assert_eq!(document["reports"][1]["valid"], true);
    assert!(!inspect(text.as_bytes(), false).unwrap().all_valid());
}

#[test]
fn nothing_is_an_error() {
    assert_eq!(inspect(b"", false).unwrap_err(), FileError::Empty);
}

#[test]
fn people_read_it_too() {
    let (row, mut bytes) = spec_report();
    let text = |input: &[u8], expand| {
        let mut out = Vec::new();
        inspect(input, expand)
            .unwrap()
            .write_text(&mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
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
        forged.starts_with("report 1: INVALID: the signature does not match"),
        "{forged}"
    );
    assert!(!forged.contains("45ecbf11"), "{forged}");
}
