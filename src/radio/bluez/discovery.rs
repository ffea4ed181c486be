//! Discovery: how adverts of others are received.
//!
//! Discovery is on LE only, with duplicates, and filtered by service UUID where BlueZ
//! survives that ([`super::version`]). The UUID keeps other people's devices out of the
//! process. `DuplicateData` makes BlueZ signal each advert rather than each change. The
//! empty pattern keeps another program's pattern from hiding our peers. After 5.87, BlueZ
//! signals the strength of each advert only to clients that ask for a minimum, so the
//! weakest possible is asked for. Filters of several programs are merged, so every device is
//! checked again here.
//!
//! Each new device costs a few reads. After that its adverts arrive as signals with their
//! values, and cost no call. BlueZ puts data and signal strength of one advert into one
//! signal, which bluer takes apart, see [`adverts`]. A device may name the service later than
//! it appears: BlueZ takes over an advert and its scan response one after the other.
//!
//! A sighting is a number in an advert that was just received. Because of `DuplicateData`
//! BlueZ empties its copy of a device's service data before it takes over those of an
//! advert, and signals `ServiceData` for each advert that has some, changed or not. So a
//! signal with the strength alone is of an advert without data, and does not prolong the
//! number sent before. What BlueZ remembers of a device that it knew before discovery
//! started is no sighting either. A contact therefore ends with the last advert that carried
//! the number. Controllers pass on at least one in about ten seconds.
//!
//! When the stream ends by itself it is handed back, not dropped: dropping it calls
//! `StopDiscovery`, and a call to a bluetoothd that is being stopped would make the bus
//! start it again.
//!
//! BlueZ: doc/org.bluez.Adapter.rst `SetDiscoveryFilter`, src/adapter.c
//! `btd_adapter_device_found`, src/device.c `device_set_service_data`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;
use std::pin::Pin;
use std::time::Duration;

use bluer::{
    Adapter, AdapterEvent, Address, DeviceEvent, DeviceProperty, DiscoveryFilter,
    DiscoveryTransport, Uuid,
};
use futures::Stream;
use futures::stream::{self, AbortHandle, BoxStream, SelectAll, StreamExt, abortable};
use tcn_protocol::beacon::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::Event;
use super::advert::SERVICE;
use super::version::{Version, may_filter_by_uuid};
use super::{BluezError, READ_TIMEOUT, call};

/// `StartDiscovery` waits for the controller.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// `StopDiscovery` too.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Devices tracked at once. BlueZ keeps a device for 30 s after its last advert, so this is
/// a crowd. Beyond it the oldest is dropped.
const MAX_DEVICES: usize = 1024;
/// New devices read at once.
const MAX_READERS: usize = 16;
/// Property changes taken together; one signal has a handful.
const CHANGES_PER_CHUNK: usize = 16;
/// "Not available", Core Specification Vol 4 Part E 7.7.65.2.
const RSSI_UNKNOWN: i16 = 127;

/// The weakest signal that a controller can measure, in dBm; same place.
const RSSI_WEAKEST: i16 = -127;

/// The events of a discovery. BlueZ stops the discovery when the stream is dropped.
pub(super) type AdapterEvents = BoxStream<'static, AdapterEvent>;

