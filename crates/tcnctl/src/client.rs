//! tcnctl's connection to the bus.

use std::io::IsTerminal;

use serde::Serialize;
use tcnd_client::proxy::{ContactsProxy, ExposuresProxy, ManagerProxy, PrivacyProxy, ReportsProxy};
use tcnd_client::watch::owner;
use tcnd_client::{BusChoice, names};
use zbus::names::{BusName, WellKnownName};
use zbus::proxy::{CacheProperties, Defaults, ProxyImpl};
use zbus::{Connection, Proxy};

use crate::error::CliError;
use crate::output::CommandOutput;
use crate::polkit_agent::PolkitAgent;

/// A connection to tcnd's bus. Only the first call shows whether tcnd is running.
#[derive(Debug)]
pub(crate) struct Client {
    connection: Connection,
    bus: BusChoice,
    purpose: Purpose,
    /// The output is JSON.
    pub(crate) json: bool,
    _agent: Option<PolkitAgent>,
}

/// The purpose of calls to tcnd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To read state. This never starts tcnd: an administrator who stopped it expects it
    /// to stay stopped.
    Read,
    /// To change state. D-Bus activation may start tcnd for it.
    Act,
}

impl Client {
    /// A client for state that everyone may read.
    pub(crate) async fn connect(
        bus: &BusChoice,
        purpose: Purpose,
        json: bool,
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
            json,
            _agent: None,
        })
    }

    /// A client with an agent that asks for a password, if its calls may need one: only the
    /// system bus has polkit, and only a person at a terminal can answer.
    pub(crate) async fn with_agent(
        bus: &BusChoice,
        purpose: Purpose,
        json: bool,
    ) -> Result<Self, CliError> {
        let mut client = Self::connect(bus, purpose, json).await?;
        let needed = *bus == BusChoice::System
            && std::io::stdin().is_terminal()
            && !rustix::process::geteuid().is_root();
        if needed {
            client._agent = PolkitAgent::start().await;
        }
        Ok(client)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The bus name to call. A unique name cannot be activated: if its owner leaves, the
    /// call fails (D-Bus specification, "Message Bus Starting Services").
    pub(crate) async fn destination(&self) -> Result<BusName<'static>, CliError> {
        let name = WellKnownName::from_static_str_unchecked(names::BUS);
        if self.purpose == Purpose::Act {
            return Ok(name.into());
        }
        self.map_err(owner(&self.connection).await)
    }

    /// A proxy for one interface of tcnd. It has no cache: each read asks tcnd.
    async fn proxy<'a, P>(&'a self) -> Result<P, CliError>
    where
        P: ProxyImpl<'a> + From<Proxy<'a>> + Defaults,
    {
        let builder = P::builder(&self.connection).cache_properties(CacheProperties::No);
        let proxy = builder.destination(self.destination().await?).build();
        self.map_err(proxy.await)
    }

    /// For state and control.
    pub(crate) async fn manager(&self) -> Result<ManagerProxy<'_>, CliError> {
        self.proxy().await
    }

    /// For totals of the contact log.
    pub(crate) async fn contacts(&self) -> Result<ContactsProxy<'_>, CliError> {
        self.proxy().await
    }

    /// For reports, own and of others.
    pub(crate) async fn reports(&self) -> Result<ReportsProxy<'_>, CliError> {
        self.proxy().await
    }

    /// For exposures, the meaning of reports of others.
    pub(crate) async fn exposures(&self) -> Result<ExposuresProxy<'_>, CliError> {
        self.proxy().await
    }

    /// For destroying all state.
    pub(crate) async fn privacy(&self) -> Result<PrivacyProxy<'_>, CliError> {
        self.proxy().await
    }

    /// The output of a command: a document, or its text.
    pub(crate) fn output<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce(&T) -> String,
    ) -> CommandOutput {
        CommandOutput::new(self.json, document, text)
    }

    /// The result of a call, with its error as a [`CliError`].
    pub(crate) fn map_err<T, E: Into<zbus::Error>>(
        &self,
        outcome: Result<T, E>,
    ) -> Result<T, CliError> {
        outcome.map_err(|error| CliError::from_call(&self.bus, error.into()))
    }
}
