//! What a person sees before they gave consent: what tcnd does, what others learn, and whom it
//! concerns.

use std::rc::Rc;

use adw::prelude::*;

use crate::calls;
use crate::context::Context;
use crate::view::TextRow;
use crate::widgets::{button, column, group, paragraph, row, show_page, spawn};

/// One page.
struct WelcomePage {
    title: &'static str,
    text: &'static str,
    /// Titles, and what stands below them.
    rows: &'static [(&'static str, &'static str)],
}

const PAGES: [WelcomePage; 3] = [
    WelcomePage {
        title: "Be warned, and warn others",
        text: "Contact tracing remembers, on this computer alone, which devices were near. If one \
               of their owners falls ill and says so, this computer finds out that it was near \
               them. If you fall ill, you can warn others in the same way.",
        rows: &[],
    },
    WelcomePage {
        title: "What others learn",
        text: "Others do not learn your name or where you are, because there is nothing of that in it.",
        rows: &[
            (
                "A passer-by",
                "A random number over Bluetooth, which changes every quarter of an hour",
            ),
            ("Servers", "Nothing, until you publish a report"),
            (
                "Who gets a report of yours",
                "Which of the numbers they heard were broadcast by this computer",
            ),
            (
                "Other people at this computer",
                "An administrator decides who may see what it heard",
            ),
        ],
    },
    WelcomePage {
        title: "Whom it concerns",
        text: "Everyone who uses this computer is traced with it. Tell the others who use it. You can \
               switch it off at any time, and destroy all that it knows.",
        rows: &[],
    },
];

/// The pages, for as long as no consent was given.
#[derive(Debug)]
pub(crate) struct Welcome {
    context: Context,
    stack: gtk::Stack,
}

impl Welcome {
    pub(crate) fn new(context: &Context) -> Rc<Self> {
        let stack = gtk::Stack::builder()
            .transition_type(gtk::StackTransitionType::SlideLeftRight)
            .build();
        let welcome = Rc::new(Self {
            context: context.clone(),
            stack,
        });
        for at in 0..PAGES.len() {
            let page = welcome.page(at);
            welcome.stack.add_named(&page, Some(&at.to_string()));
        }
        welcome.go(0);
        welcome
    }

    pub(crate) fn widget(&self) -> &gtk::Widget {
        self.stack.upcast_ref()
    }

    fn page(self: &Rc<Self>, at: usize) -> gtk::ScrolledWindow {
        let WelcomePage { title, text, rows } = &PAGES[at];
        let heading = paragraph(title);
        heading.add_css_class("title-1");
        let list = group("");
        list.set_visible(!rows.is_empty());
        for (title, subtitle) in *rows {
            list.add(&row(&TextRow::new(*title, *subtitle)));
        }
        let last = at + 1 == PAGES.len();
        let (back, forward) = (
            button("Back"),
            button(if last { "Turn on" } else { "Next" }),
        );
        forward.add_css_class("suggested-action");
        back.set_visible(at > 0);
        self.leads(&back, move |welcome| welcome.go(at.saturating_sub(1)));
        self.leads(&forward, move |welcome| match last {
            false => welcome.go(at + 1),
            true => {
                let welcome = Rc::clone(welcome);
                spawn(async move { welcome.turn_on().await });
            }
        });
        let buttons = gtk::CenterBox::new();
        buttons.set_start_widget(Some(&back));
        buttons.set_end_widget(Some(&forward));
        column(&[
            heading.upcast_ref(),
            paragraph(text).upcast_ref(),
            list.upcast_ref(),
            buttons.upcast_ref(),
        ])
    }

    fn leads(self: &Rc<Self>, button: &gtk::Button, to: impl Fn(&Rc<Self>) + 'static) {
        let welcome = Rc::downgrade(self);
        button.connect_clicked(move |_| {
            if let Some(welcome) = welcome.upgrade() {
                to(&welcome);
            }
        });
    }

    fn go(&self, at: usize) {
        show_page(&self.stack, &at.to_string());
    }

    async fn turn_on(&self) {
        let on = self
            .context
            .client
            .call(|tcnd| calls::enable(tcnd, true))
            .await;
        if let Err(error) = on {
            self.context.complain("It was not turned on", &error).await;
        }
    }
}
