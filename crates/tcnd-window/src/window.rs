//! The window: the pages, the menu, the keys, and what moves them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use adw::prelude::*;
use gtk::{gdk, gio, glib};
use tokio::sync::watch;

use crate::client::{Client, Known};
use crate::context::Context;
use crate::page::encounters::EncountersPage;
use crate::page::exposures::ExposuresPage;
use crate::page::report::ReportPage;
use crate::page::status::StatusPage;
use crate::welcome::Welcome;
use crate::widgets::{children, file_to_open, show_page, spawn};
use crate::{data, import, session};

/// How often a visible page asks again for what tcnd sends no signals about.
const REFRESH: Duration = Duration::from_secs(60);

/// After how long without use the exposures are hidden.
const UNUSED: Duration = Duration::from_secs(300);

/// The pages, by name, with their titles and icons.
const PAGES: [(&str, &str, &str); 4] = [
    ("status", "Status", "bluetooth-active-symbolic"),
    ("encounters", "Encounters", "system-users-symbolic"),
    ("exposures", "Exposures", "dialog-information-symbolic"),
    ("report", "Report", "document-send-symbolic"),
];

/// The only window.
#[derive(Debug)]
pub(crate) struct MainWindow {
    context: Context,
    /// The pages, or the welcome.
    whole: gtk::Stack,
    pages: adw::ViewStack,
    status: Rc<StatusPage>,
    encounters: Rc<EncountersPage>,
    exposures: Rc<ExposuresPage>,
    report: Rc<ReportPage>,
    /// Its widgets call it.
    #[expect(dead_code, reason = "it lives as long as the window")]
    welcome: Rc<Welcome>,
    known: RefCell<Known>,
    /// When a person last used the window, in microseconds of the monotonic clock.
    used: Cell<i64>,
}

impl MainWindow {
    /// `exposures_shown` gets the state whether a person may look at exposures now.
    pub(crate) fn new(
        application: &adw::Application,
        client: Client,
        exposures_shown: &gio::SimpleAction,
    ) -> Rc<Self> {
        let window = adw::ApplicationWindow::builder()
            .application(application)
            .title("Contact Tracing")
            .icon_name(crate::calls::APPLICATION_ID)
            .default_width(720)
            .default_height(640)
            .build();
        let context = Context {
            client,
            window,
            toasts: adw::ToastOverlay::new(),
        };
        let status = StatusPage::new(&context);
        let encounters = EncountersPage::new(&context);
        let exposures = ExposuresPage::new(&context);
        let report = ReportPage::new(&context);
        let pages = adw::ViewStack::builder().vexpand(true).build();
        let widgets = [
            status.widget(),
            encounters.widget(),
            exposures.widget(),
            report.widget(),
        ];
        for ((name, title, icon), widget) in PAGES.iter().zip(widgets) {
            pages
                .add_titled(
                    &adw::Bin::builder().child(widget).build(),
                    Some(name),
                    title,
                )
                .set_icon_name(Some(icon));
        }
        let welcome = Welcome::new(&context);
        let whole = gtk::Stack::new();
        whole.add_named(&pages, Some("pages"));
        whole.add_named(welcome.widget(), Some("welcome"));
        context.toasts.set_child(Some(&whole));
        let main = Rc::new(Self {
            context,
            whole,
            pages,
            status,
            encounters,
            exposures,
            report,
            welcome,
            known: RefCell::default(),
            used: Cell::new(glib::monotonic_time()),
        });
        main.frame();
        main.actions(application);
        main.accept_files();
        main.follow_use();
        main.follow_tcnd();
        main.tell_exposures_shown(exposures_shown);
        main
    }

    pub(crate) fn present(&self) {
        self.context.window.present();
    }

    pub(crate) fn show_page(&self, name: &str) {
        self.pages.set_visible_child_name(name);
    }

    /// Tells the tray item, which then notifies of nothing that is on the screen.
    fn tell_exposures_shown(self: &Rc<Self>, action: &gio::SimpleAction) {
        let main = Rc::downgrade(self);
        let action = action.clone();
        let tell = move || {
            let Some(main) = main.upgrade() else { return };
            let on_page = main.whole.visible_child_name().as_deref() == Some("pages")
                && main.pages.visible_child_name().as_deref() == Some("exposures");
            let shown = on_page && main.context.window.is_active() && main.exposures.is_listed();
            action.set_state(&shown.to_variant());
        };
        let telling = tell.clone();
        self.pages.connect_visible_child_notify(move |_| telling());
        let telling = tell.clone();
        self.context
            .window
            .connect_is_active_notify(move |_| telling());
        self.exposures.connect_listed(tell);
    }

