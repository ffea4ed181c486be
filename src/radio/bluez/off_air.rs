//! How long nothing of ours has been on the air, where the controller makes the
//! resolvable private addresses itself (LL Privacy).
//!
//! Since Linux 6.14 such a controller makes them by a timer of its own. All
//! adverts share one address, connectable or not, whatever is registered
//! meanwhile, and nobody is told when it changes. What is known is the timeout:
//! an address lives for no longer. So that no address goes with two numbers,
//! nothing of ours is advertised between two epochs for longer than an address
//! can live. Within an epoch the address may change: a number may have several.
//!
//! Listening goes on in between, for it has the host's address towards everybody
//! whom the machine does not know. The kernel keeps that one for the same timeout
//! from when it was programmed. An epoch stops and starts its scan before it
//! airs anything, and by then the timeout has passed since the epoch before: the
//! address in use has expired and is replaced, or was programmed after that epoch
//! and never went with a number.
//!
//! Times are since some moment, on a clock that stands still in suspend. A
//! controller whose timer goes on meanwhile has a new address all the sooner.
//!
//! Core Specification: Vol 4 Part E 7.8.45, `LE Set Resolvable Private Address
//! Timeout`; Vol 6 Part B 6. Kernel: net/bluetooth/hci_sync.c,
//! `hci_setup_ext_adv_instance_sync`, `hci_le_set_rpa_timeout_sync`.

use std::time::Duration;

use tcnd_rpa_timeout::longest_life;

/// The timer by which a controller makes its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressTimer {
    /// An address lives for no longer, but for how late a timer may be.
    pub(super) timeout: Duration,
    /// One that was made before may live until then.
    pub(super) certain_from: Duration,
}

impl AddressTimer {
    /// What a controller goes by unless root set another. Kernel:
    /// include/net/bluetooth/hci.h, `HCI_DEFAULT_RPA_TIMEOUT`.
    pub(super) const KERNEL_DEFAULT: Self = Self {
        timeout: Duration::from_secs(900),
        certain_from: Duration::ZERO,
    };

    /// The pause between two numbers.
    pub(super) fn pause(self) -> Duration {
        longest_life(self.timeout)
    }

    /// How much of it belongs to the handover. A longer silence is a trouble: much
    /// of the time nobody hears the machine.
    pub(super) fn handover(self) -> Duration {
        self.pause().min(Duration::from_secs(6 * 60))
    }
}

/// When something of ours was on the air last, or may have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffAir {
    last: Duration,
}

impl OffAir {
    /// Nothing is known: a number of an earlier start may have been there until
    /// now.
    pub(super) fn new(now: Duration) -> Self {
        Self { last: now }
    }

    /// Something of ours is on the air, or may be.
    pub(super) fn airing(&mut self, now: Duration) {
        self.last = self.last.max(now);
    }

    /// How long until no address lives any more that went with a number.
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

    /// A controller whose timer runs on, whatever is advertised: when each of its
    /// addresses was made. It may make one early, and be late by an eighth.
    fn made(lives: &[u64], first: Duration) -> Vec<Duration> {
        let mut made = vec![Duration::ZERO, first];
        for thousandths in lives {
            let life = TIMEOUT * u32::try_from(*thousandths).unwrap() / 1000;
            made.push(*made.last().unwrap() + life);
        }
        made
    }

    proptest! {
        /// Whatever is aired and for how long, and however often tcnd starts anew,
        /// no address goes with two numbers.
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
