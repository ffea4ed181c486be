//! The report server: see [`tcnd::reportd`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd::reportd::main(&tcnd::reportd::Flags::parse())
}
