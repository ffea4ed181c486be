//! The program `tcnd-sync`: options, log, signals, exit status.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tcnd_client::BusChoice;
use tcnd_config::load_sources;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use super::{RunResult, SyncOptions};

/// Fetches reports for tcnd, and uploads those that it hands out. Runs once, to
/// the end; a timer starts it.
///
/// Proxies are taken from the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and
/// NO_PROXY. Exit status: 0 all sources succeeded, or are in back-off after an
/// earlier failure; 1 some failed, and the log says which; 2 usage; 3 tcnd cannot
/// be reached; 78 the configuration of sources has errors.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "tcnd-sync", version)]
pub struct SyncArgs {
    /// Use the sources of this file instead of the system's; may be repeated
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub sources: Vec<PathBuf>,
    /// Store validators and back-off here [default: $STATE_DIRECTORY, else the
    /// XDG state directory]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The bus that tcnd is on: system, session, or a D-Bus address
    #[arg(long, value_name = "BUS", default_value = "system")]
    pub bus: BusChoice,
    /// Check the configuration of sources and exit
    #[arg(long)]
    pub check_config: bool,
    /// Also fetch from sources that failed a short while ago. Parts of reports are
    /// sent when they are due, as without this option; tcnctl report publish --now
    /// makes them due
    #[arg(long)]
    pub now: bool,
}

/// The run cannot be started.
#[derive(Debug, Error)]
enum ProgramError {
    #[error(transparent)]
    Config(#[from] tcnd_config::ConfigError),
    #[error(transparent)]
    NoStateDirectory(#[from] tcnd_config::NoStateDirectory),
    #[error("the system refused a resource that the program needs")]
    System(#[from] io::Error),
    #[error(transparent)]
    Sync(#[from] crate::SyncError),
}

impl ProgramError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(78),
            Self::Sync(crate::SyncError::Unreachable(_)) => ExitCode::from(3),
            Self::NoStateDirectory(_) | Self::System(_) | Self::Sync(_) => ExitCode::FAILURE,
        }
    }
}

/// Does one run and returns its exit code.
pub fn main(args: &SyncArgs) -> ExitCode {
    let _log = tcnd_logging::start();
    match run(args) {
        Ok(RunResult::Succeeded | RunResult::Stopped) => ExitCode::SUCCESS,
        Ok(RunResult::Failed(_)) => ExitCode::FAILURE,
        Err(error) => {
            tcnd_logging::fatal(&error);
            error.exit_code()
        }
    }
}

fn run(args: &SyncArgs) -> Result<RunResult, ProgramError> {
    let sources = load_sources(&args.sources)?;
    if args.check_config {
        let files = tcnd_config::source_files(&args.sources).unwrap_or_default();
        writeln!(io::stdout(), "{}", tcnd_config::valid(&files))?;
        return Ok(RunResult::Succeeded);
    }
    let options = SyncOptions {
        sources,
        state_directory: tcnd_config::state_directory("tcnd-sync", args.state_dir.as_deref())?,
        bus: args.bus.clone(),
        now: args.now,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok(crate::run(&options, stop).await?)
    });
    // A thread that still reads a document must not delay the end.
    runtime.shutdown_background();
    ended
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_sound() {
        SyncArgs::command().debug_assert();
    }

    #[test]
    fn all_of_them() {
        let args = SyncArgs::try_parse_from([
            "tcnd-sync",
            "--sources",
            "a",
            "b",
            "--sources",
            "c",
            "--state-dir",
            "s",
            "--bus",
            "session",
            "--check-config",
            "--now",
        ])
        .unwrap();
        assert_eq!(args.sources, ["a", "b", "c"].map(PathBuf::from));
        assert_eq!(args.state_dir, Some(PathBuf::from("s")));
        assert_eq!(args.bus, BusChoice::Session);
        assert!(args.check_config && args.now);
    }
}
