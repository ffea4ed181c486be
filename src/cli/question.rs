//! Asking before something that cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

use super::error::CliError;

/// Shows `what` and asks; it goes on only if `word` is typed.
///
/// Both go to standard error, so that standard output stays for facts. Where
/// nobody can answer, nothing is done: `--yes` is for that.
pub(super) fn ask(what: &str, question: &str, word: &str) -> Result<(), CliError> {
    let mut err = io::stderr().lock();
    let shown =
        writeln!(err, "{what}\n").and_then(|()| write!(err, "{question} To go on, type {word}: "));
    shown.and_then(|()| err.flush()).map_err(CliError::Output)?;
    if !io::stdin().is_terminal() {
        let _ = writeln!(err);
        return Err(CliError::NobodyToAsk);
    }
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(_) if answer.trim() == word => Ok(()),
        Ok(_) | Err(_) => Err(CliError::NotAgreed),
    }
}

/// Shows it without asking.
pub(super) fn show(what: &str) -> Result<(), CliError> {
    writeln!(io::stderr().lock(), "{what}\n").map_err(CliError::Output)
}
