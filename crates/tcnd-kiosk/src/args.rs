//! The arguments of the program.

use std::path::PathBuf;

use clap::Parser;
use tcnd_client::BusChoice;

/// Writes the page that the screen of a kiosk shows about tcnd, the contact tracing service
/// of this computer.
///
/// Whatever is missing, the page is written if it can be, and says what is not known. Exit
/// status: 0 nothing is missing; 1 failure; 2 wrong usage or settings; 3 the bus cannot be
/// reached.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "tcnd-kiosk", version, max_term_width = 80)]
pub struct KioskArgs {
    /// Use this settings file instead of /etc/tcnd/kiosk.toml; several are merged in order
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Check the settings, then exit
    #[arg(long)]
    pub check_config: bool,
    /// Where to write the page [default: index.html in the runtime directory that systemd
    /// gives, else the standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The message bus of tcnd: system, session, or a D-Bus address
    #[arg(long, value_name = "BUS", default_value = "system")]
    pub bus: BusChoice,
}
