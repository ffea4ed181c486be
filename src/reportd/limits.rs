//! How many uploads are taken: of one address, and of all together.
//!
//! Addresses are counted in memory alone, and forgotten as soon as they could
//! send their full burst again. IPv6 is counted by /64, which is what one
//! household has. At most [`MOST_ADDRESSES`] are remembered; while that many
//! are, one more is refused.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Addresses remembered, some 100 bytes each.
pub(super) const MOST_ADDRESSES: usize = 65_536;

/// How many uploads are taken.
pub(super) struct Limits {
    all: DefaultDirectRateLimiter,
    each: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    clock: DefaultClock,
    most: usize,
}

impl Limits {
    /// So many a second in all, so many a minute of one address; at once four
    /// times as many in all, and of one address what comes in a quarter of an
    /// hour.
    pub(super) fn new(per_second: NonZeroU32, per_minute: NonZeroU32) -> Self {
        Self::remembering(MOST_ADDRESSES, per_second, per_minute)
    }

    fn remembering(most: usize, per_second: NonZeroU32, per_minute: NonZeroU32) -> Self {
        let all = Quota::per_second(per_second).allow_burst(times(per_second, 4));
        let each = Quota::per_minute(per_minute).allow_burst(times(per_minute, 15));
        Self {
            all: RateLimiter::direct(all),
            each: RateLimiter::hashmap(each),
            clock: DefaultClock::default(),
            most,
        }
    }

    /// Counts an upload.
    ///
    /// # Errors
    /// How long to wait if it is one too many.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        let now = || self.clock.now();
        if let Err(until) = self.all.check() {
            return Err(until.wait_time_from(now()));
        }
        if self.each.len() >= self.most {
            self.each.retain_recent();
            if self.each.len() >= self.most {
                return Err(Duration::from_secs(60));
            }
        }
        let checked = self.each.check_key(&household(address));
        checked.map_err(|until| until.wait_time_from(now()))
    }

    /// Forgets addresses that have sent nothing for long enough.
    pub(super) fn forget(&self) {
        self.each.retain_recent();
        self.each.shrink_to_fit();
    }
}

fn times(rate: NonZeroU32, factor: u32) -> NonZeroU32 {
    rate.saturating_mul(NonZeroU32::new(factor).unwrap_or(NonZeroU32::MIN))
}

/// What is counted as one.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn one_address_has_its_burst_and_then_waits() {
        let limits = Limits::new(NonZeroU32::MAX, ONE);
        for _ in 0..15 {
            limits.admit(address(1)).unwrap();
        }
        let wait = limits.admit(address(1)).unwrap_err();
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60));
        limits.admit(address(2)).unwrap();
    }

    #[test]
    fn all_together_have_theirs() {
        let limits = Limits::new(ONE, NonZeroU32::MAX);
        for n in 0..4 {
            limits.admit(address(n)).unwrap();
        }
        assert!(limits.admit(address(4)).unwrap_err() <= Duration::from_secs(1));
    }

    #[test]
    fn no_more_addresses_are_remembered_than_fit() {
        let limits = Limits::remembering(3, NonZeroU32::MAX, ONE);
        for n in 0..3 {
            limits.admit(address(n)).unwrap();
        }
        assert_eq!(limits.admit(address(3)), Err(Duration::from_secs(60)));
        limits.forget();
        assert_eq!(limits.each.len(), 3, "none of them has its burst back");
    }

    #[test]
    fn a_household_is_one() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            household(ip("2001:db8::1")),
            household(ip("2001:db8::2:0:0:9"))
        );
        assert_ne!(
            household(ip("2001:db8::1")),
            household(ip("2001:db8:0:1::1"))
        );
        assert_eq!(household(ip("::ffff:192.0.2.1")), address(1));
    }
}
