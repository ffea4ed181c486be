//! A folder as a source: on a kiosk without a network, or on a USB stick that people
//! pass on.
//!
//! Any holder of the stick may have put anything into the folder. Only regular files
//! below the folder are opened, no link is followed (openat2(2),
//! `RESOLVE_NO_SYMLINKS`), and no pipe is waited for.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rand_core::Rng;
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use rustix::path::Arg;
use tcn_exchange::filter::Expected;
use tcn_exchange::interval::Interval;
use tcn_exchange::source::{IntervalFormat, MIRROR_PATH};

/// Files besides the intervals that are read in one run.
const MAX_EXTRA_FILES: usize = 1024;

/// Names that are listed to find them.
const MAX_NAMES: usize = 65_536;

/// The endings of files besides the intervals, in any case.
const EXTENSIONS: [&str; 5] = [".tcn", ".json", ".b64", ".base64", ".hex"];

/// What may follow the ending of a compressed file.
const COMPRESSION_SUFFIXES: [&str; 3] = ["", ".gz", ".zst"];

/// How many endings of ignored files are reported.
const MAX_ENDINGS: usize = 8;

/// An open folder.
pub(super) struct Folder(OwnedFd);

/// A file in the folder, and its length in bytes.
pub(super) type FileWithLength = (File, u64);

