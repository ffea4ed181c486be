//! Snapshots of tcnd, one after each change.
//!
//! A long-running program, such as a bar or a tray item, may outlive tcnd. So a [`Watch`]
//! tells when tcnd is gone, and continues when it is back; it never starts tcnd. Not every
//! user may know about exposures and nearby devices. [`Watch`] asks for them without a
//! password prompt. If tcnd refuses, they are absent, so the snapshot does not reveal
//! whether there are any.

use std::collections::HashMap;

use futures::StreamExt;
use futures::stream::{Select, select};
use zbus::fdo::{DBusProxy, ObjectManagerProxy, PropertiesProxy};
use zbus::names::{BusName, InterfaceName, WellKnownName};
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedVariant, message};

use crate::failure::{is_absence, reply};
use crate::names;
use crate::non_interactive::{NonInteractiveContactsProxy, NonInteractiveExposuresProxy};

/// The properties of an interface, by name.
pub type PropertyMap = HashMap<String, OwnedVariant>;

/// The state of tcnd at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The properties of [`names::MANAGER`].
    pub manager: PropertyMap,
    /// The properties of [`names::ADAPTER`], for each Bluetooth adapter.
    pub adapters: Vec<PropertyMap>,
    /// Exposures that are not seen yet; `None` if the user may not know.
    pub new_exposures: Option<u32>,
    /// tcnd refused to say it to this user. With the permission, a program calls
    /// `Exposures.Subscribe` on the connection of the [`Watch`]; the answer comes as a signal.
    pub exposures_refused: bool,
    /// The last time by which all sources had been checked successfully; `None` likewise.
    pub checked: Option<u64>,
    /// Numbers heard within the last minute; `None` likewise.
    pub nearby: Option<u32>,
}

impl Snapshot {
    /// The properties of the service, and of the adapters, from one call each.
    ///
    /// # Errors
    /// When tcnd does not answer.
    pub async fn read(connection: &Connection, tcnd: BusName<'_>) -> zbus::Result<Self> {
        let properties = PropertiesProxy::builder(connection)
            .destination(tcnd.to_owned())
            .path(names::ROOT)
            .build()
            .await?;
        let manager = InterfaceName::from_static_str_unchecked(names::MANAGER);
        let manager = properties.get_all(manager).await?;
        let objects = ObjectManagerProxy::builder(connection)
            .destination(tcnd.to_owned())
            .path(names::ROOT)
            .build()
            .await?;
        let objects = objects.get_managed_objects().await?.into_values();
        let adapters = objects.filter_map(|mut interfaces| interfaces.remove(names::ADAPTER));
        Ok(Self {
            manager,
            adapters: adapters.collect(),
            ..Self::default()
        })
    }

    /// Takes a property of the service out, if it is there and of this type.
    pub fn take<T: TryFrom<OwnedVariant>>(&mut self, property: &str) -> Option<T> {
        T::try_from(self.manager.remove(property)?).ok()
    }
}

/// Watches tcnd.
#[derive(Debug)]
pub struct Watch {
    connection: Connection,
    signals: Select<MessageStream, MessageStream>,
    private: PrivateState,
}

/// The state that only authorised users get, asked for once for each tcnd.
#[derive(Clone, Copy, Debug, Default)]
struct PrivateState {
    asked: bool,
    exposures: Option<u32>,
    refused: bool,
    checked: Option<u64>,
    nearby: Option<u32>,
    /// When the number went on the air that was current at the last request for `nearby`.
    number_since: Option<u64>,
}

