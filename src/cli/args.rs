//! What can be typed after `tcnctl`. The texts here are the help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::time;
use crate::bus::BusChoice;
use crate::config;

/// Sees and controls tcnd, the contact tracing service of this machine.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 tcnd cannot be reached, 4
/// not authorised.
#[derive(Debug, Parser)]
#[command(name = "tcnctl", version, max_term_width = 80)]
pub(super) struct Args {
    /// Print one JSON document instead of text
    #[arg(long, global = true, display_order = 100)]
    pub(super) json: bool,
    /// The bus tcnd serves on: system, session, or a D-Bus address
    #[arg(
        long,
        global = true,
        display_order = 101,
        value_name = "BUS",
        default_value = "system"
    )]
    pub(super) bus: BusChoice,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Live(Live),
    /// Look after the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look into reports
    #[command(subcommand)]
    Report(ReportCommand),
}

/// What speaks with tcnd.
#[derive(Debug, Subcommand)]
pub(super) enum Live {
    /// Say what tcnd does now, and what is wrong
    Status,
    /// Say it again whenever it changes, until interrupted
    Watch {
        /// text, json (one document a line), or waybar (for a custom module)
        #[arg(long, value_enum, default_value_t)]
        format: WatchFormat,
    },
    /// Check the machine: Bluetooth, clock, kernel, and tcnd itself
    Doctor,
    /// Consent: let tcnd broadcast numbers and listen for others'
    Enable,
    /// Take the consent back
    Disable,
    /// Leave the air for a while
    Pause {
        /// For how long, such as 30min or 8h; without it, until resumed
        #[arg(value_parser = config::parse_duration)]
        duration: Option<Duration>,
        /// Why, for others to see
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        reason: String,
    },
    /// End all pauses
    Resume,
    /// Take a new number and a new address now
    Rotate,
    /// Sum up the contact log by day and hour
    ///
    /// T is a date (2026-11-23), a time (2026-11-23T18:00), today, yesterday, a
    /// span back from now (3d, 12h), or @ and seconds since 1970.
    Contacts {
        /// Not before [default: all there is]
        #[arg(long, value_name = "T", value_parser = time::parse_from)]
        from: Option<Timestamp>,
        /// Not after; a date includes that day [default: now]
        #[arg(long, value_name = "T", value_parser = time::parse_to)]
        to: Option<Timestamp>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say everything that is wrong with it
    Check {
        /// Check these files instead of the system's, in this order
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Verify the signed reports in a file, without tcnd
    Inspect {
        /// The file, or - for standard input
        file: PathBuf,
        /// List the numbers each report discloses
        #[arg(long)]
        expand: bool,
    },
}

/// How `watch` speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum WatchFormat {
    #[default]
    Text,
    Json,
    Waybar,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Args::command().debug_assert();
    }
}
