//! The report server: see [`tcn_reportd`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcn_reportd::main(&tcn_reportd::ReportdArgs::parse())
}
