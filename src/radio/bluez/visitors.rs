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

use super::{Fault, READ, call};

/// How long a stranger may stay; an iPhone is done within two seconds.
pub(super) const STAY: Duration = Duration::from_secs(10);

/// Devices watched at once; BlueZ forgets those that are not connected after
/// 30 s. Of the rest it is not noticed when they connect.
const DEVICES: usize = 2048;
/// Devices looked at, at once.
const LOOKERS: usize = 16;
/// Comings and goings not taken note of yet; the watch waits then.
const NEWS: usize = 64;

/// For a look at every device there is.
const FOLLOW: Duration = Duration::from_secs(15);

/// A change of who is connected.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Stir {
    Came {
        address: Address,
        stranger: bool,
    },
    Left(Address),
    /// A stranger stayed too long.
    Overstayed(Stay),
}

/// One stay of one stranger, who may come again.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Stay {
    address: Address,
    number: u64,
}

/// Who is connected. Nobody is noticed before [`Visitors::watch`].
#[derive(Default)]
pub(super) struct Visitors {
    watch: Option<Watch>,
    here: BTreeMap<Address, Guest>,
    stays: FuturesUnordered<BoxFuture<'static, Stay>>,
    last_stay: u64,
}

#[derive(Clone, Copy, Default)]
struct Guest {
    /// A stranger's.
    stay: Option<u64>,
    overstayed: bool,
}

struct Watch {
    task: JoinHandle<()>,
    news: mpsc::Receiver<Stir>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Visitors {
    /// Begins to watch what [`follow`] follows, with whom it found.
    pub(super) fn watch(&mut self, doings: Doings, here: Vec<Address>) {
        self.here = here
            .into_iter()
            .map(|address| (address, Guest::default()))
            .collect();
        let (say, news) = mpsc::channel(NEWS);
        let task = tokio::spawn(doings.tell(say));
        self.watch = Some(Watch { task, news });
    }

    /// Stops to watch. Whoever is here is still taken to be.
    pub(super) fn unwatch(&mut self) {
        self.watch = None;
    }

    /// The next change. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Stir {
        let watch = &mut self.watch;
        let news = async {
            match watch {
                Some(watch) => watch.news.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(stir) = news => stir,
            Some(stay) = self.stays.next() => Stir::Overstayed(stay),
            else => pending().await,
        }
    }

    pub(super) fn came(&mut self, address: Address, stranger: bool) {
        self.here.insert(address, Guest::default());
        if stranger {
            self.suspect(address);
        }
    }

    /// Whoever it is came by our advert: it used what is offered there.
    pub(super) fn suspect(&mut self, address: Address) {
        let guest = self.here.entry(address).or_default();
        if guest.stay.is_none() {
            self.last_stay += 1;
            guest.stay = Some(self.last_stay);
            let stay = Stay {
                address,
                number: self.last_stay,
            };
            self.stays.push(Box::pin(async move {
                // Nothing comes but the deadline.
                let _ = time::timeout(STAY, pending::<()>()).await;
                stay
            }));
        }
    }

    /// True if it was here.
    pub(super) fn left(&mut self, address: Address) -> bool {
        self.here.remove(&address).is_some()
    }

    /// True if it still lasts.
    pub(super) fn overstayed(&mut self, stay: Stay) -> bool {
        let guest = self.here.get_mut(&stay.address);
        let lasting = guest.filter(|guest| guest.stay == Some(stay.number));
        lasting.map(|guest| guest.overstayed = true).is_some()
    }

    /// Strangers: all of them, or those who stayed too long.
    pub(super) fn strangers(&self, all: bool) -> Vec<Address> {
        let leaves = |guest: &Guest| guest.stay.is_some() && (all || guest.overstayed);
        let leaving = self.here.iter().filter(|(_, guest)| leaves(guest));
        leaving.map(|(address, _)| *address).collect()
    }

    /// They were sent away. Whoever stays all the same is no stranger any more.
    pub(super) fn sent_away(&mut self, addresses: &[Address]) {
        for address in addresses {
            if let Some(guest) = self.here.get_mut(address) {
                *guest = Guest::default();
            }
        }
    }
}

/// Sends strangers away, all at once, unless they were paired meanwhile.
pub(super) async fn send_away(adapter: &Adapter, addresses: &[Address]) {
    let all = stream::iter(addresses);
    all.for_each_concurrent(None, |address| async {
        let Ok(device) = adapter.device(*address) else {
            return;
        };
        // Gone by itself: that is as well.
        if let Ok(true) = call("looking at a visitor", READ, is_ours(&device)).await {
            return;
        }
        if let Err(fault) = call("sending a visitor away", READ, device.disconnect()).await {
            tracing::debug!(error = %fault, "a visitor was not sent away");
        }
    })
    .await;
}

/// Whether it is nobody's: not the owner's, and nobody connected to it.
pub(super) async fn is_free(adapter: &Adapter, address: Address) -> bool {
    let looking = async {
        let device = adapter.device(address)?;
        Ok::<_, bluer::Error>(!device.is_connected().await? && !is_ours(&device).await?)
    };
    call("looking at a phone", READ, looking)
        .await
        .unwrap_or(false)
}

async fn is_ours(device: &bluer::Device) -> Result<bool, bluer::Error> {
    Ok(device.is_paired().await? || device.is_trusted().await?)
}

type Changes = BoxStream<'static, (Address, Option<bool>)>;

/// What the devices of an adapter do.
pub(super) struct Doings {
    adapter: Adapter,
    events: BoxStream<'static, AdapterEvent>,
    changes: SelectAll<Changes>,
    unread: VecDeque<Address>,
    connected: BTreeSet<Address>,
    watched: BTreeSet<Address>,
}

/// Begins to follow what devices do. Also says who is connected already.
pub(super) async fn follow(adapter: &Adapter) -> Result<(Doings, Vec<Address>), Fault> {
    let following = time::timeout(FOLLOW, begin_to_follow(adapter));
    following.await.unwrap_or(Err(Fault::Silent {
        doing: "looking who is connected",
        limit: FOLLOW,
    }))
}

async fn begin_to_follow(adapter: &Adapter) -> Result<(Doings, Vec<Address>), Fault> {
    // Subscribed first, so that nobody falls in between.
    let events = call("listening for devices", READ, adapter.events()).await?;
    let known = call("listing devices", READ, adapter.device_addresses()).await?;
    let mut doings = Doings {
        adapter: adapter.clone(),
        events: events.boxed(),
        changes: SelectAll::new(),
        watched: BTreeSet::new(),
        unread: VecDeque::new(),
        connected: BTreeSet::new(),
    };
    let looks = known.into_iter().map(|known| look(adapter.clone(), known));
    let mut seen = stream::iter(looks).buffer_unordered(LOOKERS);
    while let Some((address, seen)) = seen.next().await {
        let Some((connected, changes)) = seen else {
            continue;
        };
        doings.watched.insert(address);
        doings.changes.push(changes);
        if connected {
            doings.connected.insert(address);
        }
    }
    let here = doings.connected.iter().copied().collect();
    Ok((doings, here))
}

impl Doings {
    /// Tells who comes and goes, until nobody listens.
    async fn tell(mut self, say: mpsc::Sender<Stir>) {
        let mut looking = FuturesUnordered::new();
        loop {
            while looking.len() < LOOKERS
                && let Some(address) = self.unread.pop_front()
            {
                looking.push(look(self.adapter.clone(), address));
            }
            let stir = tokio::select! {
                Some(event) = self.events.next() => self.heard_of(&event),
                Some((address, seen)) = looking.next() => match seen {
                    Some((connected, more)) => {
                        self.changes.push(more);
                        self.is(address, connected, true).await
                    }
                    None => self.gone(address),
                },
                Some((address, connected)) = self.changes.next() => match connected {
                    Some(connected) => self.is(address, connected, false).await,
                    None => self.gone(address),
                },
                else => return,
            };
            if let Some(stir) = stir
                && say.send(stir).await.is_err()
            {
                return;
            }
        }
    }

