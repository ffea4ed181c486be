//! Who is connected to the adapter, and who of them has been for too long.
//!
//! Whoever connects takes our advert off the air, and a connection can outlast
//! an epoch; so connections are watched. The kernel does not say which of them
//! came by our advert. A paired or trusted device is the owner's, and one that
//! BlueZ knew before it was connected may be a sensor that another program
//! connects to: they are left alone. A stranger is who appears by connecting, or
//! uses what is offered here; nobody needs to stay for longer than it takes to
//! write sixteen bytes.
//!
//! BlueZ: doc/org.bluez.Device.rst `Connected`, `Paired`; src/device.c,
//! `device_create`, by which an incoming connection makes a device.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::time::Duration;

use bluer::{Adapter, AdapterEvent, Address, DeviceEvent, DeviceProperty};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, FuturesUnordered, SelectAll, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time;

use super::{BluezError, READ_TIMEOUT, call};

/// How long a stranger may stay; an iPhone is done within two seconds.
pub(super) const MAX_STAY: Duration = Duration::from_secs(10);

/// Devices watched at once; BlueZ forgets those that are not connected after
/// 30 s. Of the rest it is not noticed when they connect.
const MAX_DEVICES: usize = 2048;
/// Devices looked at, at once.
const MAX_READERS: usize = 16;
/// Comings and goings not taken note of yet; the watch waits then.
const EVENT_QUEUE: usize = 64;

/// For a look at every device there is.
const WATCH_TIMEOUT: Duration = Duration::from_secs(15);

/// A change of who is connected.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum ConnectionEvent {
    Connected {
        address: Address,
        stranger: bool,
    },
    Disconnected(Address),
    /// A stranger stayed too long.
    TimedOut(InboundId),
}

/// One stay of one stranger, who may come again.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct InboundId {
    address: Address,
    number: u64,
}

/// Who is connected. Nobody is noticed before [`InboundConnections::watch`].
#[derive(Default)]
pub(super) struct InboundConnections {
    watch: Option<Watch>,
    connected_peers: BTreeMap<Address, InboundPeer>,
    deadlines: FuturesUnordered<BoxFuture<'static, InboundId>>,
    last_id: u64,
}

#[derive(Clone, Copy, Default)]
struct InboundPeer {
    /// A stranger's.
    id: Option<u64>,
    timed_out: bool,
}

