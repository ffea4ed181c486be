//! Reads configuration files into settings.
//!
//! Configuration is TOML in fragments, found as systemd finds its own: a distribution
//! ships its files in `/usr/lib/tcnd/config.d`, an administrator overrides them in
//! `/etc/tcnd/config.d`, and `/run/tcnd/config.d` holds until the next boot. A file
//! replaces the one of the same name in an earlier directory. The remaining files are
//! applied in order of file name, and the later key wins. `--config FILE` replaces all
//! of them, so that a test or a demo reads no files of the system.
//!
//! A misspelt key must not silently mean the default, least of all `enabled`. So every
//! key is in a table (`fragment`), values carry their unit and range, and an invalid
//! configuration is refused as a whole. Every error is reported with its file and line.

mod document;
mod duration;
mod error;
#[cfg(test)]
mod fault_table;
mod fragment;
mod key;
mod paths;
mod read;
mod settings;
mod sources;
mod table;
mod values;

use std::path::PathBuf;

pub use duration::{NotADuration, parse_duration, spell_duration};
pub use error::{ConfigError, Diagnostic, DiagnosticKind};
pub use key::Key;
pub use paths::{
    FRAGMENT_DIRECTORIES, NoStateDirectory, SOURCE_DIRECTORIES, credential, locale_variable,
    runtime_directory, state_directory,
};
pub use read::load_merged;
pub use settings::Settings;
pub use sources::{MAX_SOURCES, SourceDiagnostic, load_sources, source_files};
pub use tcn_engine::Mode;
pub use values::{AdapterChoice, NotAnAdapter};

use fragment::Fragment;

/// The settings of these files in this order or, if there are none, of the
/// fragments of the system.
///
/// # Errors
/// Every error in any of them. A configuration with an error gives no settings.
pub fn load(explicit: &[PathBuf]) -> Result<Settings, ConfigError> {
    let files = files(explicit).map_err(|diagnostic| ConfigError::new(vec![diagnostic]))?;
    load_files(&files)
}

/// The files [`load`] reads, in the order they are applied.
///
/// # Errors
/// A fragment directory that cannot be read.
pub fn files(explicit: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostic> {
    read::files_or(explicit, &FRAGMENT_DIRECTORIES)
}

/// The message of a check of files without an error: the same from every program.
pub fn valid(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return "The configuration is valid: there are no files, so all is at its default."
            .to_owned();
    }
    let list: Vec<_> = files
        .iter()
        .map(|file| format!("\n  {}", printable::path(file)))
        .collect();
    format!("The configuration is valid:{}", list.concat())
}

/// Every error of the configuration [`load`] would read.
pub fn check(explicit: &[PathBuf]) -> Vec<Diagnostic> {
    load(explicit).map_or_else(ConfigError::into_diagnostics, |_| Vec::new())
}

