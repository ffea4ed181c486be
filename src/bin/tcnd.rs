//! The service: see [`tcnd::run`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd::run::main(&tcnd::run::DaemonFlags::parse())
}
