//! The program `tcnd-rpa-timeout`: sets how long controllers use an address that they
//! make themselves, for the modes full and relay.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::{DEFAULT, Done, LONGEST, SHORTEST};

/// Set for how long Bluetooth controllers use an address that they make themselves
///
/// For root, before tcnd starts in mode full or relay. Controllers whose addresses
/// the kernel makes are left as they are.
#[derive(Clone, Debug, Parser)]
#[command(name = "tcnd-rpa-timeout", version)]
pub struct Flags {
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
pub fn main(flags: &Flags) -> ExitCode {
    let controllers = match &flags.controllers[..] {
        [] => crate::controllers(),
        named => named.to_vec(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let set = match runtime {
        Ok(runtime) => runtime.block_on(set(&controllers, Duration::from_secs(flags.seconds))),
        Err(error) => {
            complain(&error.to_string());
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
                let _ = writeln!(io::stdout(), "{name}: {}", words(done));
            }
            Err(error) => {
                complain(&format!("{name}: {error}"));
                all = false;
            }
        }
    }
    all
}

fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "tcnd-rpa-timeout: {what}");
}

fn words(done: Done) -> String {
    match done {
        Done::Spared => "the kernel makes its addresses; nothing is set".to_owned(),
        Done::Set(timeout) => format!("it uses an address for {} s", timeout.as_secs()),
        Done::LockedDown(timeout) => format!(
            "it uses an address for {} s, for the kernel is locked down (Secure Boot) and \
             takes no other time",
            timeout.as_secs()
        ),
    }
}
