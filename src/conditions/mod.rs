//! The conditions that bear on how much tcnd listens: power, and the use of the adapter by
//! the owner's own devices.
//!
//! Listening takes radio time and power. Sound over Bluetooth stutters while the adapter
//! scans, and a device that is to reconnect is found late. UPower, the power profiles and BlueZ
//! know whether that matters now; this module asks them, and follows what they signal.
//!
//! [`bus_service`] follows one service on the bus: whether it is there, and what it is asked.
//! [`power`] and [`adapter_use`] say what its values mean. [`sources`] has all four services
//! together, and knows neither a connection nor time. This file connects it to the bus.
//!
//! Three rules hold. No service is started: each call goes to the connection that owns the
//! name, which the bus starts nothing for. No advert wakes this module: its match rules select
//! no signals of devices near ([`adapter_use`]). What a service says is foreign: a value of a
//! wrong type, or none, counts as the default of [`ListenConditions`].
//!
//! D-Bus specification: "Message Bus Messages", "Match Rules".

mod adapter_use;
mod bus_service;
mod power;
mod sources;

use std::future::pending;
use std::time::Duration;

use futures::StreamExt;
use tcn_engine::{ListenConditions, backoff};
use tokio::sync::watch::{self, Receiver, Sender};
use tokio::time::{self, MissedTickBehavior, timeout};
use zbus::{Address, Connection, Message, MessageStream, connection};

use self::sources::Sources;
use crate::system_bus;

/// How long changes gather before they are published. So a value that flips back within
/// it, as the state of sound does between two pieces of music, changes nothing, and conditions
/// change at most once in this time.
const GATHER_TIME: Duration = Duration::from_secs(1);

/// The shortest time between two rounds of questions. A service whose signals make tcnd ask is
/// not asked more often.
const ASK_PERIOD: Duration = Duration::from_secs(1);

/// After this time the devices of BlueZ are listed again. Only a signal of the kind that each
/// advert causes would tell of pairing.
const LIST_PERIOD: Duration = Duration::from_secs(600);

/// The bus may take this long to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before another try to connect: it doubles from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Follows the conditions on the system bus, until every receiver is dropped. Must be called
/// within a tokio runtime with time and I/O.
///
/// The conditions are the default until the services have answered, one to two seconds later,
/// and while there is no bus. They change at most once a second. A device that was paired or
/// removed counts at most 10 minutes later; a connection or sound counts after a second.
#[must_use]
pub fn watch() -> Receiver<ListenConditions> {
    spawn(system_bus::address())
}

/// The default for ever, where there is nothing to follow.
#[must_use]
pub fn unknown() -> Receiver<ListenConditions> {
    watch::channel(ListenConditions::default()).1
}

/// The same as [`watch()`], on the bus at this address.
#[must_use]
pub fn watch_at(address: Address) -> Receiver<ListenConditions> {
    spawn(Ok(address))
}

fn spawn(address: zbus::Result<Address>) -> Receiver<ListenConditions> {
    let (published, receiver) = watch::channel(ListenConditions::default());
    tokio::spawn(async move {
        let (current, changes) = watch::channel(ListenConditions::default());
        tokio::select! {
            () = published.closed() => {}
            () = keep_following(address, &current) => {}
            () = publish(changes, &published) => {}
        }
    });
    receiver
}

/// Publishes the conditions, each time after changes have gathered.
async fn publish(mut changes: Receiver<ListenConditions>, published: &Sender<ListenConditions>) {
    while changes.changed().await.is_ok() {
        pause(GATHER_TIME).await;
        set(published, *changes.borrow_and_update());
    }
}

/// Connects again whenever the connection ends. Never returns.
async fn keep_following(address: zbus::Result<Address>, current: &Sender<ListenConditions>) {
    let mut failures = 0;
    loop {
        let connected = match &address {
            Ok(address) => connect(address).await,
            Err(error) => Err(error.clone()),
        };
        let ended = match connected {
            Ok(connection) => {
                failures = 0;
                follow(&connection, current).await
            }
            Err(error) => Err(error),
        };
        // No bus is no fault: the defaults hold. The radio reports it where one is needed.
        if let Err(error) = ended {
            tracing::debug!(%error, "the conditions of listening are not known");
        }
        set(current, ListenConditions::default());
        failures += 1;
        pause(backoff(FIRST_PAUSE, LONGEST_PAUSE, failures)).await;
    }
}

async fn connect(address: &Address) -> zbus::Result<Connection> {
    let connecting = connection::Builder::address(address.clone()).build();
    let late =
        |_| zbus::Error::InputOutput(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?
}

/// Follows the services until the connection ends.
async fn follow(connection: &Connection, current: &Sender<ListenConditions>) -> zbus::Result<()> {
    // Every message comes by this one stream, replies too. So it is always read, and no
    // answer waits behind signals.
    let mut messages = MessageStream::from(connection);
    let mut asking = time::interval(ASK_PERIOD);
    asking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listing = time::interval(LIST_PERIOD);
    listing.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sources = Sources::default();
    send(connection, sources.start()?).await?;
    loop {
        let to_send = tokio::select! {
            message = messages.next() => match message {
                Some(message) => sources.receive(&message?)?,
                None => return Ok(()),
            },
            _ = asking.tick(), if sources.has_questions() => sources.ask()?,
            _ = listing.tick() => {
                sources.list_again();
                continue;
            }
        };
        set(current, sources.conditions());
        send(connection, to_send).await?;
    }
}

async fn send(connection: &Connection, messages: Vec<Message>) -> zbus::Result<()> {
    for message in messages {
        connection.send(&message).await?;
    }
    Ok(())
}

fn set(sender: &Sender<ListenConditions>, conditions: ListenConditions) {
    sender.send_if_modified(|set| std::mem::replace(set, conditions) != conditions);
}

async fn pause(length: Duration) {
    // The end of the time is the only event.
    let _ = timeout(length, pending::<()>()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_value_that_flips_changes_the_conditions_once_a_second_at_most() {
        let (current, changes) = watch::channel(ListenConditions::default());
        let (published, mut receiver) = watch::channel(ListenConditions::default());
        let flipping = async {
            for at in 0..1001 {
                current.send_replace(ListenConditions {
                    on_battery: at % 2 == 0,
                    ..ListenConditions::default()
                });
                pause(Duration::from_millis(7)).await;
            }
            // Drops `current`, which ends the publishing.
            drop(current);
        };
        let counting = async {
            let mut count = 0;
            while receiver.changed().await.is_ok() {
                count += 1;
            }
            (count, *receiver.borrow())
        };
        let publishing = async {
            publish(changes, &published).await;
            drop(published);
        };
        let ((count, last), (), ()) = tokio::join!(counting, flipping, publishing);
        assert!(last.on_battery);
        assert!((1..=8).contains(&count), "{count} changes in 7 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_flips_back_at_once_changes_nothing() {
        let (current, changes) = watch::channel(ListenConditions::default());
        let (published, receiver) = watch::channel(ListenConditions::default());
        let flipping = async move {
            let audio = ListenConditions {
                audio: true,
                ..ListenConditions::default()
            };
            for conditions in [audio, ListenConditions::default()] {
                current.send_replace(conditions);
                pause(GATHER_TIME / 3).await;
            }
        };
        tokio::join!(flipping, publish(changes, &published));
        assert!(!receiver.has_changed().unwrap());
    }
}
