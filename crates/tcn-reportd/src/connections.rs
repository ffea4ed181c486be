//! Limits of connections: a limit for all, a limit for each address, and which
//! connection is closed when a limit is reached.
//!
//! A connection is in use from the head of a request to the last byte of its response,
//! and else idle. So a connection that sends its head slowly is idle. When an address
//! reaches its limit, its own longest idle connection is closed for the next one. When
//! the limit for all is reached, the longest idle connection of the address with the
//! most connections is closed. If none is idle, a connection in use is closed, of an
//! address that has at least two more than the new connection's. If there is no such
//! address, the new connection waits if it is the first of its address; else it is
//! refused, and the client may try again later.
//!
//! An IPv4 peer counts by its address, an IPv6 peer by its first 48 bits, the most that
//! one customer of a provider gets (RFC 6177, 2). A proxy speaks for many clients, so it
//! has no limit of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

use super::sender::Proxies;

/// All open connections.
pub(super) struct Connections {
    max: usize,
    max_per_address: usize,
    proxies: Proxies,
    /// A counter for connections and for the moments at which they become idle.
    ticks: AtomicU64,
    /// A new connection waits for a permit.
    awaited: AtomicBool,
    slot_freed: Notify,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    count: usize,
    groups: BTreeMap<Group, BTreeMap<u64, Arc<ConnectionEntry>>>,
}

/// The connections that share a limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    V4(Ipv4Addr),
    V6(u64),
    Proxies,
}

/// One connection.
struct ConnectionEntry {
    /// The tick at which it became idle; [`IN_USE`] if it is in use.
    idle_since: AtomicU64,
    closed: Notify,
}

const IN_USE: u64 = u64::MAX;

/// The decision about a new connection.
enum Decision {
    Admitted(ConnectionPermit),
    Refused,
    /// It waits until a connection ends or becomes idle.
    Waits,
}

impl Connections {
    /// At most `max` in all and `max_per_address` of one address.
    pub(super) fn new(max: usize, max_per_address: usize, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_address,
            proxies,
            ticks: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            slot_freed: Notify::new(),
            table: Mutex::default(),
        })
    }

    /// Waits for a permit for a connection of `peer`. `None` if the connection is to be
    /// refused.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionPermit> {
        loop {
            match self.decide(peer) {
                Decision::Admitted(permit) => return Some(permit),
                Decision::Refused => return None,
                Decision::Waits => self.slot_freed.notified().await,
            }
        }
    }

    fn decide(self: &Arc<Self>, peer: IpAddr) -> Decision {
        let group = self.group(peer);
        let mut table = self.table();
        let own = table.groups.get(&group).map_or(0, BTreeMap::len);
        self.awaited.store(false, Ordering::SeqCst);
        if group != Group::Proxies && own >= self.max_per_address {
            match table.idle_of(group) {
                Some((_, id)) => table.close(group, id),
                None => return Decision::Refused,
            }
        } else if table.count >= self.max {
            match table.idle().or_else(|| table.over_share(own)) {
                Some((group, id)) => table.close(group, id),
                None if own == 0 || group == Group::Proxies => {
                    self.awaited.store(true, Ordering::SeqCst);
                    // A connection may have become idle before it could see that flag.
                    match table.idle() {
                        Some((group, id)) => table.close(group, id),
                        None => return Decision::Waits,
                    }
                }
                None => return Decision::Refused,
            }
        }
        let id = self.ticks.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(ConnectionEntry {
            idle_since: AtomicU64::new(id),
            closed: Notify::new(),
        });
        let others = table.groups.entry(group).or_default();
        others.insert(id, Arc::clone(&entry));
        table.count += 1;
        let all = Arc::clone(self);
        Decision::Admitted(ConnectionPermit {
            all,
            group,
            id,
            entry,
        })
    }

    fn group(&self, peer: IpAddr) -> Group {
        let peer = peer.to_canonical();
        if self.proxies.include(peer) {
            return Group::Proxies;
        }
        match peer {
            IpAddr::V4(v4) => Group::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                Group::V6(u64::from(a) << 32 | u64::from(b) << 16 | u64::from(c))
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The longest idle connection of a group, and the tick since when it is idle.
    fn idle_of(&self, group: Group) -> Option<(u64, u64)> {
        let since = |(id, entry): (&u64, &Arc<ConnectionEntry>)| {
            let since = entry.idle_since.load(Ordering::SeqCst);
            (since != IN_USE).then_some((since, *id))
        };
        self.groups.get(&group)?.iter().filter_map(since).min()
    }

    /// The longest idle connection of the group with the most. A connection of a proxy
    /// is taken only if no other group has an idle one.
    fn idle(&self) -> Option<(Group, u64)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(group, entries)| {
            (**group == Group::Proxies, usize::MAX - entries.len())
        });
        let mut idle = groups.into_iter().filter_map(|(group, _)| {
            let (_, id) = self.idle_of(*group)?;
            Some((*group, id))
        });
        idle.next()
    }

    /// The oldest connection of the group with the max, if that has at least
    /// two more than a group with `own`.
    fn over_share(&self, own: usize) -> Option<(Group, u64)> {
        let others = self
            .groups
            .iter()
            .filter(|(group, _)| **group != Group::Proxies);
        let (group, entries) = others.max_by_key(|(_, entries)| entries.len())?;
        let (id, _) = entries.first_key_value()?;
        (entries.len() > own + 1).then_some((*group, *id))
    }

    fn close(&mut self, group: Group, id: u64) {
        if let Some(entry) = self.remove(group, id) {
            entry.closed.notify_one();
        }
    }

    fn remove(&mut self, group: Group, id: u64) -> Option<Arc<ConnectionEntry>> {
        let entries = self.groups.get_mut(&group)?;
        let entry = entries.remove(&id)?;
        if entries.is_empty() {
            self.groups.remove(&group);
        }
        self.count -= 1;
        Some(entry)
    }
}

