//! The page of a kiosk: see [`tcnd_kiosk`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd_kiosk::main(&tcnd_kiosk::KioskArgs::parse())
}
