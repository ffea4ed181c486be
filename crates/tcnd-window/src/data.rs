//! What a person may do with the data of tcnd, and what an administrator has set.

use std::rc::Rc;

use adw::prelude::*;
use local_time::{DAY, duration, unix_seconds};

use crate::client::{CallError, Known};
use crate::context::Context;
use crate::view::{TextRow, counted};
use crate::widgets::{agrees, button, file_to_save, group, row, spawn};
use crate::{calls, clock, file_pipe};

/// Shows the dialog.
pub(crate) fn present(context: &Context, known: &Known) {
    let dialog = adw::PreferencesWindow::builder()
        .title("Data and settings")
        .transient_for(&context.window)
        .modal(true)
        .search_enabled(false)
        .build();
    let page = adw::PreferencesPage::new();
    let actions = Rc::new(Actions {
        context: context.clone(),
        dialog: dialog.clone(),
    });
    page.add(&actions.data());
    page.add(&settings(known));
    dialog.add(&page);
    dialog.present();
}

/// What the configuration says. It is changed by an administrator, in files.
fn settings(known: &Known) -> adw::PreferencesGroup {
    let settings = group("Set by the administrator, in /etc/tcnd");
    let Some(tcnd) = known.state() else {
        return settings;
    };
    let mode = match tcnd.mode.as_str() {
        "broadcast" => "Broadcasts a number, and listens; no device can connect",
        "full" => "Broadcasts a number, listens, and devices can connect",
        "relay" => "Passes numbers of others on, and has none of its own",
        "listen" => "Listens alone",
        _ => "Another",
    };
    let kept = match tcnd.retention {
        0 => "Not known".to_owned(),
        retention => duration(retention.into()),
    };
    let sources = tcnd
        .sources
        .map_or_else(|| "Not known".to_owned(), |sources| sources.to_string());
    for (title, subtitle) in [
        ("Mode", mode.to_owned()),
        ("Contacts are kept for", kept),
        (
            "A number lasts at most",
            duration(tcnd.rotation_interval.into()),
        ),
        ("Servers that reports of others come from", sources),
    ] {
        settings.add(&row(&TextRow::new(title, subtitle)));
    }
    settings
}

#[derive(Debug)]
struct Actions {
    context: Context,
    dialog: adw::PreferencesWindow,
}

impl Actions {
    fn data(self: &Rc<Self>) -> adw::PreferencesGroup {
        let data = group("What this computer heard");
        let choices: [(&str, &str, &str, DataAction); 4] = [
            (
                "Save the contact log",
                "As a table, with masks in the place of numbers",
                "Save…",
                DataAction::Export,
            ),
            (
                "Erase the last day",
                "What was heard since this time yesterday",
                "Erase…",
                DataAction::EraseDay,
            ),
            (
                "Erase all contacts",
                "You cannot be warned of what was before",
                "Erase…",
                DataAction::EraseAll,
            ),
            (
                "Destroy everything",
                "Contacts, exposures, reports and keys; consent is withdrawn",
                "Destroy…",
                DataAction::Wipe,
            ),
        ];
        for (title, subtitle, label, action) in choices {
            let button = button(label);
            let actions = Rc::clone(self);
            button.connect_clicked(move |_| {
                let actions = Rc::clone(&actions);
                spawn(async move { actions.act(action).await });
            });
            let row = row(&TextRow::new(title, subtitle));
            row.add_suffix(&button);
            row.set_activatable_widget(Some(&button));
            data.add(&row);
        }
        data
    }

    async fn act(&self, action: DataAction) {
        let done = match action {
            DataAction::Export => self.export().await,
            DataAction::EraseDay => {
                self.erase(DAY, "Erase what was heard in the last day?")
                    .await
            }
            DataAction::EraseAll => self.erase(u64::MAX, "Erase all contacts?").await,
            DataAction::Wipe => self.wipe().await,
        };
        match done {
            Ok(None) => {}
            Ok(Some(text)) => self.context.toast(&text),
            Err(error) => self.context.complain("It was not done", &error).await,
        }
    }

    async fn export(&self) -> Result<Option<String>, CallError> {
        let title = "Save the contact log";
        let Some(path) = file_to_save(&self.dialog, title, "contacts.csv").await else {
            return Ok(None);
        };
        let (pipe, writing) = file_pipe::writing(path).map_err(CallError::other)?;
        let client = &self.context.client;
        let exported = client.call(|tcnd| calls::export_contacts(tcnd, pipe)).await;
        let rows = writing.keep(exported).await?;
        Ok(Some(format!("{} saved", counted(rows, "contact"))))
    }

    async fn erase(&self, span: u64, question: &str) -> Result<Option<String>, CallError> {
        let body = "It cannot be undone. Reports of others cannot find it any more.";
        let appearance = adw::ResponseAppearance::Destructive;
        if !agrees(&self.dialog, question, body, "Erase", appearance).await {
            return Ok(None);
        }
        let to = unix_seconds(clock::now().timestamp()) + DAY;
        let from = to.saturating_sub(DAY).saturating_sub(span);
        let erased = self
            .context
            .client
            .call(|tcnd| calls::erase_contacts(tcnd, from, to))
            .await?;
        Ok(Some(format!("{} erased", counted(erased, "contact"))))
    }

    async fn wipe(&self) -> Result<Option<String>, CallError> {
        let body = "Contacts, exposures, reports, keys and settings of this computer's contact \
                    tracing are destroyed, and it is switched off. It cannot be undone.";
        let appearance = adw::ResponseAppearance::Destructive;
        if !agrees(
            &self.dialog,
            "Destroy everything?",
            body,
            "Destroy",
            appearance,
        )
        .await
        {
            return Ok(None);
        }
        self.context.client.call(calls::wipe).await?;
        Ok(Some("Everything is destroyed".to_owned()))
    }
}

#[derive(Clone, Copy, Debug)]
enum DataAction {
    Export,
    EraseDay,
    EraseAll,
    Wipe,
}
