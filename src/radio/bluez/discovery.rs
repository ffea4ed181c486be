//! Listening: discovery, and what it brings.
//!
//! Discovery is on LE only, with duplicates, and filtered by service UUID where
//! BlueZ survives that ([`super::version`]). The UUID keeps other people's devices
//! out of the process, `DuplicateData` makes BlueZ signal each advert rather than
//! each change, and the empty pattern keeps another program's pattern from hiding
//! our peers. After 5.87, BlueZ tells the signal strength of each advert only to
//! whoever asks for some, so the weakest that there is is asked for. Filters of
//! several programs are merged, so every device is looked at again here.
//!
//! Each new device costs a few reads. After that its adverts arrive as signals
//! with their values, and none of them costs a call. BlueZ puts data and
//! signal strength of one advert into one signal, which bluer takes apart, see
//! [`adverts`]. A device that does not name the service at first may do so later:
//! BlueZ takes over an advert and its scan response one after the other.
//!
//! A sighting is a number that was in an advert just received. Because of
//! `DuplicateData` BlueZ empties its copy of a device's service data before it
//! takes over an advert's, and signals `ServiceData` for each advert that has
//! some, changed or not. So a signal with the strength alone is of an advert
//! without data, and does not prolong the number sent before. What BlueZ
//! remembers of a device that it knew before discovery began is no sighting
//! either. A contact therefore ends with the last advert that carried the
//! number; controllers pass on at least one in about ten seconds.
//!
//! When the stream ends by itself it is handed back, not dropped: dropping it
//! calls `StopDiscovery`, and a call to a bluetoothd that is just being
//! stopped would have the bus start it again.
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

/// The weakest signal that a controller can measure, in dBm; same place.
const RSSI_WEAKEST: i16 = -127;

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
        let (known, arrivals) = call("starting discovery", START, async {
            adapter.set_discovery_filter(filter(adapter).await).await?;
            let known = adapter.device_addresses().await?.into_iter().collect();
            Ok::<_, bluer::Error>((known, adapter.discover_devices().await?.boxed()))
        })
        .await?;
        let listener = tokio::spawn(listen(adapter.clone(), known, arrivals, ears));
        Ok(Self { listener })
    }

    /// Stops discovery and waits until BlueZ has.
    pub(super) async fn stop(mut self, adapter: &Adapter) -> Result<(), Fault> {
        self.listener.abort();
        // Returns what was dropped in the task, or that it was.
        let _ = (&mut self.listener).await;
        call("stopping discovery", STOP, async {
            adapter.set_discovery_filter(filter(adapter).await).await
        })
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

/// What to listen for, of this BlueZ.
async fn filter(adapter: &Adapter) -> DiscoveryFilter {
    let modalias = adapter.modalias().await.ok().flatten();
    let version = modalias.as_ref().and_then(Version::told_by);
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

/// What one advert said, as a signal or the first reads tell it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sighting {
    /// Service data of ours, if the advert had some.
    data: Option<Vec<u8>>,
    rssi: Option<i16>,
    /// Its device was told to name the service.
    named: bool,
}

/// The adverts behind property changes that were ready at once.
///
/// One signal has each property once, and bluer hands on its properties in a
/// row, in any order. So a property that comes again begins the next advert.
/// Where an advert without data came just before one with data, their signal
/// strengths may change places; both are of one sender at one moment.
fn adverts(changes: Vec<DeviceEvent>) -> Vec<Sighting> {
    let mut adverts = Vec::new();
    let (mut current, mut has_data) = (Sighting::default(), false);
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
            current.named |= uuids.contains(&SERVICE);
        }
    }
    adverts.push(current);
    adverts
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
async fn listen(
    adapter: Adapter,
    known: HashSet<Address>,
    mut arrivals: Arrivals,
    ears: Ears,
) -> Arrivals {
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
                    Some(Some((address, first, changes))) => {
                        let new = !known.contains(&address);
                        crowd.join(address, new, first, changes);
                    }
                    Some(None) => {} // gone already
                    None => break,
                },
                Some(told) = crowd.next() => crowd.hear(told),
            }
        }
    }
    arrivals
}

type Changes = Pin<Box<dyn Stream<Item = DeviceEvent> + Send>>;

