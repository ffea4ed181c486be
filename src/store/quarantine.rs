//! Damaged databases: set aside so that they can be repaired by hand, and destroyed
//! after the retention too, because they hold keys and contacts.
//!
//! A file's modification time says when it was set aside, and all it holds is
//! older than that. It is cut to nothing and removed; that is what becomes of a
//! forgotten day in the database as well, whose pages are cut off the file.
//! What a file system keeps in freed blocks is out of reach, and to overwrite
//! them first would reach no further on flash, which writes elsewhere.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use tcn_engine::CLOCK_FLOOR;
use tcn_protocol::UnixTime;

use super::database::{DATABASE, GROWTH};

/// The files of a database, by what follows its name. The growth goes first: without
/// its database it counts nowhere.
const COMPANIONS: [&str; 4] = [GROWTH, "", "-wal", "-shm"];

/// Renames the database to the first free `tcnd.sqlite.damaged-N`.
pub(super) fn quarantine(directory: &Path) -> io::Result<PathBuf> {
    let free = (1u32..).map(|n| directory.join(format!("{DATABASE}.damaged-{n}")));
    let target = free
        .into_iter()
        .find(|path| !path.exists())
        .ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
    for companion in COMPANIONS {
        let mut to = target.clone().into_os_string();
        to.push(companion);
        match std::fs::rename(directory.join(format!("{DATABASE}{companion}")), &to) {
            Ok(()) => date(&File::open(&to)?)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    File::open(directory)?.sync_all()?;
    Ok(target)
}

/// Destroys what was set aside before this time. What was set aside by a clock
/// that was never right is dated now instead: its time begins when it is found.
///
/// One that resists keeps none of the others.
pub(super) fn forget(directory: &Path, before: UnixTime) -> io::Result<()> {
    let outcome = each(directory, |path| forget_one(path, before));
    outcome.and(File::open(directory)?.sync_all())
}

/// Dates now what is dated `from` then on, by a clock that was ahead: its time
/// begins when it is found.
pub(super) fn date_future(directory: &Path, from: UnixTime) -> io::Result<()> {
    each(directory, |path| {
        let file = OpenOptions::new().write(true).open(path)?;
        match unix(file.metadata()?.modified()?) >= from {
            true => date(&file),
            false => Ok(()),
        }
    })
}

fn each(directory: &Path, with: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut outcome = Ok(());
    for entry in directory.read_dir()? {
        let entry = entry?;
        if is_quarantined(&entry.file_name()) {
            outcome = outcome.and(with(&entry.path()));
        }
    }
    outcome
}

fn forget_one(path: &Path, before: UnixTime) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let since = unix(file.metadata()?.modified()?);
    if since < CLOCK_FLOOR {
        date(&file)?;
    } else if since < before {
        file.set_len(0)?;
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Whether this is a name that [`quarantine()`] gives; a copy
/// that a person made beside it is left alone.
fn is_quarantined(name: &OsStr) -> bool {
    let ours = || {
        let rest = name.to_str()?.strip_prefix(DATABASE)?;
        let rest = rest.strip_prefix(".damaged-")?;
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        Some(end > 0 && COMPANIONS.contains(&&rest[end..]))
    };
    ours().unwrap_or(false)
}

/// Sets the modification time to now, by the kernel's own clock.
fn date(file: &File) -> io::Result<()> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    Ok(futimens(file, &times)?)
}

fn unix(time: SystemTime) -> UnixTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    UnixTime(since.map_or(0, |since: Duration| since.as_secs()))
}
