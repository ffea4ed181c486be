//! `make install` and `make uninstall`, into an empty folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{names, path, programs, read, said};

/// What is installed by a target of its own, from `install` to `install-kiosk`.
const PARTS: [&str; 5] = ["", "-server", "-indicator", "-window", "-kiosk"];

/// A folder that stands for the system, and one with the built files.
struct System {
    root: TempDir,
    built: TempDir,
}

impl System {
    fn new() -> Self {
        let (root, built) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        for name in programs() {
            fs::write(built.path().join(name), "").unwrap();
        }
        Self { root, built }
    }

    /// With all that can be installed.
    fn complete() -> Self {
        let system = Self::new();
        for part in PARTS {
            system.make(&format!("install{part}"));
        }
        system
    }

    fn make(&self, target: &str) {
        let mut make = Command::new("make");
        make.arg("-C").arg(path("packaging")).arg(target);
        make.arg(format!("DESTDIR={}", self.root.path().display()));
        make.arg(format!("BUILT={}", self.built.path().display()));
        said(&mut make);
    }

    /// The installed files, as seen on a system.
    fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        walk(self.root.path(), self.root.path(), &mut files);
        files
    }
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            files.insert(format!("/{}", path.strip_prefix(root).unwrap().display()));
        }
    }
}

/// Except for settings, which belong to the administrator once they are installed: the
/// next installation does not replace them, and removal does not delete them.
#[test]
fn what_is_installed_is_uninstalled() {
    for (part, settings) in [
        ("", Some("/etc/tcnd/tcnd-sync.env")),
        (
            "-indicator",
            Some("/etc/xdg/autostart/org.tcncoalition.Tcnd1.Indicator.desktop"),
        ),
        ("-window", None),
        ("-kiosk", Some("/etc/tcnd/kiosk.toml")),
        ("-server", Some("/etc/tcnd/reportd.toml")),
    ] {
        let system = System::new();
        let place = settings.map(|settings| system.root.path().join(&settings[1..]));
        system.make(&format!("install{part}"));
        assert!(system.files().len() > 3, "install{part}");
        if let Some(place) = &place {
            fs::write(place, "mine").unwrap();
        }
        system.make(&format!("install{part}"));
        system.make(&format!("uninstall{part}"));
        let left = settings.map(str::to_owned).into_iter().collect();
        assert_eq!(system.files(), left, "uninstall{part}");
        if let Some(place) = &place {
            assert_eq!(fs::read_to_string(place).unwrap(), "mine");
        }
    }
}

/// All parts may be installed on one machine, and one of them removed.
#[test]
fn no_part_takes_a_file_of_another() {
    let system = System::complete();
    for part in PARTS {
        system.make(&format!("uninstall{part}"));
        let left = system.files();
        for other in PARTS.into_iter().filter(|other| *other != part) {
            let others = System::new();
            others.make(&format!("install{other}"));
            assert!(
                others.files().is_subset(&left),
                "uninstall{part}, install{other}"
            );
        }
        system.make(&format!("install{part}"));
    }
}

#[test]
fn everything_that_ships_is_installed() {
    let system = System::complete();
    let files = system.files();
    let mut expected: Vec<_> = names("packaging/man")
        .into_iter()
        .map(|page| {
            format!(
                "/usr/share/man/man{}/{page}",
                page.rsplit('.').next().unwrap()
            )
        })
        .collect();
    for (folder, place) in [
        ("systemd/system", "/usr/lib/systemd/system"),
        ("systemd/sysusers.d", "/usr/lib/sysusers.d"),
        ("packaging/catalog", "/usr/lib/systemd/catalog"),
        ("packaging/metainfo", "/usr/share/metainfo"),
        ("packaging/autostart", "/etc/xdg/autostart"),
        ("packaging/applications", "/usr/share/applications"),
        ("packaging/mime", "/usr/share/mime/packages"),
        ("dbus/services", "/usr/share/dbus-1/services"),
        (
            "packaging/completions/bash",
            "/usr/share/bash-completion/completions",
        ),
        (
            "packaging/completions/zsh",
            "/usr/share/zsh/vendor-completions",
        ),
        (
            "packaging/completions/fish",
            "/usr/share/fish/vendor_completions.d",
        ),
    ] {
        expected.extend(
            names(folder)
                .into_iter()
                .map(|name| format!("{place}/{name}")),
        );
    }
    let missing: Vec<_> = expected
        .iter()
        .filter(|file| !files.contains(*file))
        .collect();
    assert!(missing.is_empty(), "not installed: {missing:?}");
}

#[test]
fn every_entry_of_a_desktop_has_its_icon() {
    let system = System::complete();
    let files = system.files();
    let entries = files.iter().filter(|file| file.ends_with(".desktop"));
    let mut seen = 0;
    for entry in entries {
        let text = fs::read_to_string(system.root.path().join(&entry[1..])).unwrap();
        let icon = text.lines().find_map(|line| line.strip_prefix("Icon="));
        let icon = icon.unwrap_or_else(|| panic!("{entry}: no Icon"));
        let place = format!("/usr/share/icons/hicolor/scalable/apps/{icon}.svg");
        assert!(files.contains(&place), "{entry}: {place}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}

/// Every path below /usr in pages and units exists afterwards.
#[test]
fn what_pages_name_is_installed() {
    let system = System::complete();
    let pages = names("packaging/man")
        .into_iter()
        .map(|name| format!("packaging/man/{name}"));
    let units = names("systemd/system")
        .into_iter()
        .map(|name| format!("systemd/system/{name}"));
    let mut seen = 0;
    for file in pages.chain(units) {
        let text = read(&file).replace("\\-", "-").replace("\\fR", " ");
        let words = text.split(|c: char| c.is_whitespace() || ",;\"=".contains(c));
        for word in words.filter(|word| word.starts_with("/usr/") && !word.contains('*')) {
            let place = system.root.path().join(word[1..].trim_end_matches('.'));
            assert!(place.exists(), "{file}: {word}");
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} places are named");
}