/// The files besides the intervals.
#[derive(Debug, Default)]
pub(super) struct ExtraFiles {
    /// The names of the files that are read, in order.
    pub(super) names: Vec<CString>,
    /// Whether `names` is complete.
    pub(super) all: bool,
    /// How many files are not read, judged by their names.
    pub(super) ignored: usize,
    /// The endings of ignored files; a full name may be private.
    pub(super) endings: BTreeSet<String>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let args = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, args, Mode::empty())?))
    }

    /// The file of an interval, if there is one.
    pub(super) fn interval(
        &self,
        interval: Interval,
    ) -> io::Result<Option<(FileWithLength, Expected)>> {
        for (ending, expected) in [
            (IntervalFormat::Tcn, Expected::Stream),
            (IntervalFormat::Json, Expected::JsonArray),
        ] {
            for suffix in COMPRESSION_SUFFIXES {
                let file = ending.file_name(interval);
                let path = format!("{}/{}/{file}{suffix}", MIRROR_PATH[0], MIRROR_PATH[1]);
                if let Some(found) = self.file(path)? {
                    return Ok(Some((found, expected)));
                }
            }
        }
        Ok(None)
    }

    /// All files besides the intervals.
    pub(super) fn extra_files(&self) -> io::Result<ExtraFiles> {
        let mut extra_files = ExtraFiles::default();
        let mut seen = 0;
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            seen += 1;
            if seen > MAX_NAMES {
                break;
            }
            let name = entry.file_name();
            // A file being written is hidden until it is complete.
            if name.to_bytes().starts_with(b".") || name.to_bytes() == MIRROR_PATH[0].as_bytes() {
                continue;
            }
            if is_report_name(&name.to_string_lossy()) {
                extra_files.names.push(name.to_owned());
            } else {
                extra_files.ignored += 1;
                let ending = ending(&name.to_string_lossy());
                extra_files
                    .endings
                    .extend(ending.filter(|_| extra_files.endings.len() < MAX_ENDINGS));
            }
        }
        extra_files.names.sort_unstable();
        extra_files.all = seen <= MAX_NAMES && extra_files.names.len() <= MAX_EXTRA_FILES;
        extra_files.names.truncate(MAX_EXTRA_FILES);
        Ok(extra_files)
    }

    /// A regular file below the folder; `None` if none has this name.
    pub(super) fn file(&self, path: impl Arg) -> io::Result<Option<FileWithLength>> {
        let args = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = match openat2(self.0.as_fd(), path, args, Mode::empty(), resolve) {
            // A link, or a device without a driver, does not count as a file.
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

/// Whether a name is that of a file of reports. Its ending decides, in any case; the
/// number of a copy and the ending of a compression may follow.
fn is_report_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = without_copy(&name);
    let plain = COMPRESSION_SUFFIXES
        .iter()
        .rev()
        .find_map(|suffix| name.strip_suffix(suffix));
    let plain = without_copy(plain.unwrap_or(name));
    EXTENSIONS.iter().any(|ending| plain.ends_with(ending))
}

/// A name without the number that file managers and browsers add to a copy: `(1)`.
fn without_copy(name: &str) -> &str {
    let number = name
        .trim_end()
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('));
    match number {
        Some((rest, digits))
            if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) =>
        {
            rest.trim_end()
        }
        Some(_) | None => name.trim_end(),
    }
}

/// The ending of a name, if it reveals nothing of the author.
fn ending(name: &str) -> Option<String> {
    let (_, ending) = name.rsplit_once('.')?;
    let is_plain =
        (1..=5).contains(&ending.len()) && ending.bytes().all(|b| b.is_ascii_alphanumeric());
    is_plain.then(|| ending.to_ascii_lowercase())
}

/// Writes a report into the folder at `path`, under a name that reveals nothing. The
/// file is complete or absent, and it is on the disk when this returns.
pub(super) fn put(path: &Path, report: &[u8], rng: &mut impl Rng) -> io::Result<()> {
    let name = format!("{:016x}{:016x}.tcn", rng.next_u64(), rng.next_u64());
    let mut file = tempfile::Builder::new().prefix(".").tempfile_in(path)?;
    file.write_all(report)?;
    // Readable for the next user of the stick; some file systems have no permissions.
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
        let directory = tempfile::tempdir().unwrap();
        let (folder, outside) = (directory.path().join("in"), directory.path().join("out"));
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
        let directory = tempfile::tempdir().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for report in [b"one", b"two"] {
            put(directory.path(), report, &mut rng).unwrap();
        }
        for other in [".hidden.tcn", "README", "x.tcn.part"] {
            fs::write(directory.path().join(other), "x").unwrap();
        }
        let folder = Folder::open(directory.path()).unwrap();
        let extra_files = folder.extra_files().unwrap();
        assert!(extra_files.all);
        let paths: Vec<_> = extra_files
            .names
            .iter()
            .map(|name| directory.path().join(name.to_str().unwrap()))
            .collect();
        let mut reports: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        reports.sort();
        assert_eq!(reports, [b"one", b"two"]);
        assert_eq!(extra_files.ignored, 2, "README and x.tcn.part");
        assert_eq!(extra_files.endings, BTreeSet::from(["part".to_owned()]));
        let mode = fs::metadata(&paths[0]).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o644);
    }

    #[test]
    fn a_crowded_folder_is_seen_as_such() {
        let directory = tempfile::tempdir().unwrap();
        for n in 0..=MAX_EXTRA_FILES {
            fs::write(directory.path().join(format!("{n}.tcn")), "").unwrap();
        }
        let extra_files = Folder::open(directory.path())
            .unwrap()
            .extra_files()
            .unwrap();
        assert_eq!(
            (extra_files.names.len(), extra_files.all),
            (MAX_EXTRA_FILES, false)
        );
    }

    #[test]
    fn a_report_is_found_whatever_a_copy_is_called() {
        for name in [
            "report.tcn",
            "REPORT.TCN",
            "report (1).TCN",
            "report.tcn (2)",
            "report(3).json",
            "report.Json.GZ",
            "report.tcn.gz (1)",
            "report.tcn (1).gz",
            "report.tcn.zst",
            "a.b64",
            "a.base64",
            "a.hex",
            ".tcn",
        ] {
            assert!(is_report_name(name), "{name}");
        }
        for name in [
            "tcn",
            "report.tcn.part",
            "report.gz",
            "x.tcn~",
            "report.tcn (a)",
            "(1)",
            "",
        ] {
            assert!(!is_report_name(name), "{name}");
        }
    }

    #[test]
    fn of_what_is_not_read_only_the_ending_is_told() {
        for (name, told) in [
            ("Anna.JPEG", Some("jpeg")),
            ("a.b.txt", Some("txt")),
            ("no ending", None),
            ("from.somewhere", None),
            ("x.\u{202e}cod", None),
            ("x.", None),
        ] {
            assert_eq!(ending(name).as_deref(), told, "{name}");
        }
    }
}
