//! The person's side of tcnd: see [`tcnctl`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tcnctl::main()
}
