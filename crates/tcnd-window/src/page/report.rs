//! The report page: the reports of this computer, and how to make one.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use adw::prelude::*;

use crate::client::CallError;
use crate::context::Context;
use crate::page::make_report::MakeReport;
use crate::view::TextRow;
use crate::view::own_reports::OwnReportView;
use crate::view::report::publish_question;
use crate::widgets::{
    agrees, button, button_row, column, expander, file_to_save, group, paragraph, row, show_page,
    spawn,
};
use crate::{calls, clock, file_pipe};

/// How many reports are shown at most.
const SHOWN: usize = 100;

#[derive(Debug)]
pub(crate) struct ReportPage {
    context: Context,
    stack: gtk::Stack,
    make: gtk::Button,
    update: gtk::Button,
    own: adw::PreferencesGroup,
    rows: RefCell<Vec<adw::ExpanderRow>>,
    steps: RefCell<Option<Rc<MakeReport>>>,
}

impl ReportPage {
    pub(crate) fn new(context: &Context) -> Rc<Self> {
        let (make, update) = (button("Begin"), button("Show"));
        make.add_css_class("suggested-action");
        let begin = group("");
        let explained = row(&TextRow::new(
            "Report that you are ill",
            "Before anything is made you see what it would give away. A report stays on this \
             computer until you hand it out or publish it.",
        ));
        explained.add_suffix(&make);
        begin.add(&explained);
        let own = group("Reports of this computer");
        let listed = row(&TextRow::new("What was made here, and where it went", ""));
        listed.add_suffix(&update);
        own.add(&listed);
        let other = paragraph(
            "If you were given a report, open it from the menu, or drop its file here: this \
             computer then looks whether it met them.",
        );
        let root = column(&[begin.upcast_ref(), own.upcast_ref(), other.upcast_ref()]);
        let stack = gtk::Stack::new();
        stack.add_named(&root, Some("own"));
        let page = Rc::new(Self {
            context: context.clone(),
            stack,
            make,
            update,
            own,
            rows: RefCell::default(),
            steps: RefCell::default(),
        });
        let ending = Rc::downgrade(&page);
        let steps = MakeReport::new(context, move |made| {
            if let Some(page) = ending.upgrade() {
                show_page(&page.stack, "own");
                if made.is_some() {
                    spawn(async move { page.update().await });
                }
            }
        });
        page.stack.add_named(steps.widget(), Some("steps"));
        show_page(&page.stack, "own");
        page.steps.replace(Some(steps));
        page.listen();
        page
    }

