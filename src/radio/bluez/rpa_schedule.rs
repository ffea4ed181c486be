//! When a controller with privacy has another resolvable private address (RPA) than before.
//!
//! The kernel makes an RPA and programs it when a scan starts (or, on a legacy controller,
//! an advert), if the previous one has expired. It then keeps it for its timeout, whatever
//! is registered. On an extended controller scanning and connecting use it, and adverts have
//! addresses of their own. On a legacy controller it is the only address. No interface says
//! which address it is. But an epoch starts with the very call that programs a new address,
//! if the old one was sure to have expired, so the time of that is known.
//!
//! So an epoch ends, with its scan and its advert, before the address can expire: after
//! that, any pause in the kernel would move it to the next address, which would last into
//! the next epoch. And a scan or advert for another number starts only after the address has
//! certainly expired.
//!
//! This holds while no other program scans: [`super::task`] checks for that. Times are
//! durations on a clock that stops in suspend, as the kernel's timers do.
//!
//! Kernel: net/bluetooth/hci_sync.c, `hci_update_random_address_sync`, `rpa_valid`;
//! hci_event.c, `hci_cc_le_set_random_addr`, which sets the timer; hci_sync.c,
//! `hci_dev_open_sync`, which expires every address at power-on.

use std::time::Duration;

/// How long before the address can expire an epoch has to end: scanning and connections
/// take some seconds to stop.
pub(super) const EPOCH_MARGIN: Duration = Duration::from_secs(10);

/// What is known of the address in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RpaSchedule {
    timeout: Duration,
    /// It was programmed between the two times. `earliest` is `None` if that is not known,
    /// `latest` is `None` if it has certainly expired.
    earliest: Option<Duration>,
    latest: Option<Duration>,
    /// It belonged to a number of this machine, or may have.
    used: bool,
}

impl RpaSchedule {
    /// Nothing is known: a number of an earlier process may have had the address.
    pub(super) fn new(timeout: Duration, now: Duration) -> Self {
        Self {
            timeout,
            earliest: None,
            latest: Some(now),
            used: true,
        }
    }

    /// The controller was switched off, and gets a new address when it is switched on.
    pub(super) fn powered_off(&mut self) {
        *self = Self {
            earliest: None,
            latest: None,
            used: false,
            ..*self
        };
    }

    /// A scan or advert for a number started by a call between these times, while no frame or
    /// only the same number was on the air.
    pub(super) fn began(&mut self, from: Duration, to: Duration) {
        self.used = true;
        if self.expired_by() <= from {
            (self.earliest, self.latest) = (Some(from), Some(to));
        } else if self.end().is_none_or(|end| end < to) {
            self.latest = Some(to);
        }
    }

    /// How long until a new scan or advert gets another address than the previous number.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        if self.used {
            self.expired_by().saturating_sub(now)
        } else {
            Duration::ZERO
        }
    }

    /// How long the current epoch may go on; `None` if it may not, since the age of the
    /// address is not known.
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

/// How late the kernel's timer of this length may be. The timer wheel gets coarser with the
/// length: an eighth of the time and a little more.
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
        let next_change = TIMEOUT + late(TIMEOUT);
        assert_eq!(
            rpa_schedule.wait(at(2000)),
            next_change,
            "it may be a new one"
        );
    }

    /// A model of the kernel: an address is programmed when a scan or advert starts, or is
    /// resumed after a pause, if the previous one has expired.
    #[derive(Default)]
    struct Kernel {
        address: u64,
        programmed: Option<Duration>,
        /// How late its timers are, in thousandths of the time.
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
            // A number of an earlier process had it, for an unknown time.
            let mut last = kernel.begin(at(0));
            let mut now = at(start);
            let mut rpa_schedule = RpaSchedule::new(TIMEOUT, now);
            let mut airing = false;
            for (pause, what) in steps {
                if airing {
                    // It goes on for no longer than it may, and takes up to
                    // EPOCH_MARGIN to stop. The kernel pauses it at any time.
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
