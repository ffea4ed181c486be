//! The status page.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use adw::prelude::*;
use gtk::{gio, glib};
use local_time::{DAY, unix_seconds};
use tcnd_client::state::TcndState;

use crate::calls::APPLICATION_ID;
use crate::client::Known;
use crate::context::Context;
use crate::view::status::{EvidenceView, StatusView};
use crate::view::{TextRow, counted, foreign};
use crate::widgets::{RowList, agrees, button, column, group, row, spawn};
use crate::{calls, clock};

/// The days of which the page says when this computer was on the air.
const DAYS: u64 = 14;

#[derive(Debug)]
pub(crate) struct StatusPage {
    context: Context,
    root: adw::Bin,
    simulated: gtk::Label,
    icon: gtk::Image,
    headline: adw::ActionRow,
    switch: gtk::Switch,
    pause: gtk::MenuButton,
    resume: gtk::Button,
    pauses: RowList,
    problems: RowList,
    reports: adw::ActionRow,
    check: gtk::Button,
    evidence: RowList,
    permit: gtk::Button,
    self_test: gtk::Button,
    tests: RowList,
    /// The switch moves by what tcnd said, not by a person.
    following: Cell<bool>,
    own_pauses: RefCell<Vec<u32>>,
    state: RefCell<Option<TcndState>>,
}

impl StatusPage {
    pub(crate) fn new(context: &Context) -> Rc<Self> {
        let simulated = gtk::Label::builder()
            .label("This is a simulation: the devices nearby are not real.")
            .wrap(true)
            .visible(false)
            .css_classes(["heading"])
            .build();
        let icon = gtk::Image::builder()
            .pixel_size(32)
            .accessible_role(gtk::AccessibleRole::Presentation)
            .build();
        let switch = gtk::Switch::builder().valign(gtk::Align::Center).build();
        let pause = gtk::MenuButton::builder()
            .label("Pause")
            .valign(gtk::Align::Center)
            .menu_model(&pause_menu())
            .build();
        let permit = button("Ask for permission");
        permit.set_visible(false);
        permit.set_halign(gtk::Align::Start);
        let page = Rc::new(Self {
            context: context.clone(),
            root: adw::Bin::new(),
            simulated,
            icon,
            headline: row(&TextRow::default()),
            switch,
            pause,
            resume: button("Resume"),
            pauses: RowList::new("Pauses"),
            problems: RowList::new("What is wrong, and what helps"),
            reports: row(&TextRow::default()),
            check: button("Check now"),
            evidence: RowList::new(""),
            permit,
            self_test: button("Test now"),
            tests: RowList::new("Results of the self-test"),
            following: Cell::default(),
            own_pauses: RefCell::default(),
            state: RefCell::default(),
        });
        page.build();
        page.listen();
        page
    }

    /// Puts the widgets below each other.
    fn build(&self) {
        self.headline.add_prefix(&self.icon);
        self.headline.add_suffix(&self.switch);
        self.headline.set_activatable_widget(Some(&self.switch));
        let pause = row(&TextRow::new(
            "Pause",
            "Nothing is broadcast, and no device is heard",
        ));
        pause.add_suffix(&self.resume);
        pause.add_suffix(&self.pause);
        self.reports.add_suffix(&self.check);
        let test = row(&TextRow::new(
            "Self-test",
            "Whether tcnd can use the adapter, the contact log and the clock",
        ));
        test.add_suffix(&self.self_test);
        let (state, others, proof) = (group(""), group(""), group("Is it really working?"));
        state.add(&self.headline);
        state.add(&pause);
        others.add(&self.reports);
        proof.add(&test);
        self.root.set_child(Some(&column(&[
            self.simulated.upcast_ref(),
            state.upcast_ref(),
            self.pauses.widget(),
            self.problems.widget(),
            others.upcast_ref(),
            proof.upcast_ref(),
            self.evidence.widget(),
            self.permit.upcast_ref(),
            self.tests.widget(),
        ])));
    }

