//! The output of a command, as text or as JSON.

use std::fmt::Write as _;
use std::io::{self, Write};

use printable::{self, is_printable};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::error::{CliError, Exit};
use crate::locale;

/// Output for standard output, and the exit status.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    output: String,
    exit: Exit,
}

impl CommandOutput {
    /// The document as one line of JSON, or the output of `text` for it.
    pub(crate) fn new<T: Serialize>(
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

    /// No output: standard output carries the requested data already.
    pub(crate) const fn none() -> Self {
        Self {
            output: String::new(),
            exit: Exit::Done,
        }
    }

    /// The same output, with exit status 1 unless `good`.
    pub(crate) fn failed_unless(self, good: bool) -> Self {
        Self {
            exit: if good { self.exit } else { Exit::Failed },
            ..self
        }
    }

    /// Writes the output.
    pub(crate) fn print(&self) -> Result<Exit, CliError> {
        if !self.output.is_empty() {
            print(&self.output)?;
        }
        Ok(self.exit)
    }
}

/// Whether standard output still has a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StdoutState {
    Open,
    Closed,
}

/// Writes one or more lines to standard output at once. A reader that stops reading
/// (`tcnctl … | head`) is not an error. Control characters are never written to the
/// terminal, whatever their source.
pub(crate) fn print(text: &str) -> Result<StdoutState, CliError> {
    let mut out = io::stdout().lock();
    let text = locale::drawn(text.trim_end());
    let written = writeln!(out, "{}", printable::lines(text)).and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(StdoutState::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(StdoutState::Closed),
        Err(error) => Err(CliError::Output(error)),
    }
}

/// Waits until standard output has no reader: its pipe, socket or terminal is closed
/// (poll(2), POLLERR and POLLHUP). Never completes for a file.
pub(crate) async fn stdout_closed() {
    let (sender, receiver) = oneshot::channel();
    // A separate thread: whether a runtime can wait for it depends on the type of
    // standard output.
    std::thread::spawn(move || {
        let out = io::stdout();
        loop {
            let mut fds = [PollFd::new(&out, PollFlags::empty())];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => {}
                Err(_) => return,
                Ok(_) if fds[0].revents().is_empty() => {}
                Ok(_) => {
                    // The waiting task may have ended.
                    let _ = sender.send(());
                    return;
                }
            }
        }
    });
    if receiver.await.is_err() {
        std::future::pending().await
    }
}

/// A count with its noun, such as `1 number` or `2 numbers`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// One line of JSON. Characters that are not printable are written as escapes, which
/// mean the same (RFC 8259, section 7): documents are read on terminals as well.
pub(crate) fn to_json<T: Serialize>(document: &T) -> String {
    let json =
        serde_json::to_string(document).expect("documents have text keys and no failing parts");
    if printable::is_line(&json) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_printable(c) {
            escaped.push(c);
        } else {
            // This is within a string of the document: everything else in it is ASCII.
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_printable_and_means_what_was_said() {
        let said = "a\u{1b}]0;b\u{7f}\u{9b}\u{202e}\u{200b}\u{e0041}\n\"ä";
        let json = to_json(&[said]);
        assert!(printable::is_line(&json), "{json}");
        let read: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, [said]);
    }
}
