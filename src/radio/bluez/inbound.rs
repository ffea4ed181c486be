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

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::Duration;

use bluer::{Adapter, Address};
use bluez_signals::device::{DeviceChange, DeviceProperties, DeviceSignal};
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time;

use super::device_signals::DeviceSignals;
use super::{BluezError, READ_TIMEOUT, call};

/// How long a stranger may stay connected; an iPhone is done within two seconds.
pub(super) const MAX_STAY: Duration = Duration::from_secs(10);

/// How late a connection may be noticed: long before the next number can be read.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// Events that wait to be handled; the watch waits when it is full.
const EVENT_QUEUE: usize = 64;

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
    /// No more connections are noticed.
    WatchLost,
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
            event = events => event.unwrap_or_else(|| {
                self.watch = None;
                ConnectionEvent::WatchLost
            }),
            Some(id) = self.deadlines.next() => ConnectionEvent::TimedOut(id),
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

/// What the signals say of connections.
#[derive(Clone, Default)]
struct Connections {
    peers: BTreeMap<Address, Connected>,
    /// The peers of which a signal said something since the watch began.
    signalled: BTreeSet<Address>,
    last_number: u64,
}

/// A connection of one peer.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Connected {
    /// Its own among all connections: a peer may connect again before that was noticed.
    number: u64,
    /// BlueZ did not know the peer before.
    appeared: bool,
}

impl Connections {
    /// Whether the signal connects or disconnects a peer.
    fn note(&mut self, signal: DeviceSignal<'_>) -> bool {
        let (connected, appeared) = match signal.change {
            DeviceChange::Added(properties) => (properties.connected, true),
            DeviceChange::Changed(properties) => (properties.connected, false),
            DeviceChange::Removed => (Some(false), false),
        };
        let address = Address(signal.address);
        match connected {
            Some(true) if !self.peers.contains_key(&address) => {
                self.signalled.insert(address);
                self.connect(address, appeared);
                true
            }
            Some(false) => {
                self.signalled.insert(address);
                self.peers.remove(&address).is_some()
            }
            Some(true) | None => false,
        }
    }

    fn connect(&mut self, address: Address, appeared: bool) {
        self.last_number += 1;
        let number = self.last_number;
        self.peers.insert(address, Connected { number, appeared });
    }
}

/// Watches the connections of an adapter's devices.
pub(super) struct DeviceWatcher {
    adapter: Adapter,
    signals: DeviceSignals,
    /// Who is connected now, as the signals say.
    now: watch::Receiver<Connections>,
    /// What was told of it.
    told: BTreeMap<Address, Connected>,
}

/// Starts to watch devices. Also returns which ones are connected already.
pub(super) async fn watch_devices(
    adapter: &Adapter,
) -> Result<(DeviceWatcher, Vec<Address>), BluezError> {
    let (sender, mut now) = watch::channel(Connections::default());
    let of_signals = sender.clone();
    let note = move |signal: DeviceSignal<'_>| {
        of_signals.send_if_modified(|connections| connections.note(signal));
    };
    let signals = DeviceSignals::open(adapter.name(), GATHER_TIME, note).await?;
    let known = |address, properties: DeviceProperties<'_>| {
        let address = Address(address);
        sender.send_modify(|connections| {
            // A signal is newer than the list.
            if properties.connected == Some(true) && !connections.signalled.contains(&address) {
                connections.connect(address, false);
            }
        });
    };
    signals.known(known).await?;
    let told = now.borrow_and_update().peers.clone();
    let connected_peers = told.keys().copied().collect();
    let watcher = DeviceWatcher {
        adapter: adapter.clone(),
        signals,
        now,
        told,
    };
    Ok((watcher, connected_peers))
}

impl DeviceWatcher {
    /// Sends events until the receiver is dropped, or no more signals come.
    async fn tell(mut self, sender: mpsc::Sender<ConnectionEvent>) {
        let deaf = self.signals.ended();
        tokio::select! {
            () = self.tell_changes(&sender) => {}
            () = deaf => tracing::warn!("the signals of connections ended"),
        }
    }

    async fn tell_changes(&mut self, sender: &mpsc::Sender<ConnectionEvent>) {
        while self.now.changed().await.is_ok() {
            let now = self.now.borrow_and_update().peers.clone();
            let before = std::mem::replace(&mut self.told, now);
            let lasts = |peer: &Address| before.get(peer) == self.told.get(peer);
            for &address in before.keys().filter(|peer| !lasts(peer)) {
                let event = ConnectionEvent::Disconnected(address);
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            for (&address, connected) in self.told.iter().filter(|(peer, _)| !lasts(peer)) {
                let stranger = connected.appeared && !self.is_owners(address).await;
                let event = ConnectionEvent::Connected { address, stranger };
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Whether the peer is the owner's. A peer of which BlueZ says nothing is left alone.
    async fn is_owners(&self, address: Address) -> bool {
        let adapter = &self.adapter;
        let looking = async { is_owners(&adapter.device(address)?).await };
        let ours = call("looking at a visitor", READ_TIMEOUT, looking).await;
        ours.unwrap_or(true)
    }
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
