//! The privacy setting in bluetoothd's configuration, for a process that may not ask
//! the kernel.
//!
//! In mode broadcast tcnd has no Bluetooth sockets. With privacy on, a broadcast may
//! keep its address while the number changes, so tcnd must still know the setting.
//! bluetoothd sets privacy at its start, from main.conf. The file shows the setting in
//! effect unless a person changed the file since, started bluetoothd with another file
//! (`--configfile`), or set privacy by another program (`btmgmt privacy`). `tcnctl
//! doctor` asks the kernel itself, and so detects these cases.
//!
//! BlueZ: src/main.c, `parse_privacy`, `parse_kernel_exp`; src/adapter.c,
//! `set_privacy`. Kernel: net/bluetooth/mgmt.c, `exp_ll_privacy_feature_changed`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::key_file::KeyFile;
use super::{Privacy, leaves_addresses};

/// The file that bluetoothd reads unless `--configfile` names another.
pub const MAIN_CONF: &str = "/etc/bluetooth/main.conf";

/// The values of `Privacy` that switch it on.
pub const ON: [&str; 5] = [
    "device",
    "network",
    "on",
    "limited-device",
    "limited-network",
];

/// Longer than any main.conf. A longer file is not read.
const LONGEST: u64 = 256 * 1024;

/// The experimental feature by which a kernel before 6.14 leaves addresses to the
/// controller. Kernel: net/bluetooth/mgmt.c, `rpa_resolution_uuid`.
const LL_PRIVACY: &str = "15c0a148-c273-11ea-b3de-0242ac130004";

/// The setting that bluetoothd derives from its main.conf on the running kernel. A file
/// that cannot be read may contain any setting, so privacy is then assumed to be on.
pub fn privacy() -> Privacy {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    of(read(Path::new(MAIN_CONF)).as_deref(), &release)
}

/// The text of a file; empty if there is none.
fn read(path: &Path) -> io::Result<String> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The setting in the text of main.conf, on a kernel of this release.
fn of(text: Result<&str, &io::Error>, release: &str) -> Privacy {
    let by_release = match leaves_addresses(release) {
        true => Privacy::ByController,
        false => Privacy::On,
    };
    let Ok(text) = text else { return by_release };
    // bluetoothd ignores a file that it cannot parse.
    let file = KeyFile::parse(text).unwrap_or_default();
    let is_on = file
        .value("General", "Privacy")
        .is_some_and(|value| ON.contains(&value));
    match is_on {
        false => Privacy::Off,
        true if asks_for_ll_privacy(&file) => Privacy::ByController,
        true => by_release,
    }
}

/// Whether the file switches the kernel's experimental feature on.
fn asks_for_ll_privacy(file: &KeyFile) -> bool {
    let Some(value) = file.value("General", "KernelExperimental") else {
        return false;
    };
    matches!(value.trim_ascii(), "true" | "on") || value.to_ascii_lowercase().contains(LL_PRIVACY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = "6.1.0-28-amd64";
    const FORKY: &str = "7.2.12+deb14-amd64";

    fn said(text: &str) -> [Privacy; 2] {
        [BOOKWORM, FORKY].map(|release| of(Ok(text), release))
    }

    #[test]
    fn privacy_is_off_unless_the_file_switches_it_on() {
        for text in [
            "",
            "[General]\n#Privacy = device\n",
            "[General]\nPrivacy = off\n",
            "[General]\nPrivacy = device # of mine\n",
            "[LE]\nPrivacy = device\n",
            // bluetoothd ignores all of it.
            "[General]\nPrivacy = device\nnonsense\n",
        ] {
            assert_eq!(said(text), [Privacy::Off; 2], "{text:?}");
        }
    }

    #[test]
    fn since_6_14_the_controller_may_make_the_addresses() {
        for value in ON {
            let text = format!("[General]\nPrivacy = {value}\n");
            assert_eq!(said(&text), [Privacy::On, Privacy::ByController], "{value}");
        }
    }

    #[test]
    fn before_that_it_does_by_an_experimental_feature() {
        for (value, expected) in [
            ("true", Privacy::ByController),
            (
                "15C0A148-C273-11EA-B3DE-0242AC130004",
                Privacy::ByController,
            ),
            ("d4992530-b9ec-469f-ab01-6c481c47da1c", Privacy::On),
            ("false", Privacy::On),
        ] {
            let text = format!("[General]\nPrivacy = on\nKernelExperimental = {value}\n");
            assert_eq!(of(Ok(&text), BOOKWORM), expected, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_have_switched_it_on() {
        let error = io::ErrorKind::PermissionDenied.into();
        assert_eq!(of(Err(&error), BOOKWORM), Privacy::On);
        assert_eq!(of(Err(&error), FORKY), Privacy::ByController);
    }

    #[test]
    fn a_file_that_is_not_there_is_empty_and_one_without_an_end_is_not_read() {
        assert_eq!(read(Path::new("/nonexistent/main.conf")).unwrap(), "");
        assert!(read(Path::new("/dev/zero")).is_err());
    }
}
