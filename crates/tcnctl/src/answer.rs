//! The output of a command, as text or as JSON.

use std::fmt::Write as _;
use std::io::{self, Write};

use printable::{self, is_printable};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use tokio::sync::oneshot;

use super::error::{CliError, Exit};
use super::locale;

/// Output for standard output, and the exit status.
#[derive(Debug)]
pub(super) struct Answer {
    output: String,
    exit: Exit,
}

impl Answer {
    /// The document as one line of JSON, or the output of `text` for it.
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

    /// No output: standard output carries the requested data already.
    pub(super) const fn silent() -> Self {
        Self {
            output: String::new(),
            exit: Exit::Done,
        }
    }

    /// The same output, with exit status 1 unless `good`.
    pub(super) fn failed_unless(self, good: bool) -> Self {
        Self {
            exit: if good { self.exit } else { Exit::Failed },
            ..self
        }
    }

    /// Writes the output.
    pub(super) fn deliver(&self) -> Result<Exit, CliError> {
        if !self.output.is_empty() {
            emit(&self.output)?;
        }
        Ok(self.exit)
    }
}

/// Whether the reader still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Listening,
    Gone,
}

/// Writes one or more lines to standard output at once. A reader that stops reading
/// (`tcnctl … | head`) is no error. Control characters are never written to the
/// terminal, whatever their source.
pub(super) fn emit(text: &str) -> Result<Reader, CliError> {
    let mut out = io::stdout().lock();
    let text = locale::drawn(text.trim_end());
    let written = writeln!(out, "{}", printable::lines(text)).and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(Reader::Listening),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(CliError::Output(error)),
    }
}

/// Waits until standard output has no reader: its pipe, socket or terminal is closed
/// (poll(2), POLLERR and POLLHUP). Never completes for a file.
pub(super) async fn reader_left() {
    let (tell, told) = oneshot::channel();
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
                    let _ = tell.send(());
                    return;
                }
            }
        }
    });
    if told.await.is_err() {
        std::future::pending().await
    }
}

/// One line of JSON. Characters that are not printable are written as escapes, which
/// mean the same (RFC 8259, section 7): documents are read on terminals as well.
pub(super) fn to_json<T: Serialize>(document: &T) -> String {
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