/// A connection's permit. Dropping it frees the permit.
pub(super) struct ConnectionPermit {
    all: Arc<Connections>,
    group: Group,
    id: u64,
    entry: Arc<ConnectionEntry>,
}

impl ConnectionPermit {
    /// Waits until the permit is given to another connection.
    pub(super) async fn revoked(&self) {
        self.entry.closed.notified().await;
    }

    /// Marks the start of a request.
    pub(super) fn begin_request(&self) -> ActiveRequest {
        self.entry.idle_since.store(IN_USE, Ordering::SeqCst);
        ActiveRequest {
            all: Arc::clone(&self.all),
            entry: Arc::clone(&self.entry),
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.all.table().remove(self.group, self.id);
        self.all.slot_freed.notify_one();
    }
}

/// A request under way. The connection becomes idle when this is dropped.
pub(super) struct ActiveRequest {
    all: Arc<Connections>,
    entry: Arc<ConnectionEntry>,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let tick = self.all.ticks.fetch_add(1, Ordering::Relaxed);
        self.entry.idle_since.store(tick, Ordering::SeqCst);
        if self.all.awaited.load(Ordering::SeqCst) {
            self.all.slot_freed.notify_one();
        }
    }
}

/// The body of a response. Its connection is in use while it lasts.
pub(super) struct TrackedBody {
    pub body: Body,
    pub _in_use: ActiveRequest,
}

