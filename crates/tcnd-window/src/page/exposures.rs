//! The exposures page. It hides what it shows while the session is locked, and when the
//! window was not used for five minutes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use adw::prelude::*;

use crate::client::Known;
use crate::context::Context;
use crate::view::TextRow;
use crate::view::exposures::{ADVICE, ExposureView, ExposuresView, HelpPage, SHOWN};
use crate::widgets::{
    RowList, agrees, button, button_row, column, expander, group, paragraph, row, show_page, spawn,
};
use crate::{calls, clock};

#[derive(Debug)]
pub(crate) struct ExposuresPage {
    context: Context,
    stack: gtk::Stack,
    list: adw::PreferencesGroup,
    coverage: gtk::Label,
    advice: gtk::Label,
    gaps: RowList,
    more: gtk::Button,
    rows: RefCell<Vec<adw::ExpanderRow>>,
    view: RefCell<ExposuresView>,
    /// How many are shown at most.
    shown: Cell<usize>,
    hidden: Cell<bool>,
    locked: Cell<bool>,
    unseen: Cell<Option<u32>>,
}

impl ExposuresPage {
    pub(crate) fn new(context: &Context) -> Rc<Self> {
        let (coverage, advice) = (paragraph(""), paragraph(ADVICE));
        let (list, gaps) = (group(""), RowList::new("What may be missing"));
        let more = button("Show more");
        more.set_halign(gtk::Align::Center);
        let root = column(&[
            coverage.upcast_ref(),
            advice.upcast_ref(),
            list.upcast_ref(),
            more.upcast_ref(),
            gaps.widget(),
        ]);
        let (ask, show) = (button("Ask for permission"), button("Show"));
        let stack = gtk::Stack::new();
        stack.add_named(&root, Some("list"));
        stack.add_named(
            &blank(
                "Not shown to everybody",
                "Who may see exposures is decided by the administrator of this computer.",
                &ask,
            ),
            Some("refused"),
        );
        stack.add_named(&blank("Hidden", "This page hides what it shows while the session is locked, and when the window is not used.", &show), Some("hidden"));
        stack.add_named(
            &blank(
                "Not known",
                "tcnd does not answer. The status page says why.",
                &gtk::Box::new(gtk::Orientation::Vertical, 0),
            ),
            Some("absent"),
        );
        show_page(&stack, "absent");
        let page = Rc::new(Self {
            context: context.clone(),
            stack,
            list,
            coverage,
            advice,
            gaps,
            more,
            rows: RefCell::default(),
            view: RefCell::default(),
            shown: Cell::new(SHOWN),
            hidden: Cell::default(),
            // Until logind says that it is not.
            locked: Cell::new(true),
            unseen: Cell::default(),
        });
        page.listen(&ask, &show);
        page
    }

