//! `tcnctl`: the command-line client of tcnd.
//!
//! Output goes to standard output, as text for people or, with `--json`, as one
//! document with stable keys (`docs/tcnctl-json.md`). Messages go to standard error,
//! and each has a line with a hint. The exit status distinguishes failure, a tcnd that
//! does not answer, and missing authorisation.
//!
//! `config check`, `report inspect` and most of `doctor` work without tcnd.

mod args;
mod attenuation;
mod client;
mod command;
mod confirm;
mod doctor;
mod error;
mod hex;
mod locale;
mod memo;
mod output;
mod output_file;
mod polkit_agent;
mod problems;
mod time;

pub use command::report::inspect;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tcnd_client::BusChoice;

use args::{
    Args, ClockCommand, Command, ConfigCommand, ContactsCommand, DaemonCommand,
    DaemonReportCommand, ExposuresCommand, ReportCommand, SpanArgs, WatchFormat,
};
use client::{Client, Purpose};
use command::report::inspect::InspectOptions;
use command::status::Status;
use command::{
    clock, config, consent, contacts, exposures, pause, report, rotate, self_test, statistics,
    watch, wipe,
};
use error::{CliError, Exit};
use output::CommandOutput;

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let exit = run(args).unwrap_or_else(|error| {
        print_error(&error);
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
            config::check(&files, args.json)?.print()
        }
        Command::Report(ReportCommand::Inspect { file, expand }) => {
            let json = args.json;
            inspect::print_file(&file, InspectOptions { json, expand })
        }
        Command::Report(ReportCommand::Daemon(report)) => {
            block_on(async { run_report(report, &args.bus, args.json).await?.print() })
        }
        Command::Daemon(command) => {
            command
                .refuse_ignored()
                .unwrap_or_else(|error| error.exit());
            block_on(run_daemon_command(command, &args.bus, args.json))
        }
    }
}

fn block_on(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?
        .block_on(command)
}

async fn run_daemon_command(
    command: DaemonCommand,
    bus: &BusChoice,
    json: bool,
) -> Result<Exit, CliError> {
    let purpose = purpose(&command);
    let connect = || Client::connect(bus, purpose, json);
    let with_agent = || Client::with_agent(bus, purpose, json);
    let output = match command {
        DaemonCommand::Doctor => doctor::doctor(bus, json).await,
        DaemonCommand::Status => {
            let client = connect().await?;
            let mut status = Status::read(&client).await?;
            status.new_exposures = exposures::unseen(&client).await;
            client.output(&status, |status| status.render(&time::now()))
        }
        DaemonCommand::Watch { format } => {
            let format = if json { WatchFormat::Json } else { format };
            return watch::watch(&connect().await?, format).await;
        }
        DaemonCommand::Enable => consent::enable(&with_agent().await?).await?,
        DaemonCommand::Disable => consent::disable(&with_agent().await?).await?,
        DaemonCommand::Pause { duration, reason } => {
            pause::pause(&with_agent().await?, duration, &reason).await?
        }
        DaemonCommand::Resume => pause::resume(&with_agent().await?).await?,
        DaemonCommand::Rotate => rotate::rotate(&with_agent().await?).await?,
        DaemonCommand::SelfTest => self_test::self_test(&with_agent().await?).await?,
        DaemonCommand::Statistics => statistics::statistics(&with_agent().await?).await?,
        DaemonCommand::Clock(ClockCommand::Confirm) => clock::confirm(&with_agent().await?).await?,
        DaemonCommand::Contacts { span, command } => {
            run_contacts(span, command, &with_agent().await?).await?
        }
        DaemonCommand::Exposures { all, command } => {
            run_exposures(all, command, &with_agent().await?).await?
        }
        DaemonCommand::Wipe { yes } => wipe::wipe(&with_agent().await?, yes).await?,
    };
    output.print()
}

