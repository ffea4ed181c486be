//! The program `tcnd-rpa-timeout`: sets how long controllers use an address that they
//! make themselves, for the modes full and relay.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::{DEFAULT, LONGEST, SHORTEST, SetOutcome};

/// Set for how long Bluetooth controllers use an address that they make themselves
///
/// For root, before tcnd starts in mode full or relay. Controllers whose addresses
/// the kernel makes are left as they are.
#[derive(Clone, Debug, Parser)]
#[command(name = "tcnd-rpa-timeout", version)]
pub struct RpaTimeoutArgs {
    /// How long an address is used, in seconds
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT.as_secs(),
        value_parser = clap::value_parser!(u64).range(SHORTEST.as_secs()..=LONGEST.as_secs())
    )]
    seconds: u64,

    /// Of these controllers alone, by their names in the kernel
    #[arg(value_name = "hciN")]
    controllers: Vec<String>,
}

/// Runs the program and prints a line for each controller. Fails if one of them failed.
pub fn main(args: &RpaTimeoutArgs) -> ExitCode {
    let controllers = match &args.controllers[..] {
        [] => crate::controllers(),
        named => named.to_vec(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let set = match runtime {
        Ok(runtime) => runtime.block_on(set(&controllers, Duration::from_secs(args.seconds))),
        Err(error) => {
            print_error(&error.to_string());
            false
        }
    };
    if set {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn set(controllers: &[String], timeout: Duration) -> bool {
    let mut all = true;
    for name in controllers {
        match crate::set(name, timeout).await {
            Ok(done) => {
                // Standard output may be closed.
                let _ = writeln!(io::stdout(), "{name}: {}", describe(done));
            }
            Err(error) => {
                print_error(&format!("{name}: {error}"));
                all = false;
            }
        }
    }
    all
}

fn print_error(what: &str) {
    let _ = writeln!(io::stderr(), "tcnd-rpa-timeout: {what}");
}

fn describe(done: SetOutcome) -> String {
    match done {
        SetOutcome::NotNeeded => "the kernel makes its addresses; nothing was set".to_owned(),
        SetOutcome::Set(timeout) => format!("it uses an address for {} s", timeout.as_secs()),
        SetOutcome::LockedDown(timeout) => format!(
            "it uses an address for {} s: the kernel is locked down (Secure Boot) and \
             accepts no other time",
            timeout.as_secs()
        ),
    }
}