struct Watch {
    task: JoinHandle<()>,
    events: mpsc::Receiver<ConnectionEvent>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl InboundConnections {
    /// Begins to watch what [`watch_devices`] follows, with whom it found.
    pub(super) fn watch(&mut self, watcher: DeviceWatcher, connected_peers: Vec<Address>) {
        self.connected_peers = connected_peers
            .into_iter()
            .map(|address| (address, InboundPeer::default()))
            .collect();
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let task = tokio::spawn(watcher.tell(sender));
        self.watch = Some(Watch { task, events });
    }

    /// Stops to watch. Whoever is here is still taken to be.
    pub(super) fn unwatch(&mut self) {
        self.watch = None;
    }

    /// The next change. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> ConnectionEvent {
        let watch = &mut self.watch;
        let events = async {
            match watch {
                Some(watch) => watch.events.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(event) = events => event,
            Some(id) = self.deadlines.next() => ConnectionEvent::TimedOut(id),
            else => pending().await,
        }
    }

    pub(super) fn connected(&mut self, address: Address, stranger: bool) {
        self.connected_peers.insert(address, InboundPeer::default());
        if stranger {
            self.mark_stranger(address);
        }
    }

    /// Whoever it is came by our advert: it used what is offered there.
    pub(super) fn mark_stranger(&mut self, address: Address) {
        let peer = self.connected_peers.entry(address).or_default();
        if peer.id.is_none() {
            self.last_id += 1;
            peer.id = Some(self.last_id);
            let id = InboundId {
                address,
                number: self.last_id,
            };
            self.deadlines.push(Box::pin(async move {
                // Nothing comes but the deadline.
                let _ = time::timeout(MAX_STAY, pending::<()>()).await;
                id
            }));
        }
    }

    /// True if it was here.
    pub(super) fn disconnected(&mut self, address: Address) -> bool {
        self.connected_peers.remove(&address).is_some()
    }

    /// True if it still lasts.
    pub(super) fn timed_out(&mut self, id: InboundId) -> bool {
        let peer = self.connected_peers.get_mut(&id.address);
        let lasting = peer.filter(|peer| peer.id == Some(id.number));
        lasting.map(|peer| peer.timed_out = true).is_some()
    }

    /// Strangers: all of them, or those who stayed too long.
    pub(super) fn strangers(&self, all: bool) -> Vec<Address> {
        let leaves = |peer: &InboundPeer| peer.id.is_some() && (all || peer.timed_out);
        let leaving = self.connected_peers.iter().filter(|(_, peer)| leaves(peer));
        leaving.map(|(address, _)| *address).collect()
    }

    /// They were sent away. Whoever stays all the same is no stranger any more.
    pub(super) fn strangers_disconnected(&mut self, addresses: &[Address]) {
        for address in addresses {
            if let Some(peer) = self.connected_peers.get_mut(address) {
                *peer = InboundPeer::default();
            }
        }
    }
}

/// Sends strangers away, all at once, unless they were paired meanwhile.
pub(super) async fn disconnect(adapter: &Adapter, addresses: &[Address]) {
    let all = stream::iter(addresses);
    all.for_each_concurrent(None, |address| async {
        let Ok(device) = adapter.device(*address) else {
            return;
        };
        // Gone by itself: that is as well.
        if let Ok(true) = call("looking at a visitor", READ_TIMEOUT, is_owners(&device)).await {
            return;
        }
        if let Err(error) = call("sending a visitor away", READ_TIMEOUT, device.disconnect()).await
        {
            tracing::debug!(error = %error, "a visitor was not sent away");
        }
    })
    .await;
}

/// Whether it is nobody's: not the owner's, and nobody connected to it.
pub(super) async fn may_connect(adapter: &Adapter, address: Address) -> bool {
    let looking = async {
        let device = adapter.device(address)?;
        Ok::<_, bluer::Error>(!device.is_connected().await? && !is_owners(&device).await?)
    };
    call("looking at a phone", READ_TIMEOUT, looking)
        .await
        .unwrap_or(false)
}

async fn is_owners(device: &bluer::Device) -> Result<bool, bluer::Error> {
    Ok(device.is_paired().await? || device.is_trusted().await?)
}

type Changes = BoxStream<'static, (Address, Option<bool>)>;

/// What the devices of an adapter do.
pub(super) struct DeviceWatcher {
    adapter: Adapter,
    events: BoxStream<'static, AdapterEvent>,
    changes: SelectAll<Changes>,
    unread: VecDeque<Address>,
    connected: BTreeSet<Address>,
    watched: BTreeSet<Address>,
}

/// Begins to follow what devices do. Also says who is connected already.
pub(super) async fn watch_devices(
    adapter: &Adapter,
) -> Result<(DeviceWatcher, Vec<Address>), BluezError> {
    let watching = time::timeout(WATCH_TIMEOUT, start_watching(adapter));
    watching.await.unwrap_or(Err(BluezError::NoAnswer {
        action: "looking who is connected",
        limit: WATCH_TIMEOUT,
    }))
}

async fn start_watching(adapter: &Adapter) -> Result<(DeviceWatcher, Vec<Address>), BluezError> {
    // Subscribed first, so that nobody falls in between.
    let events = call("listening for devices", READ_TIMEOUT, adapter.events()).await?;
    let known = call("listing devices", READ_TIMEOUT, adapter.device_addresses()).await?;
    let mut watcher = DeviceWatcher {
        adapter: adapter.clone(),
        events: events.boxed(),
        changes: SelectAll::new(),
        watched: BTreeSet::new(),
        unread: VecDeque::new(),
        connected: BTreeSet::new(),
    };
    let reads = known
        .into_iter()
        .map(|known| read_connected(adapter.clone(), known));
    let mut seen = stream::iter(reads).buffer_unordered(MAX_READERS);
    while let Some((address, seen)) = seen.next().await {
        let Some((connected, changes)) = seen else {
            continue;
        };
        watcher.watched.insert(address);
        watcher.changes.push(changes);
        if connected {
            watcher.connected.insert(address);
        }
    }
    let connected_peers = watcher.connected.iter().copied().collect();
    Ok((watcher, connected_peers))
}

impl DeviceWatcher {
    /// Tells who comes and goes, until nobody listens.
    async fn tell(mut self, sender: mpsc::Sender<ConnectionEvent>) {
        let mut looking = FuturesUnordered::new();
        loop {
            while looking.len() < MAX_READERS
                && let Some(address) = self.unread.pop_front()
            {
                looking.push(read_connected(self.adapter.clone(), address));
            }
            let event = tokio::select! {
                Some(event) = self.events.next() => self.adapter_event(&event),
                Some((address, seen)) = looking.next() => match seen {
                    Some((connected, more)) => {
                        self.changes.push(more);
                        self.connection_changed(address, connected, true).await
                    }
                    None => self.removed(address),
                },
                Some((address, connected)) = self.changes.next() => match connected {
                    Some(connected) => self.connection_changed(address, connected, false).await,
                    None => self.removed(address),
                },
                else => return,
            };
            if let Some(event) = event
                && sender.send(event).await.is_err()
            {
                return;
            }
        }
    }