    fn heard_of(&mut self, event: &AdapterEvent) -> Option<Stir> {
        match *event {
            AdapterEvent::DeviceAdded(address) => {
                if self.watched.len() < DEVICES && self.watched.insert(address) {
                    self.unread.push_back(address);
                }
                None
            }
            AdapterEvent::DeviceRemoved(address) => self.gone(address),
            AdapterEvent::PropertyChanged(_) => None,
        }
    }

    fn gone(&mut self, address: Address) -> Option<Stir> {
        self.watched.remove(&address);
        self.gone_away(address)
    }

    /// `appeared` is whether BlueZ did not know it before.
    async fn is(&mut self, address: Address, connected: bool, appeared: bool) -> Option<Stir> {
        if !connected {
            return self.gone_away(address);
        }
        if !self.connected.insert(address) {
            return None;
        }
        let adapter = &self.adapter;
        let looking = async { is_ours(&adapter.device(address)?).await };
        let ours = call("looking at a visitor", READ, looking).await;
        Some(Stir::Came {
            address,
            stranger: appeared && !ours.unwrap_or(true),
        })
    }

    fn gone_away(&mut self, address: Address) -> Option<Stir> {
        self.connected
            .remove(&address)
            .then_some(Stir::Left(address))
    }
}

/// Whether a device is connected, and what changes about that; none at the end.
async fn look(adapter: Adapter, address: Address) -> (Address, Option<(bool, Changes)>) {
    let looking = async {
        let device = adapter.device(address)?;
        let events = device.events().await?;
        let connected = device.is_connected().await?;
        Ok::<_, bluer::Error>((connected, changes_of(address, events)))
    };
    let seen = call("looking at a device", READ, looking).await;
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
        let mut visitors = Visitors::default();
        visitors.came(ANNA, true);
        visitors.came(BEN, false);
        let stay = overstayed(&mut visitors).await;
        assert!(visitors.overstayed(stay));
        assert_eq!(visitors.strangers(false), [ANNA]);
        visitors.sent_away(&[ANNA]);
        assert_eq!(visitors.strangers(true), []);
        assert!(time::timeout(STAY * 9, visitors.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_uses_what_is_offered_came_for_it() {
        let mut visitors = Visitors::default();
        visitors.came(BEN, false);
        visitors.suspect(BEN);
        visitors.suspect(BEN);
        assert_eq!(visitors.strangers(true), [BEN]);
        let stay = overstayed(&mut visitors).await;
        assert!(visitors.overstayed(stay));
        assert_eq!(visitors.strangers(false), [BEN]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_and_came_again_may_stay_as_long_again() {
        let mut visitors = Visitors::default();
        visitors.came(ANNA, true);
        assert!(visitors.left(ANNA) && !visitors.left(ANNA));
        visitors.came(ANNA, true);
        let first = overstayed(&mut visitors).await;
        assert!(!visitors.overstayed(first));
        let second = overstayed(&mut visitors).await;
        assert!(visitors.overstayed(second));
    }

    async fn overstayed(visitors: &mut Visitors) -> Stay {
        let stir = time::timeout(STAY * 2, visitors.next()).await.unwrap();
        let Stir::Overstayed(stay) = stir else {
            panic!("{stir:?}");
        };
        stay
    }
}
