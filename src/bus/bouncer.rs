//! The bouncer: the only place that decides which caller may call which member.
//!
//! Handlers pass it the message and nothing else. It reads the called member from the
//! message itself, looks it up in [`RULES`], and refuses a member that is not listed.
//! So a method that a developer forgets to list is closed, not open.
//! closed, not open.
//! On the system bus polkit decides, with the caller's bus name as the subject: a
//! process id could be another process by the time polkit looks (polkit(8),
//! "Subjects"). Elsewhere there is no polkit, and only the user that runs the daemon
//! may control it. Root may always withdraw consent and destroy the stored data, with
//! and without polkit.
//!
//! polkit may wait for a person at a password prompt. So handlers take `&self`;
//! otherwise they would lock out every reader of the properties meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tcnd_client::names::{self, action};
use tokio::time::timeout;
use zbus::message::{Flags, Header};
use zbus::proxy::CacheProperties;
use zbus::{Connection, fdo};
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

use super::error::Error;

/// The permission that each member needs. Properties are not listed: they are public,
/// and only [`SETTERS`] can be written.
const RULES: [(&str, &str, &str); 39] = [
    (names::MANAGER, "Enable", action::CONTROL),
    (names::MANAGER, "Disable", action::CONTROL),
    (names::MANAGER, "Pause", action::CONTROL),
    (names::MANAGER, "Resume", action::CONTROL),
    (names::MANAGER, "Rotate", action::CONTROL),
    (names::MANAGER, "SelfTest", action::CONTROL),
    (names::MANAGER, "Reload", action::RELOAD),
    (names::MANAGER, "ConfirmClock", action::ERASE),
    (names::CONTACTS, "GetSummary", action::CONTACTS_READ),
    (names::CONTACTS, "GetHistogram", action::CONTACTS_READ),
    (names::CONTACTS, "GetStatistics", action::CONTACTS_READ),
    (names::CONTACTS, "CountNearby", action::CONTACTS_READ),
    (names::CONTACTS, "ExportLog", action::CONTACTS_EXPORT),
    (names::CONTACTS, "Erase", action::ERASE),
    (names::REPORTS, "Preview", action::REPORT_CREATE),
    (names::REPORTS, "Create", action::REPORT_CREATE),
    (names::REPORTS, "List", action::REPORT_CREATE),
    (names::REPORTS, "Delete", action::REPORT_CREATE),
    (names::REPORTS, "CancelPublish", action::REPORT_CREATE),
    (names::REPORTS, "Export", action::REPORT_PUBLISH),
    (names::REPORTS, "Publish", action::REPORT_PUBLISH),
    (names::REPORTS, "Import", action::REPORT_IMPORT),
    (names::REPORTS, "Check", action::REPORT_IMPORT),
    (names::EXPOSURES, "List", action::EXPOSURES_READ),
    (names::EXPOSURES, "Get", action::EXPOSURES_READ),
    (names::EXPOSURES, "GetSummary", action::EXPOSURES_READ),
    (names::EXPOSURES, "MarkSeen", action::EXPOSURES_READ),
    (names::EXPOSURES, "Dismiss", action::EXPOSURES_READ),
    (names::EXPOSURES, "Restore", action::EXPOSURES_READ),
    (names::EXPOSURES, "Subscribe", action::EXPOSURES_READ),
    (names::EXPOSURES, "Unsubscribe", action::EXPOSURES_READ),
    (names::EXCHANGE, "Begin", action::EXCHANGE),
    (names::EXCHANGE, "Pending", action::EXCHANGE),
    (names::EXCHANGE, "Deliver", action::EXCHANGE),
    (names::EXCHANGE, "TakePart", action::EXCHANGE),
    (names::EXCHANGE, "SettlePart", action::EXCHANGE),
    (names::EXCHANGE, "Record", action::EXCHANGE),
    (names::EXCHANGE, "End", action::EXCHANGE),
    (names::PRIVACY, "WipeAll", action::ERASE),
];

/// The permission for writing a property.
const SETTERS: [(&str, &str, &str); 2] = [
    (names::LOG_CONTROL, "LogLevel", action::RELOAD),
    (names::LOG_CONTROL, "LogTarget", action::RELOAD),
];

