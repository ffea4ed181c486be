//! A folder as a source: of a kiosk without a network, or on a stick that goes
//! from hand to hand.
//!
//! Whoever had the stick may have put anything there. Nothing is opened but
//! regular files below the folder, no link is followed (openat2(2),
//! `RESOLVE_NO_SYMLINKS`), and no pipe is waited for.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rand_core::Rng;
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

use crate::exchange::interval::Interval;
use crate::exchange::sieve::Expected;
use crate::exchange::source::{Ending, LAYOUT};

/// Files besides the intervals that are looked at in one run.
const MOST_LOOSE: usize = 1024;

/// Names that are listed to find them.
const MOST_NAMES: usize = 65_536;

/// The endings of files besides the intervals.
const LOOSE: [&str; 3] = [".tcn", ".json", ".b64"];

/// A folder that is there.
pub(super) struct Folder(OwnedFd);

/// A file of it, and its length in bytes.
pub(super) type Found = (File, u64);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, flags, Mode::empty())?))
    }

    /// The file of an interval, if there is one.
    pub(super) fn interval(&self, interval: Interval) -> io::Result<Option<(Found, Expected)>> {
        for (ending, expected) in [
            (Ending::Tcn, Expected::Stream),
            (Ending::Json, Expected::JsonArray),
        ] {
            let path = format!("{}/{}/{}", LAYOUT[0], LAYOUT[1], ending.file(interval));
            if let Some(found) = self.file(&path)? {
                return Ok(Some((found, expected)));
            }
        }
        Ok(None)
    }

    /// The names of all files besides, in order, and whether that is all.
    pub(super) fn loose(&self) -> io::Result<(Vec<String>, bool)> {
        let mut names = Vec::new();
        let mut seen = 0;
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            seen += 1;
            if seen > MOST_NAMES {
                break;
            }
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            // What is being written is hidden until it is whole.
            if !name.starts_with('.') && LOOSE.iter().any(|ending| name.ends_with(ending)) {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        let all = seen <= MOST_NAMES && names.len() <= MOST_LOOSE;
        names.truncate(MOST_LOOSE);
        Ok((names, all))
    }

    /// A regular file below the folder; `None` if there is none of this name.
    pub(super) fn file(&self, path: &str) -> io::Result<Option<Found>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = match openat2(self.0.as_fd(), path, flags, Mode::empty(), resolve) {
            // A link, or a device without a driver, is no file of ours.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
            opened => opened?,
        };
        let stat = fstat(&opened)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Some((File::from(opened), length)))
    }
}

/// Puts a report into the folder at `path`, under a name that says nothing. It
/// is there in whole or not at all, and on the disk when this returns.
pub(super) fn put(path: &Path, report: &[u8], rng: &mut impl Rng) -> io::Result<()> {
    let name = format!("{:016x}{:016x}.tcn", rng.next_u64(), rng.next_u64());
    let mut file = tempfile::Builder::new().prefix(".").tempfile_in(path)?;
    file.write_all(report)?;
    // For whoever has the stick next; some file systems have no permissions.
    let _ = file
        .as_file()
        .set_permissions(Permissions::from_mode(0o644));
    file.as_file().sync_all()?;
    file.persist(path.join(name))?;
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn is_there(folder: &Path, name: &str) -> bool {
        let folder = Folder::open(folder).unwrap();
        folder.file(name).unwrap().is_some()
    }

    #[test]
    fn no_link_is_followed_and_no_pipe_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let (folder, outside) = (place.path().join("in"), place.path().join("out"));
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::create_dir(&outside).unwrap();
        for file in [
            folder.join("a.tcn"),
            folder.join("sub/b.tcn"),
            outside.join("c.tcn"),
        ] {
            fs::write(file, "x").unwrap();
        }
        symlink(outside.join("c.tcn"), folder.join("link.tcn")).unwrap();
        symlink("a.tcn", folder.join("inner.tcn")).unwrap();
        symlink(&outside, folder.join("away")).unwrap();
        rustix::fs::mkfifoat(CWD, folder.join("pipe.tcn"), Mode::RUSR | Mode::WUSR).unwrap();
        for name in ["a.tcn", "sub/b.tcn"] {
            assert!(is_there(&folder, name), "{name}");
        }
        for name in [
            "link.tcn",
            "inner.tcn",
            "away/c.tcn",
            "pipe.tcn",
            "sub",
            "none.tcn",
        ] {
            assert!(!is_there(&folder, name), "{name}");
        }
        let way_out = Folder::open(&folder).unwrap().file("../out/c.tcn");
        assert!(way_out.is_err());
    }

    #[test]
    fn what_is_put_there_is_found_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for report in [b"one", b"two"] {
            put(place.path(), report, &mut rng).unwrap();
        }
        for other in [".hidden.tcn", "README", "x.tcn.part"] {
            fs::write(place.path().join(other), "x").unwrap();
        }
        let folder = Folder::open(place.path()).unwrap();
        let (names, all) = folder.loose().unwrap();
        assert!(all);
        let mut reports: Vec<_> = names
            .iter()
            .map(|name| fs::read(place.path().join(name)).unwrap())
            .collect();
        reports.sort();
        assert_eq!(reports, [b"one", b"two"]);
        let mode = fs::metadata(place.path().join(&names[0]))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o644);
    }

    #[test]
    fn a_crowded_folder_is_seen_as_such() {
        let place = tempfile::tempdir().unwrap();
        for n in 0..=MOST_LOOSE {
            fs::write(place.path().join(format!("{n}.tcn")), "").unwrap();
        }
        let (names, all) = Folder::open(place.path()).unwrap().loose().unwrap();
        assert_eq!((names.len(), all), (MOST_LOOSE, false));
    }
}
