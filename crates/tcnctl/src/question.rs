//! Asks for confirmation before an action that cannot be undone.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};

use super::error::CliError;

/// The text that must be typed to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// `y` or `yes`.
    Yes,
    /// This phrase.
    Phrase(&'static str),
}

impl Agreement {
    /// Capital letters and surrounding blanks make no difference.
    fn is(self, answer: &str) -> bool {
        let answer = answer.trim();
        match self {
            Self::Yes => ["y", "yes"]
                .iter()
                .any(|word| answer.eq_ignore_ascii_case(word)),
            Self::Phrase(phrase) => answer.eq_ignore_ascii_case(phrase),
        }
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "y or yes",
            Self::Phrase(phrase) => phrase,
        })
    }
}

/// Shows `what` and asks. Returns an error unless the agreement is typed.
///
/// Both go to standard error, so that standard output has only results. Without a
/// terminal nothing is done: `--yes` is for that.
pub(super) fn ask(what: &str, question: &str, agreement: Agreement) -> Result<(), CliError> {
    let mut err = io::stderr().lock();
    let shown = writeln!(err, "{}\n", printable::lines(what))
        .and_then(|()| write!(err, "{question} To go on, type {agreement}: "));
    shown.and_then(|()| err.flush()).map_err(CliError::Output)?;
    if !io::stdin().is_terminal() {
        let _ = writeln!(err);
        return Err(CliError::NobodyToAsk);
    }
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(_) if agreement.is(&answer) => Ok(()),
        Ok(_) | Err(_) => Err(CliError::NotAgreed),
    }
}

/// Shows a text without asking.
pub(super) fn show(what: &str) -> Result<(), CliError> {
    writeln!(io::stderr().lock(), "{}\n", printable::lines(what)).map_err(CliError::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_may_type_as_they_are_used_to() {
        for answer in ["y", "Y", "yes", "YES", "Yes\n", " y "] {
            assert!(Agreement::Yes.is(answer), "{answer:?}");
        }
        for answer in ["", "n", "no", "yess", "ye", "y yes"] {
            assert!(!Agreement::Yes.is(answer), "{answer:?}");
        }
        let phrase = Agreement::Phrase("destroy everything");
        assert!(phrase.is("Destroy everything\n"));
        assert!(!phrase.is("yes") && !phrase.is("destroy"));
    }
}
