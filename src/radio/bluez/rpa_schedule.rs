//! When a controller with privacy has another address than before.
//!
//! The kernel makes a resolvable private address and programs it when a scan
//! begins (or, on a legacy controller, an advert), if the one before has expired.
//! It then keeps it for its timeout, whatever is registered meanwhile. On an
//! extended controller scanning and connecting go by it, and adverts have
//! addresses of their own; on a legacy one it is the only address there is.
//! Nobody tells which it is. But an epoch of ours begins by the very call that
//! programs a new one, if the old one was sure to have expired, so it is known
//! when that was.
//!
//! So an epoch ends, with its scan and its advert, before the address can
//! expire: past that, any pause in the kernel would move it to the next address,
//! which would last into the next epoch. And what goes with another number
//! begins only after the address has expired for sure.
//!
//! This holds while no other program scans: [`super::task`] looks for that.
//! Times are since some moment, on a clock that stands still in suspend, as the
//! kernel's timers do.
//!
//! Kernel: net/bluetooth/hci_sync.c, `hci_update_random_address_sync`,
//! `rpa_valid`; hci_event.c, `hci_cc_le_set_random_addr`, which sets the timer;
//! hci_sync.c, `hci_dev_open_sync`, which expires every address at power-on.

use std::time::Duration;

/// How long before it can expire an epoch has to end: listening and whoever is
/// connected take some seconds to stop.
pub(super) const EPOCH_MARGIN: Duration = Duration::from_secs(10);

/// What is known of the address in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RpaSchedule {
    timeout: Duration,
    /// It was programmed between the two; the first is none if nobody knows,
    /// the second if it has expired for sure.
    earliest: Option<Duration>,
    latest: Option<Duration>,
    /// It went with a number of ours, or may have.
    used: bool,
}

impl RpaSchedule {
    /// Nothing is known: a number of an earlier start may have had it.
    pub(super) fn new(timeout: Duration, now: Duration) -> Self {
        Self {
            timeout,
            earliest: None,
            latest: Some(now),
            used: true,
        }
    }

    /// The controller was switched off, and has a new address when it is on.
    pub(super) fn powered_off(&mut self) {
        *self = Self {
            earliest: None,
            latest: None,
            used: false,
            ..*self
        };
    }

    /// What goes with a number of ours began by a call between these times,
    /// while nothing of ours was on the air or only the same number.
    pub(super) fn began(&mut self, from: Duration, to: Duration) {
        self.used = true;
        if self.expired_by() <= from {
            (self.earliest, self.latest) = (Some(from), Some(to));
        } else if self.end().is_none_or(|end| end < to) {
            self.latest = Some(to);
        }
    }

    /// How long until what begins has another address than the number before.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        if self.used {
            self.expired_by().saturating_sub(now)
        } else {
            Duration::ZERO
        }
    }

    /// How long the epoch that began last may go on; none if it may not, for
    /// nobody knows how old the address is.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        self.end()?.checked_sub(now).filter(|left| !left.is_zero())
    }

    fn end(&self) -> Option<Duration> {
        (self.earliest? + self.timeout).checked_sub(EPOCH_MARGIN)
    }

    fn expired_by(&self) -> Duration {
        let latest = self
            .latest
            .map(|latest| latest + self.timeout + late(self.timeout));
        latest.unwrap_or_default()
    }
}

/// How late the kernel's timer of so long may be. Its wheel is the coarser the
/// longer it waits: an eighth of the time and a little.
///
/// Kernel: kernel/time/timer.c, on the granularity of the timer wheel.
fn late(timeout: Duration) -> Duration {
    timeout / 7
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
    fn the_first_epoch_after_a_start_waits_for_the_timeout() {
        let mut rpa_schedule = RpaSchedule::new(TIMEOUT, at(10));
        assert_eq!(rpa_schedule.wait(at(10)), TIMEOUT + late(TIMEOUT));
        assert_eq!(rpa_schedule.left(at(10)), None);
        assert_eq!(rpa_schedule.wait(at(1039)), at(0));
        rpa_schedule.began(at(1039), at(1040));
        assert_eq!(rpa_schedule.left(at(1040)), Some(at(889)));
        assert_eq!(rpa_schedule.wait(at(1040)), TIMEOUT + late(TIMEOUT));
        assert_eq!(rpa_schedule.left(at(1929)), None);
    }

    #[test]
    fn nothing_waits_after_the_controller_was_switched_off() {
        let mut rpa_schedule = RpaSchedule::new(TIMEOUT, at(10));
        rpa_schedule.powered_off();
        assert_eq!(rpa_schedule.wait(at(11)), at(0));
        rpa_schedule.began(at(11), at(12));
        assert_eq!(rpa_schedule.wait(at(12)), TIMEOUT + late(TIMEOUT));
        assert_eq!(rpa_schedule.left(at(12)), Some(at(889)));
    }

    #[test]
    fn what_begins_again_within_its_epoch_changes_nothing() {
        let mut rpa_schedule = RpaSchedule::new(TIMEOUT, at(0));
        rpa_schedule.began(at(1100), at(1101));
        let before = rpa_schedule;
        rpa_schedule.began(at(1900), at(1901));
        assert_eq!(rpa_schedule, before);
        rpa_schedule.began(at(1999), at(2000));
        let anew = TIMEOUT + late(TIMEOUT);
        assert_eq!(rpa_schedule.wait(at(2000)), anew, "it may be a new one");
    }

    /// The kernel, to the letter: an address is programmed when something
    /// begins, or is resumed after a pause, while the one before has expired.
    #[derive(Default)]
    struct Kernel {
        address: u64,
        programmed: Option<Duration>,
        /// Its timers are late by this, in thousandths of the time.
        late: u32,
    }

    impl Kernel {
        fn begin(&mut self, now: Duration) -> u64 {
            let expires = |at: Duration| at + TIMEOUT + TIMEOUT * self.late / 1000;
            if self.programmed.is_none_or(|at| now >= expires(at)) {
                self.address += 1;
                self.programmed = Some(now);
            }
            self.address
        }
    }

    proptest! {
        /// Whatever pauses and resumes within an epoch, no two share an address.
        #[test]
        fn no_two_numbers_share_an_address(
            start in 0_u64..2000,
            late in 0_u32..126,
            steps in prop::collection::vec((0_u64..1200, 0_u8..5), 1..80)
        ) {
            let mut kernel = Kernel { late, ..Kernel::default() };
            // A number of an earlier start had it, for whatever time.
            let mut last = kernel.begin(at(0));
            let mut now = at(start);
            let mut rpa_schedule = RpaSchedule::new(TIMEOUT, now);
            let mut airing = false;
            for (pause, what) in steps {
                if airing {
                    // It goes on for no longer than it may, and takes up to
                    // LEAVING to leave; the kernel pauses it at any time.
                    let left = rpa_schedule.left(now).unwrap_or_default();
                    now += at(pause).min(left);
                    prop_assert_eq!(kernel.begin(now), last);
                    if what == 0 {
                        continue;
                    }
                    now += EPOCH_MARGIN - at(1);
                    prop_assert_eq!(kernel.begin(now), last);
                    airing = false;
                } else {
                    now += at(pause);
                }
                if what > 2 {
                    now += rpa_schedule.wait(now);
                    let address = kernel.begin(now + Duration::from_millis(50));
                    prop_assert_ne!(address, last);
                    rpa_schedule.began(now, now + Duration::from_millis(100));
                    last = address;
                    airing = true;
                }
            }
        }
    }
}
