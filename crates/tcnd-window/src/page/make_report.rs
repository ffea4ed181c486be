//! The steps to a report: what it would give away, the symptoms, the consent, and what to do
//! with it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use adw::prelude::*;
use local_time::{DAY, unix_seconds};
use tcn_protocol::Memo;
use tcn_protocol::memo::Symptom;
use tcnd_client::proxy::Disclosure;

use crate::calls::Agreement;
use crate::context::Context;
use crate::view::TextRow;
use crate::view::report::{
    CONSENT, DAYS, MAX_SYMPTOM_DAYS, PreviewView, choices, concerns, memo, says,
};
use crate::widgets::{RowList, button, column, group, paragraph, row, show_page, spawn};
use crate::{calls, clock};

/// What is called when the steps are over, with the id of the report if one was made.
type Ended = Box<dyn Fn(Option<String>)>;

/// The steps.
pub(crate) struct MakeReport {
    context: Context,
    stack: gtk::Stack,
    preview: RowList,
    to_symptoms: gtk::Button,
    chosen: Vec<(Symptom, gtk::CheckButton)>,
    since: gtk::SpinButton,
    says_since: gtk::CheckButton,
    conflict: gtk::Label,
    summary: RowList,
    make: gtk::Button,
    ended: Ended,
    /// What the person saw, and for which span.
    disclosure: RefCell<Disclosure>,
    span: Cell<(u64, u64)>,
    memo: RefCell<Option<Memo>>,
}

impl std::fmt::Debug for MakeReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MakeReport")
    }
}

impl MakeReport {
    pub(crate) fn new(context: &Context, ended: impl Fn(Option<String>) + 'static) -> Rc<Self> {
        let preview = RowList::new("1 of 3: What a report would give away");
        let symptoms = group("2 of 3: What you feel");
        let check = |(symptom, name)| (symptom, check_row(&symptoms, name));
        let chosen: Vec<_> = choices().map(check).collect();
        let says_since = check_row(&symptoms, "Say when the first symptom was felt");
        let since = gtk::SpinButton::with_range(0.0, MAX_SYMPTOM_DAYS.into(), 1.0);
        since.set_valign(gtk::Align::Center);
        let days = row(&TextRow::new("Days ago", "0 is today"));
        days.add_suffix(&since);
        symptoms.add(&days);
        let shown = says_since.bind_property("active", &days, "visible");
        shown.sync_create().build();
        let conflict = paragraph("");
        conflict.add_css_class("error");
        let summary = RowList::new("3 of 3: Your consent");
        let to_symptoms = button("Continue");
        let to_consent = button("Continue");
        let make = button("Make the report");
        let (cancel, to_preview, back) = (button("Cancel"), button("Back"), button("Back"));
        let stack = gtk::Stack::builder()
            .transition_type(gtk::StackTransitionType::SlideLeftRight)
            .build();
        let steps: [(&str, &[&gtk::Widget], _, _); 3] = [
            ("preview", &[preview.widget()], &cancel, &to_symptoms),
            (
                "symptoms",
                &[symptoms.upcast_ref(), conflict.upcast_ref()],
                &to_preview,
                &to_consent,
            ),
            ("consent", &[summary.widget()], &back, &make),
        ];
        for (name, content, back, forward) in steps {
            stack.add_named(&step(content, back, forward), Some(name));
        }
        show_page(&stack, "preview");
        let steps = Rc::new(Self {
            context: context.clone(),
            stack,
            preview,
            to_symptoms,
            chosen,
            since,
            says_since,
            conflict,
            summary,
            make,
            ended: Box::new(ended),
            disclosure: RefCell::default(),
            span: Cell::default(),
            memo: RefCell::default(),
        });
        steps.listen(&to_consent);
        steps.leads(&cancel, |steps| {
            steps.reset();
            (steps.ended)(None);
        });
        steps.leads(&to_preview, |steps| show_page(&steps.stack, "preview"));
        steps.leads(&back, |steps| show_page(&steps.stack, "symptoms"));
        steps
    }

    pub(crate) fn widget(&self) -> &gtk::Widget {
        self.stack.upcast_ref()
    }

    fn leads(self: &Rc<Self>, button: &gtk::Button, to: impl Fn(&Rc<Self>) + 'static) {
        let steps = Rc::downgrade(self);
        button.connect_clicked(move |_| {
            if let Some(steps) = steps.upgrade() {
                to(&steps);
            }
        });
    }

