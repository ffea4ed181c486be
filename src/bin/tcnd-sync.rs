//! The exchange with servers: see [`tcnd::sync`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd::run::sync_main(&tcnd::run::SyncFlags::parse())
}