    fn adapter_event(&mut self, event: &AdapterEvent) -> Option<ConnectionEvent> {
        match *event {
            AdapterEvent::DeviceAdded(address) => {
                if self.watched.len() < MAX_DEVICES && self.watched.insert(address) {
                    self.unread.push_back(address);
                }
                None
            }
            AdapterEvent::DeviceRemoved(address) => self.removed(address),
            AdapterEvent::PropertyChanged(_) => None,
        }
    }

    fn removed(&mut self, address: Address) -> Option<ConnectionEvent> {
        self.watched.remove(&address);
        self.disconnected(address)
    }

    /// `appeared` is whether BlueZ did not know it before.
    async fn connection_changed(
        &mut self,
        address: Address,
        connected: bool,
        appeared: bool,
    ) -> Option<ConnectionEvent> {
        if !connected {
            return self.disconnected(address);
        }
        if !self.connected.insert(address) {
            return None;
        }
        let adapter = &self.adapter;
        let looking = async { is_owners(&adapter.device(address)?).await };
        let ours = call("looking at a visitor", READ_TIMEOUT, looking).await;
        Some(ConnectionEvent::Connected {
            address,
            stranger: appeared && !ours.unwrap_or(true),
        })
    }

    fn disconnected(&mut self, address: Address) -> Option<ConnectionEvent> {
        self.connected
            .remove(&address)
            .then_some(ConnectionEvent::Disconnected(address))
    }
}

/// Whether a device is connected, and what changes about that; none at the end.
async fn read_connected(adapter: Adapter, address: Address) -> (Address, Option<(bool, Changes)>) {
    let looking = async {
        let device = adapter.device(address)?;
        let events = device.events().await?;
        let connected = device.is_connected().await?;
        Ok::<_, bluer::Error>((connected, changes_of(address, events)))
    };
    let seen = call("looking at a device", READ_TIMEOUT, looking).await;
    (address, seen.ok())
}

fn changes_of(
    address: Address,
    events: impl stream::Stream<Item = DeviceEvent> + Send + 'static,
) -> Changes {
    let connections = events.filter_map(move |DeviceEvent::PropertyChanged(property)| {
        let connected = if let DeviceProperty::Connected(connected) = property {
            Some((address, Some(connected)))
        } else {
            None
        };
        async move { connected }
    });
    let end = stream::once(async move { (address, None) });
    connections.chain(end).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Address = Address([0x4a; 6]);
    const BEN: Address = Address([0x0b; 6]);

    #[tokio::test(start_paused = true)]
    async fn a_stranger_may_stay_for_ten_seconds_and_others_as_long_as_they_like() {
        let mut inbound = InboundConnections::default();
        inbound.connected(ANNA, true);
        inbound.connected(BEN, false);
        let id = timed_out(&mut inbound).await;
        assert!(inbound.timed_out(id));
        assert_eq!(inbound.strangers(false), [ANNA]);
        inbound.strangers_disconnected(&[ANNA]);
        assert_eq!(inbound.strangers(true), []);
        assert!(time::timeout(MAX_STAY * 9, inbound.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_uses_what_is_offered_came_for_it() {
        let mut inbound = InboundConnections::default();
        inbound.connected(BEN, false);
        inbound.mark_stranger(BEN);
        inbound.mark_stranger(BEN);
        assert_eq!(inbound.strangers(true), [BEN]);
        let id = timed_out(&mut inbound).await;
        assert!(inbound.timed_out(id));
        assert_eq!(inbound.strangers(false), [BEN]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_and_came_again_may_stay_as_long_again() {
        let mut inbound = InboundConnections::default();
        inbound.connected(ANNA, true);
        assert!(inbound.disconnected(ANNA) && !inbound.disconnected(ANNA));
        inbound.connected(ANNA, true);
        let first = timed_out(&mut inbound).await;
        assert!(!inbound.timed_out(first));
        let second = timed_out(&mut inbound).await;
        assert!(inbound.timed_out(second));
    }

    async fn timed_out(inbound: &mut InboundConnections) -> InboundId {
        let event = time::timeout(MAX_STAY * 2, inbound.next()).await.unwrap();
        let ConnectionEvent::TimedOut(id) = event else {
            panic!("{event:?}");
        };
        id
    }
}
