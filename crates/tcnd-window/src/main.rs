//! The window of tcnd: see [`tcnd_window`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd_window::main(&tcnd_window::WindowArgs::parse())
}
