//! Which characters the user's terminal can draw, by the locale.
//!
//! The blocks of a histogram are not ASCII. In the C locale, or with a character set
//! other than UTF-8, they would appear as other characters.

use std::borrow::Cow;

/// Bars of one eighth to eight eighths, with their replacements in ASCII.
const BARS: [(char, char); 8] = [
    ('▁', '.'),
    ('▂', ':'),
    ('▃', '-'),
    ('▄', '='),
    ('▅', '+'),
    ('▆', '*'),
    ('▇', '%'),
    ('█', '#'),
];

/// The text with bars that the terminal can draw.
pub(crate) fn drawn(text: &str) -> Cow<'_, str> {
    let is_bar = |c| BARS.iter().any(|(bar, _)| *bar == c);
    if text.contains(is_bar) && !is_utf8(tcnd_config::locale_variable) {
        Cow::Owned(in_ascii(text))
    } else {
        Cow::Borrowed(text)
    }
}

fn in_ascii(text: &str) -> String {
    let plain = |c| {
        let bar = BARS.iter().find(|(bar, _)| *bar == c);
        bar.map_or(c, |(_, plain)| *plain)
    };
    text.chars().map(plain).collect()
}

/// Whether the character set is UTF-8, by the first of these variables that is
/// set and not empty: POSIX.1-2024, Base Definitions, section 8.2. Without any,
/// the locale is C.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let values = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    let mut set = values
        .filter_map(variable)
        .filter(|value| !value.is_empty());
    let Some(locale) = set.next() else {
        return false;
    };
    // language_TERRITORY.charset@modifier
    let charset = locale.split_once('.').map_or("", |(_, charset)| charset);
    let charset = charset.split('@').next().unwrap_or_default();
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_the_character_set() {
        let of = |set: &'static [(&str, &str)]| {
            is_utf8(|name| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(of(&[("LANG", "de_DE.UTF-8")]));
        assert!(of(&[("LANG", "C.utf8")]));
        assert!(of(&[("LANG", "C"), ("LC_CTYPE", "sr_RS.UTF-8@latin")]));
        assert!(of(&[("LC_ALL", ""), ("LANG", "en_GB.UTF-8")]));
        assert!(!of(&[("LANG", "C")]));
        assert!(!of(&[("LANG", "POSIX")]));
        assert!(!of(&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")]));
        assert!(!of(&[("LANG", "de_DE.ISO-8859-1")]));
        assert!(!of(&[]));
    }

    #[test]
    fn bars_are_drawn_in_ascii() {
        assert_eq!(in_ascii("Müller ▁▂▃▄▅▆▇█"), "Müller .:-=+*%#");
    }
}
