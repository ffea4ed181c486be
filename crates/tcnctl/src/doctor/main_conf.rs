//! bluetoothd's main.conf: its settings, and how to correct them.
//!
//! BlueZ: src/main.c, `load_config`; src/main.conf, which distributions ship
//! with every default in a comment.

use std::io;
use std::path::{Path, PathBuf};

use super::check::DoctorCheck;
use bluez_mgmt::key_file::{BadLine, KeyFile, KeyLocation};

pub(crate) use bluez_mgmt::configured::MAIN_CONF as PATH;

/// The group of most keys.
pub(crate) const GENERAL: &str = "General";

/// The group of keys for Bluetooth Low Energy.
pub(crate) const LE: &str = "LE";

/// The file as it is now. bluetoothd read it when it started.
#[derive(Debug)]
pub(crate) struct MainConf {
    path: PathBuf,
    content: FileContent,
}

#[derive(Debug)]
enum FileContent {
    Absent,
    Unreadable(io::Error),
    /// bluetoothd ignores the whole file because of this line.
    Broken(usize),
    Read(KeyFile),
}

impl MainConf {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Self {
        let content = match std::fs::read(path) {
            Ok(bytes) => FileContent::of(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => FileContent::Absent,
            Err(error) => FileContent::Unreadable(error),
        };
        let path = path.to_owned();
        Self { path, content }
    }

    /// The value that bluetoothd uses; `None` is its default, or unknown.
    pub(crate) fn value(&self, group: &str, key: &str) -> Option<&str> {
        match &self.content {
            FileContent::Read(file) => file.value(group, key),
            FileContent::Absent | FileContent::Unreadable(_) | FileContent::Broken(_) => None,
        }
    }

    /// The same for a switch.
    pub(crate) fn switch(&self, group: &str, key: &str) -> Option<bool> {
        match self.value(group, key)?.trim_ascii_end() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// The same for a number, as `strtol` reads it with base 0.
    pub(crate) fn number(&self, group: &str, key: &str) -> Option<u32> {
        let text = self.value(group, key)?;
        if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            return u32::from_str_radix(digits, 16).ok();
        }
        match text.strip_prefix('0') {
            Some(digits) if !digits.is_empty() => u32::from_str_radix(digits, 8).ok(),
            Some(_) | None => text.parse().ok(),
        }
    }

    /// The location of the setting, as `FILE:LINE`.
    pub(crate) fn location(&self, group: &str, key: &str) -> Option<String> {
        match &self.content {
            FileContent::Read(file) => match file.location(group, key) {
                KeyLocation::Set(line) => Some(format!("{}:{line}", printable::path(&self.path))),
                KeyLocation::Commented(_) | KeyLocation::Below(_) | KeyLocation::Nowhere => None,
            },
            FileContent::Absent | FileContent::Unreadable(_) | FileContent::Broken(_) => None,
        }
    }

    /// The verdict on the settings, or `unchecked` if they are unknown.
    pub(crate) fn judge(
        &self,
        name: &'static str,
        judge: impl FnOnce(&Self) -> DoctorCheck,
    ) -> DoctorCheck {
        match &self.content {
            FileContent::Unreadable(_) => {
                let path = printable::path(&self.path);
                DoctorCheck::unchecked(name, format!("{path} cannot be read"))
            }
            FileContent::Absent | FileContent::Broken(_) | FileContent::Read(_) => judge(self),
        }
    }

    /// The verdict on the file itself.
    pub(crate) fn check(&self) -> DoctorCheck {
        let path = printable::path(&self.path);
        match &self.content {
            FileContent::Absent => DoctorCheck::ok(
                "main-conf",
                format!("there is no {path}, so bluetoothd uses its defaults"),
            ),
            FileContent::Unreadable(error) => {
                DoctorCheck::unchecked("main-conf", format!("{path} cannot be read: {error}"))
            }
            FileContent::Broken(line) => DoctorCheck::warn(
                "main-conf",
                format!("bluetoothd ignores all of {path} because of line {line}"),
                format!(
                    "{path}:{line}: write a [section], a Key = value or a # comment there, then: \
                     systemctl restart bluetooth"
                ),
            ),
            FileContent::Read(_) => DoctorCheck::ok("main-conf", format!("is {path}")),
        }
    }

    /// The change to make in the file, and how to make bluetoothd read it.
    pub(crate) fn cure(&self, group: &str, wanted: &[(&str, &str)]) -> String {
        let changes: Vec<_> = wanted
            .iter()
            .map(|(key, value)| self.change(group, key, value))
            .collect();
        format!("{}, then: systemctl restart bluetooth", changes.join("; "))
    }

