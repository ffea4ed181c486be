//! Listening: discovery, and what it brings.
//!
//! Discovery is filtered by service UUID, on LE only, with duplicates. The
//! UUID keeps other people's devices out of the process, `DuplicateData` makes
//! BlueZ signal each advert rather than each change, and the empty pattern
//! keeps another program's pattern from hiding our peers. Filters of several
//! programs are merged, so every device is looked at again here.
//!
//! Each new device costs a few reads. After that its adverts arrive as signals
//! with their values, and none of them costs a call. BlueZ puts data and
//! signal strength of one advert into one signal, which bluer takes apart; what
//! is ready at once therefore belongs together.
//!
//! When the stream ends by itself it is handed back, not dropped: dropping it
//! calls `StopDiscovery`, and a call to a bluetoothd that is just being
//! stopped would have the bus start it again.
//!
//! BlueZ: doc/org.bluez.Adapter.rst `SetDiscoveryFilter`, src/adapter.c
//! `btd_adapter_device_found`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::Pin;
use std::time::Duration;

use bluer::{
    Adapter, AdapterEvent, Address, DeviceEvent, DeviceProperty, DiscoveryFilter,
    DiscoveryTransport, Uuid,
};
use futures::Stream;
use futures::stream::{self, AbortHandle, BoxStream, SelectAll, StreamExt, abortable};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::protocol::beacon::Frame;

use super::super::Event;
use super::advert::SERVICE;
use super::{Fault, READ, call};

/// `StartDiscovery` waits for the controller.
const START: Duration = Duration::from_secs(10);
/// `StopDiscovery` too.
const STOP: Duration = Duration::from_secs(10);
/// Devices listened to at once. BlueZ keeps a device for 30 s after its last
/// advert, so this is a crowd; beyond it the oldest is dropped.
const DEVICES: usize = 1024;
/// New devices read at once.
const READERS: usize = 16;
/// Property changes taken together; one signal brings a handful.
const TOGETHER: usize = 16;
/// "Not available", Core Specification Vol 4 Part E 7.7.65.2.
pub(super) const RSSI_UNKNOWN: i16 = 127;

/// What discovery brings, and with it the discovery: BlueZ stops when it is
/// dropped.
pub(super) type Arrivals = BoxStream<'static, AdapterEvent>;

/// A discovery that runs. Stops when dropped.
pub(super) struct Discovery {
    listener: JoinHandle<Arrivals>,
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Discovery {
    /// Starts discovery and tells `ears` what is heard.
    pub(super) async fn start(adapter: &Adapter, ears: Ears) -> Result<Self, Fault> {
        let arrivals = call("starting discovery", START, async {
            adapter.set_discovery_filter(filter()).await?;
            Ok::<_, bluer::Error>(adapter.discover_devices().await?.boxed())
        })
        .await?;
        let listener = tokio::spawn(listen(adapter.clone(), arrivals, ears));
        Ok(Self { listener })
    }

    /// Stops discovery and waits until BlueZ has.
    pub(super) async fn stop(mut self, adapter: &Adapter) -> Result<(), Fault> {
        self.listener.abort();
        // Returns what was dropped in the task, or that it was.
        let _ = (&mut self.listener).await;
        call(
            "stopping discovery",
            STOP,
            adapter.set_discovery_filter(filter()),
        )
        .await
    }

    /// Waits until it ends by itself. The result should be dropped when
    /// BlueZ can be called again. May be dropped while it waits.
    ///
    /// # Panics
    /// As the listening task did.
    pub(super) async fn ended(&mut self) -> Option<Arrivals> {
        match (&mut self.listener).await {
            Ok(arrivals) => Some(arrivals),
            Err(end) if end.is_panic() => std::panic::resume_unwind(end.into_panic()),
            Err(_) => None,
        }
    }
}

fn filter() -> DiscoveryFilter {
    DiscoveryFilter {
        uuids: HashSet::from([SERVICE]),
        transport: DiscoveryTransport::Le,
        duplicate_data: true,
        pattern: Some(String::new()),
        ..DiscoveryFilter::default()
    }
}

/// Who is told what is heard. What does not fit is dropped: it will be heard
/// again in a moment.
#[derive(Clone)]
pub(super) struct Ears {
    pub(super) events: mpsc::Sender<Event>,
    /// Where those are told of who do not say their number, if anybody wants to
    /// know.
    pub(super) shy: Option<mpsc::Sender<Shy>>,
}

impl Ears {
    fn notice(&self, shy: Shy) {
        if let Some(told) = &self.shy {
            let _ = told.try_send(shy);
        }
    }
}

/// An advert that names the service and says no number.
#[derive(Clone, Copy)]
pub(super) struct Shy {
    pub(super) address: Address,
    /// In dBm; [`RSSI_UNKNOWN`] if it was not measured.
    pub(super) rssi: i16,
}

/// What one signal, or the first reads, say of a device.
#[derive(Debug, Default)]
struct Sighting {
    /// Service data of ours, if any was told.
    data: Option<Vec<u8>>,
    rssi: Option<i16>,
}

impl Sighting {
    fn of(changes: Vec<DeviceEvent>) -> Self {
        let mut sighting = Self::default();
        for DeviceEvent::PropertyChanged(property) in changes {
            if let DeviceProperty::Rssi(rssi) = property {
                sighting.rssi = Some(rssi);
            } else if let DeviceProperty::ServiceData(data) = property {
                sighting.data = ours(Some(data));
            }
        }
        sighting
    }
}

fn ours(data: Option<HashMap<Uuid, Vec<u8>>>) -> Option<Vec<u8>> {
    data?.remove(&SERVICE)
}

/// One device listened to: its sightings, then its end.
enum Told {
    Sighting(u64, Sighting),
    Ended(u64),
}

/// Listens until discovery ends, and gives back what ended.
async fn listen(adapter: Adapter, mut arrivals: Arrivals, ears: Ears) -> Arrivals {
    let mut crowd = Crowd::new(ears);
    {
        let added = (&mut arrivals).filter_map(|event| async move {
            match event {
                AdapterEvent::DeviceAdded(address) => Some(address),
                AdapterEvent::DeviceRemoved(_) | AdapterEvent::PropertyChanged(_) => None,
            }
        });
        let adapter = &adapter;
        let mut admitted = std::pin::pin!(
            added
                .map(|address| admit(adapter, address))
                .buffer_unordered(READERS)
        );
        loop {
            tokio::select! {
                device = admitted.next() => match device {
                    Some(Some((address, first, changes))) => crowd.join(address, first, changes),
                    Some(None) => {} // not one of ours, or gone already
                    None => break,
                },
                Some(told) = crowd.next() => crowd.hear(told),
            }
        }
    }
    arrivals
}

type Changes = Pin<Box<dyn Stream<Item = DeviceEvent> + Send>>;

/// Looks at a new device; none if it is not one of ours.
async fn admit(adapter: &Adapter, address: Address) -> Option<(Address, Sighting, Changes)> {
    let device = adapter.device(address).ok()?;
    let reading = async {
        // Subscribed before it is read, so that nothing falls in between.
        let changes = device.events().await?;
        let data = ours(device.service_data().await?);
        let listed = match data {
            Some(_) => true,
            None => device
                .uuids()
                .await?
                .is_some_and(|all| all.contains(&SERVICE)),
        };
        let rssi = device.rssi().await?;
        Ok::<_, bluer::Error>(listed.then_some((Sighting { data, rssi }, changes)))
    };
    // Most often the device is gone again: not worth a word, and its address
    // is nobody's to write down.
    let (first, changes) = call("reading a device", READ, reading).await.ok()??;
    Some((address, first, Box::pin(changes)))
}

/// The devices listened to.
struct Crowd {
    ears: Ears,
    changes: SelectAll<BoxStream<'static, Told>>,
    /// By age.
    members: BTreeMap<u64, Member>,
    joined: u64,
}

struct Member {
    address: Address,
    abort: AbortHandle,
    /// The last frame it sent.
    last: Option<Frame>,
    /// It sent service data, of whatever kind.
    speaks: bool,
}

impl Crowd {
    fn new(ears: Ears) -> Self {
        Self {
            ears,
            changes: SelectAll::new(),
            members: BTreeMap::new(),
            joined: 0,
        }
    }

