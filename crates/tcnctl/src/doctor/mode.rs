//! The configured mode: the other checks are judged by it.
//!
//! It is read from the same files as tcnd's own, so it is known before tcnd runs.
//! Whether tcnd follows it is a separate question; if tcnd cannot, it reports a
//! problem.

use tcnd_config::{ConfigError, Mode, Settings};

use super::Check;

/// The result of reading the configuration.
#[derive(Debug)]
pub(super) enum Asked {
    /// This mode is configured.
    For(Mode),
    /// tcnd could not start with the configuration, for this reason among others.
    Unclear(String),
}

impl Asked {
    pub(super) fn new(read: Result<Settings, ConfigError>) -> Self {
        match read {
            Ok(settings) => Self::For(settings.mode),
            Err(error) => Self::Unclear(
                error
                    .diagnostics()
                    .first()
                    .map_or_else(String::new, ToString::to_string),
            ),
        }
    }

    /// The mode to judge by.
    pub(super) fn mode(&self) -> Mode {
        match self {
            Self::For(mode) => *mode,
            Self::Unclear(_) => Mode::default(),
        }
    }

    /// As it is written in a file.
    pub(super) fn fact(&self) -> Option<&'static str> {
        match self {
            Self::For(mode) => Some(name(*mode)),
            Self::Unclear(_) => None,
        }
    }

    pub(super) fn check(&self) -> Check {
        match self {
            Self::For(mode) => Check::ok("mode", format!("{}, as configured", name(*mode))),
            Self::Unclear(fault) => Check::unchecked(
                "mode",
                format!(
                    "unknown, so the rest is judged by {}: {fault} (all of it: tcnctl config \
                     check)",
                    name(Mode::default())
                ),
            ),
        }
    }
}

/// As it is written in a file.
pub(super) const fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Broadcast => "broadcast",
        Mode::Full => "full",
        Mode::Relay => "relay",
    }
}

/// Whether other devices are to connect, which needs more of a machine.
pub(super) const fn is_connectable(mode: Mode) -> bool {
    match mode {
        Mode::Broadcast => false,
        Mode::Full | Mode::Relay => true,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Verdict;
    use super::*;

    fn asked(text: &str) -> Asked {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Asked::new(tcnd_config::load(&[file.path().to_owned()]))
    }

    #[test]
    fn the_configuration_says_the_mode() {
        for (text, mode) in [
            ("", Mode::Broadcast),
            ("mode = \"full\"", Mode::Full),
            ("mode = \"relay\"", Mode::Relay),
        ] {
            let asked = asked(text);
            assert_eq!(asked.mode(), mode);
            assert_eq!(asked.fact(), Some(name(mode)));
            assert_eq!(asked.check().verdict, Verdict::Ok);
        }
    }

    #[test]
    fn a_faulty_configuration_is_told_and_is_not_the_end() {
        let faulty = asked("mode = \"full\"\nflush = \"0s\"");
        assert_eq!(faulty.mode(), Mode::Broadcast);
        assert_eq!(faulty.fact(), None);
        let check = faulty.check();
        assert_eq!(check.verdict, Verdict::Unchecked);
        assert!(check.found.contains(":2: flush: "), "{}", check.found);
        let missing = Asked::new(tcnd_config::load(&["/nonexistent".into()]));
        assert!(missing.check().found.contains("cannot be read"));
    }
}
