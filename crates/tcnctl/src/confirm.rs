//! Asks for confirmation before an action that cannot be undone.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};

use crate::error::CliError;

/// The text that must be typed to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// `y` or `yes`.
    Yes,
    /// This phrase.
    Phrase(&'static str),
}

impl Confirmation {
    /// Capital letters and surrounding blanks make no difference.
    fn accepts(self, input: &str) -> bool {
        let input = input.trim();
        match self {
            Self::Yes => ["y", "yes"]
                .iter()
                .any(|word| input.eq_ignore_ascii_case(word)),
            Self::Phrase(phrase) => input.eq_ignore_ascii_case(phrase),
        }
    }
}

impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "y or yes",
            Self::Phrase(phrase) => phrase,
        })
    }
}

/// Shows `text` and asks. Returns an error unless the user types the confirmation.
///
/// Both go to standard error, so that standard output has only results. Without a
/// terminal the action is not done; scripts use `--yes`.
pub(crate) fn ask(text: &str, question: &str, confirmation: Confirmation) -> Result<(), CliError> {
    let mut err = io::stderr().lock();
    let shown = writeln!(err, "{}\n", printable::lines(text))
        .and_then(|()| write!(err, "{question} To continue, type {confirmation}: "));
    shown.and_then(|()| err.flush()).map_err(CliError::Output)?;
    if !io::stdin().is_terminal() {
        let _ = writeln!(err);
        return Err(CliError::NoTerminal);
    }
    let mut input = String::new();
    let read = io::stdin().lock().read_line(&mut input);
    match read {
        Ok(_) if confirmation.accepts(&input) => Ok(()),
        Ok(_) | Err(_) => Err(CliError::NotConfirmed),
    }
}

/// Shows a text without asking.
pub(crate) fn show(text: &str) -> Result<(), CliError> {
    writeln!(io::stderr().lock(), "{}\n", printable::lines(text)).map_err(CliError::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_may_type_as_they_are_used_to() {
        for answer in ["y", "Y", "yes", "YES", "Yes\n", " y "] {
            assert!(Confirmation::Yes.accepts(answer), "{answer:?}");
        }
        for answer in ["", "n", "no", "yess", "ye", "y yes"] {
            assert!(!Confirmation::Yes.accepts(answer), "{answer:?}");
        }
        let phrase = Confirmation::Phrase("destroy everything");
        assert!(phrase.accepts("Destroy everything\n"));
        assert!(!phrase.accepts("yes") && !phrase.accepts("destroy"));
    }
}
