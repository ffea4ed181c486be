//! `tcnctl`: the command-line client of tcnd.
//!
//! Output goes to standard output, as text for people or, with `--json`, as one
//! document with stable keys (`docs/tcnctl-json.md`). Messages go to standard error,
//! and each has a line with a hint. The exit status distinguishes failure, a tcnd that
//! does not answer, and missing authorisation.
//!
//! `config check`, `report inspect` and most of `doctor` work without tcnd.

mod agent;
mod answer;
mod args;
mod client;
mod contacts;
mod control;
mod destroy;
mod doctor;
mod error;
mod exposures;
mod import;
pub mod inspect;
mod locale;
mod memo;
mod output_file;
mod own;
mod own_list;
mod problems;
mod publish;
mod question;
mod report;
mod self_test;
mod status;
mod symptoms;
mod time;
mod validate;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use jiff::ZonedDateTime;
use tcnd_client::BusChoice;

use answer::Answer;
use args::{
    Args, ClockCommand, Command, ConfigCommand, ContactsCommand, ExposuresCommand, Live,
    LiveReport, ReportCommand, WatchFormat,
};
use client::{Client, Purpose};
use error::{CliError, Exit, Topic};
use status::Status;

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let exit = run(args).unwrap_or_else(|error| {
        complain(&error);
        error.exit()
    });
    ExitCode::from(exit as u8)
}

/// The command line, for generating manual pages and completions.
pub fn command() -> clap::Command {
    Args::command()
}

fn run(args: Args) -> Result<Exit, CliError> {
    match args.command {
        Command::Config(ConfigCommand::Check { files }) => {
            validate::check(&files, args.json)?.deliver()
        }
        Command::Report(ReportCommand::Inspect { file, expand }) => {
            let json = args.json;
            report::inspect(&file, inspect::View { json, expand })
        }
        Command::Report(ReportCommand::Live(report)) => {
            converse(async { report_on(report, &args.bus, args.json).await?.deliver() })
        }
        Command::Live(live) => {
            live.refuse_ignored().unwrap_or_else(|error| error.exit());
            converse(live_on(live, &args.bus, args.json))
        }
    }
}

fn converse(talk: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?
        .block_on(talk)
}

async fn live_on(live: Live, bus: &BusChoice, json: bool) -> Result<Exit, CliError> {
    let (purpose, topic) = (purpose(&live), topic(&live));
    let connect = || Client::connect(bus, purpose, topic);
    let answer = match live {
        Live::Doctor => doctor::doctor(bus, json).await,
        Live::Status => {
            let client = connect().await?;
            let mut status = Status::read(&client).await?;
            status.new_exposures = exposures::unseen(&client).await;
            Answer::new(json, &status, |status| status.render(&ZonedDateTime::now()))
        }
        Live::Watch { format } => {
            let format = if json { WatchFormat::Json } else { format };
            return watch::watch(&connect().await?, format).await;
        }
        Live::Enable => control::enable(&connect().await?, json).await?,
        Live::Disable => control::disable(&connect().await?, json).await?,
        Live::Pause { duration, reason } => {
            control::pause(&connect().await?, duration, &reason, json).await?
        }
        Live::Resume => control::resume(&connect().await?, json).await?,
        Live::Rotate => control::rotate(&connect().await?, json).await?,
        Live::SelfTest => self_test::self_test(&connect().await?, json).await?,
        Live::Statistics => self_test::statistics(&connect().await?, json).await?,
        Live::Clock(ClockCommand::Confirm) => {
            control::confirm_clock(&connect().await?, json).await?
        }
        Live::Contacts {
            span,
            command: None,
        } => contacts::contacts(&connect().await?, span, json).await?,
        Live::Contacts {
            command: Some(command),
            ..
        } => contacts_on(command, &connect().await?, json).await?,
        Live::Exposures { all, command } => {
            exposures_on(all, command, &connect().await?, json).await?
        }
        Live::Wipe { yes } => destroy::wipe(&connect().await?, yes, json).await?,
    };
    answer.deliver()
}

