//! What tcnd does, again whenever something changes.
//!
//! A program that stays, such as a bar or a tray item, outlives tcnd. So a [`Watch`] says
//! that tcnd is gone, and goes on when it is back; it never starts tcnd. New exposures and
//! how many devices are near are not for every user. They are asked for without a
//! password, and are absent where they are refused: then all looks the same whether there
//! is any of it or not.

use std::collections::HashMap;

use futures::StreamExt;
use futures::stream::{Select, select};
use zbus::fdo::{DBusProxy, ObjectManagerProxy, PropertiesProxy};
use zbus::names::{BusName, InterfaceName, WellKnownName};
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedVariant, message};

use crate::failure::{is_absence, reply};
use crate::names;
use crate::quiet::{ContactsProxy, ExposuresProxy};

/// Properties of an interface, by name.
pub type Properties = HashMap<String, OwnedVariant>;

/// tcnd as of one instant.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Properties of [`names::MANAGER`].
    pub manager: Properties,
    /// Properties of [`names::ADAPTER`], for each Bluetooth adapter.
    pub adapters: Vec<Properties>,
    /// Exposures that were not seen yet; `None` for a user who may not know.
    pub new_exposures: Option<u32>,
    /// When all sources had last been gone through well; `None` likewise.
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

/// tcnd, watched.
#[derive(Debug)]
pub struct Watch {
    connection: Connection,
    signals: Select<MessageStream, MessageStream>,
    private: Private,
}

/// What the user may know beyond the properties, asked once for each tcnd.
#[derive(Clone, Copy, Debug, Default)]
struct Private {
    asked: bool,
    exposures: Option<u32>,
    checked: Option<u64>,
    nearby: Option<u32>,
    /// Since when the number is on the air with which it was asked how many are near.
    number_since: Option<u64>,
}

impl Watch {
    /// Begins to listen on this connection.
    ///
    /// # Errors
    /// When the bus cannot be asked for signals.
    pub async fn new(connection: Connection) -> zbus::Result<Self> {
        let said = signal_of(names::BUS).path_namespace(names::ROOT).build()?;
        let owner = signal_of("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, names::BUS)
            .build()?;
        let said = MessageStream::for_match_rule(said, &connection, None).await?;
        let owner = MessageStream::for_match_rule(owner, &connection, None).await?;
        Ok(Self {
            connection,
            signals: select(said, owner),
            private: Private::default(),
        })
    }

    /// tcnd as of now; `None` while it is not running.
    ///
    /// # Errors
    /// When the bus is gone, or tcnd answers what cannot be understood.
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
            // Whoever subscribed to another tcnd is told nothing by this one.
            self.private = Private::default();
        } else {
            self.private.exposures = unseen(&signal).or(self.private.exposures);
        }
        true
    }

    /// Asks again for what tcnd does not tell unasked. Once a minute suffices.
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
            // Something is told in any case, so this is told with it.
            self.recount(&tcnd).await;
        }
        self.private.number_since = since;
        snapshot.new_exposures = self.private.exposures;
        snapshot.checked = self.private.checked;
        snapshot.nearby = self.private.nearby;
        Ok(snapshot)
    }

    /// Subscribes first, so that nothing falls between.
    async fn ask(&mut self, tcnd: &BusName<'static>) {
        self.private = Private {
            asked: true,
            ..Private::default()
        };
        if let Ok(exposures) = exposures(&self.connection, tcnd).await
            && exposures.subscribe().await.is_ok()
            && let Ok(summary) = exposures.get_summary().await
        {
            self.private.exposures = Some(summary.unseen);
            self.private.checked = summary.checked;
        }
        if let Ok(contacts) = contacts(&self.connection, tcnd).await {
            self.private.nearby = contacts.count_nearby().await.ok();
        }
    }

    /// Asks again how many are near; a user who was refused is not asked for.
    async fn recount(&mut self, tcnd: &BusName<'static>) {
        if self.private.nearby.is_some()
            && let Ok(contacts) = contacts(&self.connection, tcnd).await
            && let Ok(nearby) = contacts.count_nearby().await
        {
            self.private.nearby = Some(nearby);
        }
    }
}

/// tcnd's own name on the bus. A unique name cannot be activated: if its owner leaves,
/// a call fails (D-Bus specification, "Message Bus Starting Services").
///
/// # Errors
/// When nobody has the name.
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
) -> zbus::Result<ExposuresProxy<'a>> {
    ExposuresProxy::builder(connection)
        .destination(tcnd.clone())
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

async fn contacts<'a>(
    connection: &'a Connection,
    tcnd: &BusName<'static>,
) -> zbus::Result<ContactsProxy<'a>> {
    ContactsProxy::builder(connection)
        .destination(tcnd.clone())
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

/// How many exposures are new, if that is what the signal says.
fn unseen(signal: &Message) -> Option<u32> {
    let header = signal.header();
    let is = header.interface()? == names::EXPOSURES && header.member()? == "Changed";
    is.then(|| signal.body().deserialize().ok()).flatten()
}
