//! The paths on this machine. This is the only file that reads the environment.
//!
//! Under systemd, `StateDirectory=tcnd` creates the directory, with its mode and owner,
//! and passes it in `$STATE_DIRECTORY` (systemd.exec(5)). Started by hand, the program
//! uses the person's own directory, by the XDG base directory rules.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Diagnostic, DiagnosticKind};

/// The directories of fragments; later directories override earlier ones.
pub const FRAGMENT_DIRECTORIES: [&str; 3] = [
    "/usr/lib/tcnd/config.d",
    "/etc/tcnd/config.d",
    "/run/tcnd/config.d",
];

/// The directories of sources of reports, in the same order.
pub const SOURCE_DIRECTORIES: [&str; 3] = [
    "/usr/lib/tcnd/sources.d",
    "/etc/tcnd/sources.d",
    "/run/tcnd/sources.d",
];

/// There is no directory for the state.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no state directory: there is no home directory; give one with --state-dir")]
pub struct NoStateDirectory;

/// The state directory of `program`: `flag`, else the first of `$STATE_DIRECTORY`, else
/// the person's own XDG state directory. It need not exist yet.
///
/// # Errors
/// If none of the three is set.
pub fn state_directory(program: &str, flag: Option<&Path>) -> Result<PathBuf, NoStateDirectory> {
    let given = variable("STATE_DIRECTORY");
    flag.map(Path::to_owned)
        .or_else(|| given.as_ref().and_then(first_path))
        .or_else(|| own_state_directory(program))
        .ok_or(NoStateDirectory)
}

/// The directory for data that do not outlive the service: the first of
/// `$RUNTIME_DIRECTORY`; `None` outside of systemd.
pub fn runtime_directory() -> Option<PathBuf> {
    variable("RUNTIME_DIRECTORY").as_ref().and_then(first_path)
}

/// A variable of the locale, such as `LC_ALL` (locale(7)); `None` if it is not set, or
/// is not text.
pub fn locale_variable(name: &str) -> Option<String> {
    variable(name)?.into_string().ok()
}

/// The path of a credential of this service. systemd puts the credentials that it is
/// configured to load there, for this service alone (systemd.exec(5), "Credentials").
/// `None` outside of systemd, or where it loaded none; the file need not exist.
pub fn credential(name: &str) -> Option<PathBuf> {
    let directory = variable("CREDENTIALS_DIRECTORY");
    directory.map(|directory| Path::new(&directory).join(name))
}

/// Fragments in the order they are applied. A missing directory counts as empty.
pub(super) fn fragments<'a>(
    directories: impl IntoIterator<Item = &'a Path>,
) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut by_name = BTreeMap::new();
    for directory in directories {
        let listed = list(directory)
            .map_err(|source| Diagnostic::in_file(directory, DiagnosticKind::Unreadable(source)))?;
        by_name.extend(listed.into_iter().map(|name| {
            let path = directory.join(&name);
            (name, path)
        }));
    }
    Ok(by_name.into_values().collect())
}

/// Names of the fragments in a directory. Hidden files are left out: editors leave
/// them.
fn list(directory: &Path) -> io::Result<Vec<OsString>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let visible = !name.as_encoded_bytes().starts_with(b".");
        if visible && Path::new(&name).extension().is_some_and(|e| e == "toml") {
            names.push(name);
        }
    }
    Ok(names)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place where the environment is read"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// systemd separates several directories by colons; the first is ours.
fn first_path(given: &OsString) -> Option<PathBuf> {
    std::env::split_paths(given).find(|path| !path.as_os_str().is_empty())
}

fn own_state_directory(program: &str) -> Option<PathBuf> {
    let own = directories::ProjectDirs::from("", "", program)?;
    own.state_dir().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_later_file_of_a_name_replaces_the_earlier_and_names_set_the_order() {
        let root = tempfile::tempdir().unwrap();
        let dirs: Vec<_> = ["usr", "etc", "run"]
            .iter()
            .map(|d| root.path().join(d))
            .collect();
        fs::create_dir(&dirs[0]).unwrap();
        fs::create_dir(&dirs[1]).unwrap();
        for (dir, name) in [
            (0, "10-a.toml"),
            (0, "50-b.toml"),
            (1, "50-b.toml"),
            (1, "05-z.toml"),
            (1, ".60-c.toml"),
            (1, "60-c.toml~"),
            (1, "README"),
        ] {
            fs::write(dirs[dir].join(name), "").unwrap();
        }
        let found = fragments(dirs.iter().map(PathBuf::as_path)).unwrap();
        let expected = [
            dirs[1].join("05-z.toml"),
            dirs[0].join("10-a.toml"),
            dirs[1].join("50-b.toml"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_directory_that_is_a_file_is_a_fault() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(fragments([file.path()]).is_err());
    }

    #[test]
    fn the_flag_wins_and_the_first_of_several_is_taken() {
        let flag = Path::new("/somewhere");
        assert_eq!(state_directory("tcnd", Some(flag)).unwrap(), flag);
        let given = OsString::from("/var/lib/tcnd:/var/lib/other");
        assert_eq!(first_path(&given).unwrap(), Path::new("/var/lib/tcnd"));
        assert_eq!(first_path(&OsString::new()), None);
    }
}
