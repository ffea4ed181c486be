//! How bluetoothd must be configured where other devices connect: the administrator's
//! part of the modes `full` and `relay`.
//!
//! None of it stops tcnd, so all findings are warnings. The kernel's privacy, which can
//! stop tcnd, is checked for each adapter.
//!
//! BlueZ: src/main.conf; src/device.c, `gatt_client_init`; src/advertising.c;
//! profiles/battery.

use std::path::Path;

use tcnd_config::Mode;

use super::check::DoctorCheck;
use super::command_line::CommandLine;
use super::main_conf::{self, GENERAL, LE, MainConf};

/// The first BlueZ that gives an advert its requested interval.
const INTERVALS: (u32, u32) = (5, 77);

/// The longest interval between two adverts, in units of 0.625 ms: the half second that
/// a phone scans at a time to save power.
const SLOWEST: u32 = 800;

/// The intervals that tcnd requests from BlueZ, 200 and 250 ms, in the same units.
const WANTED: [(&str, &str); 2] = [
    ("MinAdvertisementInterval", "320"),
    ("MaxAdvertisementInterval", "400"),
];

/// The setup of bluetoothd.
#[derive(Debug)]
pub(crate) struct Bluetoothd {
    version: Option<(u32, u32)>,
    command_line: Option<CommandLine>,
    conf: MainConf,
}

impl Bluetoothd {
    /// Reads the setup below `root`. `version` is that of its tools, `process` the one
    /// that owns `org.bluez`.
    pub(crate) fn read(root: &Path, version: Option<&str>, process: Option<u32>) -> Self {
        let command_line = process.and_then(|process| {
            let file = root.join(format!("proc/{process}/cmdline"));
            CommandLine::parse(&std::fs::read(file).ok()?)
        });
        let given = command_line.as_ref().and_then(CommandLine::config_file);
        let path = given.unwrap_or(main_conf::PATH).trim_start_matches('/');
        Self {
            version: version.and_then(major_and_minor),
            conf: MainConf::read(&root.join(path)),
            command_line,
        }
    }

    /// Its main.conf.
    pub(crate) fn conf(&self) -> &MainConf {
        &self.conf
    }

    pub(crate) fn checks(&self, mode: Mode) -> Vec<DoctorCheck> {
        let mut checks = vec![
            self.conf.check(),
            self.conf.judge("reverse-lookup", reverse_discovery),
            self.conf.judge("old-devices", temporary_timeout),
            self.interval(),
        ];
        // A relay makes no connections.
        if mode == Mode::Full {
            checks.push(self.battery());
        }
        checks
    }

    fn interval(&self) -> DoctorCheck {
        let Some(version) = self.version else {
            return DoctorCheck::unchecked("interval", "the version of BlueZ is not known");
        };
        let (major, minor) = version;
        if version >= INTERVALS {
            let found = format!("BlueZ {major}.{minor} uses the interval that tcnd requests");
            return DoctorCheck::ok("interval", found);
        }
        self.conf.judge("interval", |conf| {
            let [shortest, longest] = WANTED.map(|(key, _)| conf.number(LE, key));
            let older = format!("BlueZ {major}.{minor} ignores the interval that tcnd requests");
            match (shortest, longest) {
                (Some(_), Some(longest)) if longest <= SLOWEST => DoctorCheck::ok(
                    "interval",
                    format!("{older}, and main.conf sets it instead"),
                ),
                _ => DoctorCheck::warn(
                    "interval",
                    format!(
                        "{older}; the kernel may then wait 1.28 s between two adverts, and \
                         phones that save power miss them"
                    ),
                    conf.cure(LE, &WANTED),
                ),
            }
        })
    }

