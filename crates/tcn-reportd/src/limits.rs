//! Limits of uploads: of one sender, of one site, and of all together; and how many of
//! one sender may be under way.
//!
//! An upload is counted by all limits or by none. So a refused upload costs no sender
//! anything, and a sender over its own limit never uses up the share of others. No
//! household gets more than a quarter of the total rate, and no site more than half,
//! whatever the settings say.
//!
//! The rates are kept by GCRA (ATM Forum TM 4.1, 4.4.2): each counter is the time at
//! which it will be empty again. No crate is used for this, since one that does the
//! same charges one limit before it asks the next. Counters are kept in tables of a
//! fixed size and found by a keyed hash. So memory is fixed, no sender is refused
//! because others fill a table, and no address is kept at all. Two senders share a
//! counter once in [`HOUSEHOLDS`].

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sender::Sender;

/// Counters of senders, 2 MiB.
const HOUSEHOLDS: usize = 1 << 18;

/// Counters of sites, half a MiB.
const SITES: usize = 1 << 16;

/// Uploads of one sender that may be under way at a time, so that one sender cannot
/// fill the queue of the writer.
const MAX_IN_FLIGHT: u32 = 256;

/// The limits of uploads.
pub(super) struct Limits {
    all: Rate,
    each: Rate,
    site: Rate,
    hash: RandomState,
    counters: Mutex<Counters>,
}

/// Times are in nanoseconds since the machine's start.
struct Counters {
    all: u64,
    households: Box<[u64]>,
    sites: Box<[u64]>,
    /// Uploads under way by household; only households that have some.
    in_flight: BTreeMap<usize, u32>,
    /// Until when the last refusal by the limit for all lasts.
    exhausted_until: u64,
}

/// An upload that was admitted. It is under way until this is dropped.
pub(super) struct InFlight<'a> {
    limits: &'a Limits,
    household: usize,
}

impl Limits {
    /// At most `per_second` uploads in all, and `per_minute` of one sender. At once:
    /// four times `per_second` in all, and of one sender as many as may come in a
    /// quarter of an hour.
    pub(super) fn new(per_second: NonZeroU32, per_minute: NonZeroU32) -> Self {
        let (all, each) = (u64::from(per_second.get()), u64::from(per_minute.get()));
        let share = |times: u64, divisor: u64| Rate {
            every: MINUTE / (each * times).min(60 * all / divisor).max(1),
            burst: (15 * each * times).min(4 * all / divisor).max(1),
        };
        let counters = Counters {
            all: 0,
            households: vec![0; HOUSEHOLDS].into(),
            sites: vec![0; SITES].into(),
            in_flight: BTreeMap::new(),
            exhausted_until: 0,
        };
        Self {
            all: Rate {
                every: MINUTE / (60 * all),
                burst: 4 * all,
            },
            each: share(1, 4),
            site: share(4, 2),
            hash: RandomState::new(),
            counters: Mutex::new(counters),
        }
    }

    /// Counts an upload at `now`, the time since the machine's start.
    ///
    /// # Errors
    /// How long to wait if the upload is over a limit.
    pub(super) fn admit(&self, sender: Sender, now: Duration) -> Result<InFlight<'_>, Duration> {
        let now = nanoseconds(now);
        let household = self.slot(sender.household(), HOUSEHOLDS);
        let site = sender.site().map(|site| self.slot(site, SITES));
        let mut counters = self.counters();
        if counters.in_flight.get(&household) >= Some(&MAX_IN_FLIGHT) {
            return Err(Duration::from_secs(1));
        }
        let own = self.each.count(counters.households[household], now)?;
        let of_site = match site {
            Some(site) => Some((site, self.site.count(counters.sites[site], now)?)),
            None => None,
        };
        let all = self.all.count(counters.all, now).inspect_err(|wait| {
            counters.exhausted_until = now.saturating_add(nanoseconds(*wait));
        })?;
        counters.all = all;
        counters.households[household] = own;
        if let Some((site, count)) = of_site {
            counters.sites[site] = count;
        }
        *counters.in_flight.entry(household).or_default() += 1;
        Ok(InFlight {
            limits: self,
            household,
        })
    }

    /// Whether an upload of any sender would be over the limit for all.
    pub(super) fn are_exhausted(&self, now: Duration) -> bool {
        nanoseconds(now) < self.counters().exhausted_until
    }

    fn slot(&self, sender: Sender, slots: usize) -> usize {
        let hash = self.hash.hash_one(sender);
        usize::try_from(hash % slots as u64).unwrap_or(0)
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut counters = self.limits.counters();
        if let Some(count) = counters.in_flight.get_mut(&self.household) {
            *count -= 1;
            if *count == 0 {
                counters.in_flight.remove(&self.household);
            }
        }
    }
}

const MINUTE: u64 = 60_000_000_000;

/// One upload per this number of nanoseconds, and a number allowed at once.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    every: u64,
    burst: u64,
}

impl Rate {
    /// One upload per `every`, `burst` of them at once.
    pub(super) fn new(every: Duration, burst: u64) -> Self {
        let every = nanoseconds(every);
        Self { every, burst }
    }

