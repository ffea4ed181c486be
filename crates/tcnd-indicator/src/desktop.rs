//! The session's side: notifications, and the window.
//!
//! Reference: Desktop Notifications Specification 1.3; D-Bus specification, "D-Bus
//! Activation" of the Desktop Entry Specification 1.5 (`org.freedesktop.Application`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::timeout;
use zbus::fdo::{DBusProxy, RequestNameFlags, RequestNameReply};
use zbus::names::{BusName, WellKnownName};
use zbus::{Connection, OwnedVariant, Signature, Variant, proxy};

use crate::reminder::Subject;

/// The name by which tcnd, and the other programs of the desktop, know this one.
pub(crate) const APPLICATION_ID: &str = "org.tcncoalition.Tcnd1.Indicator";

/// The window, by its bus name.
const WINDOW: &str = "org.tcncoalition.Tcnd1.Window";

/// How long the server of notifications may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A page of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowPage {
    /// The one that was shown last.
    Last,
    Status,
    Exposures,
}

/// How long the window may take to say what it shows: clicks wait for it.
const SHORT: Duration = Duration::from_millis(500);

/// `urgency` normal: a critical notification would break through do-not-disturb.
const NORMAL: u8 = 1;

#[proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
pub(crate) trait Notifications {
    #[expect(clippy::too_many_arguments, reason = "the specification has as many")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Variant<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;
    fn close_notification(&self, id: u32) -> zbus::Result<()>;
    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: String) -> zbus::Result<()>;
    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.freedesktop.Application",
    default_service = "org.tcncoalition.Tcnd1.Window",
    default_path = "/org/tcncoalition/Tcnd1/Window"
)]
trait Application {
    fn activate(&self, platform_data: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;
    fn activate_action(
        &self,
        action_name: &str,
        parameter: &[Variant<'_>],
        platform_data: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<()>;
}

/// The actions of a GApplication.
#[proxy(
    interface = "org.gtk.Actions",
    default_service = "org.tcncoalition.Tcnd1.Window",
    default_path = "/org/tcncoalition/Tcnd1/Window"
)]
trait Actions {
    /// Whether it is enabled, the type of its parameter, and its state.
    #[zbus(no_autostart)]
    fn describe(&self, action_name: &str) -> zbus::Result<(bool, Signature, Vec<OwnedVariant>)>;
}

/// What a notification says. Its texts tell bystanders nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotificationText {
    pub(crate) summary: &'static str,
    pub(crate) body: &'static str,
    /// Keys and labels by turns; the key `default` is a click on the notification.
    pub(crate) actions: &'static [&'static str],
}

/// The text about a subject, with a window to open or without.
pub(crate) const fn text(subject: Subject, window: bool) -> NotificationText {
    let (summary, body) = match (subject, window) {
        (Subject::NewExposures, true) => (
            "Contact tracing has something for you",
            "Open it when nobody looks over your shoulder.",
        ),
        (Subject::NewExposures, false) => (
            "Contact tracing has something for you",
            "When nobody looks over your shoulder, type in a terminal: tcnctl status",
        ),
        (Subject::Stopped, true) => (
            "Contact tracing has stopped",
            "It needs your attention. Open it to see what to do.",
        ),
        (Subject::Stopped, false) => (
            "Contact tracing has stopped",
            "It needs your attention. To see what to do, type in a terminal: tcnctl status",
        ),
    };
    let actions: &[&str] = match (subject, window) {
        (Subject::NewExposures, true) => &["default", "Open", "later", "Tomorrow"],
        (Subject::NewExposures, false) => &["later", "Tomorrow"],
        (Subject::Stopped, true) => &["default", "Open"],
        (Subject::Stopped, false) => &[],
    };
    NotificationText {
        summary,
        body,
        actions,
    }
}

/// Whether this is the only such program of the session. The name is kept until the
/// connection ends.
pub(crate) async fn is_only(session: &Connection) -> zbus::Result<bool> {
    let name = WellKnownName::from_static_str_unchecked(APPLICATION_ID);
    let flags = RequestNameFlags::DO_NOT_QUEUE;
    let reply = DBusProxy::new(session)
        .await?
        .request_name(name, flags)
        .await?;
    Ok(reply == RequestNameReply::PrimaryOwner)
}

/// Whether there is a window: it runs, or the bus can start it.
pub(crate) async fn has_window(session: &Connection) -> bool {
    let Ok(bus) = DBusProxy::new(session).await else {
        return false;
    };
    let name = WellKnownName::from_static_str_unchecked(WINDOW);
    if bus
        .name_has_owner(BusName::from(name))
        .await
        .is_ok_and(|owned| owned)
    {
        return true;
    }
    let names = bus.list_activatable_names().await.unwrap_or_default();
    names.iter().any(|name| name.as_str() == WINDOW)
}

