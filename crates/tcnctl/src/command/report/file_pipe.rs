//! Copies a file to tcnd through a pipe, and shows the progress.
//!
//! A thread copies. A pipe holds no more than 64 KiB, so what was written to it is what
//! tcnd has read. On a terminal the progress is shown, four times a second, in one line
//! that is cleared at the end.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::time::timeout;

use crate::error::CliError;

/// Bytes copied at a time: the capacity of a pipe.
const CHUNK: usize = 64 << 10;

/// How often the progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// An open file.
pub(crate) struct FilePipe {
    source: Box<dyn Read + Send>,
    /// Its length in bytes, if it is known.
    length: Option<u64>,
}

impl FilePipe {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        if path == Path::new("-") {
            return Ok(Self {
                source: Box::new(io::stdin()),
                length: None,
            });
        }
        let file = File::open(path).map_err(|error| failed(path, error))?;
        let metadata = file.metadata().map_err(|error| failed(path, error))?;
        if metadata.is_dir() {
            return Err(failed(path, io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self {
            source: Box::new(file),
            length: metadata.is_file().then_some(metadata.len()),
        })
    }

    /// Starts to copy; the returned descriptor is for tcnd.
    pub(crate) fn start(mut self, path: &Path) -> Result<(OwnedFd, Progress), CliError> {
        let (reader, mut writer) = io::pipe().map_err(CliError::Runtime)?;
        let copied = Arc::<AtomicU64>::default();
        let (done, ended) = mpsc::channel();
        let count = Arc::clone(&copied);
        let copy = move || {
            let _ = done.send(copy(&mut self.source, &mut writer, &count));
        };
        let thread = std::thread::Builder::new().name("file-pipe".to_owned());
        thread.spawn(copy).map_err(CliError::Runtime)?;
        let progress = Progress {
            file: path.to_owned(),
            length: self.length,
            copied,
            ended,
        };
        Ok((OwnedFd::from(reader), progress))
    }
}

fn failed(path: &Path, source: io::Error) -> CliError {
    CliError::File {
        file: path.to_owned(),
        source,
    }
}

fn copy(from: &mut dyn Read, to: &mut dyn Write, count: &AtomicU64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // tcnd stopped reading; its reply says why.
        if to.write_all(&chunk[..read]).is_err() {
            return Ok(());
        }
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}

/// The progress of the copy.
pub(crate) struct Progress {
    file: PathBuf,
    length: Option<u64>,
    copied: Arc<AtomicU64>,
    ended: mpsc::Receiver<io::Result<()>>,
}

impl Progress {
    /// Shows the progress on a terminal until `work` is done.
    pub(crate) async fn show_during<T>(&self, work: impl Future<Output = T>) -> T {
        if !io::stderr().is_terminal() {
            return work.await;
        }
        let mut work = pin!(work);
        let mut shown = false;
        loop {
            if let Ok(done) = timeout(SHOW_EVERY, &mut work).await {
                if shown {
                    self.show("");
                }
                return done;
            }
            self.show(&self.line());
            shown = true;
        }
    }

    /// Shows the line; errors of the terminal are ignored.
    fn show(&self, line: &str) {
        // Return to the start of the line and clear it: ECMA-48, CR and EL.
        let mut terminal = io::stderr().lock();
        let _ = write!(terminal, "\r\u{1b}[K{line}");
        let _ = terminal.flush();
    }

    fn line(&self) -> String {
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        let name: String = printable::clean(&name.to_string_lossy())
            .chars()
            .take(40)
            .collect();
        let copied = self.copied.load(Ordering::Relaxed);
        let megabytes = |bytes: u64| format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
        match self.length.filter(|length| *length > 0) {
            Some(length) => {
                let percent = copied.saturating_mul(100) / length;
                const WIDTH: u64 = 20;
                let full = (copied.saturating_mul(WIDTH) / length).min(WIDTH);
                let bar: String = (0..WIDTH)
                    .map(|at| if at < full { '#' } else { '.' })
                    .collect();
                format!("{name} [{bar}] {percent:3} % of {}", megabytes(length))
            }
            None => format!("{name} {}", megabytes(copied)),
        }
    }

    /// An error if the file could not be read, unless tcnd stopped reading before.
    pub(crate) fn read_error(&self, path: &Path) -> Result<(), CliError> {
        // If the copy still waits for its file, tcnd has closed the pipe.
        match self.ended.try_recv() {
            Ok(Err(error)) => Err(failed(path, error)),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(name: &str, length: Option<u64>, copied: u64) -> Progress {
        Progress {
            file: name.into(),
            length,
            copied: Arc::new(AtomicU64::new(copied)),
            ended: mpsc::channel().1,
        }
    }

    #[test]
    fn how_far_it_is() {
        let line = progress("/a/reports.tcn", Some(46_000_000), 23_000_000).line();
        assert_eq!(line, "reports.tcn [##########..........]  50 % of 46.0 MB");
        let line = progress("-", None, 1_250_000).line();
        assert_eq!(line, "- 1.2 MB");
        let line = progress("empty", Some(0), 0).line();
        assert_eq!(line, "empty 0.0 MB");
        let line = progress("\u{1b}]0;x", None, 0).line();
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn a_reader_that_has_enough_is_no_fault_of_the_file() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        let count = AtomicU64::new(0);
        copy(&mut io::repeat(0), &mut writer, &count).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
