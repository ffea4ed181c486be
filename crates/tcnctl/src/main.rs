//! The command-line client of tcnd: see [`tcnctl`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tcnctl::main()
}
