//! Durations as people write them: "90s", "15min", "2h 30min", "14d".
//!
//! A bare number has no unit, and a wrong guess here could keep a number on the air for
//! four hours. So there is no default unit. A day is 24 hours.

use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;
use tcn_protocol::UnixTime;
use thiserror::Error;

/// The text is not a duration, or a negative one, or counts in months.
#[derive(Debug, Error)]
#[error("write it like \"90s\", \"15min\", \"6h\" or \"14d\"")]
pub struct NotADuration {
    #[source]
    source: Option<jiff::Error>,
}

/// Reads a duration.
///
/// # Errors
/// If the text is no duration, is negative, or counts in months or years, which have no
/// fixed length.
pub fn parse_duration(text: &str) -> Result<Duration, NotADuration> {
    let signed = SpanParser::new()
        .parse_span(text)
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .map_err(|source| NotADuration {
            source: Some(source),
        })?;
    Duration::try_from(signed).map_err(|_| NotADuration { source: None })
}

/// Writes a duration in the largest unit that divides it, such as "90s", "15min", "6h"
/// or "14d". Fractions of a second are left out.
pub fn spell_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(UnixTime::DAY, "d"), (3600, "h"), (60, "min")];
    units
        .iter()
        .find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length))
        .map_or_else(
            || format!("{seconds}s"),
            |(length, unit)| format!("{}{unit}", seconds / length),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_understood() {
        for (text, seconds) in [
            ("90s", 90),
            ("15min", 900),
            ("15 minutes", 900),
            ("6h", 21_600),
            ("14d", 1_209_600),
            ("2 weeks", 1_209_600),
            ("1h 30min", 5400),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        for text in ["", "900", "-5min", "5min ago", "1 month", "1y", "soon"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spelling_can_be_read_back() {
        for (seconds, text) in [
            (0, "0s"),
            (90, "90s"),
            (60, "1min"),
            (5400, "90min"),
            (86_400, "1d"),
        ] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(spell_duration(duration), text);
            assert_eq!(parse_duration(text).unwrap(), duration);
        }
    }
}
