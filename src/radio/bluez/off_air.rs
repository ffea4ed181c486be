//! How long none of our frames has been on the air, where the controller makes the
//! resolvable private addresses itself (LL Privacy).
//!
//! Since Linux 6.14 such a controller changes them by a timer of its own. All adverts share
//! one address, connectable or not, whatever is registered, and the change is not reported.
//! Only the timeout is known: an address lives no longer than it. So that no address belongs
//! to two numbers, nothing is advertised between two epochs for longer than an address can
//! live. Within an epoch the address may change: a number may have several.
//!
//! Scanning goes on in between, since it uses the host's address towards every device that
//! the machine does not know. The kernel keeps that address for the same timeout, from when
//! it was programmed. An epoch restarts its scan before it airs anything, and by then the
//! timeout has passed since the epoch before. So the address in use has expired and is
//! replaced, or it was programmed after that epoch and never belonged to a number.
//!
//! Times are durations on a clock that stops in suspend. A controller whose timer goes on in
//! suspend only has a new address sooner.
//!
//! Core Specification: Vol 4 Part E 7.8.45, `LE Set Resolvable Private Address Timeout`;
//! Vol 6 Part B 6. Kernel: net/bluetooth/hci_sync.c, `hci_setup_ext_adv_instance_sync`,
//! `hci_le_set_rpa_timeout_sync`.

use std::time::Duration;

use tcnd_rpa_timeout::longest_life;

/// The timer by which a controller changes its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressTimer {
    /// The longest life of an address, apart from the lateness of timers.
    pub(super) timeout: Duration,
    /// An address made by an earlier timeout may live until this time.
    pub(super) certain_from: Duration,
}

impl AddressTimer {
    /// The default of the kernel, unless root set another. Kernel:
    /// include/net/bluetooth/hci.h, `HCI_DEFAULT_RPA_TIMEOUT`.
    pub(super) const KERNEL_DEFAULT: Self = Self {
        timeout: Duration::from_secs(900),
        certain_from: Duration::ZERO,
    };

    /// The pause between two numbers.
    pub(super) fn pause(self) -> Duration {
        longest_life(self.timeout)
    }

    /// How much of it counts as handover. A longer silence is a problem, since the machine is
    /// off the air for much of the time.
    pub(super) fn handover(self) -> Duration {
        self.pause().min(Duration::from_secs(6 * 60))
    }
}

/// When one of our frames was last on the air, or may have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffAir {
    last: Duration,
}

impl OffAir {
    /// Nothing is known: a number of an earlier process may have been on the air until now.
    pub(super) fn new(now: Duration) -> Self {
        Self { last: now }
    }

    /// One of our frames is on the air, or may be.
    pub(super) fn airing(&mut self, now: Duration) {
        self.last = self.last.max(now);
    }

    /// How long until every address that belonged to a number has expired.
    pub(super) fn wait(self, timer: AddressTimer, now: Duration) -> Duration {
        let expired_by = (self.last + timer.pause()).max(timer.certain_from);
        expired_by.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);
    const TIMER: AddressTimer = AddressTimer {
        timeout: TIMEOUT,
        certain_from: Duration::ZERO,
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_a_start_and_after_an_epoch_an_address_is_outlived() {
        let mut off_air = OffAir::new(at(10));
        assert_eq!(off_air.wait(TIMER, at(10)), TIMER.pause());
        assert!(TIMER.pause() > TIMEOUT + TIMEOUT / 8);
        assert_eq!(off_air.wait(TIMER, at(79)), at(0));
        off_air.airing(at(900));
        assert_eq!(off_air.wait(TIMER, at(910)), TIMER.pause() - at(10));
        off_air.airing(at(800));
        assert_eq!(off_air.wait(TIMER, at(969)), at(0));
    }

    #[test]
    fn an_address_made_by_an_earlier_timeout_is_outlived_too() {
        let timer = AddressTimer {
            certain_from: at(1029),
            ..TIMER
        };
        let mut off_air = OffAir::new(at(0));
        assert_eq!(off_air.wait(timer, at(100)), at(929));
        off_air.airing(at(1020));
        assert_eq!(off_air.wait(timer, at(1029)), TIMER.pause() - at(9));
    }

    /// When each address of a controller was made whose timer runs on, whatever is advertised.
    /// It may make one early, and be late by an eighth.
    fn made(lives: &[u64], first: Duration) -> Vec<Duration> {
        let mut made = vec![Duration::ZERO, first];
        for thousandths in lives {
            let life = TIMEOUT * u32::try_from(*thousandths).unwrap() / 1000;
            made.push(*made.last().unwrap() + life);
        }
        made
    }

    proptest! {
        /// Whatever is aired and for how long, and however often tcnd restarts, no address
        /// belongs to two numbers.
        #[test]
        fn no_address_goes_with_two_numbers(
            old_life in 1_u64..1030,
            lives in prop::collection::vec(200_u64..1126, 600),
            epochs in prop::collection::vec((0_u64..100, 1_u64..200, any::<bool>()), 1..15)
        ) {
            // The first address was made by an earlier timeout.
            let made = made(&lives, at(old_life));
            let address = |now| made.iter().rposition(|made| *made <= now).unwrap();
            let timer = AddressTimer { certain_from: at(1030), ..TIMER };
            // A number of an earlier start was there until now.
            let (mut now, mut off_air) = (at(5), OffAir::new(at(5)));
            let mut last = address(now);
            for (pause, airs, restarts) in epochs {
                now += at(pause);
                if restarts {
                    off_air = OffAir::new(now);
                }
                now += off_air.wait(timer, now);
                prop_assert!(address(now) > last, "{} at {now:?}", last);
                now += at(airs);
                off_air.airing(now);
                last = address(now);
            }
        }
    }
}