    fn change(&self, group: &str, key: &str, value: &str) -> String {
        let path = printable::path(&self.path);
        let text = format!("\"{key} = {value}\"");
        match &self.content {
            FileContent::Absent => format!("create {path} with the lines \"[{group}]\" and {text}"),
            FileContent::Unreadable(_) => format!("write {text} below \"[{group}]\" of {path}"),
            FileContent::Broken(line) => {
                format!("{path}:{line}: correct this line; write {text} below \"[{group}]\"")
            }
            FileContent::Read(file) => match file.location(group, key) {
                KeyLocation::Set(line) => {
                    format!("{path}:{line}: write {text} there, and nothing after it")
                }
                KeyLocation::Commented(line) => {
                    format!("{path}:{line}: write {text} there, without the \"#\"")
                }
                KeyLocation::Below(line) => {
                    format!("{path}:{line}: write {text} below \"[{group}]\"")
                }
                KeyLocation::Nowhere => format!("{path}: add the lines \"[{group}]\" and {text}"),
            },
        }
    }
}

impl FileContent {
    fn of(text: &str) -> Self {
        match KeyFile::parse(text) {
            Ok(file) => Self::Read(file),
            Err(BadLine(line)) => Self::Broken(line),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::check::CheckVerdict;
    use super::*;

    /// main.conf with this text.
    pub(crate) fn saying(text: &str) -> MainConf {
        MainConf {
            path: PATH.into(),
            content: FileContent::of(text),
        }
    }

    /// A file without permission to read it.
    pub(crate) fn unreadable() -> MainConf {
        let content = FileContent::Unreadable(io::ErrorKind::PermissionDenied.into());
        MainConf {
            path: PATH.into(),
            content,
        }
    }

    /// A file that does not exist.
    pub(crate) fn absent() -> MainConf {
        MainConf {
            path: PATH.into(),
            content: FileContent::Absent,
        }
    }

    fn cure(conf: &MainConf) -> String {
        conf.cure(GENERAL, &[("Privacy", "device")])
    }

    #[test]
    fn the_cure_names_the_line() {
        let cases = [
            (
                saying("[General]\nPrivacy = off"),
                "/etc/bluetooth/main.conf:2: write \"Privacy = device\" there, and nothing after it",
            ),
            (
                saying("[General]\n\n#Privacy = off"),
                "/etc/bluetooth/main.conf:3: write \"Privacy = device\" there, without the \"#\"",
            ),
            (
                saying("\n[General]"),
                "/etc/bluetooth/main.conf:2: write \"Privacy = device\" below \"[General]\"",
            ),
            (
                saying(""),
                "/etc/bluetooth/main.conf: add the lines \"[General]\" and \"Privacy = device\"",
            ),
            (
                absent(),
                "create /etc/bluetooth/main.conf with the lines \"[General]\" and \"Privacy = device\"",
            ),
            (
                unreadable(),
                "write \"Privacy = device\" below \"[General]\" of /etc/bluetooth/main.conf",
            ),
            (
                saying("[General]\noops"),
                "/etc/bluetooth/main.conf:2: correct this line; write \"Privacy = device\" below \"[General]\"",
            ),
        ];
        for (conf, expected) in cases {
            let restart = ", then: systemctl restart bluetooth";
            assert_eq!(cure(&conf), format!("{expected}{restart}"));
        }
    }

    #[test]
    fn a_file_that_bluetoothd_ignores_sets_nothing() {
        let broken = saying("[General]\nPrivacy = device\noops");
        assert_eq!(broken.value(GENERAL, "Privacy"), None);
        assert_eq!(broken.location(GENERAL, "Privacy"), None);
        let check = broken.check();
        assert_eq!(check.verdict, CheckVerdict::Warn);
        assert!(check.cure.unwrap().contains("main.conf:3:"));
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_off_as_the_default() {
        let judged = unreadable().judge("x", |_| DoctorCheck::ok("x", ""));
        assert_eq!(judged.verdict, CheckVerdict::Unchecked);
        assert_eq!(unreadable().check().verdict, CheckVerdict::Unchecked);
        let judged = absent().judge("x", |_| DoctorCheck::ok("x", ""));
        assert_eq!(judged.verdict, CheckVerdict::Ok);
        assert!(absent().check().found.contains("uses its defaults"));
    }

    #[test]
    fn numbers_and_switches_are_those_of_bluetoothd() {
        let number = |text| saying(&format!("[LE]\nA = {text}")).number(LE, "A");
        for (text, expected) in [
            ("0", Some(0)),
            ("00", Some(0)),
            ("0x140", Some(320)),
            ("010", Some(8)),
            ("320", Some(320)),
            ("320 ", None),
            ("", None),
            ("ten", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
        let switch = |text| saying(&format!("[General]\nA = {text}")).switch(GENERAL, "A");
        assert_eq!(switch("false  "), Some(false));
        assert_eq!(switch("true"), Some(true));
        assert_eq!(switch("no"), None);
    }

    #[test]
    fn files_are_found_missing_or_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.conf");
        assert!(matches!(MainConf::read(&path).content, FileContent::Absent));
        std::fs::write(&path, b"[General]\nName = \xff\nPrivacy = device\n").unwrap();
        let read = MainConf::read(&path);
        assert_eq!(read.value(GENERAL, "Privacy"), Some("device"));
        let unreadable = MainConf::read(folder.path());
        assert!(matches!(unreadable.content, FileContent::Unreadable(_)));
    }
}
