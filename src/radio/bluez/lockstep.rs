//! When a controller with privacy has another address than before.
//!
//! The kernel makes a resolvable private address, programs it while nothing is
//! on the air, and keeps it for its timeout, whatever is registered meanwhile.
//! On an extended controller scanning asks under it, and adverts have addresses
//! of their own; on a legacy one it is the only address there is. Nobody tells
//! which it is, nor when it was programmed. What is known: it is programmed when
//! a scan (or, on a legacy controller, an advert) begins and the one before has
//! expired. So what begins later than the timeout after the last beginning that
//! can have programmed one has a new one; and with another number nothing
//! begins before that.
//!
//! Times are since some moment, on a clock that stands still in suspend, as the
//! kernel's timers do.
//!
//! Kernel: net/bluetooth/hci_sync.c, `hci_update_random_address_sync`,
//! `rpa_valid`; hci_event.c, `hci_cc_le_set_random_addr`, which sets the timer;
//! hci_sync.c, `hci_dev_open_sync`, which expires every address at power-on.

use std::time::Duration;

/// What timers and calls may be late by.
const MARGIN: Duration = Duration::from_secs(2);

/// What is known of the address in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lockstep {
    timeout: Duration,
    /// It was not programmed before; none if nobody knows.
    earliest: Option<Duration>,
    /// It was not programmed after; none if it has expired for sure.
    latest: Option<Duration>,
    /// When our last advert left the air; while it was there, nothing could be
    /// programmed.
    off: Option<Duration>,
    /// A number of ours was on the air under it, or may have been.
    used: bool,
}

impl Lockstep {
    /// Nothing is known: a number of an earlier start may have had it.
    pub(super) fn new(timeout: Duration, now: Duration) -> Self {
        Self {
            timeout,
            earliest: None,
            latest: Some(now),
            off: None,
            used: true,
        }
    }

    /// Our advert has left the air.
    pub(super) fn off_air(&mut self, now: Duration) {
        self.off = Some(now);
    }

    /// The controller was switched off, and has a new address when it is on.
    pub(super) fn powered_off(&mut self, now: Duration) {
        *self = Self {
            earliest: None,
            latest: None,
            off: Some(now),
            used: false,
            ..*self
        };
    }

    /// What goes with a number of ours and is done under this address has begun,
    /// while no advert was on the air.
    pub(super) fn began(&mut self, now: Duration) {
        self.used = true;
        if self.is_settled(now) {
            return;
        }
        if now >= self.expired_by() {
            // A new one; perhaps programmed before, by somebody's scan.
            self.earliest = self.off;
        }
        self.latest = Some(now);
    }

    /// How long until what begins has another address than the number before.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        if self.used {
            self.expired_by().saturating_sub(now)
        } else {
            Duration::ZERO
        }
    }

    /// Whether the address cannot change now, so that the same number may be
    /// registered again without one.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        self.earliest
            .is_some_and(|earliest| now + MARGIN < earliest + self.timeout)
    }

    fn expired_by(&self) -> Duration {
        let latest = self.latest.map(|latest| latest + self.timeout + MARGIN);
        latest.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(900);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_number_after_a_start_waits_for_the_timeout() {
        let mut lockstep = Lockstep::new(TIMEOUT, at(10));
        assert_eq!(lockstep.wait(at(10)), at(902));
        assert_eq!(lockstep.wait(at(912)), at(0));
        lockstep.began(at(912));
        assert_eq!(lockstep.wait(at(912)), at(902));
    }

    #[test]
    fn nothing_waits_after_the_controller_was_switched_off() {
        let mut lockstep = Lockstep::new(TIMEOUT, at(10));
        lockstep.powered_off(at(10));
        assert_eq!(lockstep.wait(at(11)), at(0));
        lockstep.began(at(11));
        assert_eq!(lockstep.wait(at(11)), at(902));
    }

    #[test]
    fn a_number_registered_again_while_the_address_is_settled_delays_nothing() {
        let mut lockstep = Lockstep::new(TIMEOUT, at(0));
        lockstep.began(at(1000));
        assert!(!lockstep.is_settled(at(1001)), "it may be older");
        lockstep.off_air(at(1990));
        lockstep.began(at(1991));
        assert!(lockstep.is_settled(at(2880)) && !lockstep.is_settled(at(2889)));
        lockstep.off_air(at(2880));
        lockstep.began(at(2880));
        assert_eq!(lockstep.wait(at(2880)), at(13));
        lockstep.off_air(at(2889));
        lockstep.began(at(2889));
        assert_eq!(lockstep.wait(at(2889)), at(902));
    }

    /// The kernel, to the letter: an address is programmed when something
    /// begins while the one before has expired and no advert is on the air.
    #[derive(Default)]
    struct Kernel {
        address: u64,
        programmed: Option<Duration>,
        airing: bool,
    }

    impl Kernel {
        fn begin(&mut self, now: Duration) -> u64 {
            if !self.airing && self.programmed.is_none_or(|at| now >= at + TIMEOUT) {
                self.address += 1;
                self.programmed = Some(now);
            }
            self.address
        }
    }

    proptest! {
        /// Whatever scans in between, no two numbers share an address, and a
        /// number registered again while it is settled keeps its own.
        #[test]
        fn no_two_numbers_share_an_address(
            steps in prop::collection::vec((0_u64..1000, 0_u8..4), 1..80)
        ) {
            let (mut kernel, mut now) = (Kernel::default(), at(0));
            // A number of an earlier start.
            let mut last = kernel.begin(now);
            let mut lockstep = Lockstep::new(TIMEOUT, now);
            let register = |kernel: &mut Kernel, lockstep: &mut Lockstep, now: Duration| {
                let address = kernel.begin(now);
                kernel.airing = true;
                lockstep.began(now + Duration::from_millis(900));
                address
            };
            for (pause, what) in steps {
                now += at(pause);
                let again = what == 1 && kernel.airing && lockstep.is_settled(now);
                if what == 0 {
                    kernel.begin(now); // somebody's scan
                    continue;
                }
                if std::mem::take(&mut kernel.airing) {
                    lockstep.off_air(now);
                }
                if again {
                    prop_assert_eq!(register(&mut kernel, &mut lockstep, now), last);
                } else if what == 3 {
                    let until = now + lockstep.wait(now);
                    while now < until {
                        now = until.min(now + at(300)); // our own scan meanwhile
                        kernel.begin(now);
                    }
                    let address = register(&mut kernel, &mut lockstep, now);
                    prop_assert_ne!(address, last);
                    last = address;
                }
            }
        }
    }
}