impl hyper::body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::ProxyHeader;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn connections(max: usize, max_per_address: usize) -> Arc<Connections> {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let proxies = Proxies::new(&proxies, ProxyHeader::Auto);
        Connections::new(max, max_per_address, proxies)
    }

    /// The result of `admit` if it is ready at once.
    fn try_admit(all: &Arc<Connections>, peer: IpAddr) -> Result<ConnectionPermit, &'static str> {
        match all.decide(peer) {
            Decision::Admitted(permit) => Ok(permit),
            Decision::Refused => Err("refused"),
            Decision::Waits => Err("waits"),
        }
    }

    fn is_closed(permit: &ConnectionPermit) -> bool {
        !permit
            .all
            .table()
            .groups
            .values()
            .any(|group| group.contains_key(&permit.id))
    }

    #[test]
    fn one_address_keeps_nobody_out_and_loses_its_longest_idle_one() {
        let all = connections(4, 4);
        let permits: Vec<_> = (0..4).map(|_| try_admit(&all, peer(1)).unwrap()).collect();
        drop(permits[0].begin_request());
        let _other = try_admit(&all, peer(2)).unwrap();
        let closed: Vec<_> = permits.iter().map(is_closed).collect();
        assert_eq!(closed, [false, true, false, false]);
        // The next one of address 1 costs another of its own.
        let _fifth = try_admit(&all, peer(1)).unwrap();
        assert!(is_closed(&permits[2]) && !is_closed(&permits[3]));
        assert_eq!(all.table().count, 4);
    }

    #[test]
    fn an_address_has_no_more_than_it_may() {
        let all = connections(100, 2);
        let permits: Vec<_> = (0..2).map(|_| try_admit(&all, peer(1)).unwrap()).collect();
        let in_use: Vec<_> = permits
            .iter()
            .map(ConnectionPermit::begin_request)
            .collect();
        assert_eq!(try_admit(&all, peer(1)).err(), Some("refused"));
        let _other = try_admit(&all, peer(2)).unwrap();
        drop(in_use);
        let _third = try_admit(&all, peer(1)).unwrap();
        assert!(is_closed(&permits[0]));
        // All addresses of a site count as one here, and a proxy has no limit.
        let site = |n: u128| IpAddr::from((0x2001_0db8_0001_u128 << 80 | n << 64).to_be_bytes());
        let _two: Vec<_> = (0..2)
            .map(|n| {
                let permit = try_admit(&all, site(n)).unwrap();
                std::mem::forget(permit.begin_request());
                permit
            })
            .collect();
        assert_eq!(try_admit(&all, site(2)).err(), Some("refused"));
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let _many: Vec<_> = (0..50).map(|_| try_admit(&all, proxy).unwrap()).collect();
    }

    #[test]
    fn who_has_most_makes_room_even_when_all_are_in_use() {
        let all = connections(4, 3);
        let mut permits: Vec<_> = (0..3).map(|_| try_admit(&all, peer(1)).unwrap()).collect();
        permits.push(try_admit(&all, peer(2)).unwrap());
        let in_use: Vec<_> = permits
            .iter()
            .map(ConnectionPermit::begin_request)
            .collect();
        let third = try_admit(&all, peer(3)).unwrap();
        let _in_use = third.begin_request();
        assert!(is_closed(&permits[0]) && !is_closed(&permits[3]));
        // Now no address has two more than the newcomer's would have.
        assert_eq!(try_admit(&all, peer(3)).err(), Some("refused"));
        drop(in_use);
    }

    #[tokio::test]
    async fn the_first_of_its_address_waits_among_equals() {
        let all = connections(2, 2);
        let permits: Vec<_> = (1..3).map(|n| try_admit(&all, peer(n)).unwrap()).collect();
        let mut in_use: Vec<_> = permits
            .iter()
            .map(ConnectionPermit::begin_request)
            .collect();
        assert_eq!(try_admit(&all, peer(3)).err(), Some("waits"));
        let waiting = Arc::clone(&all);
        let waiting = tokio::spawn(async move { waiting.admit(peer(3)).await.is_some() });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        in_use.pop();
        assert!(waiting.await.unwrap());
        assert!(is_closed(&permits[1]) && !is_closed(&permits[0]));
        permits[1].revoked().await;
    }

    #[test]
    fn whoever_leaves_is_forgotten() {
        let all = connections(100, 100);
        let permits: Vec<_> = (0..100)
            .map(|n| try_admit(&all, peer(n)).unwrap())
            .collect();
        drop(permits);
        assert_eq!(all.table().count, 0);
        assert!(all.table().groups.is_empty());
    }
}
