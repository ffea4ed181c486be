//! Memos: CoEpi's layouts, the registry, and what would link reports.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use tcn_protocol::memo::coepi::{Cough, Day, EarlyMemo, Fever, SymptomMemo, Symptoms};
use tcn_protocol::memo::registry::{MemoFormat, REGISTRY};
use tcn_protocol::memo::{CoEpiMemo, MemoConcern};
use tcn_protocol::{Memo, MemoType};

use crate::{number, unhex, vectors};

const DAY: u64 = 86_400;

fn coepi(data: impl Into<Vec<u8>>) -> Memo {
    Memo::new(MemoType::COEPI_V1, data).unwrap()
}

fn symptoms(row: &Value) -> Symptoms {
    let flag = |name: &str| row["flags"].as_array().unwrap().contains(&name.into());
    Symptoms {
        cough: [Cough::None, Cough::Existing, Cough::Dry, Cough::Wet]
            [number::<usize>(&row["cough"])],
        fever: [Fever::None, Fever::Mild, Fever::Serious][number::<usize>(&row["fever"])],
        breathlessness: flag("breathlessness"),
        muscle_aches: flag("muscle_aches"),
        loss_of_smell_or_taste: flag("loss_smell_or_taste"),
        diarrhea: flag("diarrhea"),
        runny_nose: flag("runny_nose"),
        other: flag("other"),
        no_symptoms: flag("no_symptoms"),
    }
}

/// Times are text in the vectors: they do not fit into a JSON number.
fn time(value: &Value) -> Option<u64> {
    Some(value.as_str()?.parse().unwrap())
}

#[test]
fn coepi_s_memos_are_read_and_written_back() {
    let vectors = vectors!("coepi_memo.json");
    let rows = vectors["vectors"].as_array().unwrap();
    assert_eq!(rows.len(), 84);
    for row in rows {
        let data = unhex(&row["memo"]);
        let CoEpiMemo::V1(memo) = CoEpiMemo::decode(&data) else {
            panic!("{row}")
        };
        assert_eq!(Some(memo.report_time()), time(&row["report_time"]), "{row}");
        assert_eq!(
            memo.earliest_symptom_time(),
            time(&row["earliest_symptom_time"]),
            "{row}"
        );
        assert!(memo.symptoms() == symptoms(row), "{row}");
        assert_eq!(memo.encode().to_vec(), data, "{row}");
    }
}

#[test]
fn the_layout_of_eleven_bytes_is_read() {
    let vectors = vectors!("coepi_memo.json");
    let rows = vectors["vectors_11_bytes"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    for row in rows {
        let flag = |name: &str| row["flags"].as_array().unwrap().contains(&name.into());
        let expected = EarlyMemo {
            report_time: time(&row["report_time"]).unwrap(),
            no_symptoms: flag("no_symptoms"),
            other: flag("other"),
            cough: flag("cough"),
            breathlessness: flag("breathlessness"),
            fever: flag("fever"),
        };
        let data = unhex(&row["memo"]);
        assert!(
            CoEpiMemo::decode(&data) == CoEpiMemo::Early(expected),
            "{row}"
        );
    }
}

/// CoEpi's core panics on most of these.
#[test]
fn malformed_memos_are_unknown_and_text_is_text() {
    let vectors = vectors!("coepi_memo.json");
    let rows = vectors["malformed"].as_array().unwrap();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let data = unhex(&row["memo"]);
        let expected = match row["what"].as_str().unwrap() {
            "ascii High Fever" => CoEpiMemo::Text("High Fever"),
            "ascii Hello, World!" => CoEpiMemo::Text("Hello, World!"),
            "base64 text 44" => CoEpiMemo::Text("Um1WMlpYSXNJRXh2YzNNZ2IyWWdZWEJ3WlhScGRHVT0="),
            "11 bytes (2020-05-12 layout)" => CoEpiMemo::Early(EarlyMemo {
                report_time: 1_589_209_754,
                no_symptoms: true,
                other: false,
                cough: false,
                breathlessness: false,
                fever: false,
            }),
            _ => CoEpiMemo::Unknown,
        };
        assert!(CoEpiMemo::decode(&data) == expected, "{row}");
    }
}

