//! The person's side of tcnd: see [`tcnd::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tcnd::cli::main()
}
