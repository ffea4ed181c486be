//! tcnctl's connection to the bus.

use std::io::IsTerminal;

use tcnd_client::proxy::{ContactsProxy, ExposuresProxy, ManagerProxy, PrivacyProxy, ReportsProxy};
use tcnd_client::watch::owner;
use tcnd_client::{BusChoice, names};
use zbus::Connection;
use zbus::names::{BusName, WellKnownName};
use zbus::proxy::CacheProperties;

use super::agent::Agent;
use super::error::{CliError, Topic};

/// A connection to tcnd's bus. Only the first call shows whether tcnd is running.
#[derive(Debug)]
pub(super) struct Client {
    connection: Connection,
    bus: BusChoice,
    purpose: Purpose,
    topic: Topic,
}

/// The purpose of calls to tcnd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read state. This never starts tcnd: an administrator who stopped it does not
    /// want that.
    Read,
    /// To do something. D-Bus activation may start tcnd for it.
    Act,
}

impl Client {
    pub(super) async fn connect(
        bus: &BusChoice,
        purpose: Purpose,
        topic: Topic,
    ) -> Result<Self, CliError> {
        let connection = tcnd_client::connect(bus)
            .await
            .map_err(|why| CliError::NoBus {
                bus: bus.clone(),
                why,
            })?;
        Ok(Self {
            connection,
            bus: bus.clone(),
            purpose,
            topic,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whom to call. A unique name cannot be activated: if its owner leaves, the
    /// call fails (D-Bus specification, "Message Bus Starting Services").
    pub(super) async fn destination(&self) -> Result<BusName<'static>, CliError> {
        let name = WellKnownName::from_static_str_unchecked(names::BUS);
        if self.purpose == Purpose::Act {
            return Ok(name.into());
        }
        self.told(owner(&self.connection).await)
    }

    /// For state and control.
    pub(super) async fn manager(&self) -> Result<ManagerProxy<'_>, CliError> {
        let manager = ManagerProxy::builder(&self.connection)
            .destination(self.destination().await?)
            .cache_properties(CacheProperties::No)
            .build();
        self.told(manager.await)
    }

    /// For totals of the contact log.
    pub(super) async fn contacts(&self) -> Result<ContactsProxy<'_>, CliError> {
        let contacts = ContactsProxy::builder(&self.connection)
            .destination(self.destination().await?)
            .cache_properties(CacheProperties::No)
            .build();
        self.told(contacts.await)
    }

    /// For reports, our own and others'.
    pub(super) async fn reports(&self) -> Result<ReportsProxy<'_>, CliError> {
        let reports = ReportsProxy::builder(&self.connection)
            .destination(self.destination().await?)
            .cache_properties(CacheProperties::No)
            .build();
        self.told(reports.await)
    }

    /// For what reports of others mean.
    pub(super) async fn exposures(&self) -> Result<ExposuresProxy<'_>, CliError> {
        let exposures = ExposuresProxy::builder(&self.connection)
            .destination(self.destination().await?)
            .cache_properties(CacheProperties::No)
            .build();
        self.told(exposures.await)
    }

    /// For destroying all state.
    pub(super) async fn privacy(&self) -> Result<PrivacyProxy<'_>, CliError> {
        let privacy = PrivacyProxy::builder(&self.connection)
            .destination(self.destination().await?)
            .cache_properties(CacheProperties::No)
            .build();
        self.told(privacy.await)
    }

    /// Has someone to ask for a password, should the next calls need one: only
    /// the system bus has polkit, and only a person at a terminal can answer.
    pub(super) async fn ready_for_questions(&self) -> Option<Agent> {
        let needed = self.bus == BusChoice::System
            && std::io::stdin().is_terminal()
            && !rustix::process::geteuid().is_root();
        if needed { Agent::start().await } else { None }
    }

    /// The result of a call, with its error as a [`CliError`].
    pub(super) fn told<T, E: Into<zbus::Error>>(
        &self,
        outcome: Result<T, E>,
    ) -> Result<T, CliError> {
        outcome.map_err(|error| CliError::from_call(&self.bus, self.topic, error.into()))
    }
}
