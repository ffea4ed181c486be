//! The program `tcnd-window`: the window of tcnd, with GTK and libadwaita.
//!
//! What each page says is pure and tested without a display (`view`). The pages show it
//! (`page`). Calls to tcnd run in a thread of their own (`client`), so that a bus or a tcnd
//! that does not answer never stops the window. Text from others is never markup.

#![forbid(unsafe_code)]

mod application;
mod args;
mod calls;
mod chart;
mod client;
mod clock;
mod context;
mod data;
mod file_pipe;
mod import;
mod page;
mod session;
mod view;
mod welcome;
mod widgets;
mod window;

pub use args::WindowArgs;

use std::process::ExitCode;

/// Runs the program until the person closes its window.
#[must_use]
pub fn main(args: &WindowArgs) -> ExitCode {
    application::run(args)
}