/// A discovery that runs. Stops when dropped.
pub(super) struct Discovery {
    listener: JoinHandle<AdapterEvents>,
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Discovery {
    /// Starts discovery and sends what is heard to `sink`.
    pub(super) async fn start(adapter: &Adapter, sink: SightingSink) -> Result<Self, BluezError> {
        let (known, adapter_events) = call("starting discovery", START_TIMEOUT, async {
            adapter.set_discovery_filter(filter(adapter).await).await?;
            let known = adapter.device_addresses().await?.into_iter().collect();
            Ok::<_, bluer::Error>((known, adapter.discover_devices().await?.boxed()))
        })
        .await?;
        let listener = tokio::spawn(listen(adapter.clone(), known, adapter_events, sink));
        Ok(Self { listener })
    }

    /// Stops discovery and waits until BlueZ has.
    pub(super) async fn stop(mut self, adapter: &Adapter) -> Result<(), BluezError> {
        self.listener.abort();
        // Waits until the task has dropped the stream.
        let _ = (&mut self.listener).await;
        call("stopping discovery", STOP_TIMEOUT, async {
            adapter.set_discovery_filter(filter(adapter).await).await
        })
        .await
    }

    /// Waits until discovery ends by itself. The result must not be dropped before BlueZ can
    /// be called again. The future may be dropped while it waits.
    ///
    /// # Panics
    /// If the listening task panicked.
    pub(super) async fn ended(&mut self) -> Option<AdapterEvents> {
        match (&mut self.listener).await {
            Ok(adapter_events) => Some(adapter_events),
            Err(end) if end.is_panic() => std::panic::resume_unwind(end.into_panic()),
            Err(_) => None,
        }
    }
}

/// The discovery filter for this BlueZ.
async fn filter(adapter: &Adapter) -> DiscoveryFilter {
    let modalias = adapter.modalias().await.ok().flatten();
    let version = modalias.as_ref().and_then(Version::from_modalias);
    let uuids = may_filter_by_uuid(version).then_some(SERVICE);
    DiscoveryFilter {
        uuids: uuids.into_iter().collect(),
        transport: DiscoveryTransport::Le,
        rssi: Some(RSSI_WEAKEST),
        duplicate_data: true,
        pattern: Some(String::new()),
        ..DiscoveryFilter::default()
    }
}

/// Where sightings are sent. A full queue drops them: they will be heard again in a moment.
#[derive(Clone)]
pub(super) struct SightingSink {
    pub(super) events: mpsc::Sender<Event>,
    /// Where adverts without a number are sent; `None` if they are not wanted.
    pub(super) uuid_only: Option<mpsc::Sender<UuidOnlyAdvert>>,
}

impl SightingSink {
    fn send_uuid_only(&self, advert: UuidOnlyAdvert) {
        if let Some(uuid_only) = &self.uuid_only {
            let _ = uuid_only.try_send(advert);
        }
    }
}

/// An advert that names the service and has no number.
#[derive(Clone, Copy)]
pub(super) struct UuidOnlyAdvert {
    pub(super) address: Address,
    /// In dBm; `None` if it was not measured.
    pub(super) rssi: Option<i16>,
}

/// The content of one advert, from a signal or from the first reads.
#[derive(Debug, Default, PartialEq, Eq)]
struct AdvertReport {
    /// Service data of our service, if the advert had some.
    data: Option<Vec<u8>>,
    rssi: Option<i16>,
    /// The device names the service.
    names_service: bool,
}

/// The adverts behind property changes that were ready at once.
///
/// One signal has each property once, and bluer hands on its properties in a
/// row, in any order. So a property that comes again begins the next advert.
/// Where an advert without data came just before one with data, their signal
/// strengths may change places; both are of one sender at one moment.
fn adverts(changes: Vec<DeviceEvent>) -> Vec<AdvertReport> {
    let mut adverts = Vec::new();
    let (mut current, mut has_data) = (AdvertReport::default(), false);
    for DeviceEvent::PropertyChanged(property) in changes {
        if let DeviceProperty::Rssi(rssi) = property {
            if current.rssi.is_some() {
                adverts.push(mem::take(&mut current));
                has_data = false;
            }
            current.rssi = Some(rssi);
        } else if let DeviceProperty::ServiceData(data) = property {
            if has_data {
                adverts.push(mem::take(&mut current));
            }
            has_data = true;
            current.data = ours(Some(data));
        } else if let DeviceProperty::Uuids(uuids) = property {
            current.names_service |= uuids.contains(&SERVICE);
        }
    }
    adverts.push(current);
    adverts
}

fn ours(data: Option<HashMap<Uuid, Vec<u8>>>) -> Option<Vec<u8>> {
    data?.remove(&SERVICE)
}

/// An update of a tracked device: an advert, or the end of its stream.
enum DeviceUpdate {
    AdvertReport(u64, AdvertReport),
    Ended(u64),
}

/// Listens until discovery ends, and returns the stream that ended.
async fn listen(
    adapter: Adapter,
    known: HashSet<Address>,
    mut adapter_events: AdapterEvents,
    sink: SightingSink,
) -> AdapterEvents {
    let mut table = DeviceTable::new(sink);
    {
        let added = (&mut adapter_events).filter_map(|event| async move {
            match event {
                AdapterEvent::DeviceAdded(address) => Some(address),
                AdapterEvent::DeviceRemoved(_) | AdapterEvent::PropertyChanged(_) => None,
            }
        });
        let adapter = &adapter;
        let mut read = std::pin::pin!(
            added
                .map(|address| read_device(adapter, address))
                .buffer_unordered(MAX_READERS)
        );
        loop {
            tokio::select! {
                device = read.next() => match device {
                    Some(Some((address, first, changes))) => {
                        let new = !known.contains(&address);
                        table.add(address, new, first, changes);
                    }
                    Some(None) => {} // gone already
                    None => break,
                },
                Some(update) = table.next() => table.apply(update),
            }
        }
    }
    adapter_events
}

type Changes = Pin<Box<dyn Stream<Item = DeviceEvent> + Send>>;

/// Reads a new device; `None` if it is gone already.
async fn read_device(
    adapter: &Adapter,
    address: Address,
) -> Option<(Address, AdvertReport, Changes)> {
    let device = adapter.device(address).ok()?;
    let reading = async {
        // Subscribed before it is read, so that no change is missed.
        let changes = device.events().await?;
        let data = ours(device.service_data().await?);
        let names_service = match data {
            Some(_) => true,
            None => device
                .uuids()
                .await?
                .is_some_and(|all| all.contains(&SERVICE)),
        };
        let rssi = if names_service {
            device.rssi().await?
        } else {
            None
        };
        Ok::<_, bluer::Error>((
            AdvertReport {
                data,
                rssi,
                names_service,
            },
            changes,
        ))
    };
    // Most often the device is gone again. That is not logged, and its address must not be.
    let (first, changes) = call("reading a device", READ_TIMEOUT, reading).await.ok()?;
    Some((address, first, Box::pin(changes)))
}

/// The tracked devices.
struct DeviceTable {
    sink: SightingSink,
    changes: SelectAll<BoxStream<'static, DeviceUpdate>>,
    /// In order of age.
    devices: BTreeMap<u64, TrackedDevice>,
    added: u64,
}

struct TrackedDevice {
    address: Address,
    abort: AbortHandle,
    /// The device names the service.
    names_service: bool,
    /// It sent service data of our service, valid or not.
    has_data: bool,
}

impl DeviceTable {
    fn new(sink: SightingSink) -> Self {
        Self {
            sink,
            changes: SelectAll::new(),
            devices: BTreeMap::new(),
            added: 0,
        }
    }

