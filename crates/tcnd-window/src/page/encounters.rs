//! The encounters page.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use adw::prelude::*;
use local_time::{DAY, unix_seconds};

use crate::chart::Chart;
use crate::client::Known;
use crate::context::Context;
use crate::view::encounters::{Bar, EncountersView};
use crate::view::foreign;
use crate::widgets::{RowList, button, column, paragraph, show_page, spawn};
use crate::{calls, clock};

/// How long contacts are kept if tcnd does not say it, in days.
const RETENTION: u64 = 14;

#[derive(Debug)]
pub(crate) struct EncountersPage {
    context: Context,
    stack: gtk::Stack,
    refusal: adw::StatusPage,
    ask: gtk::Button,
    total: gtk::Label,
    days: Chart,
    hours_title: gtk::Label,
    hours: Chart,
    rows: RowList,
    view: RefCell<EncountersView>,
    /// The selected day, counted from today; 0 is today.
    day: Cell<usize>,
    retention: Cell<u64>,
}

impl EncountersPage {
    pub(crate) fn new(context: &Context) -> Rc<Self> {
        let total = paragraph("");
        let (days, hours) = (
            Chart::new("Numbers heard by day"),
            Chart::new("Numbers heard by hour"),
        );
        let (days_title, hours_title) = (heading("By day"), heading("By hour"));
        let rows = RowList::new("In words");
        let charts = gtk::Box::new(gtk::Orientation::Vertical, 6);
        for (title, chart) in [(&days_title, &days), (&hours_title, &hours)] {
            charts.append(title);
            for widget in chart.widgets() {
                charts.append(widget);
            }
        }
        let root = column(&[total.upcast_ref(), charts.upcast_ref(), rows.widget()]);
        let ask = button("Ask for permission");
        ask.set_halign(gtk::Align::Center);
        let refusal = adw::StatusPage::builder()
            .icon_name("dialog-password-symbolic")
            .title("Not shown to everybody")
            .child(&ask)
            .build();
        let stack = gtk::Stack::new();
        stack.add_named(&root, Some("bars"));
        stack.add_named(&refusal, Some("refused"));
        show_page(&stack, "bars");
        let page = Rc::new(Self {
            context: context.clone(),
            stack,
            refusal,
            ask,
            total,
            days,
            hours_title,
            hours,
            rows,
            view: RefCell::default(),
            day: Cell::default(),
            retention: Cell::new(RETENTION * DAY),
        });
        page.listen();
        page
    }

    fn listen(self: &Rc<Self>) {
        let selecting = Rc::downgrade(self);
        self.days.connect_selected(move |at| {
            if let Some(page) = selecting.upgrade() {
                let last = page.view.borrow().days.len().saturating_sub(1);
                page.day.set(last.saturating_sub(at));
                page.show_hours();
            }
        });
        let asking = Rc::downgrade(self);
        self.ask.connect_clicked(move |_| {
            if let Some(page) = asking.upgrade() {
                spawn(async move { page.permit().await });
            }
        });
    }

    pub(crate) fn widget(&self) -> &gtk::Widget {
        self.stack.upcast_ref()
    }

    pub(crate) fn show(&self, known: &Known) {
        let retention = known.state().map_or(0, |state| u64::from(state.retention));
        if retention > 0 {
            self.retention.set(retention);
        }
    }

    /// Asks for all bars, and shows them.
    pub(crate) async fn refresh(&self) {
        let now = clock::now();
        let to = unix_seconds(now.timestamp());
        let from = to.saturating_sub(self.retention.get());
        match self
            .context
            .client
            .ask(|tcnd| calls::quarters(tcnd, from, to))
            .await
        {
            Ok(quarters) => {
                self.set(EncountersView::new(from, &quarters, &now));
                show_page(&self.stack, "bars");
            }
            Err(error) => {
                let refused = error.is_refusal();
                self.ask.set_visible(refused);
                self.refusal.set_title(match refused {
                    true => "Not shown to everybody",
                    false => "Not known",
                });
                let why = match refused {
                    true => "Who may see how many numbers this computer heard is decided by its \
                             administrator."
                        .to_owned(),
                    false => foreign(&error.to_string()),
                };
                self.refusal
                    .set_description(Some(&gtk::glib::markup_escape_text(&why)));
                show_page(&self.stack, "refused");
            }
        }
    }

    fn set(&self, view: EncountersView) {
        if *self.view.borrow() == view {
            return;
        }
        self.total.set_label(&view.total);
        self.rows.set(&view.rows());
        let bars: Vec<Bar> = view.days.iter().map(|day| day.bar.clone()).collect();
        let last = bars.len().saturating_sub(1);
        self.days.set(&bars, last.saturating_sub(self.day.get()));
        self.view.replace(view);
        self.show_hours();
    }

    fn show_hours(&self) {
        let view = self.view.borrow();
        let last = view.days.len().saturating_sub(1);
        let Some(day) = view.days.get(last.saturating_sub(self.day.get())) else {
            return;
        };
        self.hours_title
            .set_label(&format!("By hour, {}", day.bar.label));
        // The first hour of those in which most was heard.
        let hours = day.hours.iter().enumerate().rev();
        let most = hours.max_by_key(|(_, bar)| (bar.numbers, bar.worked));
        self.hours.set(&day.hours, most.map_or(0, |(at, _)| at));
    }

    async fn permit(&self) {
        match self.context.client.call(calls::permit_contacts).await {
            Ok(()) => self.refresh().await,
            Err(error) => {
                self.context
                    .complain("The totals are not shown", &error)
                    .await
            }
        }
    }
}

fn heading(text: &str) -> gtk::Label {
    let label = paragraph(text);
    label.add_css_class("heading");
    label
}