    /// Only the running process shows which plugins were left out.
    fn battery(&self) -> DoctorCheck {
        let Some(command_line) = &self.command_line else {
            return DoctorCheck::unchecked(
                "battery",
                "the command line of bluetoothd cannot be read",
            );
        };
        if command_line.lacks("battery") {
            return DoctorCheck::ok("battery", "bluetoothd runs without its battery plugin");
        }
        DoctorCheck::warn(
            "battery",
            "bluetoothd reads the battery level of each iPhone to which tcnd connects, and the \
             iPhone may ask its owner to pair",
            format!(
                "systemctl edit bluetooth: write three lines, \"[Service]\", \"ExecStart=\" and \
                 \"ExecStart={}\" (the file is \
                 /etc/systemd/system/bluetooth.service.d/override.conf), then: systemctl restart \
                 bluetooth",
                command_line.without("battery")
            ),
        )
    }
}

fn reverse_discovery(conf: &MainConf) -> DoctorCheck {
    let key = "ReverseServiceDiscovery";
    if conf.switch(GENERAL, key) == Some(false) {
        let found = "bluetoothd does not query devices that connect";
        return DoctorCheck::ok("reverse-lookup", found);
    }
    DoctorCheck::warn(
        "reverse-lookup",
        "bluetoothd reads the services of every phone that connects, and an iPhone may ask its \
         owner to pair",
        conf.cure(GENERAL, &[(key, "false")]),
    )
}

