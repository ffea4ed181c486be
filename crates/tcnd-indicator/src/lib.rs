//! The program `tcnd-indicator`: the tray item of tcnd, and its notifications.
//!
//! One process for each login session. It shows the state of tcnd, tells a person that there is
//! something new without telling bystanders what, and pauses tcnd. It never makes polkit ask
//! for a password by itself: only for what a person chose in the menu. It works without a
//! tray, without a server of notifications, and before tcnd, and lives through restarts of each.

#![forbid(unsafe_code)]

mod clock;
mod desktop;
mod icon;
mod menu;
mod own_pauses;
mod program;
mod reminder;
mod request;
mod tray;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use tcnd_client::BusChoice;

/// Shows the state of tcnd, the contact tracing service of this computer, in the panel,
/// and tells of what is new.
///
/// It is started with the desktop, and runs until the person logs out. A second one ends
/// at once. Exit status: 0 it was told to end, or another one runs; 1 failure; 2 wrong
/// usage; 3 a bus cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "tcnd-indicator", version, max_term_width = 80)]
pub struct IndicatorArgs {
    /// The message bus of tcnd: system, session, or a D-Bus address
    #[arg(long, value_name = "BUS", default_value = "system")]
    pub bus: BusChoice,
}

/// Runs the program until the person or the session ends it.
#[must_use]
pub fn main(args: &IndicatorArgs) -> ExitCode {
    match program::run(&args.bus) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            error.exit_code()
        }
    }
}
