//! What every page has: tcnd, the window, and where short messages are shown.

use crate::client::{CallError, Client};
use crate::widgets::complain;

/// Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) window: adw::ApplicationWindow,
    pub(crate) toasts: adw::ToastOverlay,
}

impl Context {
    /// A short message. Bystanders may see it, so it tells nothing of exposures.
    pub(crate) fn toast(&self, text: &str) {
        // A toast reads its title as markup.
        let text = gtk::glib::markup_escape_text(text);
        self.toasts.add_toast(adw::Toast::new(&text));
    }

    /// Says why something did not work. A person who gave no password knows why.
    pub(crate) async fn complain(&self, heading: &str, error: &CallError) {
        match error.is_refusal() {
            true => self.toast("Not permitted"),
            false => complain(&self.window, heading, &error.to_string()).await,
        }
    }
}
