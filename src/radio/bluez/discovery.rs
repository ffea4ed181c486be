//! Discovery: how adverts of others are received.
//!
//! Discovery is on LE only, with duplicates, and filtered by service UUID where BlueZ
//! survives that ([`super::version`]). The UUID keeps other people's devices out of the
//! process. `DuplicateData` makes BlueZ signal each advert rather than each change. The
//! empty pattern keeps another program's pattern from hiding our peers. After 5.87, BlueZ
//! signals the strength of each advert only to clients that ask for a minimum, so the
//! weakest possible is asked for. Filters of several programs are merged, so every signal is
//! checked again here.
//!
//! bluer starts and stops discovery. What is heard comes by [`super::device_signals`]: BlueZ
//! puts data and signal strength of one advert into one signal. A device may name the service
//! later than it appears: BlueZ takes over an advert and its scan response one after the
//! other.
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
//! `btd_adapter_device_found`, src/device.c `device_set_service_data`; gdbus/object.c
//! `process_property_changes`, by which one signal has all properties that changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bluer::{Adapter, AdapterEvent, Address, DiscoveryFilter, DiscoveryTransport};
use bluez_signals::device::{DeviceChange, DeviceProperties, DeviceSignal};
use futures::stream::{BoxStream, StreamExt};
use tcn_protocol::beacon::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::Event;
use super::advert::SERVICE;
use super::device_signals::DeviceSignals;
use super::version::{Version, may_filter_by_uuid};
use super::{BluezError, call};

/// `StartDiscovery` waits for the controller.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// `StopDiscovery` too.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How late a sighting may be. At most this much of what was heard is lost where discovery
/// ends by itself.
const GATHER_TIME: Duration = Duration::from_millis(200);
/// Devices of the service remembered at once. BlueZ keeps a device for 30 s after its last
/// advert, so this is a crowd. Beyond it, one that sends data is forgotten, which is heard all
/// the same; where none does, the new one is not noticed.
const MAX_DEVICES: usize = 1024;
/// "Not available", Core Specification Vol 4 Part E 7.7.65.2.
const RSSI_UNKNOWN: i16 = 127;

/// The weakest signal that a controller can measure, in dBm; same place.
const RSSI_WEAKEST: i16 = -127;

/// The events of a discovery. BlueZ stops the discovery when the stream is dropped.
pub(super) type AdapterEvents = BoxStream<'static, AdapterEvent>;

