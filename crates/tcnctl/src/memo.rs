//! The content of a memo, in words.
//!
//! Memos come from strangers: their text is shown in quotes, and only if it is printable
//! ASCII. Days are those of UTC, as in the memo.

use std::iter;

use jiff::Timestamp;
use tcn_protocol::Memo;
use tcn_protocol::memo::CoEpiMemo;
use tcn_protocol::memo::coepi::{Cough, Day, EarlyMemo, Fever, SymptomMemo, Symptoms};
use tcn_protocol::memo::registry::MemoFormat;

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
        CoEpiMemo::V1(memo) => Some(symptom_memo(&memo)),
        CoEpiMemo::Early(memo) => Some(early_memo(memo)),
        CoEpiMemo::Text(text) => Some(format!("'{text}'")),
        CoEpiMemo::Unknown => None,
    }
}

fn symptom_memo(memo: &SymptomMemo) -> String {
    let Symptoms {
        cough,
        fever,
        breathlessness,
        muscle_aches,
        loss_of_smell_or_taste,
        diarrhea,
        runny_nose,
        other,
        no_symptoms,
    } = memo.symptoms();
    let cough = match cough {
        Cough::None => None,
        Cough::Existing => Some("cough"),
        Cough::Dry => Some("dry cough"),
        Cough::Wet => Some("wet cough"),
    };
    let fever = match fever {
        Fever::None => None,
        Fever::Mild => Some("mild fever"),
        Fever::Serious => Some("serious fever"),
    };
    let flags = [
        (breathlessness, "breathlessness"),
        (muscle_aches, "muscle aches"),
        (loss_of_smell_or_taste, "loss of smell or taste"),
        (diarrhea, "diarrhea"),
        (runny_nose, "runny nose"),
        (other, "another symptom"),
        (no_symptoms, "no symptoms"),
    ];
    let since = memo
        .earliest_symptom_time()
        .map(|time| format!("since {}", date(time)));
    sentence(
        cough.into_iter().chain(fever).chain(set(flags)),
        since,
        memo.report_time(),
    )
}

fn early_memo(memo: EarlyMemo) -> String {
    let flags = [
        (memo.cough, "cough"),
        (memo.fever, "fever"),
        (memo.breathlessness, "breathlessness"),
        (memo.other, "another symptom"),
        (memo.no_symptoms, "no symptoms"),
    ];
    sentence(set(flags), None, memo.report_time)
}

fn set<const N: usize>(flags: [(bool, &'static str); N]) -> impl Iterator<Item = &'static str> {
    flags
        .into_iter()
        .filter_map(|(is_set, word)| is_set.then_some(word))
}

fn sentence(
    symptoms: impl Iterator<Item = &'static str>,
    since: Option<String>,
    reported: u64,
) -> String {
    let mut parts: Vec<_> = symptoms.map(str::to_owned).collect();
    if parts.is_empty() {
        parts.push("no symptom named".to_owned());
    }
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

    use super::*;

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
