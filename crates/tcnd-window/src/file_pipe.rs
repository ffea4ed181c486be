//! Files to and from tcnd, through a pipe.
//!
//! tcnd never gets the file itself: a file system that does not answer stops one thread of
//! this program, and not tcnd.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::oneshot;

/// What became of the copy.
pub(crate) type Copied = oneshot::Receiver<io::Result<u64>>;

/// A pipe from which the file can be read.
///
/// # Errors
/// When there is no pipe or no thread left.
pub(crate) fn reading(path: PathBuf) -> io::Result<(OwnedFd, Copied)> {
    let (reader, mut writer) = io::pipe()?;
    let copied = copying(move || {
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        match io::copy(&mut file, &mut writer) {
            // tcnd read no further; its answer says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            copied => copied,
        }
    })?;
    Ok((reader.into(), copied))
}

/// A pipe whose content becomes the file when it ends. Others cannot read the file.
///
/// # Errors
/// When there is no pipe or no thread left.
pub(crate) fn writing(path: PathBuf) -> io::Result<(OwnedFd, Copied)> {
    let (mut reader, writer) = io::pipe()?;
    let copied = copying(move || {
        let partial = partial(&path);
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        let copied = io::copy(&mut reader, &mut file)?;
        file.flush()?;
        file.sync_all()?;
        if copied == 0 {
            // tcnd refused; there is nothing to keep.
            std::fs::remove_file(&partial)?;
            return Ok(0);
        }
        std::fs::rename(&partial, &path)?;
        Ok(copied)
    })?;
    Ok((writer.into(), copied))
}

/// The name of a file that is not whole yet.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn copying(copy: impl FnOnce() -> io::Result<u64> + Send + 'static) -> io::Result<Copied> {
    let (done, copied) = oneshot::channel();
    let thread = thread::Builder::new().name("file-pipe".to_owned());
    thread.spawn(move || done.send(copy()))?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn ends(copied: Copied) -> io::Result<u64> {
        copied.blocking_recv().expect("the thread answers")
    }

    #[test]
    fn a_file_goes_through_a_pipe_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let content = vec![7; 300_000];
        std::fs::write(&from, &content).unwrap();
        let (pipe, copied) = reading(from).unwrap();
        let mut read = Vec::new();
        File::from(pipe).read_to_end(&mut read).unwrap();
        assert_eq!((read == content, ends(copied).unwrap()), (true, 300_000));
        let (pipe, copied) = writing(to.clone()).unwrap();
        File::from(pipe).write_all(&content).unwrap();
        assert_eq!(ends(copied).unwrap(), 300_000);
        assert_eq!(std::fs::read(&to).unwrap(), content);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_nothing_empty_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, copied) = reading(folder.path().to_owned()).unwrap();
        drop(pipe);
        assert_eq!(
            ends(copied).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
        let (_pipe, copied) = reading(folder.path().join("none")).unwrap();
        assert_eq!(ends(copied).unwrap_err().kind(), io::ErrorKind::NotFound);
        let (pipe, copied) = writing(folder.path().join("to")).unwrap();
        drop(pipe);
        assert_eq!(ends(copied).unwrap(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
