//! The flags of `tcnd`: only what must be known before the configuration is.
//! There are no hidden variables beside them.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::bus::BusChoice;

/// Takes part in contact tracing by Temporary Contact Numbers, over BlueZ.
///
/// Nothing is broadcast before somebody consented: `tcnctl enable`, or
/// `enabled = true` in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "tcnd", version)]
pub struct DaemonFlags {
    /// Read this configuration instead of the system's; may be repeated, later
    /// files overrule earlier ones
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Keep keys and contacts here [default: $STATE_DIRECTORY, else the XDG
    /// state directory]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The radio: the machine's, or a neighbourhood that is made up
    #[arg(long, value_name = "RADIO", value_enum, default_value_t)]
    pub radio: RadioChoice,
    /// The bus to serve on: system, session, or a D-Bus address
    #[arg(long, value_name = "BUS", default_value = "system")]
    pub bus: BusChoice,
    /// Which boot of the machine this is, as systemd's %b [default: what the
    /// kernel says]
    #[arg(long, value_name = "ID")]
    pub boot_id: Option<String>,
    /// Check the configuration and leave
    #[arg(long)]
    pub check_config: bool,
}

/// Which radio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RadioChoice {
    /// BlueZ.
    #[default]
    Bluez,
    /// A simulated neighbourhood.
    Fake,
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
        assert_eq!(flags.bus, BusChoice::Address("unix:path=/x".into()));
        assert!(flags.check_config);
        let boot_id = flags.boot_id.as_deref();
        assert_eq!(boot_id, Some("0123456789abcdef0123456789abcdef"));
    }

    #[test]
    fn a_usage_error_ends_with_2() {
        let error = DaemonFlags::try_parse_from(["tcnd", "--radio", "ham"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
