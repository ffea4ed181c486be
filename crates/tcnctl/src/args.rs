//! The command line of `tcnctl`. The doc comments here are the help.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use tcnd_client::BusChoice;

use super::time;

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
    /// Make reports, and look for yourself in those of others
    #[command(subcommand)]
    Report(ReportCommand),
}

/// What speaks with tcnd.
#[derive(Debug, Subcommand)]
pub(super) enum Live {
    /// Say what tcnd does now, and what is wrong
    Status,
    /// Say it, and then what happens, until interrupted
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
        #[arg(value_parser = tcnd_config::parse_duration)]
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
    /// Have tcnd look at itself: radio, address, clock, contact log, keys
    #[command(visible_alias = "selftest")]
    SelfTest,
    /// Count what tcnd did since its start, and the size of the contact log
    Statistics,
    /// Say that the clock of this machine is right
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Sum up the contact log by day and hour
    ///
    /// Contacts are counted by quarters of an hour: --from is rounded down to one,
    /// --to is rounded up.
    ///
    /// T is a date (2026-11-23), a time (2026-11-23T18:00, or 18:00 of today), now,
    /// today, yesterday, a span back from now (3d, 12h), or @ and seconds since
    /// 1970. Dates and times are those of the local time zone.
    Contacts {
        #[command(flatten)]
        span: SpanArgs,
        #[command(subcommand)]
        command: Option<ContactsCommand>,
    },
    /// Say when you were near somebody who made a report
    Exposures {
        /// Dismissed ones too
        #[arg(long)]
        all: bool,
        #[command(subcommand)]
        command: Option<ExposuresCommand>,
    },
    /// Destroy everything: keys, contacts, reports, exposures, decisions
    Wipe {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Live {
    /// Refuses options that would be ignored because a subcommand has its own. clap
    /// would refuse `--json` there with them.
    pub(super) fn refuse_ignored(&self) -> Result<(), clap::Error> {
        let ignored = match self {
            Self::Contacts {
                span,
                command: Some(_),
            } => span.from.is_some() || span.to.is_some(),
            Self::Exposures {
                all,
                command: Some(_),
            } => *all,
            Self::Contacts { command: None, .. }
            | Self::Exposures { command: None, .. }
            | Self::Status
            | Self::Watch { .. }
            | Self::Doctor
            | Self::Enable
            | Self::Disable
            | Self::Clock(_)
            | Self::Pause { .. }
            | Self::Resume
            | Self::Rotate
            | Self::SelfTest
            | Self::Statistics
            | Self::Wipe { .. } => false,
        };
        if !ignored {
            return Ok(());
        }
        let text = "these options go behind the subcommand, or have no meaning with it\n";
        Err(Args::command().error(ErrorKind::ArgumentConflict, text))
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct SpanArgs {
    /// Not before [default: all there is]
    #[arg(long, value_name = "T", value_parser = time::parse_from)]
    pub(super) from: Option<Timestamp>,
    /// Not after; a date includes that day [default: now]
    #[arg(long, value_name = "T", value_parser = time::parse_to)]
    pub(super) to: Option<Timestamp>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ContactsCommand {
    /// Write the rows of the contact log to a file
    ///
    /// They are those that tcnctl contacts counts for the same --from and --to.
    Export {
        /// A new file, or - for standard output
        file: PathBuf,
        /// csv, jsonl (one JSON object a line), or sqlite
        #[arg(long, value_enum, default_value_t)]
        format: RowFormat,
        /// The numbers themselves, instead of stand-ins of this file alone
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        span: SpanArgs,
    },
    /// Destroy contacts
    ///
    /// Those that began between --from and --to, to the second: what tcnctl contacts
    /// counts for the same span may be some more at its ends.
    Erase {
        #[command(flatten)]
        span: SpanArgs,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ClockCommand {
    /// Say so where no network does, after a look at the date and the time
    ///
    /// What is older than the retention by this clock is destroyed from then on.
    Confirm,
}

#[derive(Debug, Subcommand)]
pub(super) enum ExposuresCommand {
    /// Say all that is known of one; with --json it stays new
    Show {
        /// As the list names it
        id: String,
    },
    /// List one no longer
    Dismiss {
        /// As the list names it
        id: String,
    },
    /// List one again that was dismissed
    Restore {
        /// As tcnctl exposures --all names it
        id: String,
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
    #[command(flatten)]
    Live(LiveReport),
    /// Verify the signed reports in a file, without tcnd
    Inspect {
        /// The file, or - for standard input
        file: PathBuf,
        /// List the numbers each report discloses
        #[arg(long)]
        expand: bool,
    },
}

/// What speaks with tcnd about reports.
#[derive(Debug, Subcommand)]
pub(super) enum LiveReport {
    /// Say what a report would give away; makes none
    Preview {
        #[command(flatten)]
        span: SpanArgs,
    },
    /// Make a report, after showing what it gives away; it stays here
    ///
    /// It covers the last 14 days, or what --from and --to say. Nothing leaves
    /// the machine before tcnctl report export.
    Create {
        #[command(flatten)]
        memo: MemoArgs,
        #[command(flatten)]
        span: SpanArgs,
        /// Your own words for it, which stay here
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        note: String,
        /// Accept a memo that shows that the parts of the report are one person's
        #[arg(long)]
        linkable: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List your reports, and what of them has left the machine
    List,
    /// Write a report to a file, for others; this is recorded
    Export {
        /// As the list names it
        id: String,
        /// A new file, or - for standard output
        file: PathBuf,
        /// tcn (as it is), base64 (one signed report a line), or json
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// Send a report to servers, where everybody can fetch it
    ///
    /// Its parts leave one by one, in random order over hours, so that nobody
    /// can tell by their times that they are one person's. Until a part has left,
    /// --now hurries it, and --cancel and tcnctl report delete keep it here.
    Publish {
        /// As the list names it
        id: String,
        /// One server, by its name in /etc/tcnd/sources.d [default: all that
        /// take reports]
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
        /// Send all parts at once, those too that are on their way already
        #[arg(long)]
        now: bool,
        /// Send what has not left yet no more
        #[arg(long, conflicts_with_all = ["now", "yes"])]
        cancel: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Have others' reports fetched from all servers now
    Check,
    /// Delete a report; what has left the machine stays where it went
    ///
    /// Parts that have not left for servers yet leave no more.
    Delete {
        /// As the list names it
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Look for yourself in reports of others
    Import {
        /// Files of any format, or - for standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Where they come from, as exposures will name it [default: the file]
        #[arg(long, value_name = "TEXT")]
        source: Option<String>,
        /// When they were public at the latest; who was heard first after that
        /// does not count [default: now]
        #[arg(long, value_name = "T", value_parser = time::parse_to)]
        published: Option<Timestamp>,
    },
}

/// What a report says besides its numbers.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct MemoArgs {
    /// Symptoms, for a memo of CoEpi's kind; none for none at all
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',',
          conflicts_with_all = ["memo_type", "memo_hex"])]
    pub(super) symptoms: Vec<Symptom>,
    /// The day of the first symptom: today, or one of the 14 days before
    #[arg(long, value_name = "T", requires = "symptoms", value_parser = time::parse_since)]
    pub(super) since: Option<jiff::civil::Date>,
    /// Another kind of memo, by its number in the registry
    #[arg(long, value_name = "N")]
    pub(super) memo_type: Option<u8>,
    /// The bytes of that memo
    #[arg(long, value_name = "HEX", requires = "memo_type")]
    pub(super) memo_hex: Option<String>,
}

/// What can be felt, as CoEpi's questionnaire has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Symptom {
    None,
    Cough,
    DryCough,
    WetCough,
    MildFever,
    SeriousFever,
    Breathlessness,
    MuscleAches,
    LossOfSmellOrTaste,
    Diarrhea,
    RunnyNose,
    Other,
}

/// How rows stand in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum RowFormat {
    #[default]
    Csv,
    Jsonl,
    Sqlite,
}

/// How reports stand in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    #[default]
    Tcn,
    Base64,
    Json,
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
    use super::*;

    #[test]
    fn options_that_would_be_ignored_are_refused() {
        let refused = |words: &[&str]| {
            let words = ["tcnctl"].iter().chain(words);
            match Args::try_parse_from(words).map(|args| args.command) {
                Ok(Command::Live(live)) => live.refuse_ignored().is_err(),
                other => panic!("{other:?}"),
            }
        };
        assert!(refused(&["contacts", "--to", "3d", "erase"]));
        assert!(refused(&["exposures", "--all", "show", "1-2"]));
        assert!(!refused(&["contacts", "--json", "erase", "--to", "3d"]));
        assert!(!refused(&["exposures", "--json", "show", "1-2"]));
        assert!(!refused(&["contacts", "--to", "3d"]));
    }

    #[test]
    fn the_arguments_are_sound() {
        Args::command().debug_assert();
    }
}
