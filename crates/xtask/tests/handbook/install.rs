//! `make install` and `make uninstall`, into an empty folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{names, path, programs, read, said};

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
    for (install, uninstall, settings) in [
        ("install", "uninstall", "/etc/tcnd/tcnd-sync.env"),
        (
            "install-indicator",
            "uninstall-indicator",
            "/etc/xdg/autostart/org.tcncoalition.Tcnd1.Indicator.desktop",
        ),
        ("install-kiosk", "uninstall-kiosk", "/etc/tcnd/kiosk.toml"),
        (
            "install-server",
            "uninstall-server",
            "/etc/tcnd/reportd.toml",
        ),
    ] {
        let system = System::new();
        system.make(install);
        assert!(system.files().len() > 3, "{install}");
        let place = system.root.path().join(&settings[1..]);
        fs::write(&place, "mine").unwrap();
        system.make(install);
        system.make(uninstall);
        assert_eq!(system.files(), BTreeSet::from([settings.to_owned()]));
        assert_eq!(fs::read_to_string(place).unwrap(), "mine");
    }
}

/// All may be installed on one machine, and one removed.
#[test]
fn no_part_shares_a_file_with_the_rest() {
    let system = System::new();
    system.make("install");
    let rest = system.files();
    for (install, uninstall) in [
        ("install-server", "uninstall-server"),
        ("install-indicator", "uninstall-indicator"),
        ("install-kiosk", "uninstall-kiosk"),
    ] {
        system.make(install);
        system.make(uninstall);
    }
    let mut left = system.files();
    left.retain(|file| rest.contains(file) || !file.starts_with("/etc/"));
    assert_eq!(left, rest);
}

#[test]
fn everything_that_ships_is_installed() {
    let system = System::new();
    system.make("install");
    system.make("install-server");
    system.make("install-indicator");
    system.make("install-kiosk");
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

/// Every path below /usr in pages and units exists afterwards.
#[test]
fn what_pages_name_is_installed() {
    let system = System::new();
    system.make("install");
    system.make("install-server");
    system.make("install-indicator");
    system.make("install-kiosk");
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