/// Shows the window, and starts it if it does not run.
pub(crate) async fn open_window(session: &Connection, page: WindowPage) -> zbus::Result<()> {
    let window = ApplicationProxy::new(session).await?;
    match page {
        WindowPage::Last => window.activate(HashMap::new()).await,
        WindowPage::Status => {
            window
                .activate_action("show-status", &[], HashMap::new())
                .await
        }
        WindowPage::Exposures => {
            window
                .activate_action("show-exposures", &[], HashMap::new())
                .await
        }
    }
}

/// Whether the person may look at the exposures in the window now.
pub(crate) async fn exposures_shown(session: &Connection) -> bool {
    let asked = async {
        let actions = ActionsProxy::new(session).await?;
        actions.describe("exposures-shown").await
    };
    let Ok(Ok((_, _, state))) = timeout(SHORT, asked).await else {
        return false;
    };
    let state = state.first().and_then(|state| bool::try_from(state).ok());
    state.unwrap_or(false)
}

/// The notifications that are shown, by subject.
#[derive(Debug)]
pub(crate) struct Notifier<'a> {
    server: NotificationsProxy<'a>,
    /// `None` is an answer to what the person chose.
    ids: BTreeMap<u32, Option<Subject>>,
}

impl<'a> Notifier<'a> {
    pub(crate) async fn new(session: &'a Connection) -> zbus::Result<Self> {
        Ok(Self {
            server: NotificationsProxy::new(session).await?,
            ids: BTreeMap::new(),
        })
    }

    pub(crate) fn server(&self) -> NotificationsProxy<'a> {
        self.server.clone()
    }

    /// Shows the notification of a subject, in the place of an earlier one. Without a
    /// notification server it does nothing.
    pub(crate) async fn show(&mut self, subject: Subject, window: bool) {
        let text = text(subject, window);
        self.notify(Some(subject), text.summary, text.body, text.actions)
            .await;
    }

    /// Shows why tcnd refused what the person asked for.
    pub(crate) async fn show_error(&mut self, why: &str) {
        self.notify(None, "Contact tracing", &escaped(why), &[])
            .await;
    }

    pub(crate) async fn close(&mut self, subject: Subject) {
        if let Some(id) = self.id_of(Some(subject)) {
            self.ids.remove(&id);
            let _ = timeout(ANSWER, self.server.close_notification(id)).await;
        }
    }

    /// The subject of a notification that is gone; `None` if this program did not show it.
    pub(crate) fn gone(&mut self, id: u32) -> Option<Subject> {
        self.ids.remove(&id).flatten()
    }

    pub(crate) fn subject(&self, id: u32) -> Option<Subject> {
        self.ids.get(&id).copied().flatten()
    }

    /// The server is new, and knows no earlier notification.
    pub(crate) fn restarted(&mut self) {
        self.ids.clear();
    }

    fn id_of(&self, subject: Option<Subject>) -> Option<u32> {
        let mut ids = self.ids.iter();
        ids.find(|(_, of)| **of == subject).map(|(id, _)| *id)
    }

    async fn notify(
        &mut self,
        subject: Option<Subject>,
        summary: &str,
        body: &str,
        actions: &[&str],
    ) {
        let replaces = self.id_of(subject).unwrap_or(0);
        let hints = HashMap::from([
            ("urgency", Variant::from(NORMAL)),
            ("desktop-entry", Variant::from(WINDOW)),
            // GNOME hides the details on the lock screen.
            ("x-gnome-privacy-scope", Variant::from("user")),
        ]);
        let stays = 0;
        let icon = "org.tcncoalition.Tcnd1";
        let shown = self.server.notify(
            "Contact Tracing",
            replaces,
            icon,
            summary,
            body,
            actions,
            hints,
            stays,
        );
        if let Ok(Ok(id)) = timeout(ANSWER, shown).await {
            self.ids.remove(&replaces);
            self.ids.insert(id, subject);
        }
    }
}

/// Text that is not markup: a body may have some (Desktop Notifications Specification,
/// "Markup").
fn escaped(text: &str) -> String {
    let text = printable::clean(text);
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bystanders who read a notification learn nothing.
    #[test]
    fn no_notification_says_what_it_is_about() {
        let telling = [
            "expos", "ill", "infect", "report", "symptom", "cough", "fever", "near", "met",
            "health", "virus", "covid",
        ];
        for subject in [Subject::NewExposures, Subject::Stopped] {
            for window in [false, true] {
                let said = text(subject, window);
                let all = [&[said.summary, said.body], said.actions]
                    .concat()
                    .join(" ");
                let all = all.to_lowercase();
                for word in telling {
                    let begins = |said: &str| said.starts_with(word);
                    assert!(!all.split_whitespace().any(begins), "{word}: {all}");
                }
                assert!(!all.contains(|c: char| c.is_ascii_digit()), "{all}");
            }
        }
    }

    #[test]
    fn what_tcnd_says_is_no_markup() {
        assert_eq!(escaped("<b>&\u{1b}[2J"), "&lt;b&gt;&amp; [2J");
    }
}