/// A discovery that runs. Stops when dropped.
pub(super) struct Discovery {
    listener: JoinHandle<AdapterEvents>,
    signals: DeviceSignals,
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Discovery {
    /// Starts discovery and sends what is heard to `sink`.
    pub(super) async fn start(adapter: &Adapter, sink: SightingSink) -> Result<Self, BluezError> {
        let sightings = Arc::new(Mutex::new(Sightings::new(sink)));
        let heard = Arc::clone(&sightings);
        let note = |sightings: &Mutex<Sightings>, signal: DeviceSignal<'_>| {
            let mut sightings = sightings.lock().unwrap_or_else(PoisonError::into_inner);
            sightings.note(signal);
        };
        let take = move |signal: DeviceSignal<'_>| note(&heard, signal);
        let signals = DeviceSignals::open(adapter.name(), GATHER_TIME, take).await?;
        let known = |address, properties: DeviceProperties<'_>| {
            // BlueZ remembers a device for 30 s, and for longer where another program scans
            // too. It may be gone, or send other data by now: it was not heard.
            let properties = DeviceProperties {
                rssi: None,
                ..properties
            };
            let change = DeviceChange::Added(properties);
            note(&sightings, DeviceSignal { address, change });
        };
        signals.known(known).await?;
        let mut adapter_events = call("starting discovery", START_TIMEOUT, async {
            adapter.set_discovery_filter(filter(adapter).await).await?;
            Ok::<_, bluer::Error>(adapter.discover_devices().await?.boxed())
        })
        .await?;
        let deaf = signals.ended();
        let listener = tokio::spawn(async move {
            let ended = async { while adapter_events.next().await.is_some() {} };
            tokio::select! {
                () = ended => {}
                () = deaf => tracing::warn!("the signals of devices ended"),
            }
            adapter_events
        });
        Ok(Self { listener, signals })
    }

    /// Stops discovery, and waits until BlueZ has and all that was heard is taken.
    pub(super) async fn stop(mut self, adapter: &Adapter) -> Result<(), BluezError> {
        self.listener.abort();
        // Waits until the task has dropped the stream.
        let _ = (&mut self.listener).await;
        call("stopping discovery", STOP_TIMEOUT, async {
            adapter.set_discovery_filter(filter(adapter).await).await
        })
        .await?;
        if let Err(error) = self.signals.catch_up().await {
            tracing::debug!(%error, "what was heard last may be lost");
        }
        Ok(())
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

/// What the signals of devices become.
struct Sightings {
    sink: SightingSink,
    /// The devices that name the service, and whether they sent data of it, valid or not.
    devices: BTreeMap<[u8; 6], bool>,
}

impl Sightings {
    fn new(sink: SightingSink) -> Self {
        let devices = BTreeMap::new();
        Self { sink, devices }
    }

    fn note(&mut self, signal: DeviceSignal<'_>) {
        let address = signal.address;
        match signal.change {
            DeviceChange::Removed => {
                self.devices.remove(&address);
            }
            DeviceChange::Changed(properties) => self.advert(address, properties),
            DeviceChange::Added(properties) => {
                // Without a strength it did not appear by an advert.
                let heard = properties.rssi.is_some();
                self.remember(address, properties);
                if heard {
                    self.advert(address, properties);
                }
            }
        }
    }

    /// Remembers a device that names the service.
    fn remember(&mut self, address: [u8; 6], properties: DeviceProperties<'_>) {
        let has_data = properties.service_data.is_some();
        if let Some(known) = self.devices.get_mut(&address) {
            *known |= has_data;
        } else if has_data || properties.has_service_uuid {
            if self.devices.len() >= MAX_DEVICES {
                self.forget_one();
            }
            if self.devices.len() < MAX_DEVICES {
                self.devices.insert(address, has_data);
            }
        }
    }

    /// Forgets a device that sends data.
    fn forget_one(&mut self) {
        let mut devices = self.devices.iter();
        let with_data = devices.find(|(_, has_data)| **has_data);
        if let Some(address) = with_data.map(|(address, _)| *address) {
            self.devices.remove(&address);
        }
    }

    fn advert(&mut self, address: [u8; 6], properties: DeviceProperties<'_>) {
        self.remember(address, properties);
        let rssi = properties.rssi.and_then(measured);
        let event = match properties.service_data.map(Frame::from_service_data) {
            Some(Ok(frame)) => Event::Heard { frame, rssi },
            Some(Err(_)) => Event::Malformed,
            None => {
                let silent = self.devices.get(&address) == Some(&false);
                if silent && properties.rssi.is_some() {
                    let address = Address(address);
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

    /// What is made of signals, the frames heard, and the adverts without a number.
    fn sightings() -> (
        Sightings,
        mpsc::Receiver<Event>,
        mpsc::Receiver<UuidOnlyAdvert>,
    ) {
        let (events, heard) = mpsc::channel(8);
        let (uuid_only, uuid_only_heard) = mpsc::channel(8);
        let sink = SightingSink {
            events,
            uuid_only: Some(uuid_only),
        };
        (Sightings::new(sink), heard, uuid_only_heard)
    }

    /// An address of its own for each.
    fn address(number: u16) -> [u8; 6] {
        let [high, low] = number.to_be_bytes();
        [0x40, 0, 0, 0, high, low]
    }

    fn added(number: u16, properties: DeviceProperties<'_>) -> DeviceSignal<'_> {
        DeviceSignal {
            address: address(number),
            change: DeviceChange::Added(properties),
        }
    }

    fn changed(number: u16, properties: DeviceProperties<'_>) -> DeviceSignal<'_> {
        DeviceSignal {
            address: address(number),
            change: DeviceChange::Changed(properties),
        }
    }

    fn rssi(rssi: i16) -> DeviceProperties<'static> {
        DeviceProperties {
            rssi: Some(rssi),
            ..DeviceProperties::default()
        }
    }

    const NAMED: DeviceProperties<'static> = DeviceProperties {
        rssi: None,
        service_data: None,
        has_service_uuid: true,
        connected: None,
    };

    #[test]
    fn a_device_may_name_the_service_after_it_appeared() {
        let (mut sightings, _heard, mut uuid_only_heard) = sightings();
        let signals = [
            added(1, rssi(-60)),
            changed(1, NAMED),
            changed(1, rssi(-61)),
        ];
        let mut strengths = Vec::new();
        for signal in signals {
            sightings.note(signal);
            strengths.extend(uuid_only_heard.try_recv().map(|uuid_only| uuid_only.rssi));
        }
        assert_eq!(strengths, [Some(-61)]);
    }

    #[test]
    fn a_device_that_did_not_appear_by_an_advert_was_not_heard() {
        let (mut sightings, mut heard, _uuid_only_heard) = sightings();
        let data = [7; 20];
        let with_data = DeviceProperties {
            service_data: Some(&data),
            ..DeviceProperties::default()
        };
        sightings.note(added(1, with_data));
        assert!(heard.try_recv().is_err());
        sightings.note(changed(1, with_data));
        let Ok(Event::Heard { rssi: None, .. }) = heard.try_recv() else {
            panic!("an advert was not heard");
        };
    }

    #[test]
    fn other_peoples_devices_are_not_remembered_and_a_crowd_has_a_bound() {
        let (mut sightings, _heard, _uuid_only_heard) = sightings();
        for number in 0..2000 {
            sightings.note(added(number, rssi(-60)));
        }
        assert_eq!(sightings.devices.len(), 0);
        let data = [7; 20];
        let with_data = DeviceProperties {
            service_data: Some(&data),
            ..NAMED
        };
        for number in 0..1100 {
            sightings.note(added(number, with_data));
        }
        // Those that send no number find room.
        for number in 1100..2000 {
            sightings.note(added(number, NAMED));
        }
        assert_eq!(sightings.devices.len(), MAX_DEVICES);
        let silent = sightings.devices.values().filter(|has_data| !**has_data);
        assert_eq!(silent.count(), 900);
        let change = DeviceChange::Removed;
        for number in 0..2000 {
            let address = address(number);
            sightings.note(DeviceSignal { address, change });
        }
        assert_eq!(sightings.devices.len(), 0);
    }
}
