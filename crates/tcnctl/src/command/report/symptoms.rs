//! Makes the memo of a report from the arguments.
//!
//! A memo has days and no time zone. Both of its days are those of the local calendar,
//! so that the first symptom is never after the report.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tcn_protocol::memo::coepi::{Day, SymptomMemo, Symptoms};
use tcn_protocol::{Memo, MemoType};

use crate::args::MemoArgs;
use crate::error::CliError;

/// The memo that the arguments ask for, on this day of the local calendar.
pub(crate) fn memo(args: &MemoArgs, today: Date) -> Result<Memo, CliError> {
    let Some(kind) = args.memo_type else {
        let symptoms = Symptoms::new(&args.symptoms)
            .map_err(|conflict| CliError::Symptoms(conflict.to_string()))?;
        if symptoms.no_symptoms && args.since.is_some() {
            let conflict = "\"none\" cannot be combined with --since";
            return Err(CliError::Symptoms(conflict.to_owned()));
        }
        let since = args.since.map(day).transpose()?;
        return Ok(SymptomMemo::new(day(today)?, since, symptoms).to_memo());
    };
    let digits = args.memo_hex.as_deref().unwrap_or_default();
    let data = base16ct::mixed::decode_vec(digits).map_err(|_| {
        CliError::Symptoms("--memo-hex takes pairs of hexadecimal digits".to_owned())
    })?;
    Memo::new(MemoType::new(kind), data).map_err(CliError::Memo)
}

/// A day in the form of memos, by the second at which it begins in UTC.
fn day(date: Date) -> Result<Day, CliError> {
    let start = date.to_zoned_datetime(TimeZone::UTC);
    let start = start.map_err(|_| {
        CliError::Symptoms("that day is outside the range of the calendar".to_owned())
    })?;
    Ok(Day::of(local_time::unix_seconds(start.timestamp())))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::time;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        memo: MemoArgs,
    }

    fn of(words: &[&str]) -> Result<Memo, String> {
        let line = Line::try_parse_from([&["x"], words].concat()).map_err(|e| e.to_string())?;
        memo(&line.memo, today()).map_err(|error| error.to_string())
    }

    fn today() -> Date {
        time::now().date()
    }

    #[test]
    fn symptoms_become_a_memo_of_days() {
        let since = ["--symptoms", "dry-cough,mild-fever", "--since", "3d"];
        let made = of(&since).unwrap();
        assert_eq!((made.kind(), made.data().len()), (MemoType::COEPI_V1, 20));
        assert_eq!(made.concerns(1), []);
        let says = crate::memo::reading(&made).unwrap();
        let felt = today().saturating_sub(jiff::ToSpan::days(3));
        let expected = format!("dry cough, mild fever, since {felt}, reported {}", today());
        assert_eq!(says, expected);
        let none = of(&["--symptoms", "none"]).unwrap();
        let says = crate::memo::reading(&none).unwrap();
        assert!(says.starts_with("no symptoms, reported "), "{says}");
    }

    #[test]
    fn other_memos_are_bytes() {
        let made = of(&["--memo-type", "7", "--memo-hex", "00fF10"]).unwrap();
        assert_eq!((made.kind().get(), made.data()), (7, &[0, 255, 16][..]));
        assert_eq!(of(&["--memo-type", "7"]).unwrap().data(), b"");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &[][..],
            &["--symptoms", "dry-cough,wet-cough"],
            &["--symptoms", "mild-fever,serious-fever"],
            &["--symptoms", "none,other"],
            &["--symptoms", "plague"],
            &["--symptoms", "other", "--memo-type", "1"],
            &["--since", "3d"],
            &["--symptoms", "other", "--since", "2100-01-01"],
            &["--symptoms", "other", "--since", "1900-01-01"],
            &["--symptoms", "other", "--since", "15d"],
            &["--symptoms", "none", "--since", "today"],
            &["--memo-hex", "00"],
            &["--memo-type", "256"],
            &["--memo-type", "1", "--memo-hex", "0"],
            &["--memo-type", "1", "--memo-hex", "0g"],
            &["--memo-type", "1", "--memo-hex", "ää"],
            &["--memo-type", "1", "--memo-hex", &"00".repeat(256)],
        ] {
            assert!(of(words).is_err(), "{words:?}");
        }
    }
}
