//! Makes foreign text safe to show.
//!
//! A file name, a label, a reason or an answer of a server may hold characters that
//! control a terminal (ESC), that reverse the order of the text after them (U+202E),
//! that are invisible (U+200B), or that begin a line which looks like one of our own.
//! Code that shows such text uses [`line()`]. Code that accepts it calls [`is_line`] or
//! [`clean`].
//!
//! These are replaced: control characters and line separators (Unicode's general
//! categories Cc, Zl and Zp), and characters that are invisible or change the direction
//! (the property Default_Ignorable_Code_Point of DerivedCoreProperties.txt without the
//! variation selectors, which only choose how an emoji looks; and the annotations,
//! U+FFF9 to U+FFFB). Letters of every script stay.

use std::fmt::{self, Display, Write};
use std::path::Path;

/// The replacement of a character that is not shown.
const REPLACEMENT: char = ' ';

/// Whether this character is visible, or is a plain space.
pub fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Whether all of a text can be shown on one line as it is.
pub fn is_line(text: &str) -> bool {
    text.chars().all(is_printable)
}

/// The longest text of one line that a person or a program gives, in bytes: a label, a
/// note, a reason, the detail of a problem.
pub const MAX_TEXT: usize = 256;

/// Whether a text has at most [`MAX_TEXT`] bytes and can be shown on one line as it is.
pub fn is_short_line(text: &str) -> bool {
    text.len() <= MAX_TEXT && is_line(text)
}

/// Cuts a text to [`MAX_TEXT`] bytes.
pub fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
}

/// The text with a space for every character that is not [printable](is_printable).
pub fn clean(text: &str) -> String {
    line(text).to_string()
}

/// The name of a file as the label of a source of reports: one line of at most [`MAX_TEXT`]
/// bytes, with U+FFFD for every character that is not [printable](is_printable).
pub fn file_label(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy();
    let mut label = name.replace(|c| !is_printable(c), "\u{fffd}");
    shorten(&mut label);
    label
}

/// Shows foreign text on one line.
pub const fn line<T: Display>(text: T) -> Printable<T> {
    Printable { text, lines: false }
}

/// Shows the name of a file on one line.
pub fn path(path: &Path) -> Printable<impl Display + '_> {
    line(path.display())
}

/// Shows our own text, in several lines, that may contain foreign text.
pub const fn lines<T: Display>(text: T) -> Printable<T> {
    Printable { text, lines: true }
}

/// Text that is shown without the characters that are not printable.
#[derive(Clone, Copy, Debug)]
pub struct Printable<T> {
    text: T,
    /// Ends of lines stay.
    lines: bool,
}

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines;
        write!(Filter { out: f, lines }, "{}", self.text)
    }
}

/// Passes the characters that may be shown.
struct Filter<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    lines: bool,
}

impl Write for Filter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        let shown = is_printable(c) || (self.lines && c == '\n');
        self.out.write_char(if shown { c } else { REPLACEMENT })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Characters that control a terminal, that reverse text, or that are invisible.
    const HOSTILE: [char; 24] = [
        '\0',
        '\t',
        '\n',
        '\r',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{feff}',
        '\u{fff9}',
        '\u{e0001}',
        '\u{e007f}',
    ];

    #[test]
    fn what_steers_or_hides_is_not_shown() {
        for c in HOSTILE {
            let text = format!("a{c}b");
            assert_eq!(clean(&text), "a b", "{c:?}");
            assert!(!is_line(&text), "{c:?}");
        }
        assert_eq!(lines("a\nb\r\u{202e}").to_string(), "a\nb  ");
    }

    #[test]
    fn letters_of_every_script_stay() {
        let text = "Müller, Ελλάδα, Привет, שלום, مرحبا, हिन्दी, 日本語, 한국어, 😀 — …";
        assert_eq!(clean(text), text);
        assert!(is_line(text));
    }

    #[test]
    fn a_file_that_is_not_named_in_utf_8_is_shown_too() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"a\xff\x1b]0;b");
        assert_eq!(path(Path::new(name)).to_string(), "a\u{fffd} ]0;b");
    }

    #[test]
    fn a_label_is_one_short_line() {
        let name = format!("/tmp/a\n\u{202e}{}.tcn", "x".repeat(300));
        let label = file_label(Path::new(&name));
        assert!(is_short_line(&label) && label.starts_with("a\u{fffd}\u{fffd}x"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_a_line_and_as_long(text in "\\PC*|.*") {
            let shown = clean(&text);
            prop_assert!(is_line(&shown));
            prop_assert_eq!(shown.chars().count(), text.chars().count());
            prop_assert_eq!(is_line(&text), shown == text);
        }
    }
}
