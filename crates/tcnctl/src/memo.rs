//! The content of a memo, in words.
//!
//! Memos come from strangers: their text is shown in quotes, and only if it is printable
//! ASCII. Days are those of UTC, as in the memo.

use std::iter;

use jiff::Timestamp;
use tcn_protocol::Memo;
use tcn_protocol::memo::coepi::Day;
use tcn_protocol::memo::registry::MemoFormat;
use tcn_protocol::memo::{CoEpiMemo, Symptom};
use tcnd_client::symptoms;

/// The content of `memo`; `None` if it cannot be read.
pub(crate) fn reading(memo: &Memo) -> Option<String> {
    let row = memo.kind().registration()?;
    match row.format {
        MemoFormat::CoEpi => coepi(CoEpiMemo::read(memo)?),
        MemoFormat::Constant(same) if same == memo.data() => {
            Some(format!("nothing: every {} report carries it", row.name))
        }
        MemoFormat::Constant(_) | MemoFormat::Unpublished => None,
    }
}

fn coepi(memo: CoEpiMemo<'_>) -> Option<String> {
    match memo {
        CoEpiMemo::V1(v1) => {
            let (since, reported) = (v1.earliest_symptom_time(), v1.report_time());
            Some(sentence(&memo.symptoms(), since, reported))
        }
        CoEpiMemo::Early(early) => Some(sentence(&memo.symptoms(), None, early.report_time)),
        CoEpiMemo::Text(text) => Some(format!("'{text}'")),
        CoEpiMemo::Unknown => None,
    }
}

fn sentence(symptoms: &[Symptom], since: Option<u64>, reported: u64) -> String {
    let name = |symptom: &Symptom| symptoms::name(symptom.token()).map(str::to_owned);
    let mut parts: Vec<_> = symptoms.iter().filter_map(name).collect();
    if parts.is_empty() {
        parts.push("no symptom named".to_owned());
    }
    let since = since.map(|time| format!("since {}", date(time)));
    let reported = format!("reported {}", date(reported));
    parts.extend(since.into_iter().chain(iter::once(reported)));
    parts.join(", ")
}

/// A day; the time too if the memo has one.
fn date(unix_seconds: u64) -> String {
    let day = Day::of(unix_seconds).start() == unix_seconds;
    let format = if day {
        "%Y-%m-%d"
    } else {
        "%Y-%m-%d %H:%M:%S UTC"
    };
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(
            || "outside the range of the calendar".to_owned(),
            |time| time.strftime(format).to_string(),
        )
}

#[cfg(test)]
mod tests {
    use tcn_protocol::MemoType;
    use tcn_protocol::memo::coepi::{Cough, Fever, SymptomMemo, Symptoms};

    use super::*;

    #[test]
    fn each_symptom_has_a_name() {
        for symptom in Symptom::WRITABLE.into_iter().chain([Symptom::Fever]) {
            assert!(
                symptoms::name(symptom.token()).is_some(),
                "{}",
                symptom.token()
            );
        }
    }

    fn of(kind: u8, data: impl Into<Vec<u8>>) -> Option<String> {
        reading(&Memo::new(MemoType::new(kind), data).unwrap())
    }

    #[test]
    fn memos_are_put_into_words() {
        let day = |days: u64| Day::of(1_795_132_800 + days * 86_400);
        let felt = Symptoms {
            cough: Cough::Dry,
            fever: Fever::Mild,
            other: true,
            ..Symptoms::default()
        };
        let memo = SymptomMemo::new(day(3), Some(day(0)), felt);
        assert_eq!(
            reading(&memo.to_memo()).unwrap(),
            "dry cough, mild fever, another symptom, since 2026-11-20, reported 2026-11-23"
        );
        let mut second = memo.encode();
        (second[2], second[18], second[19]) = (1, 0x21, 0x4f);
        assert_eq!(
            of(0, second).unwrap(),
            "cough, serious fever, breathlessness, muscle aches, loss of smell or taste, diarrhea, \
             no symptoms, since 2026-11-20, reported 2026-11-23 00:00:01 UTC"
        );
        let mut endless = SymptomMemo::new(day(0), None, Symptoms::default()).encode();
        endless[2..10].fill(0xff);
        assert_eq!(
            of(0, endless).unwrap(),
            "no symptom named, reported outside the range of the calendar"
        );
    }

    #[test]
    fn other_layouts_and_types_are_put_into_words_where_they_can_be() {
        let early = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0b1_0110];
        assert_eq!(
            of(0, early).unwrap(),
            "cough, fever, another symptom, reported 1970-01-01"
        );
        assert_eq!(of(0, *b"High Fever").unwrap(), "'High Fever'");
        assert_eq!(
            of(1, *b"Hello, World!").unwrap(),
            "nothing: every Covid Watch v1 report carries it"
        );
        assert_eq!(
            of(2, *b"symptom data").unwrap().split(':').next(),
            Some("nothing")
        );
        let unread = [(0, "\u{1b}[2J"), (0, ""), (1, "hello"), (3, "x"), (77, "x")];
        for (kind, data) in unread {
            assert_eq!(of(kind, data), None, "{kind} {data:?}");
        }
    }
}