/// A command that reads never starts tcnd. Showing an exposure marks it as seen, but
/// does not start tcnd either.
fn purpose(live: &Live) -> Purpose {
    match live {
        Live::Status
        | Live::Watch { .. }
        | Live::Doctor
        | Live::SelfTest
        | Live::Statistics
        | Live::Contacts {
            command: None | Some(ContactsCommand::Export { .. }),
            ..
        }
        | Live::Exposures {
            command: None | Some(ExposuresCommand::Show { .. }),
            ..
        } => Purpose::Read,
        Live::Enable
        | Live::Disable
        | Live::Pause { .. }
        | Live::Resume
        | Live::Rotate
        | Live::Clock(_)
        | Live::Contacts { .. }
        | Live::Exposures { .. }
        | Live::Wipe { .. } => Purpose::Act,
    }
}

fn topic(live: &Live) -> Topic {
    match live {
        Live::Contacts { .. } | Live::Statistics => Topic::Contacts,
        Live::Exposures { .. } => Topic::Exposures,
        Live::Status
        | Live::Watch { .. }
        | Live::Doctor
        | Live::SelfTest
        | Live::Enable
        | Live::Disable
        | Live::Pause { .. }
        | Live::Resume
        | Live::Rotate
        | Live::Clock(_)
        | Live::Wipe { .. } => Topic::Control,
    }
}

async fn contacts_on(
    command: ContactsCommand,
    client: &Client,
    json: bool,
) -> Result<Answer, CliError> {
    match command {
        ContactsCommand::Export {
            file,
            format,
            raw,
            span,
        } => destroy::export(client, &file, format, raw, span, json).await,
        ContactsCommand::Erase { span, yes } => destroy::erase(client, span, yes, json).await,
    }
}

async fn exposures_on(
    all: bool,
    command: Option<ExposuresCommand>,
    client: &Client,
    json: bool,
) -> Result<Answer, CliError> {
    match command {
        None => exposures::list(client, all, json).await,
        Some(ExposuresCommand::Show { id }) => exposures::show(client, &id, json).await,
        Some(ExposuresCommand::Dismiss { id }) => exposures::dismiss(client, &id, json).await,
        Some(ExposuresCommand::Restore { id }) => exposures::restore(client, &id, json).await,
    }
}

async fn report_on(report: LiveReport, bus: &BusChoice, json: bool) -> Result<Answer, CliError> {
    let purpose = match report {
        LiveReport::Preview { .. } | LiveReport::List => Purpose::Read,
        LiveReport::Create { .. }
        | LiveReport::Export { .. }
        | LiveReport::Publish { .. }
        | LiveReport::Check
        | LiveReport::Delete { .. }
        | LiveReport::Import { .. } => Purpose::Act,
    };
    let client = &Client::connect(bus, purpose, Topic::Reports).await?;
    match report {
        LiveReport::Preview { span } => own::preview(client, span, json).await,
        LiveReport::Create {
            memo,
            span,
            note,
            linkable,
            yes,
        } => {
            let wanted = own::Wanted {
                memo: &memo,
                span,
                note: &note,
                linkable,
                yes,
            };
            own::create(client, wanted, json).await
        }
        LiveReport::List => own_list::list(client, json).await,
        LiveReport::Export { id, file, format } => {
            own_list::export(client, &id, &file, format, json).await
        }
        LiveReport::Publish {
            id,
            to,
            cancel: true,
            ..
        } => publish::cancel(client, &id, to.as_deref(), json).await,
        LiveReport::Publish {
            id, to, now, yes, ..
        } => {
            let to = to.as_deref();
            let wanted = publish::Wanted {
                id: &id,
                to,
                now,
                yes,
            };
            publish::publish(client, wanted, json).await
        }
        LiveReport::Check => publish::check(client, json).await,
        LiveReport::Delete { id, yes } => own_list::delete(client, &id, yes, json).await,
        LiveReport::Import {
            files,
            source,
            published,
        } => import::import(client, &files, source.as_deref(), published, json).await,
    }
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(
    clippy::print_stderr,
    reason = "this is where a person is told what went wrong"
)]
fn complain(error: &CliError) {
    eprintln!("error: {}", printable::lines(error));
    eprintln!("hint: {}", printable::lines(error.hint()));
}
