//! Widgets that the pages share. None of them reads text as markup.

use std::cell::RefCell;
use std::iter;
use std::path::PathBuf;

use adw::prelude::*;
use gtk::{gio, glib};
use tokio::sync::oneshot;

use crate::view::TextRow;

/// A row with a title, and with what stands below it.
pub(crate) fn row(text: &TextRow) -> adw::ActionRow {
    adw::ActionRow::builder()
        .use_markup(false)
        .title(&text.title)
        .subtitle(&text.subtitle)
        .title_lines(0)
        .subtitle_lines(0)
        .build()
}

/// A row that a person can open, with a title and with what stands below it.
pub(crate) fn expander(text: &TextRow) -> adw::ExpanderRow {
    adw::ExpanderRow::builder()
        .use_markup(false)
        .title(&text.title)
        .subtitle(&text.subtitle)
        .build()
}

/// A row with a button, which a click anywhere on the row presses.
pub(crate) fn button_row(title: &str, button: &gtk::Button) -> adw::ActionRow {
    let row = row(&TextRow::new(title, ""));
    row.add_suffix(button);
    row.set_activatable_widget(Some(button));
    row
}

/// Rows with a title above them.
pub(crate) fn group(title: &str) -> adw::PreferencesGroup {
    adw::PreferencesGroup::builder().title(title).build()
}

/// A button with a text.
pub(crate) fn button(label: &str) -> gtk::Button {
    gtk::Button::builder()
        .label(label)
        .valign(gtk::Align::Center)
        .build()
}

/// A paragraph.
pub(crate) fn paragraph(text: &str) -> gtk::Label {
    gtk::Label::builder()
        .label(text)
        .wrap(true)
        .xalign(0.0)
        .build()
}

/// Widgets below each other, in a column that is not too wide and can be scrolled.
pub(crate) fn column(widgets: &[&gtk::Widget]) -> gtk::ScrolledWindow {
    let column = gtk::Box::builder()
        .orientation(gtk::Orientation::Vertical)
        .spacing(24)
        .margin_top(24)
        .margin_bottom(24)
        .margin_start(12)
        .margin_end(12)
        .build();
    for widget in widgets {
        column.append(*widget);
    }
    let clamp = adw::Clamp::builder().child(&column).build();
    gtk::ScrolledWindow::builder()
        .hscrollbar_policy(gtk::PolicyType::Never)
        .vexpand(true)
        .child(&clamp)
        .build()
}

/// A group whose rows change. It is hidden while it has none.
#[derive(Debug)]
pub(crate) struct RowList {
    group: adw::PreferencesGroup,
    texts: RefCell<Vec<TextRow>>,
    rows: RefCell<Vec<adw::ActionRow>>,
}

impl RowList {
    pub(crate) fn new(title: &str) -> Self {
        let group = group(title);
        group.set_visible(false);
        Self {
            group,
            texts: RefCell::default(),
            rows: RefCell::default(),
        }
    }

    pub(crate) fn widget(&self) -> &gtk::Widget {
        self.group.upcast_ref()
    }

    /// Shows these rows. Rows that stay as they are keep the focus.
    pub(crate) fn set(&self, texts: &[TextRow]) {
        if *self.texts.borrow() == texts {
            return;
        }
        self.texts.replace(texts.to_vec());
        for row in self.rows.take() {
            self.group.remove(&row);
        }
        let rows: Vec<_> = texts.iter().map(row).collect();
        for row in &rows {
            self.group.add(row);
        }
        self.group.set_visible(!rows.is_empty());
        self.rows.replace(rows);
    }
}

/// Shows a page of a stack. GTK 4.8 tells screen readers of the other pages too, except of
/// invisible ones.
pub(crate) fn show_page(stack: &gtk::Stack, name: &str) {
    let Some(page) = stack.child_by_name(name) else {
        return;
    };
    page.set_visible(true);
    stack.set_visible_child(&page);
    for other in children(stack).filter(|child| *child != page) {
        other.set_visible(false);
    }
}

/// The widgets directly in a widget.
pub(crate) fn children(widget: &impl IsA<gtk::Widget>) -> impl Iterator<Item = gtk::Widget> {
    iter::successors(widget.first_child(), gtk::Widget::next_sibling)
}

/// Asks before something is done; whether the person agreed.
pub(crate) async fn agrees(
    parent: &impl IsA<gtk::Window>,
    heading: &str,
    body: &str,
    action: &str,
    appearance: adw::ResponseAppearance,
) -> bool {
    let dialog = adw::MessageDialog::new(Some(parent), Some(heading), Some(body));
    dialog.add_response("cancel", "Cancel");
    dialog.add_response("agree", action);
    dialog.set_response_appearance("agree", appearance);
    dialog.set_close_response("cancel");
    answered(&dialog).await == "agree"
}

/// Says what went wrong.
pub(crate) async fn complain(parent: &impl IsA<gtk::Window>, heading: &str, body: &str) {
    let dialog = adw::MessageDialog::new(Some(parent), Some(heading), Some(body));
    dialog.add_response("close", "Close");
    answered(&dialog).await;
}

async fn answered(dialog: &adw::MessageDialog) -> String {
    let (answer, answered) = oneshot::channel();
    let answer = RefCell::new(Some(answer));
    dialog.connect_response(None, move |_, response| {
        if let Some(answer) = answer.take() {
            let _ = answer.send(response.to_owned());
        }
    });
    dialog.present();
    answered.await.unwrap_or_default()
}

/// Asks for a file to open; `None` if the person chose none.
pub(crate) async fn file_to_open(parent: &impl IsA<gtk::Window>, title: &str) -> Option<gio::File> {
    let action = gtk::FileChooserAction::Open;
    let chooser = gtk::FileChooserNative::new(
        Some(title),
        Some(parent),
        action,
        Some("Open"),
        Some("Cancel"),
    );
    let names: [(&str, &[&str]); 2] = [
        ("Reports", &["*.tcn", "*.json", "*.txt"]),
        ("All files", &["*"]),
    ];
    for (name, patterns) in names {
        let filter = gtk::FileFilter::new();
        filter.set_name(Some(name));
        for pattern in patterns {
            filter.add_pattern(pattern);
        }
        chooser.add_filter(&filter);
    }
    chosen(&chooser).await
}

/// Asks for a file to write; `None` if the person chose none on this computer.
pub(crate) async fn file_to_save(
    parent: &impl IsA<gtk::Window>,
    title: &str,
    name: &str,
) -> Option<PathBuf> {
    let action = gtk::FileChooserAction::Save;
    let chooser = gtk::FileChooserNative::new(
        Some(title),
        Some(parent),
        action,
        Some("Save"),
        Some("Cancel"),
    );
    chooser.set_current_name(name);
    chosen(&chooser).await?.path()
}

async fn chosen(chooser: &gtk::FileChooserNative) -> Option<gio::File> {
    let response = chooser.run_future().await;
    let accepted = response == gtk::ResponseType::Accept;
    accepted.then(|| chooser.file()).flatten()
}

/// Runs something of the window between its events.
pub(crate) fn spawn(run: impl Future<Output = ()> + 'static) {
    glib::spawn_future_local(run);
}
