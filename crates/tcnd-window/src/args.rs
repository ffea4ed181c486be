//! The arguments.

use std::path::PathBuf;

use clap::Parser;
use tcnd_client::BusChoice;

/// Shows tcnd, the contact tracing service of this computer: whether it is at work, how many
/// numbers it heard, exposures, and reports of this computer.
///
/// Only one runs in a login session. A second one shows the window of the first, and ends.
/// Exit status: 0 the person closed it, or another one runs; 1 failure; 2 wrong usage.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "tcnd-window", version, max_term_width = 80)]
pub struct WindowArgs {
    /// The message bus of tcnd: system, session, or a D-Bus address
    #[arg(long, value_name = "BUS", default_value = "system")]
    pub bus: BusChoice,

    /// Wait for other programs to open the window; the message bus of the session starts it so
    #[arg(long)]
    pub gapplication_service: bool,

    /// Files with reports of others, which are matched against the contacts of this computer
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}