    fn listen(self: &Rc<Self>) {
        let page = Rc::downgrade(self);
        self.make.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                spawn(async move { page.begin().await });
            }
        });
        let page = Rc::downgrade(self);
        self.update.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                spawn(async move { page.update().await });
            }
        });
    }

    pub(crate) fn widget(&self) -> &gtk::Widget {
        self.stack.upcast_ref()
    }

    /// Hides the reports, and forgets what the person chose for another one: that there is a
    /// report tells that a person is ill.
    pub(crate) fn hide(&self) {
        for row in self.rows.take() {
            self.own.remove(&row);
        }
        self.update.set_label("Show");
        if let Some(steps) = &*self.steps.borrow() {
            steps.reset();
        }
        show_page(&self.stack, "own");
    }

    async fn begin(&self) {
        let steps = self.steps.borrow().clone();
        if let Some(steps) = steps
            && steps.begin().await
        {
            show_page(&self.stack, "steps");
        }
    }

    /// Lists the reports. polkit may ask for a password.
    async fn update(self: Rc<Self>) {
        let reports = match self.context.client.call(calls::own_reports).await {
            Ok(reports) => reports,
            Err(error) => {
                self.context
                    .complain("The reports are not shown", &error)
                    .await;
                return;
            }
        };
        self.update.set_label("Update");
        for row in self.rows.take() {
            self.own.remove(&row);
        }
        let now = clock::now();
        let newest = reports.iter().rev().take(SHOWN);
        let views = newest.map(|report| OwnReportView::new(report, &now));
        let rows: Vec<_> = views.map(|view| self.row(&view)).collect();
        match reports.len() {
            0 => self.context.toast("There are no reports of this computer"),
            1..=SHOWN => {}
            _ => self
                .context
                .toast("Only the newest are shown. All of them: tcnctl report list"),
        }
        for row in &rows {
            self.own.add(row);
        }
        self.rows.replace(rows);
    }

    fn row(self: &Rc<Self>, report: &OwnReportView) -> adw::ExpanderRow {
        let head = expander(&TextRow::new(&report.title, &report.subtitle));
        for text in &report.details {
            head.add_row(&row(text));
        }
        if !report.deleted {
            let steps = [
                ("Send it to servers", "Publish…", Step::Publish),
                (
                    "Keep back what has not left",
                    "Stop publishing",
                    Step::Cancel,
                ),
                ("Hand it out yourself", "Save to a file…", Step::Save),
                ("Remove it from this computer", "Delete…", Step::Delete),
            ];
            for (title, label, step) in steps {
                if report.can_cancel || !matches!(step, Step::Cancel) {
                    head.add_row(&button_row(title, &self.act(label, &report.id, step)));
                }
            }
        }
        head
    }

    fn act(self: &Rc<Self>, label: &str, id: &str, step: Step) -> gtk::Button {
        let button = button(label);
        let (page, id) = (Rc::downgrade(self), id.to_owned());
        button.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                let id = id.clone();
                spawn(async move {
                    let done = match step {
                        Step::Save => page.save(id).await,
                        Step::Publish => page.publish(id).await,
                        Step::Cancel => page.cancel(id).await,
                        Step::Delete => page.delete(id).await,
                    };
                    if done {
                        page.update().await;
                    }
                });
            }
        });
        button
    }

    async fn save(&self, id: String) -> bool {
        let title = "Save the report";
        let name = format!("report-{id}.tcn");
        let Some(path) = file_to_save(&self.context.window, title, &name).await else {
            return false;
        };
        let saved = self.save_to(id, path).await;
        if let Err(error) = &saved {
            self.context
                .complain("The report was not saved", error)
                .await;
        }
        saved.is_ok()
    }

    async fn save_to(&self, id: String, path: PathBuf) -> Result<(), CallError> {
        let (pipe, writing) = file_pipe::writing(path).map_err(CallError::other)?;
        let client = &self.context.client;
        let exported = client.call(|tcnd| calls::export(tcnd, id, pipe)).await;
        writing.keep(exported).await?;
        self.context.toast("The report is saved");
        Ok(())
    }

    async fn publish(&self, id: String) -> bool {
        let client = &self.context.client;
        let preview = match client
            .call(|tcnd| calls::preview_publish(tcnd, id.clone()))
            .await
        {
            Ok(preview) => preview,
            Err(error) => {
                self.context
                    .complain("The report was not published", &error)
                    .await;
                return false;
            }
        };
        let question = publish_question(&preview);
        let appearance = adw::ResponseAppearance::Suggested;
        let window = &self.context.window;
        if !agrees(
            window,
            "Publish this report?",
            &question,
            "Publish",
            appearance,
        )
        .await
        {
            return false;
        }
        let published = client
            .call(|tcnd| calls::publish(tcnd, id, preview.token))
            .await;
        if let Err(error) = &published {
            self.context
                .complain("The report was not published", error)
                .await;
        }
        published.is_ok()
    }

    async fn cancel(&self, id: String) -> bool {
        let cancelled = self
            .context
            .client
            .call(|tcnd| calls::cancel_publish(tcnd, id))
            .await;
        match &cancelled {
            Ok(reply) if reply.left > 0 => self.context.toast("Some parts had left already"),
            Ok(_) => self.context.toast("No part has left this computer"),
            Err(error) => {
                self.context
                    .complain("Publishing was not stopped", error)
                    .await
            }
        }
        cancelled.is_ok()
    }

    async fn delete(&self, id: String) -> bool {
        let question = "What has left this computer cannot be taken back by that.";
        let appearance = adw::ResponseAppearance::Destructive;
        let window = &self.context.window;
        if !agrees(
            window,
            "Delete this report?",
            question,
            "Delete",
            appearance,
        )
        .await
        {
            return false;
        }
        let deleted = self
            .context
            .client
            .call(|tcnd| calls::delete_report(tcnd, id))
            .await;
        if let Err(error) = &deleted {
            self.context
                .complain("The report was not deleted", error)
                .await;
        }
        deleted.is_ok()
    }
}

/// What a person does with a report.
#[derive(Clone, Copy, Debug)]
enum Step {
    Save,
    Publish,
    Cancel,
    Delete,
}