    fn listen(self: &Rc<Self>, to_consent: &gtk::Button) {
        self.leads(&self.to_symptoms, |steps| {
            show_page(&steps.stack, "symptoms");
        });
        self.leads(to_consent, |steps| steps.ask_consent());
        self.leads(&self.make, |steps| {
            let steps = Rc::clone(steps);
            spawn(async move { steps.create().await });
        });
    }

    /// Begins from the first step: shows what a report would give away. Whether that worked.
    pub(crate) async fn begin(&self) -> bool {
        let now = clock::now();
        let to = unix_seconds(now.timestamp()) + 1;
        let from = to.saturating_sub(DAYS * DAY);
        let previewed = self
            .context
            .client
            .call(|tcnd| calls::preview(tcnd, from, to))
            .await;
        let disclosure = match previewed {
            Ok(disclosure) => disclosure,
            Err(error) => {
                let heading = "What a report would give away is not known";
                self.context.complain(heading, &error).await;
                return false;
            }
        };
        let view = PreviewView::new(&disclosure, &now);
        let nothing = !view.nothing.is_empty();
        self.to_symptoms.set_sensitive(!nothing);
        self.preview.set(&match nothing {
            true => vec![TextRow::new(view.nothing, "")],
            false => view.rows,
        });
        self.span.set((from, to));
        self.disclosure.replace(disclosure);
        show_page(&self.stack, "preview");
        true
    }

    /// Forgets what the person chose.
    pub(crate) fn reset(&self) {
        for (_, check) in &self.chosen {
            check.set_active(false);
        }
        self.says_since.set_active(false);
        self.since.set_value(0.0);
        self.conflict.set_label("");
        self.summary.set(&[]);
        self.memo.replace(None);
    }

    fn symptoms(&self) -> Vec<Symptom> {
        let chosen = self.chosen.iter().filter(|(_, check)| check.is_active());
        chosen.map(|(symptom, _)| *symptom).collect()
    }

    fn days_ago(&self) -> Option<u8> {
        let days = u8::try_from(self.since.value_as_int()).ok();
        days.filter(|_| self.says_since.is_active())
    }

    fn ask_consent(&self) {
        let (symptoms, days_ago) = (self.symptoms(), self.days_ago());
        match memo(&symptoms, days_ago, clock::now().date()) {
            Err(conflict) => self.conflict.set_label(&conflict),
            Ok(memo) => {
                self.conflict.set_label("");
                let mut rows = vec![TextRow::new("The report says", says(&symptoms, days_ago))];
                rows.extend(CONSENT.map(|sentence| TextRow::new(sentence, "")));
                let parts = self.disclosure.borrow().parts;
                let notes = concerns(&memo, parts).into_iter();
                rows.extend(notes.map(|note| TextRow::new(note, "")));
                self.summary.set(&rows);
                self.memo.replace(Some(memo));
                show_page(&self.stack, "consent");
            }
        }
    }

    async fn create(&self) {
        let Some(memo) = self.memo.borrow().clone() else {
            return;
        };
        let (from, to) = self.span.get();
        let token = self.disclosure.borrow().token.clone();
        let agreement = Agreement { from, to, token };
        self.make.set_sensitive(false);
        let created = self
            .context
            .client
            .call(|tcnd| calls::create(tcnd, memo, agreement))
            .await;
        self.make.set_sensitive(true);
        match created {
            Ok((id, _)) => {
                self.reset();
                (self.ended)(Some(id));
            }
            Err(error) if error.is_outdated() => {
                self.context
                    .toast("What it would give away has changed. Please look again");
                self.begin().await;
            }
            Err(error) => self.context.complain("No report was made", &error).await,
        }
    }
}

/// One step: its content, and a button to each side.
fn step(content: &[&gtk::Widget], back: &gtk::Button, forward: &gtk::Button) -> gtk::Widget {
    forward.add_css_class("suggested-action");
    let buttons = gtk::CenterBox::new();
    buttons.set_start_widget(Some(back));
    buttons.set_end_widget(Some(forward));
    let mut all = content.to_vec();
    all.push(buttons.upcast_ref());
    column(&all).upcast()
}

/// A row with a check button, which a click anywhere on the row checks.
fn check_row(group: &adw::PreferencesGroup, name: &str) -> gtk::CheckButton {
    let check = gtk::CheckButton::builder()
        .valign(gtk::Align::Center)
        .build();
    let row = row(&TextRow::new(name, ""));
    row.add_prefix(&check);
    row.set_activatable_widget(Some(&check));
    group.add(&row);
    check
}