/// Looks at a new device; none if it is gone already.
async fn admit(adapter: &Adapter, address: Address) -> Option<(Address, Sighting, Changes)> {
    let device = adapter.device(address).ok()?;
    let reading = async {
        // Subscribed before it is read, so that nothing falls in between.
        let changes = device.events().await?;
        let data = ours(device.service_data().await?);
        let named = match data {
            Some(_) => true,
            None => device
                .uuids()
                .await?
                .is_some_and(|all| all.contains(&SERVICE)),
        };
        let rssi = if named { device.rssi().await? } else { None };
        Ok::<_, bluer::Error>((Sighting { data, rssi, named }, changes))
    };
    // Most often the device is gone again: not worth a word, and its address
    // is nobody's to write down.
    let (first, changes) = call("reading a device", READ, reading).await.ok()?;
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
    /// It names the service.
    named: bool,
    /// It sent service data of ours, of whatever kind.
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

    /// Listens to a device. `new` is whether it appeared during this discovery,
    /// by an advert that `first` was read of.
    fn join(&mut self, address: Address, new: bool, first: Sighting, changes: Changes) {
        if self.members.len() >= DEVICES {
            self.drop_one();
        }
        self.joined += 1;
        let id = self.joined;
        let sightings = changes
            .ready_chunks(TOGETHER)
            .flat_map(|changes| stream::iter(adverts(changes)))
            .map(move |sighting| Told::Sighting(id, sighting));
        let (sightings, abort) = abortable(sightings);
        let end = stream::once(async move { Told::Ended(id) });
        self.changes.push(sightings.chain(end).boxed());
        let member = Member {
            address,
            abort,
            named: first.named,
            speaks: first.data.is_some(),
        };
        self.members.insert(id, member);
        // BlueZ remembers a device for 30 s, and for longer where another
        // program scans too: one that is not new, or has no signal strength,
        // may be gone, or send something else by now.
        if new && first.rssi.is_some() {
            self.hear(Told::Sighting(id, first));
        }
    }

    /// Listens no longer to the oldest that does not name the service; if all do,
    /// to the oldest.
    fn drop_one(&mut self) {
        let mut members = self.members.iter();
        let stranger = members.find(|(_, member)| !member.named);
        let leaving = stranger.map(|(id, _)| *id);
        let left = match leaving {
            Some(id) => self.members.remove(&id),
            None => self.members.pop_first().map(|(_, member)| member),
        };
        if let Some(member) = left {
            member.abort.abort();
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
        member.named |= sighting.named || member.speaks;
        let event = match sighting.data.map(|data| Frame::from_service_data(&data)) {
            Some(Ok(frame)) => heard(frame, sighting.rssi),
            Some(Err(_)) => Event::Malformed,
            None => {
                let silent = member.named && !member.speaks;
                if let Some(rssi) = sighting.rssi.filter(|_| silent) {
                    let address = member.address;
                    self.ears.notice(Shy { address, rssi });
                }
                return;
            }
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

    fn sighting(byte: Option<u8>, rssi: Option<i16>) -> Sighting {
        Sighting {
            data: byte.map(|byte| vec![byte; 20]),
            rssi,
            named: false,
        }
    }

    #[test]
    fn a_signal_strength_goes_with_the_data_of_its_own_advert() {
        let other = Uuid::from_u128(0xfeaa_0000_1000_8000_0080_5f9b_34fb);
        let cases = [
            (
                vec![data(SERVICE, 1), rssi(-60)],
                vec![sighting(Some(1), Some(-60))],
            ),
            (
                vec![rssi(-60), data(SERVICE, 1), rssi(-90), rssi(-91)],
                vec![
                    sighting(Some(1), Some(-60)),
                    sighting(None, Some(-90)),
                    sighting(None, Some(-91)),
                ],
            ),
            (
                vec![data(SERVICE, 1), rssi(-60), data(SERVICE, 2), rssi(-70)],
                vec![sighting(Some(1), Some(-60)), sighting(Some(2), Some(-70))],
            ),
            (
                vec![data(SERVICE, 1), rssi(-60), data(other, 2), rssi(-70)],
                vec![sighting(Some(1), Some(-60)), sighting(None, Some(-70))],
            ),
        ];
        for (changes, expected) in cases {
            assert_eq!(adverts(changes), expected);
        }
    }

    fn uuids(service: Uuid) -> DeviceEvent {
        DeviceEvent::PropertyChanged(DeviceProperty::Uuids(HashSet::from([service])))
    }

    /// A crowd, and who is noticed in it to say no number.
    fn crowd() -> (Crowd, mpsc::Receiver<Event>, mpsc::Receiver<Shy>) {
        let (events, heard) = mpsc::channel(8);
        let (shy, noticed) = mpsc::channel(8);
        let ears = Ears {
            events,
            shy: Some(shy),
        };
        (Crowd::new(ears), heard, noticed)
    }

    /// An address of its own for each.
    fn device(number: u16) -> Address {
        let [high, low] = number.to_be_bytes();
        Address([0x40, 0, 0, 0, high, low])
    }

    async fn told(crowd: &mut Crowd) {
        let told = crowd.next().await.unwrap();
        crowd.hear(told);
    }

    #[tokio::test]
    async fn a_device_may_name_the_service_after_it_appeared() {
        let (mut crowd, _heard, mut noticed) = crowd();
        let changes = [rssi(-60), uuids(SERVICE), rssi(-61)].map(|change| vec![change]);
        // Each ready only after the one before was taken, as signals come.
        let (tell, told_so) = mpsc::channel(1);
        let changes_in = Box::pin(stream::unfold(told_so, async |mut all| {
            let change = all.recv().await?;
            Some((change, all))
        }));
        crowd.join(device(1), true, Sighting::default(), changes_in);
        let mut strengths = Vec::new();
        for change in changes.into_iter().flatten() {
            tell.send(change).await.unwrap();
            told(&mut crowd).await;
            strengths.extend(noticed.try_recv().map(|shy| shy.rssi));
        }
        assert_eq!(strengths, [-61]);
    }

    #[tokio::test]
    async fn whoever_does_not_name_the_service_makes_room_first() {
        let (mut crowd, _heard, _noticed) = crowd();
        let of = |named| Sighting {
            named,
            ..Sighting::default()
        };
        crowd.join(device(0), true, of(true), Box::pin(stream::pending()));
        for number in 1..=u16::try_from(DEVICES).unwrap() {
            let named = number > 2;
            crowd.join(device(number), true, of(named), Box::pin(stream::pending()));
        }
        assert_eq!(crowd.members.len(), DEVICES);
        let here = |crowd: &Crowd| {
            let members = crowd.members.values();
            let first = members.map(|member| member.address).take(2);
            first.collect::<Vec<_>>()
        };
        assert_eq!(here(&crowd), [device(0), device(2)]);
        for number in 2000..2002 {
            crowd.join(device(number), true, of(true), Box::pin(stream::pending()));
        }
        assert_eq!(here(&crowd), [device(3), device(4)]);
    }
}
