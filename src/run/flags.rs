//! The flags of `tcnd`: only those that must be known before the configuration.
//! There are no undocumented environment variables.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use tcnd_client::BusChoice;
use thiserror::Error;

/// Contact tracing with Temporary Contact Numbers over BlueZ.
///
/// tcnd broadcasts nothing before consent is given, by `tcnctl enable` or by
/// `enabled = true` in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "tcnd", version)]
pub struct DaemonFlags {
    /// Read this configuration file instead of the files of the system; may be
    /// repeated, and later files take precedence
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Keep keys and contacts in this directory [default: $STATE_DIRECTORY, else the
    /// XDG state directory]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The radio: bluez, the adapter of the machine; fake, a simulated
    /// neighbourhood; or fake:PATH, a simulation in which all daemons with this
    /// directory hear only each other
    #[arg(long, value_name = "RADIO", default_value_t)]
    pub radio: RadioChoice,
    /// Seed the random numbers of a fake radio, so that each run simulates the same
    /// people [default: a random seed]
    #[arg(long, value_name = "N", requires = "radio")]
    pub radio_seed: Option<u64>,
    /// The bus to serve on: system, session, or a D-Bus address
    #[arg(long, value_name = "BUS", default_value = "system")]
    pub bus: BusChoice,
    /// The boot ID of the machine, as systemd's %b [default: from the kernel]
    #[arg(long, value_name = "ID")]
    pub boot_id: Option<String>,
    /// Check the configuration and exit
    #[arg(long)]
    pub check_config: bool,
}

/// The choice of radio.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RadioChoice {
    /// BlueZ.
    #[default]
    Bluez,
    /// A simulated neighbourhood.
    Fake,
    /// A simulated neighbourhood that all daemons with this directory share.
    Street(PathBuf),
}

/// The text after `--radio` names no radio.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("no such radio; give bluez, fake, or fake:PATH with the path of a directory")]
pub struct UnknownRadio;

impl FromStr for RadioChoice {
    type Err = UnknownRadio;

    fn from_str(text: &str) -> Result<Self, UnknownRadio> {
        match text.split_once(':') {
            None if text == "bluez" => Ok(Self::Bluez),
            None if text == "fake" => Ok(Self::Fake),
            Some(("fake", folder)) if !folder.is_empty() => Ok(Self::Street(folder.into())),
            None | Some(_) => Err(UnknownRadio),
        }
    }
}

impl fmt::Display for RadioChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bluez => f.write_str("bluez"),
            Self::Fake => f.write_str("fake"),
            Self::Street(folder) => write!(f, "fake:{}", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_sound() {
        DaemonFlags::command().debug_assert();
    }

    #[test]
    fn without_flags_the_real_thing() {
        let flags = DaemonFlags::try_parse_from(["tcnd"]).unwrap();
        assert_eq!(flags.radio, RadioChoice::Bluez);
        assert_eq!(flags.bus, BusChoice::System);
        assert!(flags.config.is_empty() && flags.state_dir.is_none() && !flags.check_config);
    }

    #[test]
    fn all_of_them() {
        let flags = DaemonFlags::try_parse_from([
            "tcnd",
            "--config",
            "a",
            "--config",
            "b",
            "--state-dir",
            "s",
            "--radio",
            "fake",
            "--radio-seed",
            "49177",
            "--bus",
            "unix:path=/x",
            "--boot-id",
            "0123456789abcdef0123456789abcdef",
            "--check-config",
        ])
        .unwrap();
        assert_eq!(flags.config, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(flags.state_dir, Some(PathBuf::from("s")));
        assert_eq!(flags.radio, RadioChoice::Fake);
        assert_eq!(flags.radio_seed, Some(49177));
        assert_eq!(flags.bus, BusChoice::Address("unix:path=/x".into()));
        assert!(flags.check_config);
        let boot_id = flags.boot_id.as_deref();
        assert_eq!(boot_id, Some("0123456789abcdef0123456789abcdef"));
    }

    #[test]
    fn a_radio_is_what_it_is_shown_as() {
        for radio in ["bluez", "fake", "fake:/tmp/street", "fake:a:b"] {
            let flags = DaemonFlags::try_parse_from(["tcnd", "--radio", radio]).unwrap();
            assert_eq!(flags.radio.to_string(), radio);
        }
        let street = RadioChoice::Street("a:b".into());
        assert_eq!("fake:a:b".parse(), Ok(street));
    }

    #[test]
    fn a_usage_error_ends_with_2() {
        for wrong in [
            &["--radio", "ham"][..],
            &["--radio", "fake:"],
            &["--radio", "bluez:hci0"],
            &["--radio", "fake", "--radio-seed", "-1"],
            &["--radio-seed", "1"],
        ] {
            let words = [&["tcnd"], wrong].concat();
            let error = DaemonFlags::try_parse_from(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
