//! The step that takes root: see [`tcnd::run::rpa_timeout_main`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd::run::rpa_timeout_main(&tcnd::run::RpaTimeoutFlags::parse())
}
