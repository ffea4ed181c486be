//! The application: one for each login session, by its name on the session's bus.

use std::iter;
use std::process::ExitCode;

use adw::prelude::*;
use gtk::{gio, glib};

use crate::args::WindowArgs;

/// The name by which tcnd, the session and other programs know this one.
pub(crate) const APPLICATION_ID: &str = "org.tcncoalition.Tcnd1.Window";

/// Runs until the last window is closed.
pub(crate) fn run(args: &WindowArgs) -> ExitCode {
    let mut flags = gio::ApplicationFlags::HANDLES_OPEN;
    if args.gapplication_service {
        flags |= gio::ApplicationFlags::IS_SERVICE;
    }
    let application = adw::Application::new(Some(APPLICATION_ID), flags);
    application.connect_activate(|application| {
        let window = adw::ApplicationWindow::new(application);
        window.present();
    });
    // A URI has no byte that is not ASCII, and does not begin like an option.
    let files = args
        .files
        .iter()
        .map(|file| gio::File::for_path(file).uri());
    let argv: Vec<_> = iter::once("tcnd-window".into()).chain(files).collect();
    match application.run_with_args(&argv) {
        glib::ExitCode::SUCCESS => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