/// Each has one error that the vectors do not single out.
#[test]
fn one_wrong_bit_makes_a_memo_unknown() {
    let good = SymptomMemo::new(Day::of(DAY), None, Symptoms::default()).encode();
    assert!(matches!(CoEpiMemo::decode(&good), CoEpiMemo::V1(_)));
    for (flaw, at, byte) in [
        ("version 2", 0, 2),
        ("version 257", 1, 1),
        ("cough 4", 18, 4),
        ("fever 3", 18, 0x30),
        ("padding", 19, 0x80),
    ] {
        let mut bad = good;
        bad[at] = byte;
        assert!(CoEpiMemo::decode(&bad) == CoEpiMemo::Unknown, "{flaw}");
    }
    let early = |flags| {
        let mut data = good[..11].to_vec();
        data[10] = flags;
        matches!(CoEpiMemo::decode(&data), CoEpiMemo::Early(_))
    };
    assert!(early(0x1f) && !early(0x20), "bits beyond the five flags");
    assert!(CoEpiMemo::decode(b"tab\there") == CoEpiMemo::Unknown);
    assert!(CoEpiMemo::decode("fièvre".as_bytes()) == CoEpiMemo::Unknown);
}

#[test]
fn only_memos_of_coepi_s_type_are_read_by_its_rules() {
    let data = SymptomMemo::new(Day::of(DAY), None, Symptoms::default()).encode();
    for kind in 0..=u8::MAX {
        let memo = Memo::new(MemoType::new(kind), data).unwrap();
        assert_eq!(CoEpiMemo::read(&memo).is_some(), kind == 0);
    }
}

#[test]
fn the_registry_is_that_of_the_specification() {
    let found: Vec<_> = REGISTRY.iter().map(|row| row.kind.get()).collect();
    assert_eq!(found, [0, 1, 2, 3, 0xff]);
    for row in &REGISTRY {
        assert!(!row.name.is_empty() && !row.owner.is_empty());
        assert_eq!(row.kind.name(), Some(row.name));
        assert_eq!(
            row.format == MemoFormat::CoEpi,
            row.kind == MemoType::COEPI_V1
        );
    }
    assert_eq!(MemoType::new(4).registration(), None);
    assert_eq!(MemoType::new(0xfe).name(), None);
}

#[test]
fn memos_that_would_link_reports_are_named() {
    let concerns = |memo: &Memo, parts| memo.concerns(parts);
    let of = |kind, data: &[u8]| Memo::new(MemoType::new(kind), data).unwrap();
    let days = SymptomMemo::new(
        Day::of(20 * DAY),
        Some(Day::of(17 * DAY)),
        Symptoms::default(),
    );
    let seconds = vectors!("coepi_memo.json")["vectors"][0]["memo"].clone();
    let early = unhex(&vectors!("coepi_memo.json")["vectors_11_bytes"][0]["memo"]);
    let mut felt_at_noon = days.encode();
    felt_at_noon[10..18].copy_from_slice(&(17 * DAY + DAY / 2).to_le_bytes());
    let mut early_day = early.clone();
    early_day[2..10].fill(0);

    for harmless in [
        of(0, b""),
        of(77, b""),
        of(1, b"Hello, World!"),
        of(2, b"symptom data"),
    ] {
        assert_eq!(concerns(&harmless, 56), [], "{harmless:?}");
    }
    for rare in [
        of(0, b"High Fever"),
        of(0, b"\0"),
        of(1, b"hello"),
        of(1, b"symptom data"),
        of(3, b"x"),
        of(77, &days.encode()),
    ] {
        assert_eq!(concerns(&rare, 1), [], "{rare:?}");
        let linked = [MemoConcern::SharedBytes { parts: 2 }];
        assert_eq!(concerns(&rare, 2), linked, "{rare:?}");
    }
    for by_day in [days.to_memo(), coepi(early_day)] {
        assert_eq!(concerns(&by_day, 1), []);
        let narrowed = [MemoConcern::SharedSymptoms { parts: 3 }];
        assert_eq!(concerns(&by_day, 3), narrowed);
    }
    for fine in [unhex(&seconds), felt_at_noon.to_vec(), early] {
        for parts in [1, 56] {
            assert_eq!(
                concerns(&coepi(fine.clone()), parts),
                [MemoConcern::TimeTooFine]
            );
        }
    }
    let long = MemoConcern::Long { have: 128 };
    assert_eq!(concerns(&of(9, &[0; 127]), 1), []);
    assert_eq!(concerns(&of(9, &[0; 128]), 1), [long]);
    assert_eq!(
        concerns(&of(9, &[0; 128]), 2),
        [MemoConcern::SharedBytes { parts: 2 }, long]
    );
}

