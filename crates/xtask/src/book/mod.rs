//! All generated files, by their path in packaging/.

mod bash;
mod bus;
mod catalog;
mod page;
mod shells;
pub(crate) mod tcnctl;
mod values;

use clap::{Command, CommandFactory};
use tcnd::run::DaemonFlags;

/// The files, each with its path below packaging/ and its text.
pub(crate) fn files() -> Vec<(String, String)> {
    let mut files = tcnctl::pages();
    files.push(("man/org.tcncoalition.Tcnd1.5".to_owned(), bus::page()));
    files.push(("catalog/tcnd.catalog".to_owned(), catalog::catalog()));
    files.extend(programs().into_iter().flat_map(shells::completions));
    files
}

/// Every program, as a clap command.
pub(crate) fn programs() -> [Command; 7] {
    [
        ::tcnctl::command(),
        DaemonFlags::command(),
        tcnd_sync::SyncArgs::command(),
        tcn_reportd::ReportdArgs::command(),
        tcnd_indicator::IndicatorArgs::command(),
        tcnd_kiosk::KioskArgs::command(),
        tcnd_window::WindowArgs::command(),
    ]
}