/// What root may do whether or not polkit allows it or answers: withdraw consent, and
/// destroy data.
const OF_ROOT: [(&str, &str); 3] = [
    (names::MANAGER, "Disable"),
    (names::CONTACTS, "Erase"),
    (names::PRIVACY, "WipeAll"),
];

const ROOT: u32 = 0;

/// Decides which caller may call which member.
#[derive(Debug)]
pub struct Bouncer {
    judge: Judge,
    questions: Questions,
}

#[derive(Debug)]
enum Judge {
    Polkit(AuthorityProxy<'static>),
    SameUser(u32),
}

/// How long polkit may take when it asks no person.
const POLKIT_DEADLINE: Duration = Duration::from_secs(20);

/// How long a person may take at the password prompt.
const PERSON_DEADLINE: Duration = Duration::from_secs(300);

/// How long writing a property may wait for polkit. zbus keeps its table of objects
/// locked against additions while a setter runs, and an addition that waits there makes
/// every reader wait behind it.
const SETTER_DEADLINE: Duration = Duration::from_secs(2);

impl Bouncer {
    /// polkit on the bus behind `connection` decides. polkit itself allows root
    /// everything.
    ///
    /// # Errors
    /// When the connection is closed. polkit need not be running yet.
    pub async fn polkit(connection: &Connection) -> zbus::Result<Self> {
        let authority = AuthorityProxy::builder(connection)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        Ok(Self::new(Judge::Polkit(authority)))
    }

    /// Callers of this user id may do everything, root only what root may always do,
    /// and other users nothing.
    pub fn same_user(uid: u32) -> Self {
        Self::new(Judge::SameUser(uid))
    }

    fn new(judge: Judge) -> Self {
        Self {
            judge,
            questions: Questions::default(),
        }
    }

    /// Whether the caller of this method may call it.
    pub(super) async fn admit(
        &self,
        connection: &Connection,
        call: &Header<'_>,
    ) -> Result<(), Error> {
        let interface = call.interface().map_or("", |name| name.as_str());
        let member = call.member().map_or("", |name| name.as_str());
        let action = look_up(&RULES, interface, member)?;
        let of_root = OF_ROOT.contains(&(interface, member));
        if of_root && user(connection, call).await == Ok(ROOT) {
            return Ok(());
        }
        let person = call
            .primary()
            .flags()
            .contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let patience = if person {
            PERSON_DEADLINE
        } else {
            POLKIT_DEADLINE
        };
        self.judge(connection, call, action, person, patience).await
    }

    /// Whether the caller may set this property. No person is asked for a password
    /// here, see [`SETTER_DEADLINE`].
    pub(super) async fn admit_setter(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        interface: &str,
        property: &str,
    ) -> Result<(), Error> {
        let action = look_up(&SETTERS, interface, property)?;
        self.judge(connection, call, action, false, SETTER_DEADLINE)
            .await
    }

    async fn judge(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        action: &'static str,
        person: bool,
        patience: Duration,
    ) -> Result<(), Error> {
        let verdict = async {
            let user = user(connection, call).await?;
            let _question = self.questions.open(user)?;
            match &self.judge {
                Judge::Polkit(authority) => ask_polkit(authority, call, action, person).await,
                Judge::SameUser(uid) => compare_user(user, *uid),
            }
        };
        timeout(patience, verdict).await.unwrap_or_else(|_| {
            Err(Error::NotAuthorized(format!(
                "nobody answered in time whether you may ({action}); check that polkit works (systemctl status polkit)"
            )))
        })
    }
}

/// Questions to polkit that wait for their answer, by the user who asks: a caller can
/// have any number of connections, but is one user on all of them.
#[derive(Debug, Default)]
struct Questions(Mutex<BTreeMap<u32, usize>>);

/// One open question, counted until it is dropped.
struct Question<'a> {
    among: &'a Questions,
    user: u32,
}

impl Questions {
    /// Open questions of all users at once; callers cannot make us keep more.
    const MOST: usize = 64;

