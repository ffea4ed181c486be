//! The step that needs root: see [`tcnd_rpa_timeout::main`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd_rpa_timeout::main(&tcnd_rpa_timeout::RpaTimeoutArgs::parse())
}
