//! The program `tcnd-kiosk`: writes the page that the screen of a kiosk shows.
//!
//! Each run asks tcnd for its state, writes one HTML file, and ends; a timer runs it once a
//! minute. Any browser shows the file, so there is no port to attack. The page has no script
//! and fetches nothing.
//!
//! Everyone near sees the screen. So the page has no exact count of devices, which would tell
//! when somebody is alone, and the program never asks about contacts or exposures.

#![forbid(unsafe_code)]

mod args;
mod clock;
mod page;
mod program;
mod settings;
mod state;

use std::io::{self, Write as _};
use std::process::ExitCode;

pub use self::args::KioskArgs;

/// Writes the page once.
#[must_use]
pub fn main(args: &KioskArgs) -> ExitCode {
    let (said, error) = match program::run(args) {
        Ok((said, missing)) => (said, missing),
        Err(error) => (String::new(), Some(error)),
    };
    let _ = io::stdout().write_all(said.as_bytes());
    error.map_or(ExitCode::SUCCESS, |error| {
        let _ = writeln!(io::stderr(), "error: {error}");
        error.exit_code()
    })
}
