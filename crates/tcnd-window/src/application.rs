//! The application: one for each login session, by its name on the session's bus.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::iter;
use std::process::ExitCode;
use std::rc::Rc;

use adw::prelude::*;
use gtk::{gdk, gio, glib};

use crate::args::WindowArgs;
use crate::calls::APPLICATION_ID;
use crate::client::Client;
use crate::widgets::spawn;
use crate::window::MainWindow;

/// Texts of libadwaita whose contrast is too low to be read by all.
const STYLE: &str = "@define-color accent_bg_color #1c71d8;
row .subtitle, .dim-label { opacity: 0.9; }";

/// Runs until the last window is closed.
pub(crate) fn run(args: &WindowArgs) -> ExitCode {
    let mut flags = gio::ApplicationFlags::HANDLES_OPEN;
    if args.gapplication_service {
        flags |= gio::ApplicationFlags::IS_SERVICE;
    }
    let application = adw::Application::new(Some(APPLICATION_ID), flags);
    let quit = gio::SimpleAction::new("quit", None);
    let quitting = application.downgrade();
    quit.connect_activate(move |_, _| {
        if let Some(application) = quitting.upgrade() {
            application.quit();
        }
    });
    application.add_action(&quit);
    application.connect_startup(|_| style());
    let exposures_shown =
        gio::SimpleAction::new_stateful("exposures-shown", None, &false.to_variant());
    // Others read its state, and cannot set it.
    exposures_shown.connect_change_state(|_, _| {});
    exposures_shown.connect_activate(|_, _| {});
    application.add_action(&exposures_shown);
    let shown = Rc::new(Shown::new(args, exposures_shown));
    for (name, page) in [("show-status", "status"), ("show-exposures", "exposures")] {
        let action = gio::SimpleAction::new(name, None);
        let (showing, application_of) = (Rc::clone(&shown), application.downgrade());
        action.connect_activate(move |_, _| {
            let application = application_of.upgrade();
            if let Some(window) = application.and_then(|it| showing.window(&it)) {
                window.show_page(page);
            }
        });
        application.add_action(&action);
    }
    let activating = Rc::clone(&shown);
    application.connect_activate(move |application| drop(activating.window(application)));
    application.connect_open(move |application, files, _| {
        if let Some(window) = shown.window(application) {
            let files = files.to_vec();
            spawn(async move { window.open(&files).await });
        }
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

fn style() {
    let provider = gtk::CssProvider::new();
    provider.load_from_data(STYLE);
    if let Some(display) = gdk::Display::default() {
        let priority = gtk::STYLE_PROVIDER_PRIORITY_APPLICATION;
        gtk::style_context_add_provider_for_display(&display, &provider, priority);
    }
}

/// The window, made when it is first wanted.
struct Shown {
    bus: tcnd_client::BusChoice,
    exposures_shown: gio::SimpleAction,
    window: RefCell<Option<Rc<MainWindow>>>,
}

impl Shown {
    fn new(args: &WindowArgs, exposures_shown: gio::SimpleAction) -> Self {
        Self {
            exposures_shown,
            bus: args.bus.clone(),
            window: RefCell::default(),
        }
    }

    /// Shows the window; `None` if the system has no thread left for it.
    fn window(&self, application: &adw::Application) -> Option<Rc<MainWindow>> {
        if let Some(window) = &*self.window.borrow() {
            window.present();
            return Some(Rc::clone(window));
        }
        let client = match Client::start(self.bus.clone()) {
            Ok(client) => client,
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: the system refused a thread: {error}");
                application.quit();
                return None;
            }
        };
        let window = MainWindow::new(application, client, &self.exposures_shown);
        window.present();
        self.window.replace(Some(Rc::clone(&window)));
        Some(window)
    }
}