    /// Tracks a device. `new` is whether it appeared during this discovery, by the advert in
    /// `first`.
    fn add(&mut self, address: Address, new: bool, first: AdvertReport, changes: Changes) {
        if self.devices.len() >= MAX_DEVICES {
            self.drop_one();
        }
        self.added += 1;
        let id = self.added;
        let reports = changes
            .ready_chunks(CHANGES_PER_CHUNK)
            .flat_map(|changes| stream::iter(adverts(changes)))
            .map(move |report| DeviceUpdate::AdvertReport(id, report));
        let (reports, abort) = abortable(reports);
        let end = stream::once(async move { DeviceUpdate::Ended(id) });
        self.changes.push(reports.chain(end).boxed());
        let tracked = TrackedDevice {
            address,
            abort,
            names_service: first.names_service,
            has_data: first.data.is_some(),
        };
        self.devices.insert(id, tracked);
        // BlueZ remembers a device for 30 s, and for longer where another program scans
        // too. One that is not new, or has no signal strength, may be gone, or send other
        // data by now.
        if new && first.rssi.is_some() {
            self.apply(DeviceUpdate::AdvertReport(id, first));
        }
    }

    /// Drops the oldest device that does not name the service; if all do, the oldest.
    fn drop_one(&mut self) {
        let mut devices = self.devices.iter();
        let stranger = devices.find(|(_, tracked)| !tracked.names_service);
        let leaving = stranger.map(|(id, _)| *id);
        let left = match leaving {
            Some(id) => self.devices.remove(&id),
            None => self.devices.pop_first().map(|(_, tracked)| tracked),
        };
        if let Some(tracked) = left {
            tracked.abort.abort();
        }
    }

    /// The next update; `None` while no device is tracked.
    async fn next(&mut self) -> Option<DeviceUpdate> {
        self.changes.next().await
    }

