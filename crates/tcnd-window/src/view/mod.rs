//! What each page says. Pure: what tcnd said and the time in, texts out.
//!
//! No text here is markup. What others wrote is made printable, and is cut to a length.

pub(crate) mod encounters;
pub(crate) mod exposures;
pub(crate) mod own_reports;
pub(crate) mod report;
pub(crate) mod status;

/// The longest text of a stranger that is shown, in characters.
const LONGEST: usize = 200;

/// A text that others wrote, to be shown in quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("“{}”", foreign(text))
}

/// A text that others wrote, made printable and short.
pub(crate) fn foreign(text: &str) -> String {
    let clean = printable::clean(text);
    if clean.chars().count() <= LONGEST {
        return clean;
    }
    let mut short: String = clean.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}

/// A row: a title, and what stands below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextRow {
    pub(crate) title: String,
    pub(crate) subtitle: String,
}

impl TextRow {
    pub(crate) fn new(title: impl Into<String>, subtitle: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            subtitle: subtitle.into(),
        }
    }
}

/// A count with its noun: `1 number`, `2 numbers`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_strangers_are_short_and_printable() {
        assert_eq!(quoted("<b>\u{202e}x\u{1b}[2J"), "“<b> x [2J”");
        let long = foreign(&"ä".repeat(4096));
        assert_eq!(long.chars().count(), LONGEST);
        assert!(long.ends_with('…'));
        assert_eq!(foreign(&"ä".repeat(LONGEST)).chars().count(), LONGEST);
    }
}
