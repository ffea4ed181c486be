//! The tray item of tcnd: see [`tcnd_indicator`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd_indicator::main(&tcnd_indicator::IndicatorArgs::parse())
}