    /// The counter after one more upload.
    ///
    /// # Errors
    /// How long to wait until the upload may be counted.
    pub(super) fn count(self, counter: u64, now: u64) -> Result<u64, Duration> {
        let counter = counter.max(now);
        let ahead = (counter - now).saturating_sub(self.every * (self.burst - 1));
        if ahead == 0 {
            Ok(counter + self.every)
        } else {
            Err(Duration::from_nanos(ahead))
        }
    }
}

/// A duration in the unit of the counters.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;
    const START: Duration = Duration::from_secs(1000);

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn address(n: u32) -> Sender {
        Sender::Address(IpAddr::from(n.to_be_bytes()))
    }

    fn network(high: u64) -> Sender {
        let bits = 0x2001_0db8_u128 << 96 | u128::from(high) << 64 | 1;
        Sender::Address(IpAddr::from(bits.to_be_bytes()))
    }

    fn admitted(limits: &Limits, sender: Sender, tries: u32, now: Duration) -> u32 {
        let admit = |_| u32::from(limits.admit(sender, now).is_ok());
        (0..tries).map(admit).sum()
    }

    #[test]
    fn one_address_has_its_burst_and_then_waits() {
        let limits = Limits::new(number(1000), ONE);
        assert_eq!(admitted(&limits, address(1), 99, START), 15);
        let wait = limits.admit(address(1), START).err().unwrap();
        assert_eq!(wait, Duration::from_secs(60));
        assert_eq!(admitted(&limits, address(2), 1, START), 1);
        let later = START + wait;
        assert_eq!(admitted(&limits, address(1), 9, later), 1);
    }

    #[test]
    fn all_together_have_theirs() {
        let limits = Limits::new(ONE, number(u32::MAX));
        let admit = |n| limits.admit(address(n), START).is_ok();
        assert_eq!((0..9).filter(|n| admit(*n)).count(), 4);
        assert!(limits.are_exhausted(START));
        let wait = limits.admit(address(9), START).err().unwrap();
        assert_eq!(wait, Duration::from_secs(1));
        assert!(!limits.are_exhausted(START + wait));
        assert_eq!(admitted(&limits, address(9), 1, START + wait), 1);
    }

    /// Refused uploads of one sender leave the share of others untouched, for any
    /// settings.
    #[test]
    fn a_flood_of_one_address_costs_nobody_an_upload() {
        for (per_second, per_minute) in [(1000, 20), (2, 1000), (1000, u32::MAX), (8, 1)] {
            let limits = Limits::new(number(per_second), number(per_minute));
            let mut refused = 0;
            for second in 0..60 {
                let now = START + Duration::from_secs(second);
                admitted(&limits, address(0), 20_000, now);
                admitted(&limits, network(7), 20_000, now);
                // An honest upload each second, each from a new address.
                let honest = address(1 + u32::try_from(second).unwrap());
                refused += 1 - admitted(&limits, honest, 1, now);
            }
            assert_eq!(refused, 0, "{per_second} {per_minute}");
        }
    }

    #[test]
    fn what_is_refused_is_counted_by_no_limit() {
        let limits = Limits::new(ONE, number(60));
        for n in 0..4 {
            limits.admit(address(n), START).unwrap();
        }
        // Now the limit for all refuses, and that costs address 9 nothing.
        assert_eq!(admitted(&limits, address(9), 1000, START), 0);
        let later = START + Duration::from_secs(1);
        assert_eq!(admitted(&limits, address(9), 1, later), 1);
    }

    #[test]
    fn a_site_has_four_times_what_a_household_has() {
        let limits = Limits::new(number(1000), number(20));
        let mut taken = 0;
        for household in 0..1000 {
            taken += admitted(&limits, network(household), 10, START);
        }
        assert_eq!(taken, 1200);
        let another = network(1 << 16);
        assert_eq!(admitted(&limits, another, 301, START), 300);
    }

    #[test]
    fn a_flood_of_addresses_fills_no_table() {
        let limits = Limits::new(number(1_000_000), number(20));
        for n in 0..300_000 {
            assert_eq!(admitted(&limits, address(n), 1, START), 1, "{n}");
        }
        let (households, sites) = (HOUSEHOLDS, SITES);
        assert_eq!(limits.counters().households.len(), households);
        assert_eq!(limits.counters().sites.len(), sites);
    }

    #[test]
    fn only_so_many_of_one_sender_are_under_way() {
        let limits = Limits::new(number(u32::MAX), number(u32::MAX));
        let mut in_flight: Vec<_> = (0..MAX_IN_FLIGHT)
            .map(|_| limits.admit(address(1), START).ok().unwrap())
            .collect();
        assert!(limits.admit(address(1), START).is_err());
        in_flight.push(limits.admit(address(2), START).ok().unwrap());
        in_flight.remove(0);
        in_flight.push(limits.admit(address(1), START).ok().unwrap());
        drop(in_flight);
        assert!(limits.counters().in_flight.is_empty());
    }
}
