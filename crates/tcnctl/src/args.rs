//! The command line of `tcnctl`. The doc comments here are the help.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use tcn_protocol::memo::Symptom;
use tcnd_client::BusChoice;

use crate::time;

/// Shows and controls tcnd, the contact tracing service of this machine.
///
/// Exit status: 0 success, 1 failure, 2 wrong usage, 3 tcnd cannot be reached, 4
/// not authorised.
#[derive(Debug, Parser)]
#[command(name = "tcnctl", version, max_term_width = 80)]
pub(crate) struct Args {
    /// Print one JSON document instead of text
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,
    /// The message bus of tcnd: system, session, or a D-Bus address
    #[arg(
        long,
        global = true,
        display_order = 101,
        value_name = "BUS",
        default_value = "system"
    )]
    pub(crate) bus: BusChoice,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Daemon(DaemonCommand),
    /// Check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make reports, and match the reports of other people
    #[command(subcommand)]
    Report(ReportCommand),
}

/// The commands that connect to tcnd.
#[derive(Debug, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Show the status and the problems of tcnd
    Status,
    /// Show the status, then each event, until interrupted
    Watch {
        /// text, json (one document a line), or waybar (for a custom module)
        #[arg(long, value_enum, default_value_t)]
        format: WatchFormat,
    },
    /// Check the machine: Bluetooth, clock, kernel, and tcnd itself
    Doctor,
    /// Give consent: let tcnd broadcast numbers and listen for those of others
    Enable,
    /// Withdraw consent
    Disable,
    /// Pause broadcasting and listening
    Pause {
        /// The duration, such as 30min or 8h; without it, until resumed
        #[arg(value_parser = tcnd_config::parse_duration)]
        duration: Option<Duration>,
        /// The reason, which other users can see
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
    /// Have tcnd test itself: radio, address, clock, contact log, keys
    #[command(visible_alias = "selftest")]
    SelfTest,
    /// Show counters since the start of tcnd, and the size of the contact log
    Statistics,
    /// Confirm the clock of this machine
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Show totals of the contact log by day and hour
    ///
    /// Contacts are counted by quarters of an hour: --from is rounded down to one,
    /// --to is rounded up.
    ///
    /// T is a date (2026-11-23), a time (2026-11-23T18:00, or 18:00 of today), now,
    /// today, yesterday, a span before now (3d, 12h), or @ and seconds since 1970.
    /// Dates and times are those of the local time zone.
    Contacts {
        #[command(flatten)]
        span: SpanArgs,
        #[command(subcommand)]
        command: Option<ContactsCommand>,
    },
    /// Show when this computer was near a person who made a report
    Exposures {
        /// Include dismissed ones
        #[arg(long)]
        all: bool,
        #[command(subcommand)]
        command: Option<ExposuresCommand>,
    },
    /// Destroy all data: keys, contacts, reports, exposures, decisions
    Wipe {
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

impl DaemonCommand {
    /// Refuses options that would be ignored because a subcommand has its own. clap
    /// would refuse `--json` there with them.
    pub(crate) fn refuse_ignored(&self) -> Result<(), clap::Error> {
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
        let text = "give these options after the subcommand; it may not take all of them\n";
        Err(Args::command().error(ErrorKind::ArgumentConflict, text))
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct SpanArgs {
    /// Start of the span [default: the oldest data]
    #[arg(long, value_name = "T", value_parser = time::parse_from)]
    pub(crate) from: Option<Timestamp>,
    /// End of the span; a date includes that day [default: now]
    #[arg(long, value_name = "T", value_parser = time::parse_to)]
    pub(crate) to: Option<Timestamp>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContactsCommand {
    /// Write the rows of the contact log to a file
    ///
    /// The file has the rows that tcnctl contacts counts for the same --from and --to.
    Export {
        /// A new file, or - for standard output
        file: PathBuf,
        /// csv, jsonl (one JSON object a line), or sqlite
        #[arg(long, value_enum, default_value_t)]
        format: RowFormat,
        /// Write the numbers themselves, instead of pseudonyms for this file
        #[arg(long)]
        raw: bool,
        #[command(flatten)]
        span: SpanArgs,
    },
    /// Destroy contacts
    ///
    /// Destroys contacts that began between --from and --to, to the second. tcnctl
    /// contacts rounds the same span, so it may count more contacts at the ends.
    Erase {
        #[command(flatten)]
        span: SpanArgs,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClockCommand {
    /// Confirm that the clock is right, where no network can
    ///
    /// Check the date and the time first. From then on tcnd destroys data that is
    /// older than the retention by this clock.
    Confirm,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExposuresCommand {
    /// Show one exposure and mark it as seen; with --json it stays new
    Show {
        /// The ID in the list
        id: String,
    },
    /// Hide an exposure
    Dismiss {
        /// The ID in the list
        id: String,
    },
    /// List a dismissed exposure again
    Restore {
        /// The ID in the list of tcnctl exposures --all
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every error in the configuration
    Check {
        /// Check these files instead of the system's, in this order
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    #[command(flatten)]
    Daemon(DaemonReportCommand),
    /// Verify the signed reports in a file, without tcnd
    Inspect {
        /// The file, or - for standard input
        file: PathBuf,
        /// List the numbers that each report discloses
        #[arg(long)]
        expand: bool,
    },
}

/// The commands about reports that connect to tcnd.
#[derive(Debug, Subcommand)]
pub(crate) enum DaemonReportCommand {
    /// Show what a report would disclose, without making one
    Preview {
        #[command(flatten)]
        span: SpanArgs,
    },
    /// Make a report after showing what it discloses; it stays on this machine
    ///
    /// The report covers the last 14 days, or the span from --from to --to. It
    /// leaves the machine only by tcnctl report export or publish.
    Create(CreateArgs),
    /// List your reports, and which parts have left the machine
    List,
    /// Write a report to a file for other people; tcnd records this
    Export {
        /// The ID in the list
        id: String,
        /// A new file, or - for standard output
        file: PathBuf,
        /// tcn (binary), base64 (one signed report a line), or json
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// Send a report to servers, where everyone can fetch it
    ///
    /// Its parts leave one by one, in random order over hours, so that their times
    /// do not show that they belong to one person. Until a part has left, --now
    /// sends it at once, and --cancel and tcnctl report delete keep it on this
    /// machine.
    Publish(PublishArgs),
    /// Fetch reports from all servers now
    Check,
    /// Delete a report; copies that have left the machine stay
    ///
    /// Parts that are queued for servers are not sent.
    Delete {
        /// The ID in the list
        id: String,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Match reports of other people with your contacts
    Import {
        /// Files of any format, or - for standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The origin of the reports, which exposures will show [default: the file
        /// name]
        #[arg(long, value_name = "TEXT")]
        source: Option<String>,
        /// The time by which the reports were public; contacts that began later do
        /// not count [default: now]
        #[arg(long, value_name = "T", value_parser = time::parse_to)]
        published: Option<Timestamp>,
    },
}

// What to make a report of. The help of the command is with its variant.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) memo: MemoArgs,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// A note to yourself, which stays on this machine
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) note: String,
    /// Accept a memo that shows that the parts of the report belong to one person
    #[arg(long)]
    pub(crate) linkable: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

// What to publish, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct PublishArgs {
    /// The ID in the list
    pub(crate) id: String,
    /// One server, by its name in /etc/tcnd/sources.d [default: all that
    /// take reports]
    #[arg(long, value_name = "NAME")]
    pub(crate) to: Option<String>,
    /// Send all parts at once, including those already queued
    #[arg(long)]
    pub(crate) now: bool,
    /// Cancel the parts that have not left yet
    #[arg(long, conflicts_with_all = ["now", "yes"])]
    pub(crate) cancel: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The memo of a report.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct MemoArgs {
    /// Symptoms, for a CoEpi memo; none if there are no symptoms
    #[arg(long, value_name = "LIST", value_parser = symptoms(), value_delimiter = ',',
          conflicts_with_all = ["memo_type", "memo_hex"])]
    pub(crate) symptoms: Vec<Symptom>,
    /// The day of the first symptom: today, or one of the 14 days before
    #[arg(long, value_name = "T", requires = "symptoms", value_parser = time::parse_since)]
    pub(crate) since: Option<jiff::civil::Date>,
    /// Another type of memo, by its number in the registry
    #[arg(long, value_name = "N")]
    pub(crate) memo_type: Option<u8>,
    /// The bytes of that memo
    #[arg(long, value_name = "HEX", requires = "memo_type")]
    pub(crate) memo_hex: Option<String>,
}

/// Reads a symptom of CoEpi's questionnaire.
fn symptoms() -> impl TypedValueParser<Value = Symptom> {
    let tokens = PossibleValuesParser::new(Symptom::WRITABLE.map(Symptom::token));
    tokens.try_map(|token| Symptom::writable(&token).ok_or("no such symptom"))
}

/// The format of exported rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    #[default]
    Csv,
    Jsonl,
    Sqlite,
}

/// The format of an exported report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    #[default]
    Tcn,
    Base64,
    Json,
}

/// The output format of `watch`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WatchFormat {
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
                Ok(Command::Daemon(command)) => command.refuse_ignored().is_err(),
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