    fn apply(&mut self, update: DeviceUpdate) {
        let (id, report) = match update {
            DeviceUpdate::AdvertReport(id, report) => (id, report),
            DeviceUpdate::Ended(id) => {
                self.devices.remove(&id);
                return;
            }
        };
        let Some(tracked) = self.devices.get_mut(&id) else {
            return;
        };
        tracked.has_data |= report.data.is_some();
        tracked.names_service |= report.names_service || tracked.has_data;
        let event = match report.data.map(|data| Frame::from_service_data(&data)) {
            Some(Ok(frame)) => Event::Heard {
                frame,
                rssi: report.rssi.and_then(measured),
            },
            Some(Err(_)) => Event::Malformed,
            None => {
                let silent = tracked.names_service && !tracked.has_data;
                if let Some(rssi) = report.rssi.filter(|_| silent) {
                    let (address, rssi) = (tracked.address, measured(rssi));
                    self.sink.send_uuid_only(UuidOnlyAdvert { address, rssi });
                }
                return;
            }
        };
        // A full queue drops it: it will be heard again in a moment.
        let _ = self.sink.events.try_send(event);
    }
}

/// The signal in dBm, if the controller measured it.
fn measured(rssi: i16) -> Option<i16> {
    (rssi != RSSI_UNKNOWN).then_some(rssi)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rssi(rssi: i16) -> DeviceEvent {
        DeviceEvent::PropertyChanged(DeviceProperty::Rssi(rssi))
    }

    fn data(service: Uuid, byte: u8) -> DeviceEvent {
        let data = HashMap::from([(service, vec![byte; 20])]);
        DeviceEvent::PropertyChanged(DeviceProperty::ServiceData(data))
    }

    fn report(byte: Option<u8>, rssi: Option<i16>) -> AdvertReport {
        AdvertReport {
            data: byte.map(|byte| vec![byte; 20]),
            rssi,
            names_service: false,
        }
    }

    #[test]
    fn a_signal_strength_goes_with_the_data_of_its_own_advert() {
        let other = Uuid::from_u128(0xfeaa_0000_1000_8000_0080_5f9b_34fb);
        let cases = [
            (
                vec![data(SERVICE, 1), rssi(-60)],
                vec![report(Some(1), Some(-60))],
            ),
            (
                vec![rssi(-60), data(SERVICE, 1), rssi(-90), rssi(-91)],
                vec![
                    report(Some(1), Some(-60)),
                    report(None, Some(-90)),
                    report(None, Some(-91)),
                ],
            ),
            (
                vec![data(SERVICE, 1), rssi(-60), data(SERVICE, 2), rssi(-70)],
                vec![report(Some(1), Some(-60)), report(Some(2), Some(-70))],
            ),
            (
                vec![data(SERVICE, 1), rssi(-60), data(other, 2), rssi(-70)],
                vec![report(Some(1), Some(-60)), report(None, Some(-70))],
            ),
        ];
        for (changes, expected) in cases {
            assert_eq!(adverts(changes), expected);
        }
    }

    fn uuids(service: Uuid) -> DeviceEvent {
        DeviceEvent::PropertyChanged(DeviceProperty::Uuids(HashSet::from([service])))
    }

    /// A table, the frames heard in it, and the adverts without a number.
    fn table() -> (
        DeviceTable,
        mpsc::Receiver<Event>,
        mpsc::Receiver<UuidOnlyAdvert>,
    ) {
        let (events, heard) = mpsc::channel(8);
        let (uuid_only, uuid_only_heard) = mpsc::channel(8);
        let sink = SightingSink {
            events,
            uuid_only: Some(uuid_only),
        };
        (DeviceTable::new(sink), heard, uuid_only_heard)
    }

    /// An address of its own for each.
    fn device(number: u16) -> Address {
        let [high, low] = number.to_be_bytes();
        Address([0x40, 0, 0, 0, high, low])
    }

    async fn apply_next(table: &mut DeviceTable) {
        let update = table.next().await.unwrap();
        table.apply(update);
    }

    #[tokio::test]
    async fn a_device_may_name_the_service_after_it_appeared() {
        let (mut table, _heard, mut uuid_only_heard) = table();
        let changes = [rssi(-60), uuids(SERVICE), rssi(-61)].map(|change| vec![change]);
        // Each ready only after the one before was taken, as signals come.
        let (tell, changes_out) = mpsc::channel(1);
        let changes_in = Box::pin(stream::unfold(changes_out, async |mut all| {
            let change = all.recv().await?;
            Some((change, all))
        }));
        table.add(device(1), true, AdvertReport::default(), changes_in);
        let mut strengths = Vec::new();
        for change in changes.into_iter().flatten() {
            tell.send(change).await.unwrap();
            apply_next(&mut table).await;
            strengths.extend(uuid_only_heard.try_recv().map(|uuid_only| uuid_only.rssi));
        }
        assert_eq!(strengths, [Some(-61)]);
    }

    #[tokio::test]
    async fn whoever_does_not_name_the_service_makes_room_first() {
        let (mut table, _heard, _noticed) = table();
        let of = |names_service| AdvertReport {
            names_service,
            ..AdvertReport::default()
        };
        table.add(device(0), true, of(true), Box::pin(stream::pending()));
        for number in 1..=u16::try_from(MAX_DEVICES).unwrap() {
            let names_service = number > 2;
            table.add(
                device(number),
                true,
                of(names_service),
                Box::pin(stream::pending()),
            );
        }
        assert_eq!(table.devices.len(), MAX_DEVICES);
        let here = |table: &DeviceTable| {
            let devices = table.devices.values();
            let first = devices.map(|tracked| tracked.address).take(2);
            first.collect::<Vec<_>>()
        };
        assert_eq!(here(&table), [device(0), device(2)]);
        for number in 2000..2002 {
            table.add(device(number), true, of(true), Box::pin(stream::pending()));
        }
        assert_eq!(here(&table), [device(3), device(4)]);
    }
}
