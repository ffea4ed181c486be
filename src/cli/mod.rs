//! `tcnctl`: the person's side of the bus.
//!
//! Facts go to standard output, as text for people or, with `--json`, as one
//! document whose keys stay (`docs/tcnctl-json.md`). Messages go to standard
//! error, and each comes with a line that says what helps. The exit status
//! tells scripts apart what they must not confuse: that it failed, that nobody
//! answered, and that it is not allowed.
//!
//! `config check`, `report inspect` and most of `doctor` work without tcnd.

mod agent;
mod answer;
mod args;
mod client;
mod contacts;
mod control;
mod doctor;
mod error;
pub mod inspect;
mod memo;
mod problems;
mod report;
mod status;
mod time;
mod validate;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use jiff::ZonedDateTime;

use answer::Answer;
use args::{Args, Command, ConfigCommand, Live, ReportCommand, WatchFormat};
use client::Client;
use error::{CliError, Exit};
use status::Status;

use crate::bus::BusChoice;

/// Does what the arguments of this process ask.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let exit = run(args).unwrap_or_else(|error| {
        complain(&error);
        error.exit()
    });
    ExitCode::from(exit as u8)
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
        Command::Live(live) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Runtime)?
            .block_on(converse(live, &args.bus, args.json)),
    }
}

async fn converse(live: Live, bus: &BusChoice, json: bool) -> Result<Exit, CliError> {
    let connect = || Client::connect(bus);
    let answer = match live {
        Live::Doctor => doctor::doctor(bus, json).await,
        Live::Status => {
            let status = Status::read(&connect().await?).await?;
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
        Live::Contacts { from, to } => {
            contacts::contacts(&connect().await?, from, to, json).await?
        }
    };
    answer.deliver()
}

#[expect(
    clippy::print_stderr,
    reason = "this is where a person is told what went wrong"
)]
fn complain(error: &CliError) {
    eprintln!("error: {error}");
    eprintln!("hint: {}", error.hint());
}
