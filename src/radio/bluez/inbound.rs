//! Inbound connections: which peers are connected, and which of them for too long.
//!
//! A connection takes our advert off the air, and can outlast an epoch, so connections are
//! watched. The kernel does not say which of them came by our advert. A paired or trusted
//! device is the owner's. A device that BlueZ knew before it connected may be a sensor that
//! another program connects to. Both are left alone. A stranger is a device that appears by
//! connecting, or that uses our GATT service. No stranger needs to stay for longer than it
//! takes to write sixteen bytes.
//!
//! BlueZ: doc/org.bluez.Device.rst `Connected`, `Paired`; src/device.c, `device_create`, by
//! which an incoming connection makes a device.

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

/// How long a stranger may stay connected; an iPhone is done within two seconds.
pub(super) const MAX_STAY: Duration = Duration::from_secs(10);

/// Devices watched at once. BlueZ forgets devices that are not connected after 30 s.
/// Connections of further devices are not noticed.
const MAX_DEVICES: usize = 2048;
/// Devices read at once.
const MAX_READERS: usize = 16;
/// Events that wait to be handled; the watch waits when it is full.
const EVENT_QUEUE: usize = 64;

/// Time to read every device.
const WATCH_TIMEOUT: Duration = Duration::from_secs(15);

/// A change of the connected peers.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum ConnectionEvent {
    Connected {
        address: Address,
        stranger: bool,
    },
    Disconnected(Address),
    /// A stranger has been connected for too long.
    TimedOut(InboundId),
}

/// One connection of one stranger, which may connect again.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct InboundId {
    address: Address,
    number: u64,
}

/// The connected peers. None is noticed before [`InboundConnections::watch`].
#[derive(Default)]
pub(super) struct InboundConnections {
    watch: Option<Watch>,
    connected_peers: BTreeMap<Address, InboundPeer>,
    deadlines: FuturesUnordered<BoxFuture<'static, InboundId>>,
    last_id: u64,
}

#[derive(Clone, Copy, Default)]
struct InboundPeer {
    /// The number of the connection, for a stranger.
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
    /// Starts the watcher that [`watch_devices`] returned, with the peers it found connected.
    pub(super) fn watch(&mut self, watcher: DeviceWatcher, connected_peers: Vec<Address>) {
        self.connected_peers = connected_peers
            .into_iter()
            .map(|address| (address, InboundPeer::default()))
            .collect();
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let task = tokio::spawn(watcher.tell(sender));
        self.watch = Some(Watch { task, events });
    }

    /// Stops the watch. Connected peers still count as connected.
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

    /// The peer is a stranger: it used our GATT service, so it came by our advert.
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
                // Only the timeout can end this.
                let _ = time::timeout(MAX_STAY, pending::<()>()).await;
                id
            }));
        }
    }

    /// True if the peer was connected.
    pub(super) fn disconnected(&mut self, address: Address) -> bool {
        self.connected_peers.remove(&address).is_some()
    }

    /// True if this connection still lasts.
    pub(super) fn timed_out(&mut self, id: InboundId) -> bool {
        let peer = self.connected_peers.get_mut(&id.address);
        let lasting = peer.filter(|peer| peer.id == Some(id.number));
        lasting.map(|peer| peer.timed_out = true).is_some()
    }

    /// All strangers, or only those that have been connected for too long.
    pub(super) fn strangers(&self, all: bool) -> Vec<Address> {
        let leaves = |peer: &InboundPeer| peer.id.is_some() && (all || peer.timed_out);
        let leaving = self.connected_peers.iter().filter(|(_, peer)| leaves(peer));
        leaving.map(|(address, _)| *address).collect()
    }

    /// These strangers were disconnected. One that is still connected no longer counts as a
    /// stranger.
    pub(super) fn strangers_disconnected(&mut self, addresses: &[Address]) {
        for address in addresses {
            if let Some(peer) = self.connected_peers.get_mut(address) {
                *peer = InboundPeer::default();
            }
        }
    }
}

/// Disconnects strangers, all at once, except those that were paired in between.
pub(super) async fn disconnect(adapter: &Adapter, addresses: &[Address]) {
    let all = stream::iter(addresses);
    all.for_each_concurrent(None, |address| async {
        let Ok(device) = adapter.device(*address) else {
            return;
        };
        // An error means that it is gone by itself.
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

/// Whether a device may be connected to: it is neither paired nor trusted, and not
/// connected.
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

/// Watches the connections of an adapter's devices.
pub(super) struct DeviceWatcher {
    adapter: Adapter,
    events: BoxStream<'static, AdapterEvent>,
    changes: SelectAll<Changes>,
    unread: VecDeque<Address>,
    connected: BTreeSet<Address>,
    watched: BTreeSet<Address>,
}

/// Starts to watch devices. Also returns which ones are connected already.
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
    // Subscribed first, so that no change is missed.
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
    /// Sends events until the receiver is dropped.
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

    /// `appeared` is whether BlueZ did not know the device before.
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

/// Whether a device is connected, and the changes of that; `None` if it is gone.
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
