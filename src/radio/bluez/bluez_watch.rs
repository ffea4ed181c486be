//! Whether BlueZ is there at all, and whether rfkill blocks an adapter.
//!
//! bluer keeps its connection when bluetoothd goes, and after a crash its streams stay open
//! and silent for ever. So the bus itself is asked, on a connection of its own, which process
//! owns `org.bluez`. When this connection ends, the bus is gone, and so is bluer's
//! connection. `Adapter1.PowerState`, which bluer does not know, is watched here too (stable
//! from BlueZ 5.73, else absent).
//!
//! BlueZ: doc/org.bluez.Adapter.rst; D-Bus specification,
//! "org.freedesktop.DBus.NameOwnerChanged".

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream::{self, SelectAll};
use zbus::message::Type;
use zbus::names::BusName;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedVariant, Variant};

use super::call::connect;
use super::{BluezError, READ_TIMEOUT, call};

const BLUEZ: &str = "org.bluez";
const ADAPTER: &str = "org.bluez.Adapter1";
const ADAPTERS: &str = "/org/bluez/";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The watch on the bus.
#[derive(Debug)]
pub(super) struct BluezWatch {
    connection: Connection,
    signals: SelectAll<MessageStream>,
}

/// An event of the watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WatchEvent {
    /// `org.bluez` has another owner, or none.
    Owner { present: bool },
    /// rfkill blocked or unblocked an adapter.
    Blocked { adapter: String, blocked: bool },
    /// The bus is gone.
    Lost,
}

impl BluezWatch {
    /// Starts the watch. Also returns whether `org.bluez` has an owner.
    pub(super) async fn connect() -> Result<(Self, bool), BluezError> {
        call("connecting to the system bus", READ_TIMEOUT, async {
            let connection = connect().await?;
            let mut signals = SelectAll::new();
            for rule in [owner_rule()?, power_rule()?] {
                signals.push(MessageStream::for_match_rule(rule, &connection, None).await?);
            }
            let bus = zbus::fdo::DBusProxy::new(&connection).await?;
            let present = bus.name_has_owner(BusName::try_from(BLUEZ)?).await?;
            Ok::<_, zbus::Error>((
                Self {
                    connection,
                    signals,
                },
                present,
            ))
        })
        .await
    }

    /// The next event. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> WatchEvent {
        loop {
            match self.signals.next().await {
                Some(Ok(signal)) => {
                    if let Some(event) = read(&signal) {
                        return event;
                    }
                }
                Some(Err(_)) | None => return WatchEvent::Lost,
            }
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Whether rfkill blocks the adapter, as far as BlueZ reports it.
pub(super) async fn is_blocked(connection: &Connection, adapter: &str) -> bool {
    let asking = connection.call_method(
        Some(BLUEZ),
        format!("{ADAPTERS}{adapter}"),
        Some(PROPERTIES),
        "Get",
        &(ADAPTER, "PowerState"),
    );
    // An older BlueZ does not have this property: then it is not known.
    match call("reading PowerState", READ_TIMEOUT, asking).await {
        Ok(reply) => reply
            .body()
            .deserialize::<OwnedVariant>()
            .is_ok_and(|state| says_blocked(&state)),
        Err(_) => false,
    }
}

fn owner_rule() -> zbus::Result<MatchRule<'static>> {
    MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .add_arg(BLUEZ)
        .build()
}

fn power_rule() -> zbus::Result<MatchRule<'static>> {
    MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(BLUEZ)
        .interface(PROPERTIES)
        .member("PropertiesChanged")
        .add_arg(ADAPTER)
        .build()
}

fn read(signal: &Message) -> Option<WatchEvent> {
    let header = signal.header();
    if header.member()?.as_str() == "NameOwnerChanged" {
        let (_name, _old, new): (String, String, String) = signal.body().deserialize().ok()?;
        return Some(WatchEvent::Owner {
            present: !new.is_empty(),
        });
    }
    let adapter = header.path()?.as_str().strip_prefix(ADAPTERS)?.to_owned();
    let body = signal.body();
    let (_interface, changed, _gone): (String, BTreeMap<String, OwnedVariant>, Vec<String>) =
        body.deserialize().ok()?;
    let blocked = says_blocked(changed.get("PowerState")?);
    Some(WatchEvent::Blocked { adapter, blocked })
}

fn says_blocked(state: &OwnedVariant) -> bool {
    matches!(&**state, Variant::Str(text) if text.as_str() == "off-blocked")
}

/// The next event; waits for ever without a watch.
pub(super) async fn next(bluez_watch: Option<&mut BluezWatch>) -> WatchEvent {
    match bluez_watch {
        Some(bluez_watch) => bluez_watch.next().await,
        None => stream::pending().next().await.unwrap_or(WatchEvent::Lost),
    }
}