fn load_files(files: &[PathBuf]) -> Result<Settings, ConfigError> {
    let mut merged = Fragment::default();
    let mut diagnostics = read::read_each(files, |file, text, diagnostics| {
        merged.overlay(Fragment::parse(file, text, diagnostics));
    });
    let settings = Settings::resolve(&merged, &mut diagnostics);
    read::finish(settings, files, diagnostics)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fault_table::{diagnosed, faults};

    const SHIPPED: &str = include_str!("../../../packaging/config.d/tcnd.toml");

    /// Files, and below each what is wrong with it.
    const FAULTS: &str = r#"


tcn_perod = "15min"
F:3: unknown key "tcn_perod"; did you mean "tcn_period"?

[tcnd]
F:1: unknown key "tcnd"; known keys: enabled, mode, adapter, listen, tcn_period, tcn_jitter, report_key_life, retention, flush, discovery_restart, bridge_slot, rpa_timeout

enabled = "yes"
F:1: enabled: expected true or false, found a string

tcn_period = 900
F:1: tcn_period: expected a duration such as "15min", found an integer

tcn_period = "soon"
F:1: tcn_period: "soon" is no duration; write it like "90s", "15min", "6h" or "14d"

tcn_period = "2h"
F:1: tcn_period: 2h is out of range; allowed: 10s to 1h

retention = "22d"
F:1: retention: 22d is out of range; allowed: 1h to 21d

mode = "loud"
F:1: mode: unknown mode "loud"; use "broadcast", "full" or "relay"

adapter = "usb"
F:1: adapter: expected a device address such as "AA:BB:CC:DD:EE:FF", or a kernel name such as "hci0"; see: bluetoothctl list, ls /sys/class/bluetooth

tcn_period = "1min"
tcn_jitter = "31s"
F:2: tcn_jitter: 31s is more than half of tcn_period (1min); shorten it or lengthen tcn_period

tcn_period = "1min"
F:1: tcn_period: tcn_jitter (1min) is more than half of it; lengthen it or shorten tcn_jitter

report_key_life = "10min"
F:1: report_key_life: 10min is shorter than tcn_period (15min)

retention = "1h"
F:1: retention: 1h is shorter than report_key_life (6h); shorten that as well

a = [1
F:1: unclosed array, expected `]`

flush = "1s
retention = "1h"
F:1: invalid basic string, expected `"`

flush = "1s"
flush = "2s"
F:2: duplicate key
"#;

    fn check_text(text: &str) -> Result<Settings, String> {
        diagnosed(text, load)
    }

    /// Every key of the shipped file with its `# ` taken away.
    fn uncommented(text: &str) -> String {
        text.lines()
            .map(|line| {
                let setting = line.strip_prefix("# ").unwrap_or(line);
                let is_setting = setting.split(' ').nth(1) == Some("=");
                if is_setting { setting } else { line }
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn nothing_configured_means_the_defaults_and_no_consent() {
        let settings = check_text("").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.consent, None);
        assert_eq!(settings.policy, tcn_engine::Policy::default());
    }

    #[test]
    fn the_shipped_file_changes_nothing_and_names_every_key_with_its_default() {
        assert_eq!(check_text(SHIPPED).unwrap(), Settings::default());
        let all = uncommented(SHIPPED);
        for key in Key::ALL {
            assert!(all.contains(&format!("\n{} = ", key.name())), "{key:?}");
        }
        let settings = check_text(&all).unwrap();
        let expected = Settings {
            consent: Some(false),
            adapter: Some("AA:BB:CC:DD:EE:FF".parse().unwrap()),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn every_key_is_taken_over() {
        let settings = check_text(
            "enabled = true\nmode = \"full\"\nadapter = \"00:1a:7D:da:71:13\"\n\
             tcn_period = \"10s\"\ntcn_jitter = \"2s\"\nreport_key_life = \"1min\"\n\
             retention = \"2h 30min\"\nflush = \"1s\"\ndiscovery_restart = \"1h\"\n\
             bridge_slot = \"2s\"\nrpa_timeout = \"30s\"\nlisten = \"windows\"\n",
        )
        .unwrap();
        assert_eq!(settings.consent, Some(true));
        let address = [0x00, 0x1a, 0x7d, 0xda, 0x71, 0x13];
        assert_eq!(settings.adapter, Some(AdapterChoice::Address(address)));
        assert_eq!(settings.policy.period, Duration::from_secs(10));
        assert_eq!(settings.policy.jitter, Duration::from_secs(2));
        assert_eq!(settings.policy.key_life, Duration::from_secs(60));
        assert_eq!(settings.policy.retention, Duration::from_secs(9000));
        assert_eq!(settings.policy.flush, Duration::from_secs(1));
        assert_eq!(settings.discovery_restart, Duration::from_secs(3600));
        assert_eq!(settings.mode, Mode::Full);
        assert_eq!(settings.policy.slot, Duration::from_secs(2));
        assert_eq!(settings.rpa_timeout, Duration::from_secs(30));
        assert_eq!(settings.policy.listen, tcn_engine::Listen::Windows);
    }

    #[test]
    fn a_relay_keeps_hours_and_not_days_unless_told_otherwise() {
        let relay = check_text("mode = \"relay\"").unwrap();
        assert!(relay.policy.relay);
        assert_eq!(relay.policy.retention, Duration::from_secs(6 * 3600));
        let told = check_text("mode = \"relay\"\nretention = \"2d\"").unwrap();
        assert_eq!(told.policy.retention, Duration::from_secs(2 * 24 * 3600));
        for other in ["broadcast", "full"] {
            let settings = check_text(&format!("mode = \"{other}\"")).unwrap();
            assert_eq!(settings.policy, tcn_engine::Policy::default());
        }
    }

    #[test]
    fn each_fault_is_named_by_line_and_cure() {
        for (text, expected) in faults(FAULTS) {
            assert_eq!(check_text(&text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn all_faults_come_at_once_in_order_of_line() {
        let diagnostics = check_text("zzz = 1\nflush = \"0s\"\nadaptor = 1\n").unwrap_err();
        let lines: Vec<_> = diagnostics.lines().map(|line| &line[..4]).collect();
        assert_eq!(lines, ["F:1:", "F:2:", "F:3:"]);
    }

    #[test]
    fn explicit_files_apply_in_the_order_given() {
        let dir = tempfile::tempdir().unwrap();
        let (b, a) = (dir.path().join("b.toml"), dir.path().join("a.toml"));
        std::fs::write(&b, "tcn_period = \"10min\"\nflush = \"2s\"").unwrap();
        std::fs::write(&a, "tcn_period = \"20min\"").unwrap();
        let settings = load(&[b, a]).unwrap();
        assert_eq!(settings.policy.period, Duration::from_secs(1200));
        assert_eq!(settings.policy.flush, Duration::from_secs(2));
    }

    #[test]
    fn a_rule_across_files_blames_the_file_that_set_the_value() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.toml"), dir.path().join("b.toml"));
        std::fs::write(&a, "\ntcn_jitter = \"10min\"").unwrap();
        std::fs::write(&b, "flush = \"2s\"").unwrap();
        let error = load(&[a.clone(), b]).unwrap_err();
        let diagnostic = &error.diagnostics()[0];
        assert_eq!(
            (diagnostic.file(), diagnostic.line()),
            (a.as_path(), Some(2))
        );
    }

    #[test]
    fn a_missing_file_is_a_fault() {
        let diagnostics = check(&[PathBuf::from("/nonexistent/tcnd.toml")]);
        assert_eq!(
            diagnostics[0].to_string(),
            "/nonexistent/tcnd.toml: cannot be read: No such file or directory (os error 2)"
        );
    }
}