fn temporary_timeout(conf: &MainConf) -> DoctorCheck {
    let key = "TemporaryTimeout";
    match conf.number(GENERAL, key) {
        Some(0) => DoctorCheck::warn(
            "old-devices",
            "bluetoothd keeps every device that it ever saw, and needs more memory for each",
            conf.cure(GENERAL, &[(key, "30")]),
        ),
        seconds => {
            let seconds = seconds.unwrap_or(30);
            let found = format!("bluetoothd forgets devices out of range after {seconds} s");
            DoctorCheck::ok("old-devices", found)
        }
    }
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::check::CheckVerdict;
    use super::super::main_conf::tests::{absent, saying, unreadable};
    use super::*;

    /// BlueZ 5.66 as in Debian 12, with this main.conf.
    fn with(conf: MainConf) -> Bluetoothd {
        Bluetoothd {
            version: Some((5, 66)),
            command_line: CommandLine::parse(b"/usr/libexec/bluetooth/bluetoothd\0"),
            conf,
        }
    }

    fn check(bluetoothd: &Bluetoothd, name: &str) -> DoctorCheck {
        let mut checks = bluetoothd.checks(Mode::Full).into_iter();
        checks.find(|check| check.name == name).unwrap()
    }

    /// The verdict of this check with this main.conf.
    fn verdict(name: &str, text: &str) -> CheckVerdict {
        check(&with(saying(text)), name).verdict
    }

    #[test]
    fn reverse_discovery_is_to_be_off() {
        let of = |text| verdict("reverse-lookup", text);
        assert_eq!(
            of("[General]\nReverseServiceDiscovery = false"),
            CheckVerdict::Ok
        );
        assert_eq!(
            of("[General]\n#ReverseServiceDiscovery = false"),
            CheckVerdict::Warn
        );
        assert_eq!(
            of("[General]\nReverseServiceDiscovery = no"),
            CheckVerdict::Warn
        );
        assert_eq!(of(""), CheckVerdict::Warn);
        let shipped = saying("[General]\n\n#ReverseServiceDiscovery = true");
        let cure = check(&with(shipped), "reverse-lookup").cure.unwrap();
        let line = "main.conf:3: write \"ReverseServiceDiscovery = false\" there, without";
        assert!(cure.contains(line), "{cure}");
    }

    #[test]
    fn devices_are_not_to_be_kept_for_ever() {
        let of = |text| verdict("old-devices", text);
        assert_eq!(of(""), CheckVerdict::Ok);
        assert_eq!(of("[General]\nTemporaryTimeout = 60"), CheckVerdict::Ok);
        assert_eq!(of("[General]\nTemporaryTimeout = 0"), CheckVerdict::Warn);
        assert_eq!(of("[General]\nTemporaryTimeout = 0x0"), CheckVerdict::Warn);
        let cure = check(
            &with(saying("[General]\nTemporaryTimeout = 0")),
            "old-devices",
        )
        .cure;
        assert!(
            cure.unwrap()
                .contains("main.conf:2: write \"TemporaryTimeout = 30\"")
        );
    }

    #[test]
    fn an_older_bluez_needs_the_interval_of_main_conf() {
        let of = |text: &str| verdict("interval", text);
        let set = |shortest: &str, longest: &str| {
            format!(
                "[LE]\nMinAdvertisementInterval = {shortest}\nMaxAdvertisementInterval = {longest}"
            )
        };
        assert_eq!(of(""), CheckVerdict::Warn);
        assert_eq!(of(&set("320", "400")), CheckVerdict::Ok);
        assert_eq!(of(&set("0x140", "0x320")), CheckVerdict::Ok);
        assert_eq!(of(&set("320", "801")), CheckVerdict::Warn);
        assert_eq!(of(&set("", "400")), CheckVerdict::Warn);
        let cure = check(&with(saying(&set("9", ""))), "interval")
            .cure
            .unwrap();
        for line in [
            "main.conf:2: write \"MinAdvertisementInterval = 320\"",
            "main.conf:3: write \"MaxAdvertisementInterval = 400\"",
        ] {
            assert!(cure.contains(line), "{cure}");
        }
    }

    #[test]
    fn a_newer_bluez_needs_nothing_and_an_unknown_one_is_unchecked() {
        let of = |version: Option<&str>| {
            let version = version.and_then(major_and_minor);
            let bluetoothd = Bluetoothd {
                version,
                ..with(absent())
            };
            check(&bluetoothd, "interval").verdict
        };
        assert_eq!(of(Some("5.76")), CheckVerdict::Warn);
        assert_eq!(of(Some("5.77")), CheckVerdict::Ok);
        assert_eq!(of(Some("6.0")), CheckVerdict::Ok);
        assert_eq!(of(None), CheckVerdict::Unchecked);
    }

    #[test]
    fn the_battery_plugin_is_to_be_left_out_where_iphones_are_visited() {
        let told = check(&with(absent()), "battery");
        assert_eq!(told.verdict, CheckVerdict::Warn);
        let line = "\"ExecStart=/usr/libexec/bluetooth/bluetoothd --noplugin=battery\"";
        assert!(told.cure.as_ref().unwrap().contains(line), "{told:?}");
        let without = Bluetoothd {
            command_line: CommandLine::parse(b"bluetoothd\0-Pbattery\0"),
            ..with(absent())
        };
        assert_eq!(check(&without, "battery").verdict, CheckVerdict::Ok);
        let hidden = Bluetoothd {
            command_line: None,
            ..with(absent())
        };
        assert_eq!(check(&hidden, "battery").verdict, CheckVerdict::Unchecked);
        let relay = with(absent()).checks(Mode::Relay);
        assert!(relay.iter().all(|check| check.name != "battery"));
    }

    #[test]
    fn a_file_that_cannot_be_read_leaves_its_settings_unchecked() {
        for check in with(unreadable()).checks(Mode::Relay) {
            assert_eq!(check.verdict, CheckVerdict::Unchecked, "{check:?}");
        }
    }

    #[test]
    fn it_is_read_from_the_machine() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let privacy = |process| {
            let read = Bluetoothd::read(root.path(), Some("5.66"), process);
            read.conf().value(GENERAL, "Privacy").map(str::to_owned)
        };
        assert_eq!(privacy(None), None);
        write("etc/bluetooth/main.conf", "[General]\nPrivacy = device\n");
        write("etc/other.conf", "[General]\nPrivacy = network\n");
        write("proc/7/cmdline", "/usr/sbin/bluetoothd\0");
        write("proc/8/cmdline", "bluetoothd\0-f\0/etc/other.conf\0");
        assert_eq!(privacy(None).unwrap(), "device");
        assert_eq!(privacy(Some(7)).unwrap(), "device");
        assert_eq!(privacy(Some(8)).unwrap(), "network");
        let read = |process| Bluetoothd::read(root.path(), None, process).command_line;
        assert!(read(Some(7)).is_some() && read(Some(9)).is_none());
    }
}