impl Watch {
    /// Starts to watch on this connection.
    ///
    /// # Errors
    /// When the bus cannot be asked for signals.
    pub async fn new(connection: Connection) -> zbus::Result<Self> {
        let signals = signal_of(names::BUS).path_namespace(names::ROOT).build()?;
        let owner = signal_of("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, names::BUS)
            .build()?;
        let signals = MessageStream::for_match_rule(signals, &connection, None).await?;
        let owner = MessageStream::for_match_rule(owner, &connection, None).await?;
        Ok(Self {
            connection,
            signals: select(signals, owner),
            private: PrivateState::default(),
        })
    }

    /// The current state; `None` while tcnd is not running.
    ///
    /// # Errors
    /// When the bus is gone, or a reply of tcnd is not valid.
    pub async fn look(&mut self) -> zbus::Result<Option<Snapshot>> {
        match self.snapshot().await {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(error) if reply(&error).is_some_and(|(name, _)| is_absence(&name)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until something may have changed; `false` if the bus is gone. May be dropped
    /// before it is done.
    pub async fn changed(&mut self) -> bool {
        let Some(Ok(signal)) = self.signals.next().await else {
            return false;
        };
        if signal
            .header()
            .path()
            .is_some_and(|path| path == "/org/freedesktop/DBus")
        {
            // The new tcnd does not know the subscriptions of the one before.
            self.private = PrivateState::default();
        } else {
            self.private.exposures = unseen(&signal).or(self.private.exposures);
        }
        true
    }

    /// Requests again the state for which tcnd sends no signals. Once a minute suffices.
    pub async fn refresh(&mut self) {
        let Ok(tcnd) = owner(&self.connection).await else {
            return;
        };
        if self.private.exposures.is_some()
            && let Ok(exposures) = exposures(&self.connection, &tcnd).await
            && let Ok(summary) = exposures.get_summary().await
        {
            self.private.exposures = Some(summary.unseen);
            self.private.checked = summary.checked;
        }
        self.recount(&tcnd).await;
    }

    async fn snapshot(&mut self) -> zbus::Result<Snapshot> {
        let tcnd = owner(&self.connection).await?;
        let mut snapshot = Snapshot::read(&self.connection, tcnd.clone()).await?;
        let since = snapshot.manager.get("CurrentTcnSince");
        let since = since.and_then(|since| u64::try_from(since).ok());
        let since = since.filter(|since| *since != 0);
        if !self.private.asked {
            self.ask(&tcnd).await;
        } else if since.is_some() && since != self.private.number_since {
            // The caller shows a new snapshot in any case, so it includes this count.
            self.recount(&tcnd).await;
        }
        self.private.number_since = since;
        snapshot.new_exposures = self.private.exposures;
        snapshot.exposures_refused = self.private.refused && self.private.exposures.is_none();
        snapshot.checked = self.private.checked;
        snapshot.nearby = self.private.nearby;
        Ok(snapshot)
    }

    /// Subscribes first, so that no change is missed.
    async fn ask(&mut self, tcnd: &BusName<'static>) {
        self.private = PrivateState {
            asked: true,
            ..PrivateState::default()
        };
        if let Ok(exposures) = exposures(&self.connection, tcnd).await {
            let subscribed = exposures.subscribe().await;
            self.private.refused = subscribed.as_ref().is_err_and(is_refusal);
            if subscribed.is_ok()
                && let Ok(summary) = exposures.get_summary().await
            {
                self.private.exposures = Some(summary.unseen);
                self.private.checked = summary.checked;
            }
        }
        if let Ok(contacts) = contacts(&self.connection, tcnd).await {
            self.private.nearby = contacts.count_nearby().await.ok();
        }
    }

    /// Requests `nearby` again, unless tcnd refused it to this user.
    async fn recount(&mut self, tcnd: &BusName<'static>) {
        if self.private.nearby.is_some()
            && let Ok(contacts) = contacts(&self.connection, tcnd).await
            && let Ok(nearby) = contacts.count_nearby().await
        {
            self.private.nearby = Some(nearby);
        }
    }
}

/// The unique name of tcnd on the bus. A unique name cannot be activated: if its owner leaves,
/// a call fails (D-Bus specification, "Message Bus Starting Services").
///
/// # Errors
/// When the name has no owner.
pub async fn owner(connection: &Connection) -> zbus::Result<BusName<'static>> {
    let name = WellKnownName::from_static_str_unchecked(names::BUS);
    let bus = DBusProxy::new(connection).await?;
    let owner = bus.get_name_owner(name.into()).await?;
    Ok(owner.into_inner().into())
}

fn signal_of(sender: &'static str) -> zbus::match_rule::Builder<'static> {
    MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(sender)
}

async fn exposures<'a>(
    connection: &'a Connection,
    tcnd: &BusName<'static>,
) -> zbus::Result<NonInteractiveExposuresProxy<'a>> {
    NonInteractiveExposuresProxy::builder(connection)
        .destination(tcnd.clone())
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

async fn contacts<'a>(
    connection: &'a Connection,
    tcnd: &BusName<'static>,
) -> zbus::Result<NonInteractiveContactsProxy<'a>> {
    NonInteractiveContactsProxy::builder(connection)
        .destination(tcnd.clone())
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

/// Whether the user lacks the permission.
fn is_refusal(error: &zbus::Error) -> bool {
    reply(error).is_some_and(|(name, _)| name == names::error::NOT_AUTHORIZED)
}

/// The number of unseen exposures, if the signal is `Exposures.Changed`.
fn unseen(signal: &Message) -> Option<u32> {
    let header = signal.header();
    let is = header.interface()? == names::EXPOSURES && header.member()? == "Changed";
    is.then(|| signal.body().deserialize().ok()).flatten()
}
