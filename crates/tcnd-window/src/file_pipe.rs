//! Files to and from tcnd, through a pipe.
//!
//! tcnd never gets the file itself: a file system that does not answer stops one thread of
//! this program, and not tcnd.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::NamedTempFile;
use tokio::sync::oneshot;

use crate::client::CallError;

/// What a thread answers.
type Answer<T> = oneshot::Receiver<io::Result<T>>;

/// A file on its way to tcnd.
#[derive(Debug)]
pub(crate) struct Reading(Answer<u64>);

impl Reading {
    /// Why the file could not be read, if that is known already. It explains an error of tcnd,
    /// which saw the pipe end. A file system that does not answer is not waited for.
    pub(crate) fn error(mut self) -> Option<CallError> {
        self.0.try_recv().ok()?.err().map(CallError::other)
    }
}

/// A file that tcnd writes.
#[derive(Debug)]
pub(crate) struct Writing {
    path: PathBuf,
    written: Answer<NamedTempFile>,
}

impl Writing {
    /// Gives the file its name, if tcnd said that it is whole. Otherwise the file is removed.
    ///
    /// # Errors
    /// When the file could not be written, or cannot get its name; otherwise the error of
    /// tcnd, which sees the pipe end where the file cannot be written.
    pub(crate) async fn keep<T>(self, exported: Result<T, CallError>) -> Result<T, CallError> {
        let written = self.written.await.map_err(CallError::other)?;
        let file = written.map_err(CallError::other)?;
        let exported = exported?;
        file.persist(&self.path).map_err(CallError::other)?;
        Ok(exported)
    }
}

/// A pipe from which the file can be read.
///
/// # Errors
/// When there is no pipe or no thread left.
pub(crate) fn reading(path: PathBuf) -> io::Result<(OwnedFd, Reading)> {
    let (reader, mut writer) = io::pipe()?;
    let (answer, answered) = oneshot::channel();
    begin(move || {
        let _ = answer.send(copy(&path, &mut writer));
        // The pipe ends when the reason is known.
        drop(writer);
    })?;
    Ok((reader.into(), Reading(answered)))
}

fn copy(path: &Path, writer: &mut io::PipeWriter) -> io::Result<u64> {
    // A named pipe, or a device, may never end.
    if !path.metadata()?.is_file() {
        let what = "it is not a file; choose a file with reports";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    match io::copy(&mut File::open(path)?, writer) {
        // tcnd read no further; its answer says why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        copied => copied,
    }
}

/// A pipe whose content becomes the file. Others cannot read the file.
///
/// # Errors
/// When there is no pipe or no thread left.
pub(crate) fn writing(path: PathBuf) -> io::Result<(OwnedFd, Writing)> {
    let (mut reader, writer) = io::pipe()?;
    let (answer, written) = oneshot::channel();
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    begin(move || {
        let write = || {
            let mut file = NamedTempFile::new_in(folder)?;
            io::copy(&mut reader, &mut file)?;
            file.flush()?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let _ = answer.send(write());
    })?;
    Ok((writer.into(), Writing { path, written }))
}

fn begin(copy: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name("file-pipe".to_owned());
    thread.spawn(copy).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_file_goes_through_a_pipe_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let content = vec![7; 300_000];
        std::fs::write(&from, &content).unwrap();
        let (pipe, reading) = reading(from).unwrap();
        let mut read = Vec::new();
        File::from(pipe).read_to_end(&mut read).unwrap();
        assert_eq!((read == content, reading.error()), (true, None));
        let (pipe, writing) = writing(to.clone()).unwrap();
        File::from(pipe).write_all(&content).unwrap();
        writing.keep(Ok(())).await.unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), content);
        let mode = to.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_read_is_said_before_the_pipe_ends() {
        let folder = tempfile::tempdir().unwrap();
        for (path, why) in [
            (
                folder.path().to_owned(),
                "it is not a file; choose a file with reports",
            ),
            (
                PathBuf::from("/dev/zero"),
                "it is not a file; choose a file with reports",
            ),
            (
                folder.path().join("none"),
                "No such file or directory (os error 2)",
            ),
        ] {
            let (pipe, reading) = reading(path).unwrap();
            File::from(pipe).read_to_end(&mut Vec::new()).unwrap();
            assert_eq!(reading.error().unwrap().to_string(), why);
        }
    }

    #[tokio::test]
    async fn what_tcnd_did_not_finish_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, writing) = writing(folder.path().join("to")).unwrap();
        File::from(pipe).write_all(b"half").unwrap();
        let refused = Err::<(), _>(CallError::other("refused"));
        let kept = writing.keep(refused.clone()).await;
        assert_eq!(kept, refused);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let gone = folder.path().join("none").join("to");
        let (pipe, writing) = super::writing(gone).unwrap();
        drop(pipe);
        let kept = writing.keep(refused).await.unwrap_err().to_string();
        assert!(kept.starts_with("No such file or directory"), "{kept}");
    }
}
