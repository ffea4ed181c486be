//! What a command has to say, once, as text or as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::error::{CliError, Exit};

/// Facts for standard output, and how the program ends.
#[derive(Debug)]
pub(super) struct Answer {
    output: String,
    exit: Exit,
}

impl Answer {
    /// The document itself as one line of JSON, or what `text` makes of it.
    pub(super) fn new<T: Serialize>(
        json: bool,
        document: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Self {
        let output = if json {
            to_json(document)
        } else {
            text(document)
        };
        Self {
            output,
            exit: Exit::Done,
        }
    }

    /// Nothing: standard output has been used for what was asked.
    pub(super) const fn silent() -> Self {
        Self {
            output: String::new(),
            exit: Exit::Done,
        }
    }

    /// The same facts, but they are not good.
    pub(super) fn failed_unless(self, good: bool) -> Self {
        Self {
            exit: if good { self.exit } else { Exit::Failed },
            ..self
        }
    }

    /// Writes it down.
    pub(super) fn deliver(&self) -> Result<Exit, CliError> {
        if !self.output.is_empty() {
            emit(&self.output)?;
        }
        Ok(self.exit)
    }
}

/// Whether the reader is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Listening,
    Gone,
}

/// Writes one line, or several, to standard output at once. A reader that has
/// seen enough (`tcnctl … | head`) is no error.
pub(super) fn emit(text: &str) -> Result<Reader, CliError> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(Reader::Listening),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(CliError::Output(error)),
    }
}

/// One line of JSON.
pub(super) fn to_json<T: Serialize>(document: &T) -> String {
    serde_json::to_string(document).expect("documents have text keys and no failing parts")
}
