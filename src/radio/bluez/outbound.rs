//! Outbound connections: which peer to connect to, and when. These are phones that
//! advertise the service but not their number.
//!
//! An iPhone in the foreground airs the UUID alone, and its number has to be read over a
//! connection. Each read makes it take a new number. So it is read once, and for
//! [`NUMBER_LIFETIME`] every further advert under that address counts as a sighting of the
//! number read. A sender of service data is never connected to: Android's clients do not
//! answer reads.
//!
//! A connection costs: the kernel stops advert and scan while it connects. An attacker can
//! pose as a thousand iPhones. So after each connection [`PAUSE_FACTOR`] times its length
//! passes without another, failures back off, the nearest peer goes first, and the table is
//! bounded.
//!
//! Pure; times are durations on the radio's clock. Clients: tcn-client-ios ea25cb0,
//! `TCNBluetoothServiceImpl.swift`.

use std::collections::BTreeMap;
use std::time::Duration;

use bluer::Address;
use tcn_engine::backoff;
use tcn_protocol::TemporaryContactNumber;

/// How long a number read from an address counts as its number. An iPhone changes its
/// address about as often.
pub(super) const NUMBER_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Addresses remembered at once.
const MAX_PEERS: usize = 256;

/// Adverts without service data after which a sender is believed to send none.
const MIN_ADVERTS: u8 = 2;

/// A peer that was not heard for this long is gone. BlueZ forgets a device 30 s after its
/// last advert.
const PRESENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after a failure, doubled with each further one, up to [`NUMBER_LIFETIME`].
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// The shortest pause between two connections.
const MIN_PAUSE: Duration = Duration::from_secs(5);

/// After a connection, this many times its length passes without another.
const PAUSE_FACTOR: u32 = 4;

#[derive(Default)]
pub(super) struct OutboundConnections {
    peers: BTreeMap<[u8; 6], OutboundPeer>,
    /// No connection before this time.
    next_attempt: Duration,
}

#[derive(Clone, Copy)]
struct OutboundPeer {
    heard: u8,
    /// The last signal in dBm, if one was measured.
    rssi: Option<i16>,
    last: Duration,
    state: PeerState,
}

#[derive(Clone, Copy)]
enum PeerState {
    /// To be read, from this time on.
    Unread { from: Duration, failures: u32 },
    /// Its number, valid until this time.
    Read(TemporaryContactNumber, Duration),
}

impl OutboundConnections {
    /// An advert without service data. Returns the number of its sender, if it
    /// is known.
    pub(super) fn heard(
        &mut self,
        now: Duration,
        address: Address,
        rssi: Option<i16>,
    ) -> Option<TemporaryContactNumber> {
        self.expire(now);
        if !self.peers.contains_key(&address.0) {
            self.evict_one();
        }
        let peer = self.peers.entry(address.0).or_insert(OutboundPeer {
            heard: 0,
            rssi,
            last: now,
            state: PeerState::Unread {
                from: now,
                failures: 0,
            },
        });
        (peer.rssi, peer.last) = (rssi, now);
        peer.heard = peer.heard.saturating_add(1);
        match peer.state {
            PeerState::Read(tcn, _) => Some(tcn),
            PeerState::Unread { .. } => None,
        }
    }

    /// The number of a peer is known: it was read, or the peer wrote it.
    pub(super) fn learned(&mut self, now: Duration, address: Address, tcn: TemporaryContactNumber) {
        if !self.peers.contains_key(&address.0) {
            self.evict_one();
        }
        let peer = self.peers.entry(address.0).or_insert(OutboundPeer {
            heard: 0,
            rssi: None,
            last: now,
            state: PeerState::Read(tcn, now + NUMBER_LIFETIME),
        });
        peer.state = PeerState::Read(tcn, now + NUMBER_LIFETIME);
    }

    /// The last signal of this peer in dBm, if one was measured.
    pub(super) fn rssi(&self, address: Address) -> Option<i16> {
        self.peers.get(&address.0)?.rssi
    }

    /// The nearest peer to be read, if it is time for a connection.
    pub(super) fn due(&mut self, now: Duration) -> Option<Address> {
        self.expire(now);
        if now < self.next_attempt {
            return None;
        }
        let waiting = self.peers.iter().filter(|(_, peer)| peer.waits(now));
        let (address, _) = waiting.max_by_key(|(_, peer)| peer.rssi)?;
        Some(Address(*address))
    }

