//! The bouncer: the one place that decides who may call what.
//!
//! Handlers ask it with the message in hand and nothing else; it reads which
//! member was called off the message itself, looks it up in [`RULES`], and
//! refuses what is not listed. So a method that somebody forgets to list is
//! closed, not open.
//!
//! On the system bus polkit decides, with the caller's bus name as the
//! subject: a process id could be another process by the time polkit looks
//! (polkit(8), "Subjects"). Elsewhere there is no polkit, and only the user
//! who runs the daemon may control it.
//!
//! polkit may wait for a person at a password prompt. Handlers therefore take
//! `&self`, or they would lock every reader of the properties out meanwhile.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use zbus::message::{Flags, Header};
use zbus::proxy::CacheProperties;
use zbus::{Connection, fdo};
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

use super::error::Error;
use super::names::{self, action};

/// What each member needs. Properties are not in here: they are public, and
/// none but [`SETTERS`] can be written.
const RULES: [(&str, &str, &str); 10] = [
    (names::MANAGER, "Enable", action::CONTROL),
    (names::MANAGER, "Disable", action::CONTROL),
    (names::MANAGER, "Pause", action::CONTROL),
    (names::MANAGER, "Resume", action::CONTROL),
    (names::MANAGER, "Rotate", action::CONTROL),
    (names::MANAGER, "SelfTest", action::CONTROL),
    (names::MANAGER, "Reload", action::RELOAD),
    (names::CONTACTS, "GetSummary", action::CONTACTS_READ),
    (names::CONTACTS, "GetHistogram", action::CONTACTS_READ),
    (names::CONTACTS, "GetStatistics", action::CONTACTS_READ),
];

/// What writing a property needs.
const SETTERS: [(&str, &str, &str); 2] = [
    (names::LOG_CONTROL, "LogLevel", action::RELOAD),
    (names::LOG_CONTROL, "LogTarget", action::RELOAD),
];

/// Decides who may call what.
#[derive(Debug)]
pub struct Bouncer {
    judge: Judge,
    /// Questions at once; callers cannot make us keep more than these.
    questions: Semaphore,
}

#[derive(Debug)]
enum Judge {
    Polkit(AuthorityProxy<'static>),
    SameUser(u32),
}

/// How long polkit may take when nobody has to be asked.
const POLKIT_DEADLINE: Duration = Duration::from_secs(20);

/// How long a person may sit at the password prompt.
const PERSON_DEADLINE: Duration = Duration::from_secs(300);

/// How long writing a property may wait for polkit: zbus keeps its table of
/// objects locked against additions while a setter runs, and an addition that
/// waits there makes every reader wait behind it.
const SETTER_DEADLINE: Duration = Duration::from_secs(2);

const MAX_QUESTIONS: usize = 64;

impl Bouncer {
    /// Lets polkit on the bus behind `connection` decide. polkit itself lets
    /// root do everything, so root is not treated apart here.
    ///
    /// # Errors
    /// When the connection is closed. polkit need not run yet.
    pub async fn polkit(connection: &Connection) -> zbus::Result<Self> {
        let authority = AuthorityProxy::builder(connection)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        Ok(Self::new(Judge::Polkit(authority)))
    }

    /// Lets callers of this user id do everything, and everyone else nothing.
    pub fn same_user(uid: u32) -> Self {
        Self::new(Judge::SameUser(uid))
    }

    fn new(judge: Judge) -> Self {
        Self {
            judge,
            questions: Semaphore::new(MAX_QUESTIONS),
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
        let _question = self.question()?;
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

    /// Whether the caller may set this property. Nobody is asked for a
    /// password here, see [`SETTER_DEADLINE`].
    pub(super) async fn admit_setter(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        interface: &str,
        property: &str,
    ) -> Result<(), Error> {
        let action = look_up(&SETTERS, interface, property)?;
        let _question = self.question()?;
        self.judge(connection, call, action, false, SETTER_DEADLINE)
            .await
    }

    fn question(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.questions.try_acquire().map_err(|_| {
            Error::Busy("too many callers wait for their authorisation; try again in a moment")
        })
    }

    async fn judge(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        action: &'static str,
        person: bool,
        patience: Duration,
    ) -> Result<(), Error> {
        let verdict = match &self.judge {
            Judge::Polkit(authority) => {
                timeout(patience, ask_polkit(authority, call, action, person)).await
            }
            Judge::SameUser(uid) => timeout(patience, compare_user(connection, call, *uid)).await,
        };
        verdict.unwrap_or_else(|_| {
            Err(Error::NotAuthorized(format!(
                "nobody answered in time whether you may ({action}); check that polkit works (systemctl status polkit)"
            )))
        })
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

async fn compare_user(connection: &Connection, call: &Header<'_>, uid: u32) -> Result<(), Error> {
    let caller = if connection.is_bus() {
        caller_on_bus(connection, call).await
    } else {
        let peer = connection.peer_creds().await.ok();
        peer.and_then(|credentials| credentials.unix_user_id())
    };
    if caller == Some(uid) {
        Ok(())
    } else {
        Err(Error::NotAuthorized(format!(
            "this tcnd was started by hand and obeys its own user only; run this as user id {uid}"
        )))
    }
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
            (names::LOG_CONTROL, "LogLevel"),
            ("", "Pause"),
            ("", ""),
        ] {
            let verdict = look_up(&RULES, interface, member);
            assert!(matches!(verdict, Err(Error::NotAuthorized(_))), "{member}");
        }
    }
}