    /// The bar above the pages.
    fn frame(&self) {
        let switcher = adw::ViewSwitcherTitle::builder()
            .stack(&self.pages)
            .title("Contact Tracing")
            .build();
        let menu = gio::Menu::new();
        menu.append(Some("Open a report of another person…"), Some("win.open"));
        menu.append(Some("Data and settings…"), Some("win.data"));
        menu.append(Some("About Contact Tracing"), Some("win.about"));
        menu.append(Some("Quit"), Some("app.quit"));
        let menu = gtk::MenuButton::builder()
            .label("Menu")
            .menu_model(&menu)
            .primary(true)
            .tooltip_text("Menu")
            .build();
        let bar = adw::HeaderBar::builder().title_widget(&switcher).build();
        bar.pack_end(&menu);
        let narrow = adw::ViewSwitcherBar::builder().stack(&self.pages).build();
        switcher
            .bind_property("title-visible", &narrow, "reveal")
            .sync_create()
            .build();
        // The welcome has no other pages to switch to.
        let targets = [
            (
                switcher.upcast_ref::<gtk::Widget>(),
                "view-switcher-enabled",
            ),
            (narrow.upcast_ref(), "visible"),
        ];
        for (target, property) in targets {
            let binding = self
                .whole
                .bind_property("visible-child-name", target, property);
            let shows_pages = |name: Option<String>| name.as_deref() == Some("pages");
            let binding = binding.transform_to(move |_, name| Some(shows_pages(name)));
            binding.sync_create().build();
        }
        let content = gtk::Box::new(gtk::Orientation::Vertical, 0);
        content.append(&bar);
        content.append(&self.context.toasts);
        content.append(&narrow);
        self.context.window.set_content(Some(&content));
    }

    fn actions(self: &Rc<Self>, application: &adw::Application) {
        let window = &self.context.window;
        let page = gio::SimpleAction::new("page", Some(glib::VariantTy::STRING));
        let main = Rc::downgrade(self);
        page.connect_activate(move |_, name| {
            let name = name.and_then(glib::Variant::str);
            if let (Some(main), Some(name)) = (main.upgrade(), name) {
                main.show_page(name);
            }
        });
        window.add_action(&page);
        for (at, (name, ..)) in PAGES.iter().enumerate() {
            let action = format!("win.page::{name}");
            application.set_accels_for_action(&action, &[&format!("<Alt>{}", at + 1)]);
        }
        self.action("open", |main| async move {
            let title = "Open a report of another person";
            if let Some(file) = file_to_open(&main.context.window, title).await {
                main.open(&[file]).await;
            }
        });
        self.action("data", |main| async move {
            data::present(&main.context, &main.known.borrow());
        });
        self.action("about", |main| async move { main.about() });
        application.set_accels_for_action("win.open", &["<Control>o"]);
        application.set_accels_for_action("app.quit", &["<Control>q"]);
        let pages = Rc::downgrade(self);
        hide_others(&self.pages);
        self.pages.connect_visible_child_notify(move |stack| {
            hide_others(stack);
            if let Some(main) = pages.upgrade() {
                spawn(async move { main.refresh().await });
            }
        });
    }