    /// How long until a connection may start, if a peer waits for nothing else.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let waits = self.peers.values().any(|peer| peer.waits(now));
        (waits && now < self.next_attempt).then(|| self.next_attempt - now)
    }

    /// A connection ended, after `took`.
    pub(super) fn attempt_ended(
        &mut self,
        now: Duration,
        address: Address,
        took: Duration,
        read: Option<TemporaryContactNumber>,
    ) {
        self.next_attempt = now + (took * PAUSE_FACTOR).max(MIN_PAUSE);
        if let Some(tcn) = read {
            return self.learned(now, address, tcn);
        }
        let Some(peer) = self.peers.get_mut(&address.0) else {
            return;
        };
        if let PeerState::Unread { failures, .. } = peer.state {
            let failures = failures + 1;
            let pause = backoff(FIRST_PAUSE, NUMBER_LIFETIME, failures);
            let from = now + pause;
            peer.state = PeerState::Unread { from, failures };
        }
    }

    /// Forgets peers that were read long ago, or were not heard for long.
    pub(super) fn expire(&mut self, now: Duration) {
        self.peers.retain(|_, peer| match peer.state {
            PeerState::Read(_, until) => now < until,
            PeerState::Unread { from, .. } => now < from || now < peer.last + PRESENCE_TIMEOUT,
        });
    }

    /// In a full table, drops the peer that was not read and not heard for the longest time;
    /// if all were read, the one not heard for the longest time.
    fn evict_one(&mut self) {
        if self.peers.len() < MAX_PEERS {
            return;
        }
        let worth = |peer: &OutboundPeer| (matches!(peer.state, PeerState::Read(..)), peer.last);
        let least = self.peers.iter().min_by_key(|(_, peer)| worth(peer));
        if let Some(address) = least.map(|(address, _)| *address) {
            self.peers.remove(&address);
        }
    }
}

impl OutboundPeer {
    fn waits(&self, now: Duration) -> bool {
        let ready = match self.state {
            PeerState::Unread { from, .. } => from <= now,
            PeerState::Read(..) => false,
        };
        ready && self.heard >= MIN_ADVERTS && now < self.last + PRESENCE_TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn who(number: u16) -> Address {
        let [high, low] = number.to_be_bytes();
        Address([0x40, 0, 0, 0, high, low])
    }

    fn number(byte: u8) -> TemporaryContactNumber {
        TemporaryContactNumber::from_bytes([byte; 16])
    }

    /// Heard often enough to be believed.
    fn here(outbound: &mut OutboundConnections, now: Duration, number: u16, rssi: i16) {
        for _ in 0..MIN_ADVERTS {
            outbound.heard(now, who(number), Some(rssi));
        }
    }

    #[test]
    fn a_phone_is_read_once_and_known_for_a_quarter_of_an_hour() {
        let mut outbound = OutboundConnections::default();
        assert_eq!(outbound.heard(at(0), who(1), Some(-60)), None);
        assert_eq!(outbound.due(at(0)), None, "one advert proves nothing");
        outbound.heard(at(1), who(1), Some(-60));
        assert_eq!(outbound.due(at(1)), Some(who(1)));
        outbound.attempt_ended(at(3), who(1), at(2), Some(number(7)));
        for now in [3, 100, 902] {
            assert_eq!(outbound.heard(at(now), who(1), Some(-60)), Some(number(7)));
            assert_eq!(outbound.due(at(now)), None);
        }
        assert_eq!(outbound.heard(at(903), who(1), Some(-60)), None);
        outbound.heard(at(903), who(1), Some(-60));
        assert_eq!(outbound.due(at(903)), Some(who(1)));
    }

    #[test]
    fn the_nearest_goes_first_and_who_has_left_not_at_all() {
        let mut outbound = OutboundConnections::default();
        here(&mut outbound, at(0), 1, -50);
        here(&mut outbound, at(9), 2, -80);
        here(&mut outbound, at(9), 3, -70);
        assert_eq!(outbound.due(at(9)), Some(who(1)));
        assert_eq!(outbound.due(at(10)), Some(who(3)));
        assert_eq!(outbound.due(at(19)), None);
    }

    #[test]
    fn failures_back_off_up_to_the_memory() {
        let mut outbound = OutboundConnections::default();
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..8 {
            let failed = now;
            outbound.attempt_ended(now, who(1), Duration::ZERO, None);
            while outbound.due(now).is_none() {
                now += at(1);
                here(&mut outbound, now, 1, -60);
            }
            pauses.push((now - failed).as_secs());
        }
        assert_eq!(pauses, [5, 30, 60, 120, 240, 480, 900, 900]);
    }

    #[test]
    fn visits_take_a_fifth_of_the_time_at_most() {
        let mut outbound = OutboundConnections::default();
        here(&mut outbound, at(0), 1, -60);
        here(&mut outbound, at(0), 2, -60);
        let first = outbound.due(at(0)).unwrap();
        outbound.attempt_ended(at(2), first, at(2), Some(number(1)));
        assert_eq!(outbound.due(at(2)), None);
        assert_eq!(outbound.wait(at(2)), Some(at(8)));
        here(&mut outbound, at(10), 3, -60);
        assert_eq!(outbound.wait(at(10)), None);
        assert!(outbound.due(at(10)).is_some());
    }

    #[test]
    fn who_wrote_its_number_is_not_visited() {
        let mut outbound = OutboundConnections::default();
        outbound.learned(at(0), who(1), number(9));
        here(&mut outbound, at(1), 1, -60);
        assert_eq!(outbound.due(at(1)), None);
        assert_eq!(outbound.heard(at(2), who(1), Some(-60)), Some(number(9)));
    }

    #[test]
    fn a_crowd_of_pretenders_is_bounded_and_costs_no_number_that_was_read() {
        let mut outbound = OutboundConnections::default();
        outbound.learned(at(0), who(0), number(9));
        for pretender in 1..5000 {
            here(&mut outbound, at(1), pretender, -40);
            assert!(outbound.peers.len() <= MAX_PEERS);
        }
        assert_eq!(outbound.heard(at(2), who(0), Some(-90)), Some(number(9)));
    }
}