#[test]
fn a_concern_names_its_cure_and_what_may_be_overruled() {
    for (concern, refused, cure) in [
        (MemoConcern::TimeTooFine, true, "give days"),
        (
            MemoConcern::SharedBytes { parts: 2 },
            true,
            "leave it empty",
        ),
        (
            MemoConcern::SharedSymptoms { parts: 2 },
            false,
            "name fewer symptoms",
        ),
        (MemoConcern::Long { have: 128 }, false, "shorten it"),
    ] {
        assert_eq!(concern.is_refusal(), refused, "{concern}");
        let text = concern.to_string();
        let (_, found) = text.split_once("; ").unwrap();
        assert!(found.starts_with(cure), "{text}");
    }
}

prop_compose! {
    fn any_symptoms()(cough in 0..4usize, fever in 0..3usize, flags: [bool; 7]) -> Symptoms {
        let [breathlessness, muscle_aches, loss_of_smell_or_taste, diarrhea, runny_nose, other, no_symptoms] = flags;
        Symptoms {
            cough: [Cough::None, Cough::Existing, Cough::Dry, Cough::Wet][cough],
            fever: [Fever::None, Fever::Mild, Fever::Serious][fever],
            breathlessness, muscle_aches, loss_of_smell_or_taste, diarrhea, runny_nose, other, no_symptoms,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read_and_holds_whole_days(
        reported: u64, since: Option<u64>, symptoms in any_symptoms(),
    ) {
        let memo = SymptomMemo::new(Day::of(reported), since.map(Day::of), symptoms);
        prop_assert!(CoEpiMemo::decode(&memo.encode()) == CoEpiMemo::V1(memo));
        prop_assert!(CoEpiMemo::read(&memo.to_memo()) == Some(CoEpiMemo::V1(memo)));
        let times = [Some(reported), since].map(|time| time.map(|time| time - time % DAY));
        prop_assert_eq!([Some(memo.report_time()), memo.earliest_symptom_time()], times);
        prop_assert_eq!(memo.to_memo().concerns(1), []);
    }

    #[test]
    fn no_memo_panics_and_what_is_read_is_written_back(
        data in prop_oneof![
            vec(any::<u8>(), 0..=255),
            vec(any::<u8>(), 18).prop_map(|rest| [&[1, 0], &rest[..]].concat()),
            vec(any::<u8>(), 9).prop_map(|rest| [&[1, 0], &rest[..]].concat()),
            vec(b' '..=b'~', 1..=255),
        ],
        kind: u8, parts in 0..60usize,
    ) {
        match CoEpiMemo::decode(&data) {
            CoEpiMemo::V1(memo) => prop_assert_eq!(&memo.encode()[..], &data),
            CoEpiMemo::Text(text) => prop_assert_eq!(text.as_bytes(), &data),
            CoEpiMemo::Early(_) => prop_assert_eq!(data.len(), 11),
            CoEpiMemo::Unknown => {}
        }
        let _judged = Memo::new(MemoType::new(kind), data).unwrap().concerns(parts);
    }
}
