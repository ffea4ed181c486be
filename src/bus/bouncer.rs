//! The bouncer: the one module that decides which caller may call which member.
//!
//! Handlers pass it the message and nothing else. It reads the called member from the
//! message itself, looks it up in [`RULES`], and refuses a member that is not listed.
//! So a method that a developer forgets to list is closed, not open.
//!
//! On the system bus polkit decides, with the caller's bus name as the subject: a
//! process id could be another process by the time polkit checks it (polkit(8),
//! "Subjects"). Elsewhere there is no polkit, and only the user that runs the daemon
//! may control it. Root may always withdraw consent and destroy the stored data, with
//! and without polkit.
//!
//! polkit may wait for a person at a password prompt. So handlers take `&self`: with
//! `&mut self`, no client could read a property meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tcnd_client::names::{self, action};
use tokio::time::timeout;
use zbus::message::{Flags, Header};
use zbus::proxy::CacheProperties;
use zbus::{Connection, fdo};
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

use super::error::ErrorReply;

/// The permission that each member needs. Properties are not listed: they are public,
/// and only [`SETTERS`] can be written.
const RULES: [(&str, &str, &str); 41] = [
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
    (names::CONTACTS, "GetActivity", action::CONTACTS_READ),
    (names::CONTACTS, "GetPresence", action::PRESENCE_READ),
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

/// The members that root may call whether or not polkit allows it or answers: those that
/// withdraw consent and those that destroy data.
const ROOT_MEMBERS: [(&str, &str); 3] = [
    (names::MANAGER, "Disable"),
    (names::CONTACTS, "Erase"),
    (names::PRIVACY, "WipeAll"),
];

const ROOT: u32 = 0;

/// Decides which caller may call which member.
#[derive(Debug)]
pub struct Bouncer {
    judge: Judge,
    pending: PendingChecks,
}

#[derive(Debug)]
enum Judge {
    Polkit(AuthorityProxy<'static>),
    SameUser(u32),
}

/// How long polkit may take when it does not ask for a password.
const POLKIT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long polkit may take when a person has to enter a password.
const INTERACTIVE_TIMEOUT: Duration = Duration::from_secs(300);

/// How long writing a property may wait for polkit. zbus keeps its table of objects
/// locked against additions while a setter runs. An addition that waits for the lock
/// makes every later reader wait, too.
const SETTER_TIMEOUT: Duration = Duration::from_secs(2);

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

    /// Callers with this user id may call every member, root only those
    /// that withdraw consent or destroy data, and other users none.
    pub fn same_user(uid: u32) -> Self {
        Self::new(Judge::SameUser(uid))
    }

    fn new(judge: Judge) -> Self {
        Self {
            judge,
            pending: PendingChecks::default(),
        }
    }

    /// Whether the caller of this method may call it.
    pub(super) async fn admit(
        &self,
        connection: &Connection,
        call: &Header<'_>,
    ) -> Result<(), ErrorReply> {
        let interface = call.interface().map_or("", |name| name.as_str());
        let member = call.member().map_or("", |name| name.as_str());
        let action = look_up(&RULES, interface, member)?;
        let may_root = ROOT_MEMBERS.contains(&(interface, member));
        if may_root && user(connection, call).await == Ok(ROOT) {
            return Ok(());
        }
        let interactive = call
            .primary()
            .flags()
            .contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let limit = if interactive {
            INTERACTIVE_TIMEOUT
        } else {
            POLKIT_TIMEOUT
        };
        self.authorize(connection, call, action, interactive, limit)
            .await
    }

    /// Whether the caller may set this property. polkit does not ask for a password here,
    /// see [`SETTER_TIMEOUT`].
    pub(super) async fn admit_setter(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        interface: &str,
        property: &str,
    ) -> Result<(), ErrorReply> {
        let action = look_up(&SETTERS, interface, property)?;
        self.authorize(connection, call, action, false, SETTER_TIMEOUT)
            .await
    }

    async fn authorize(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        action: &'static str,
        interactive: bool,
        limit: Duration,
    ) -> Result<(), ErrorReply> {
        let result = async {
            let user = user(connection, call).await?;
            let _pending = self.pending.open(user)?;
            match &self.judge {
                Judge::Polkit(authority) => ask_polkit(authority, call, action, interactive).await,
                Judge::SameUser(uid) => compare_user(user, *uid),
            }
        };
        timeout(limit, result).await.unwrap_or_else(|_| {
            Err(ErrorReply::not_authorized(format!(
                "polkit did not answer in time whether you may do this ({action}); check that it works (systemctl status polkit)"
            )))
        })
    }
}

/// Counts the authorization checks that wait for an answer, by user: a caller can have any
/// number of connections, but is one user on all of them.
#[derive(Debug, Default)]
struct PendingChecks(Mutex<BTreeMap<u32, usize>>);

/// One authorization check in progress, counted until it is dropped.
struct PendingCheck<'a> {
    counts: &'a PendingChecks,
    user: u32,
}