/// A command that reads never starts tcnd. Showing an exposure marks it as seen, but
/// does not start tcnd either.
fn purpose(command: &DaemonCommand) -> Purpose {
    match command {
        DaemonCommand::Status
        | DaemonCommand::Watch { .. }
        | DaemonCommand::Doctor
        | DaemonCommand::SelfTest
        | DaemonCommand::Statistics
        | DaemonCommand::Contacts {
            command: None | Some(ContactsCommand::Export { .. }),
            ..
        }
        | DaemonCommand::Exposures {
            command: None | Some(ExposuresCommand::Show { .. }),
            ..
        } => Purpose::Read,
        DaemonCommand::Enable
        | DaemonCommand::Disable
        | DaemonCommand::Pause { .. }
        | DaemonCommand::Resume
        | DaemonCommand::Rotate
        | DaemonCommand::Clock(_)
        | DaemonCommand::Contacts { .. }
        | DaemonCommand::Exposures { .. }
        | DaemonCommand::Wipe { .. } => Purpose::Act,
    }
}

async fn run_contacts(
    span: SpanArgs,
    command: Option<ContactsCommand>,
    client: &Client,
) -> Result<CommandOutput, CliError> {
    match command {
        None => contacts::contacts(client, span).await,
        Some(ContactsCommand::Export {
            file,
            format,
            raw,
            span,
        }) => contacts::export::export(client, &file, format, raw, span).await,
        Some(ContactsCommand::Erase { span, yes }) => {
            contacts::erase::erase(client, span, yes).await
        }
    }
}

async fn run_exposures(
    all: bool,
    command: Option<ExposuresCommand>,
    client: &Client,
) -> Result<CommandOutput, CliError> {
    match command {
        None => exposures::list(client, all).await,
        Some(ExposuresCommand::Show { id }) => exposures::show(client, &id).await,
        Some(ExposuresCommand::Dismiss { id }) => exposures::dismiss(client, &id).await,
        Some(ExposuresCommand::Restore { id }) => exposures::restore(client, &id).await,
    }
}

fn report_purpose(report: &DaemonReportCommand) -> Purpose {
    match report {
        DaemonReportCommand::Preview { .. } | DaemonReportCommand::List => Purpose::Read,
        DaemonReportCommand::Create(_)
        | DaemonReportCommand::Export { .. }
        | DaemonReportCommand::Publish(_)
        | DaemonReportCommand::Check
        | DaemonReportCommand::Delete { .. }
        | DaemonReportCommand::Import { .. } => Purpose::Act,
    }
}

async fn run_report(
    report: DaemonReportCommand,
    bus: &BusChoice,
    json: bool,
) -> Result<CommandOutput, CliError> {
    let client = &Client::with_agent(bus, report_purpose(&report), json).await?;
    match report {
        DaemonReportCommand::Preview { span } => report::preview::preview(client, span).await,
        DaemonReportCommand::Create(args) => report::create::create(client, &args).await,
        DaemonReportCommand::List => report::list::list(client).await,
        DaemonReportCommand::Export { id, file, format } => {
            report::export::export(client, &id, &file, format).await
        }
        DaemonReportCommand::Publish(args) if args.cancel => {
            report::publish::cancel(client, &args.id, args.to.as_deref()).await
        }
        DaemonReportCommand::Publish(args) => report::publish::publish(client, &args).await,
        DaemonReportCommand::Check => report::check::check(client).await,
        DaemonReportCommand::Delete { id, yes } => report::delete::delete(client, &id, yes).await,
        DaemonReportCommand::Import {
            files,
            source,
            published,
        } => report::import::import(client, &files, source.as_deref(), published).await,
    }
}

#[expect(
    clippy::print_stderr,
    reason = "this is where a person is told what went wrong"
)]
fn print_error(error: &CliError) {
    eprintln!("error: {}", printable::lines(error));
    eprintln!("hint: {}", printable::lines(error.hint()));
}
