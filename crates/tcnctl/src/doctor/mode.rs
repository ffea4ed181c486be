//! The configured mode, which decides how the other checks are judged.
//!
//! It is read from the same files as tcnd's own, so it is known before tcnd runs.
//! Whether tcnd follows it is a separate question; if tcnd cannot, it reports a
//! problem.

use tcnd_config::{ConfigError, Mode, Settings};

use super::check::DoctorCheck;

/// The result of reading the configuration.
#[derive(Debug)]
pub(crate) enum ConfiguredMode {
    /// This mode is configured.
    Known(Mode),
    /// tcnd could not start with the configuration, for this reason among others.
    Unknown(String),
}

impl ConfiguredMode {
    pub(crate) fn new(read: Result<Settings, ConfigError>) -> Self {
        match read {
            Ok(settings) => Self::Known(settings.mode),
            Err(error) => Self::Unknown(
                error
                    .diagnostics()
                    .first()
                    .map_or_else(String::new, ToString::to_string),
            ),
        }
    }

    /// The mode that the checks assume.
    pub(crate) fn mode(&self) -> Mode {
        match self {
            Self::Known(mode) => *mode,
            Self::Unknown(_) => Mode::default(),
        }
    }

    /// As it is written in a file.
    pub(crate) fn known_name(&self) -> Option<&'static str> {
        match self {
            Self::Known(mode) => Some(mode.name()),
            Self::Unknown(_) => None,
        }
    }

    pub(crate) fn check(&self) -> DoctorCheck {
        match self {
            Self::Known(mode) => DoctorCheck::ok("mode", format!("{}, as configured", mode.name())),
            Self::Unknown(fault) => DoctorCheck::unchecked(
                "mode",
                format!(
                    "unknown, so the other checks assume {}: {fault} (all errors: tcnctl config \
                     check)",
                    Mode::default().name()
                ),
            ),
        }
    }
}

/// Whether other devices are to connect, which needs more of a machine.
pub(crate) const fn is_connectable(mode: Mode) -> bool {
    match mode {
        Mode::Listen | Mode::Broadcast => false,
        Mode::Full | Mode::Relay => true,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::check::CheckVerdict;
    use super::*;

    fn configured(text: &str) -> ConfiguredMode {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        ConfiguredMode::new(tcnd_config::load(&[file.path().to_owned()]))
    }

    #[test]
    fn the_configuration_says_the_mode() {
        for (text, mode) in [
            ("", Mode::Broadcast),
            ("mode = \"full\"", Mode::Full),
            ("mode = \"relay\"", Mode::Relay),
        ] {
            let configured = configured(text);
            assert_eq!(configured.mode(), mode);
            assert_eq!(configured.known_name(), Some(mode.name()));
            assert_eq!(configured.check().verdict, CheckVerdict::Ok);
        }
    }

    #[test]
    fn a_faulty_configuration_is_told_and_is_not_the_end() {
        let faulty = configured("mode = \"full\"\nflush = \"0s\"");
        assert_eq!(faulty.mode(), Mode::Broadcast);
        assert_eq!(faulty.known_name(), None);
        let check = faulty.check();
        assert_eq!(check.verdict, CheckVerdict::Unchecked);
        assert!(check.found.contains(":2: flush: "), "{}", check.found);
        let missing = ConfiguredMode::new(tcnd_config::load(&["/nonexistent".into()]));
        assert!(missing.check().found.contains("cannot be read"));
    }
}