impl PendingChecks {
    /// Checks of all users at once; callers cannot make tcnd keep more.
    const MAX: usize = 64;

    /// Checks of one user at once.
    const MAX_PER_USER: usize = 16;

    /// Counts a new check, or refuses if too many are in progress.
    fn open(&self, user: u32) -> Result<PendingCheck<'_>, ErrorReply> {
        let mut open = self.lock();
        if open.values().sum::<usize>() >= Self::MAX {
            return Err(ErrorReply::busy(
                "too many callers wait for their authorisation; try again in a moment",
            ));
        }
        let own = open.entry(user).or_default();
        if *own >= Self::MAX_PER_USER {
            return Err(ErrorReply::busy(
                "too many of your calls wait for authorisation; answer a password prompt or end a call first",
            ));
        }
        *own += 1;
        Ok(PendingCheck { counts: self, user })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PendingCheck<'_> {
    fn drop(&mut self) {
        let mut open = self.counts.lock();
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
) -> Result<&'static str, ErrorReply> {
    rules
        .iter()
        .find(|(on, name, _)| (*on, *name) == (interface, member))
        .map(|(_, _, action)| *action)
        .ok_or_else(|| {
            ErrorReply::not_authorized("no caller may call this member; please report it as a bug")
        })
}

async fn ask_polkit(
    authority: &AuthorityProxy<'static>,
    call: &Header<'_>,
    action: &'static str,
    interactive: bool,
) -> Result<(), ErrorReply> {
    let unreachable = || {
        ErrorReply::not_authorized(format!(
            "polkit cannot check whether you may do this ({action}); check that it runs (systemctl status polkit) and knows the actions of tcnd (pkaction --action-id {action})"
        ))
    };
    let subject = Subject::new_for_message_header(call).map_err(|_| unreachable())?;
    let flags = if interactive {
        CheckAuthorizationFlags::ALLOW_USER_INTERACTION
    } else {
        CheckAuthorizationFlags::empty()
    };
    let result = authority
        .check_authorization(&subject, action, &Default::default(), flags, "")
        .await
        .map_err(|_| unreachable())?;
    if result.is_authorized {
        Ok(())
    } else if result.details.contains_key("polkit.dismissed") {
        Err(ErrorReply::not_authorized(
            "the password prompt was dismissed; call again to get a new one",
        ))
    } else if result.is_challenge {
        Err(ErrorReply::not_authorized(format!(
            "you have to authenticate for this ({action}): use a session with a polkit agent, run pkttyagent, or use sudo"
        )))
    } else {
        Err(ErrorReply::not_authorized(format!(
            "you may not do this ({action}): use sudo, or ask an administrator to add you to the group tcnd"
        )))
    }
}

fn compare_user(user: u32, own: u32) -> Result<(), ErrorReply> {
    if user == own {
        Ok(())
    } else {
        Err(ErrorReply::not_authorized(format!(
            "this tcnd was started by hand and accepts calls only from its own user; run this as user id {own}"
        )))
    }
}

/// The user that makes this call.
async fn user(connection: &Connection, call: &Header<'_>) -> Result<u32, ErrorReply> {
    let user = if connection.is_bus() {
        caller_on_bus(connection, call).await
    } else {
        let peer = connection.peer_creds().await.ok();
        peer.and_then(|credentials| credentials.unix_user_id())
    };
    user.ok_or_else(|| {
        ErrorReply::not_authorized("the bus does not tell which user you are; call again")
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
            let result = look_up(&RULES, interface, member);
            assert!(result.is_err(), "{member}");
        }
    }
}