    pub(crate) fn widget(&self) -> &gtk::Widget {
        self.root.upcast_ref()
    }

    fn listen(self: &Rc<Self>) {
        let page = Rc::downgrade(self);
        self.switch.connect_state_set(move |_, on| {
            let Some(page) = page.upgrade() else {
                return glib::Propagation::Proceed;
            };
            if !page.following.get() {
                spawn(async move { page.enable(on).await });
            }
            // The state follows from what tcnd says.
            glib::Propagation::Stop
        });
        let page = Rc::downgrade(self);
        self.resume.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                spawn(async move { page.resume().await });
            }
        });
        let page = Rc::downgrade(self);
        self.check.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                spawn(async move { page.check().await });
            }
        });
        let page = Rc::downgrade(self);
        self.self_test.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                spawn(async move { page.test().await });
            }
        });
        let page = Rc::downgrade(self);
        self.permit.connect_clicked(move |_| {
            if let Some(page) = page.upgrade() {
                spawn(async move { page.permit().await });
            }
        });
        let pause = gio::SimpleAction::new("pause", Some(glib::VariantTy::UINT64));
        let page = Rc::downgrade(self);
        pause.connect_activate(move |_, seconds| {
            let seconds = seconds.and_then(glib::Variant::get::<u64>);
            if let (Some(page), Some(seconds)) = (page.upgrade(), seconds) {
                spawn(async move { page.pause(seconds).await });
            }
        });
        self.context.window.add_action(&pause);
    }

    /// Shows what is known.
    pub(crate) fn show(&self, known: &Known) {
        let view = StatusView::new(known, &clock::now());
        self.simulated.set_visible(view.simulated);
        self.icon.set_icon_name(Some(view.icon.name()));
        self.headline.set_title(&view.headline.title);
        self.headline.set_subtitle(&view.headline.subtitle);
        self.following.set(true);
        self.switch.set_visible(view.enabled.is_some());
        self.switch.set_active(view.enabled.unwrap_or(false));
        self.switch.set_state(view.enabled.unwrap_or(false));
        self.following.set(false);
        self.pause.set_sensitive(view.can_pause);
        self.pause.set_visible(view.pauses.is_empty());
        self.resume.set_visible(!view.pauses.is_empty());
        self.pauses.set(&view.pauses);
        self.problems.set(&view.problems);
        let reports = view.reports.unwrap_or_default();
        self.reports.set_visible(!reports.title.is_empty());
        self.reports.set_title(&reports.title);
        self.reports.set_subtitle(&reports.subtitle);
        self.check.set_visible(view.can_check);
        self.self_test.set_sensitive(known.state().is_some());
        self.state.replace(known.state().cloned());
    }

    /// Asks when this computer was on the air, and when it last heard a number.
    pub(crate) async fn refresh(&self) {
        if self.state.borrow().is_none() {
            self.evidence.set(&[]);
            self.permit.set_visible(false);
            return;
        }
        let now = clock::now();
        let to = unix_seconds(now.timestamp());
        let from = to.saturating_sub(DAYS * DAY);
        let quarters = self
            .context
            .client
            .ask(|tcnd| calls::quarters(tcnd, from, to))
            .await;
        self.permit
            .set_visible(quarters.as_ref().is_err_and(|error| error.is_refusal()));
        let view = quarters.map(|it| EvidenceView::new(from, &it.aired, &it.heard, &now));
        self.evidence.set(&view.unwrap_or_default().rows);
    }

    async fn enable(&self, on: bool) {
        let question = "Nothing is broadcast, and no device is heard, until it is switched on again. \
                        What was heard stays until it expires.";
        let asked = on
            || agrees(
                &self.context.window,
                "Switch contact tracing off?",
                question,
                "Switch off",
                adw::ResponseAppearance::Destructive,
            )
            .await;
        if asked
            && let Err(error) = self
                .context
                .client
                .call(|tcnd| calls::enable(tcnd, on))
                .await
        {
            self.context.complain("It was not switched", &error).await;
        }
        // The switch shows what tcnd says, also where the person changed their mind.
        let state = self
            .state
            .borrow()
            .as_ref()
            .is_some_and(|state| state.enabled);
        self.following.set(true);
        self.switch.set_active(state);
        self.switch.set_state(state);
        self.following.set(false);
    }

    async fn pause(&self, seconds: u64) {
        match self
            .context
            .client
            .call(|tcnd| calls::pause(tcnd, seconds))
            .await
        {
            Ok(cookie) => self.own_pauses.borrow_mut().push(cookie),
            Err(error) => self.context.complain("It was not paused", &error).await,
        }
    }

    /// Ends the pauses of this window, and those of others if the person says so.
    async fn resume(&self) {
        let state = self.state.borrow().clone().unwrap_or_default();
        let own = self.own_pauses.take();
        let is_own = |hold: &&tcnd_client::proxy::PauseHold| {
            let cookie = hold.cookie;
            hold.application_id == APPLICATION_ID && cookie.is_some_and(|it| own.contains(&it))
        };
        let mut cookies: Vec<_> = state
            .pauses
            .iter()
            .filter(is_own)
            .filter_map(|it| it.cookie)
            .collect();
        let others = state.pauses.len() - cookies.len();
        if others > 0 {
            let question = format!(
                "{} not asked for in this window. Another person may have wanted that.",
                match others {
                    1 => "1 pause was".to_owned(),
                    others => format!("{others} pauses were"),
                }
            );
            let all = agrees(
                &self.context.window,
                "End the pauses of others too?",
                &question,
                "End all pauses",
                adw::ResponseAppearance::Suggested,
            );
            if all.await {
                cookies = vec![0];
            }
        }
        if let Err(error) = self
            .context
            .client
            .call(|tcnd| calls::resume(tcnd, cookies))
            .await
        {
            self.own_pauses.replace(own);
            self.context.complain("It was not resumed", &error).await;
        }
    }

    async fn check(&self) {
        self.check.set_sensitive(false);
        match self.context.client.call(calls::check).await {
            Ok(reply) if reply.failed.is_empty() => self.context.toast("All servers were checked"),
            Ok(reply) => {
                let failed: Vec<_> = reply
                    .failed
                    .iter()
                    .map(|(label, why)| format!("{}: {}", foreign(label), foreign(why)))
                    .collect();
                let heading = format!(
                    "{} could not be checked",
                    counted(failed.len() as u64, "server")
                );
                crate::widgets::complain(&self.context.window, &heading, &failed.join("\n")).await;
            }
            Err(error) => {
                self.context
                    .complain("The servers were not checked", &error)
                    .await
            }
        }
        self.check.set_sensitive(true);
        self.context.client.refresh();
    }

    async fn test(&self) {
        self.self_test.set_sensitive(false);
        match self.context.client.call(calls::self_test).await {
            Ok(checks) => {
                let row = |(name, passed, detail): &(String, bool, String)| {
                    let result = if *passed { "passed" } else { "failed" };
                    TextRow::new(format!("{}: {result}", foreign(name)), foreign(detail))
                };
                self.tests.set(&checks.iter().map(row).collect::<Vec<_>>());
            }
            Err(error) => {
                self.context
                    .complain("There was no self-test", &error)
                    .await
            }
        }
        self.self_test.set_sensitive(true);
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

/// How long to pause, in seconds; 0 is until it is resumed.
fn pause_menu() -> gio::Menu {
    let menu = gio::Menu::new();
    for (label, seconds) in [
        ("For an hour", 3600_u64),
        ("For 8 hours", 28_800),
        ("Until I resume", 0),
    ] {
        let item = gio::MenuItem::new(Some(label), None);
        item.set_action_and_target_value(Some("win.pause"), Some(&seconds.to_variant()));
        menu.append_item(&item);
    }
    menu
}
