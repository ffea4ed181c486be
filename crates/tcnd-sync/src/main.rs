//! The exchange with servers: see [`tcnd_sync`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tcnd_sync::main(&tcnd_sync::SyncArgs::parse())
}