    fn action<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        name: &str,
        run: impl Fn(Rc<Self>) -> F + 'static,
    ) {
        let action = gio::SimpleAction::new(name, None);
        let main = Rc::downgrade(self);
        action.connect_activate(move |_, _| {
            if let Some(main) = main.upgrade() {
                spawn(run(main));
            }
        });
        self.context.window.add_action(&action);
    }

    fn about(&self) {
        let about = adw::AboutWindow::builder()
            .application_name("Contact Tracing")
            .application_icon(crate::calls::APPLICATION_ID)
            .version(env!("CARGO_PKG_VERSION"))
            .comments("The window of tcnd, which broadcasts Temporary Contact Numbers and hears those nearby")
            .license_type(gtk::License::MitX11)
            .transient_for(&self.context.window)
            .build();
        about.present();
    }

    /// Files can be dropped on the window.
    fn accept_files(self: &Rc<Self>) {
        let drop = gtk::DropTarget::new(gdk::FileList::static_type(), gdk::DragAction::COPY);
        let main = Rc::downgrade(self);
        drop.connect_drop(move |_, value, _, _| {
            let files = value.get::<gdk::FileList>();
            let (Some(main), Ok(files)) = (main.upgrade(), files) else {
                return false;
            };
            spawn(async move { main.open(&files.files()).await });
            true
        });
        self.context.window.add_controller(drop);
    }

    /// Matches reports of others.
    pub(crate) async fn open(self: &Rc<Self>, files: &[gio::File]) {
        import::open(&self.context, files).await;
        self.refresh().await;
    }

    /// Hides the exposures when the window is not used, and asks again every minute for what
    /// is visible.
    fn follow_use(self: &Rc<Self>) {
        // Keys, a pointer, a wheel or a finger.
        let events = gtk::EventControllerLegacy::new();
        events.set_propagation_phase(gtk::PropagationPhase::Capture);
        let main = Rc::downgrade(self);
        events.connect_event(move |_, _| {
            if let Some(main) = main.upgrade() {
                main.used.set(glib::monotonic_time());
            }
            glib::Propagation::Proceed
        });
        self.context.window.add_controller(events);
        let main = Rc::downgrade(self);
        glib::timeout_add_local(REFRESH, move || {
            let Some(main) = main.upgrade() else {
                return glib::ControlFlow::Break;
            };
            main.minute();
            glib::ControlFlow::Continue
        });
        let (locked, mut lock) = watch::channel(true);
        let main = Rc::downgrade(self);
        let client = self.context.client.clone();
        spawn(async move {
            let watching = client.beside(session::watch_lock(locked));
            let following = async {
                while lock.changed().await.is_ok() {
                    let Some(main) = main.upgrade() else { return };
                    let now = *lock.borrow_and_update();
                    main.exposures.set_locked(now);
                    if now {
                        main.report.hide();
                    }
                }
            };
            let _ = futures::future::join(watching, following).await;
        });
    }

    fn minute(self: &Rc<Self>) {
        let unused = glib::monotonic_time().saturating_sub(self.used.get());
        if u128::try_from(unused).is_ok_and(|unused| unused >= UNUSED.as_micros()) {
            self.exposures.hide();
            self.report.hide();
        }
        if self.context.window.is_visible() {
            self.context.client.refresh();
            let main = Rc::clone(self);
            spawn(async move { main.refresh().await });
        }
    }

    /// Asks for what the visible page shows.
    async fn refresh(self: &Rc<Self>) {
        match self.pages.visible_child_name().as_deref() {
            Some("status") => self.status.refresh().await,
            Some("encounters") => self.encounters.refresh().await,
            Some("exposures") => self.exposures.refresh().await,
            _ => {}
        }
    }

    /// Shows each change of tcnd.
    fn follow_tcnd(self: &Rc<Self>) {
        let mut changes = self.context.client.known();
        let main = Rc::downgrade(self);
        spawn(async move {
            loop {
                let known = changes.borrow_and_update().clone();
                let Some(main) = main.upgrade() else { return };
                main.show(known).await;
                drop(main);
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    async fn show(self: &Rc<Self>, known: Known) {
        let came_or_went = self.known.borrow().state().is_some() != known.state().is_some();
        let first = known
            .state()
            .is_some_and(|state| state.consent == "never" && !state.enabled);
        show_page(&self.whole, if first { "welcome" } else { "pages" });
        self.status.show(&known);
        self.encounters.show(&known);
        let new_exposures = self.exposures.show(&known);
        self.known.replace(known);
        if came_or_went || new_exposures {
            self.refresh().await;
        }
    }
}

/// Makes all but the visible page invisible, as [`show_page`] does. They keep their tabs,
/// because it is the content that is invisible.
fn hide_others(pages: &adw::ViewStack) {
    let shown = pages.visible_child();
    for page in children(pages) {
        if let Some(content) = page.first_child() {
            content.set_visible(Some(&page) == shown.as_ref());
        }
    }
}