    fn join(&mut self, address: Address, first: Sighting, changes: Changes) {
        if self.members.len() >= DEVICES
            && let Some((_, oldest)) = self.members.pop_first()
        {
            oldest.abort.abort();
        }
        self.joined += 1;
        let id = self.joined;
        let sightings = changes
            .ready_chunks(TOGETHER)
            .map(move |changes| Told::Sighting(id, Sighting::of(changes)));
        let (sightings, abort) = abortable(sightings);
        let end = stream::once(async move { Told::Ended(id) });
        self.changes.push(sightings.chain(end).boxed());
        let member = Member {
            address,
            abort,
            last: None,
            speaks: first.data.is_some(),
        };
        self.members.insert(id, member);
        // Without a signal strength BlueZ only remembers the device, from up
        // to 30 s ago: it may be gone.
        if first.rssi.is_some() {
            self.hear(Told::Sighting(id, first));
        }
    }

    /// The next thing told; none while there is nobody.
    async fn next(&mut self) -> Option<Told> {
        self.changes.next().await
    }

    fn hear(&mut self, told: Told) {
        let (id, sighting) = match told {
            Told::Sighting(id, sighting) => (id, sighting),
            Told::Ended(id) => {
                self.members.remove(&id);
                return;
            }
        };
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        member.speaks |= sighting.data.is_some();
        let event = match sighting.data.map(|data| Frame::from_service_data(&data)) {
            Some(Ok(frame)) => {
                member.last = Some(frame);
                heard(frame, sighting.rssi)
            }
            Some(Err(_)) => {
                member.last = None;
                Event::Malformed
            }
            None => match (member.last, sighting.rssi) {
                (Some(frame), Some(_)) => heard(frame, sighting.rssi),
                (None, Some(rssi)) if !member.speaks => {
                    return self.ears.notice(Shy {
                        address: member.address,
                        rssi,
                    });
                }
                (Some(_) | None, _) => return,
            },
        };
        // Full: dropped, it will be heard again in a moment.
        let _ = self.ears.events.try_send(event);
    }
}

/// A frame heard, at a signal that may not have been measured.
pub(super) fn heard(frame: Frame, rssi: Option<i16>) -> Event {
    Event::Heard {
        frame,
        rssi: rssi.filter(|rssi| *rssi != RSSI_UNKNOWN),
    }
}