    /// Open questions of one user at once.
    const MOST_OF_ONE: usize = 16;

    /// Opens a question, or refuses if too many are open.
    fn open(&self, user: u32) -> Result<Question<'_>, Error> {
        let mut open = self.lock();
        if open.values().sum::<usize>() >= Self::MOST {
            return Err(Error::Busy(
                "too many callers wait for their authorisation; try again in a moment",
            ));
        }
        let own = open.entry(user).or_default();
        if *own >= Self::MOST_OF_ONE {
            return Err(Error::Busy(
                "too many of your calls wait for their authorisation; answer or end one first",
            ));
        }
        *own += 1;
        Ok(Question { among: self, user })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let mut open = self.among.lock();
        if let Some(own) = open.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.user);
            }
        }
    }
}

fn look_up(
    rules: &[(&str, &str, &'static str)],
    interface: &str,
    member: &str,
) -> Result<&'static str, Error> {
    rules
        .iter()
        .find(|(on, name, _)| (*on, *name) == (interface, member))
        .map(|(_, _, action)| *action)
        .ok_or_else(|| {
            Error::NotAuthorized("nobody may call this; please report it as a fault".to_owned())
        })
}

async fn ask_polkit(
    authority: &AuthorityProxy<'static>,
    call: &Header<'_>,
    action: &'static str,
    person: bool,
) -> Result<(), Error> {
    let unreachable = || {
        Error::NotAuthorized(format!(
            "polkit cannot be asked whether you may ({action}); check that it runs (systemctl status polkit) and knows tcnd's actions (pkaction --action-id {action})"
        ))
    };
    let subject = Subject::new_for_message_header(call).map_err(|_| unreachable())?;
    let flags = if person {
        CheckAuthorizationFlags::ALLOW_USER_INTERACTION
    } else {
        CheckAuthorizationFlags::empty()
    };
    let verdict = authority
        .check_authorization(&subject, action, &Default::default(), flags, "")
        .await
        .map_err(|_| unreachable())?;
    if verdict.is_authorized {
        Ok(())
    } else if verdict.details.contains_key("polkit.dismissed") {
        Err(Error::NotAuthorized(
            "the question for the password was dismissed; call again to be asked again".to_owned(),
        ))
    } else if verdict.is_challenge {
        Err(Error::NotAuthorized(format!(
            "you have to authenticate for this ({action}): use a session with a polkit agent, run pkttyagent, or use sudo"
        )))
    } else {
        Err(Error::NotAuthorized(format!(
            "you may not do this ({action}): use sudo, or ask an administrator to add you to the group tcnd"
        )))
    }
}

fn compare_user(user: u32, ours: u32) -> Result<(), Error> {
    if user == ours {
        Ok(())
    } else {
        Err(Error::NotAuthorized(format!(
            "this tcnd was started by hand and obeys its own user only; run this as user id {ours}"
        )))
    }
}

/// The user that makes this call.
async fn user(connection: &Connection, call: &Header<'_>) -> Result<u32, Error> {
    let user = if connection.is_bus() {
        caller_on_bus(connection, call).await
    } else {
        let peer = connection.peer_creds().await.ok();
        peer.and_then(|credentials| credentials.unix_user_id())
    };
    user.ok_or_else(|| {
        Error::NotAuthorized("the bus does not say which user you are; call again".to_owned())
    })
}

async fn caller_on_bus(connection: &Connection, call: &Header<'_>) -> Option<u32> {
    let sender = call.sender()?.clone();
    let bus = fdo::DBusProxy::new(connection).await.ok()?;
    bus.get_connection_unix_user(sender.into()).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_closed() {
        for (interface, member) in [
            (names::MANAGER, "Enabled"),
            (names::MANAGER, "enable"),
            (names::CONTACTS, "Pause"),
            (names::REPORTS, "WipeAll"),
            (names::LOG_CONTROL, "LogLevel"),
            ("", "Pause"),
            ("", ""),
        ] {
            let verdict = look_up(&RULES, interface, member);
            assert!(matches!(verdict, Err(Error::NotAuthorized(_))), "{member}");
        }
    }
}
