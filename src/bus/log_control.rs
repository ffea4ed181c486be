//! `org.freedesktop.LogControl1`, by which `systemctl service-log-level tcnd
//! debug` works: LogControl1(5).
//!
//! A write arrives as `org.freedesktop.DBus.Properties.Set`, which the bus policy lets
//! every user send. So the setters check the caller themselves. The log never holds
//! numbers, keys or contacts, at any level. But a debug log still reveals more of a
//! machine than other users need to know.

use std::sync::Arc;

use tcnd_client::names::{self, error};
use tcnd_logging::{LogLevel, LogTarget, Output};
use zbus::message::Header;
use zbus::{Connection, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;

/// The part of the program that writes the log, as seen by the bus.
pub trait Log: Send + Sync + 'static {
    /// The least important level that is written now.
    fn level(&self) -> LogLevel;
    /// From now on writes this level and all more important ones.
    fn set_level(&self, level: LogLevel);
    /// Where the log goes now.
    fn target(&self) -> LogTarget;
    /// From now on sends the log to this target; `false` if that is not possible.
    fn set_target(&self, target: LogTarget) -> bool;
    /// Restores the level and the target of the start.
    fn reset(&self);
}

impl Log for Output {
    fn level(&self) -> LogLevel {
        self.level()
    }

    fn set_level(&self, level: LogLevel) {
        self.set_level(level);
    }

    fn target(&self) -> LogTarget {
        self.target()
    }

    fn set_target(&self, target: LogTarget) -> bool {
        self.set_target(target)
    }

    fn reset(&self) {
        self.reset();
    }
}

pub(super) struct LogControlInterface {
    pub(super) log: Arc<dyn Log>,
    pub(super) bouncer: Arc<Bouncer>,
}

#[interface(name = "org.freedesktop.LogControl1", introspection_docs = true)]
impl LogControlInterface {
    /// The least important level that is logged: emerg, alert, crit, err, warning,
    /// notice, info or debug. Every user may read it. Writing needs the polkit action
    /// org.tcncoalition.tcnd1.reload, and polkit never asks for a password then. The
    /// value lasts until the daemon ends or Manager.Reload resets it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn log_level(&self) -> &'static str {
        self.log.level().word()
    }

    #[zbus(property)]
    async fn set_log_level(
        &self,
        value: String,
        #[zbus(header)] call: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.admit(connection, call, "LogLevel").await?;
        self.log
            .set_level(named("level", LogLevel::ALL, LogLevel::word, &value)?);
        Ok(())
    }

    /// Where the log goes: console or journal. Every user may read it. Writing needs
    /// the same permission as LogLevel.
    #[zbus(property(emits_changed_signal = "false"))]
    fn log_target(&self) -> &'static str {
        self.log.target().word()
    }

    #[zbus(property)]
    async fn set_log_target(
        &self,
        value: String,
        #[zbus(header)] call: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.admit(connection, call, "LogTarget").await?;
        let target = named("target", LogTarget::ALL, LogTarget::word, &value)?;
        if self.log.set_target(target) {
            Ok(())
        } else {
            Err(ErrorReply::new(
                error::NOT_SUPPORTED,
                "the log cannot go there; for the journal, start the daemon with systemd; for the console, start it by hand",
            ))
        }
    }

    /// The identifier of the daemon in the journal.
    #[zbus(property(emits_changed_signal = "false"))]
    fn syslog_identifier(&self) -> &'static str {
        names::SYSLOG_IDENTIFIER
    }
}

impl LogControlInterface {
    async fn admit(
        &self,
        connection: &Connection,
        call: Option<Header<'_>>,
        property: &str,
    ) -> Result<(), ErrorReply> {
        let Some(call) = call else {
            return Err(ErrorReply::not_authorized("this call has no caller"));
        };
        self.bouncer
            .admit_setter(connection, &call, names::LOG_CONTROL, property)
            .await
    }
}

/// The one of `all` whose word is `value`.
fn named<T: Copy, const N: usize>(
    kind: &str,
    all: [T; N],
    word: fn(T) -> &'static str,
    value: &str,
) -> Result<T, ErrorReply> {
    let found = all.into_iter().find(|one| word(*one) == value);
    found.ok_or_else(|| {
        let words = all.map(word).join(", ");
        ErrorReply::invalid_args(format!("no such log {kind}; the {kind}s are {words}"))
    })
}