    fn listen(self: &Rc<Self>, ask: &gtk::Button, show: &gtk::Button) {
        let page = Rc::downgrade(self);
        ask.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                spawn(async move { page.permit().await });
            }
        });
        let page = Rc::downgrade(self);
        show.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                page.hidden.set(false);
                spawn(async move { page.refresh().await });
            }
        });
        let page = Rc::downgrade(self);
        self.more.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                page.shown.set(page.shown.get() + SHOWN);
                spawn(async move { page.refresh().await });
            }
        });
    }

    pub(crate) fn widget(&self) -> &gtk::Widget {
        self.stack.upcast_ref()
    }

    /// Whether the list is shown, and not hidden.
    pub(crate) fn is_listed(&self) -> bool {
        self.stack.visible_child_name().as_deref() == Some("list")
    }

    /// Calls this when the list is shown or hidden.
    pub(crate) fn connect_listed(&self, changed: impl Fn() + 'static) {
        self.stack.connect_visible_child_notify(move |_| changed());
    }

    /// Whether the number of new exposures changed, so that the list has to be asked for.
    pub(crate) fn show(&self, known: &Known) -> bool {
        let unseen = known.state().and_then(|state| state.unseen);
        unseen != self.unseen.replace(unseen)
    }

    /// Hides what is shown, until the person wants to see it.
    pub(crate) fn hide(self: &Rc<Self>) {
        self.hidden.set(true);
        self.blank();
    }

    pub(crate) fn set_locked(self: &Rc<Self>, locked: bool) {
        self.locked.set(locked);
        if locked {
            self.hide();
        } else if self.stack.is_mapped() {
            let page = Rc::clone(self);
            spawn(async move { page.refresh().await });
        }
    }

    /// Keeps nothing of what was shown.
    fn blank(self: &Rc<Self>) {
        show_page(&self.stack, "hidden");
        self.fill(ExposuresView::default());
    }

    /// Asks for the list, and shows it.
    pub(crate) async fn refresh(self: &Rc<Self>) {
        if self.hidden.get() || self.locked.get() {
            self.blank();
            return;
        }
        let asked = self.context.client.ask(calls::exposures).await;
        // It may have been locked meanwhile.
        if self.hidden.get() || self.locked.get() {
            return;
        }
        let name = match asked {
            Ok((exposures, summary)) => {
                let shown = self.shown.get();
                self.fill(ExposuresView::new(
                    exposures,
                    &summary,
                    shown,
                    &clock::now(),
                ));
                "list"
            }
            Err(error) if error.is_refusal() => "refused",
            Err(_) => "absent",
        };
        show_page(&self.stack, name);
    }

    fn fill(self: &Rc<Self>, view: ExposuresView) {
        if *self.view.borrow() == view {
            return;
        }
        for row in self.rows.take() {
            self.list.remove(&row);
        }
        self.coverage.set_label(&view.coverage);
        self.advice.set_visible(!view.exposures.is_empty());
        let gaps = view.gaps.iter().map(|gap| TextRow::new(gap, ""));
        self.gaps.set(&gaps.collect::<Vec<_>>());
        self.more.set_visible(view.more > 0);
        self.more.set_label(&format!("Show more, of {}", view.more));
        let rows: Vec<_> = view.exposures.iter().map(|it| self.row(it)).collect();
        for row in &rows {
            self.list.add(row);
        }
        self.rows.replace(rows);
        self.view.replace(view);
    }

    fn row(self: &Rc<Self>, exposure: &ExposureView) -> adw::ExpanderRow {
        let head = expander(&TextRow::new(&exposure.title, &exposure.subtitle));
        if !exposure.seen {
            let new = gtk::Label::builder()
                .label("New")
                .css_classes(["accent", "heading"])
                .build();
            head.add_prefix(&new);
        }
        for text in &exposure.details {
            head.add_row(&row(text));
        }
        for page in &exposure.pages {
            head.add_row(&self.page(page));
        }
        if !exposure.seen {
            let seen = self.marking("Seen", &exposure.id, false);
            head.add_row(&button_row("Mark it as seen", &seen));
        }
        let dismiss = self.marking("Do not show again", &exposure.id, true);
        head.add_row(&button_row("Take it off this list", &dismiss));
        head
    }

    /// A row with the address of a web page, and a button that opens it.
    fn page(self: &Rc<Self>, help: &HelpPage) -> adw::ActionRow {
        let open = button("Open the web page");
        let (page, url) = (Rc::downgrade(self), help.url.clone());
        open.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                let url = url.clone();
                spawn(async move { page.open(url).await });
            }
        });
        let line = row(&TextRow::new(&help.label, &help.url));
        line.add_suffix(&open);
        line
    }

    /// Opens a web page, if the person agrees who saw its address.
    async fn open(self: Rc<Self>, url: String) {
        let body = format!(
            "{url}\n\nThe operator of this server sees the address of this computer, and can \
             guess why it asks for the page."
        );
        let (window, suggested) = (&self.context.window, adw::ResponseAppearance::Suggested);
        if agrees(window, "Open this web page?", &body, "Open", suggested).await {
            gtk::show_uri(Some(window), &url, gtk::gdk::CURRENT_TIME);
        }
    }

    /// A button that marks an exposure as seen, or dismisses it.
    fn marking(self: &Rc<Self>, label: &str, id: &str, dismiss: bool) -> gtk::Button {
        let button = button(label);
        let (page, id) = (Rc::downgrade(self), id.to_owned());
        button.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                let id = id.clone();
                spawn(async move { page.mark(id, dismiss).await });
            }
        });
        button
    }

    async fn mark(self: Rc<Self>, id: String, dismiss: bool) {
        let marked = self
            .context
            .client
            .call(|tcnd| calls::mark_seen(tcnd, id, dismiss))
            .await;
        match marked {
            Ok(()) => self.refresh().await,
            Err(error) => self.context.complain("It was not marked", &error).await,
        }
    }

    async fn permit(self: Rc<Self>) {
        match self.context.client.call(calls::permit_exposures).await {
            Ok(()) => self.refresh().await,
            Err(error) => {
                self.context
                    .complain("Exposures are not shown", &error)
                    .await
            }
        }
    }
}

/// A page with nothing but a reason and what can be done.
fn blank(title: &str, description: &str, child: &impl IsA<gtk::Widget>) -> adw::StatusPage {
    child.set_halign(gtk::Align::Center);
    adw::StatusPage::builder()
        .icon_name("changes-prevent-symbolic")
        .title(title)
        .description(description)
        .child(child)
        .build()
}
