//! Whether the clock may advance the open interval.
//!
//! The open interval only ever grows, reports expire by it, and a past interval is
//! published for ever. So a clock that jumps ahead must not take effect at once. It is
//! in doubt when it is further ahead of the open interval than is likely: by more than
//! a day while the server runs, or at its start by more than the 14 days that reports
//! are kept. While the clock is in doubt, nothing expires, no interval ends, and
//! uploads are refused with a request to send them again.
//!
//! The doubt ends when the clock is corrected, when it is known to be synchronised, or
//! when a second start finds it where the first did.

use tcn_exchange::interval::Interval;

use crate::phase;

/// Intervals by which the clock may jump ahead while the server runs: a day.
const STEP: u64 = 4;

/// The verdict on the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockVerdict {
    /// The clock is more than one interval before the open one.
    Behind,
    /// This interval takes uploads.
    Sound(Interval),
    /// The clock is too far ahead.
    Ahead,
}

/// Judges a clock that is in `of_clock` while `open` takes uploads. `was_sound`:
/// whether the clock was sound before, in this run. `is_vouched_for` is called only if
/// it matters.
pub(super) fn judge(
    of_clock: Interval,
    open: Interval,
    was_sound: bool,
    is_vouched_for: impl FnOnce() -> bool,
) -> ClockVerdict {
    if of_clock.next() < open {
        return ClockVerdict::Behind;
    }
    let step = if was_sound { STEP } else { phase::RETENTION };
    let ahead = of_clock.number().saturating_sub(open.number());
    if ahead > step && !is_vouched_for() {
        ClockVerdict::Ahead
    } else {
        ClockVerdict::Sound(of_clock.max(open))
    }
}

/// Whether a start that finds the clock in `of_clock` confirms an earlier start that
/// found it in `doubted`.
pub(super) fn agrees(of_clock: Interval, doubted: Interval) -> bool {
    let later = of_clock.number().checked_sub(doubted.number());
    later.is_some_and(|later| later <= phase::RETENTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Interval {
        Interval::new(number).unwrap()
    }

    #[test]
    fn a_jump_is_doubted_until_somebody_vouches_for_it() {
        let open = at(74_359);
        for (of_clock, was_sound, vouched, verdict) in [
            (74_357, true, true, ClockVerdict::Behind),
            (74_358, true, false, ClockVerdict::Sound(open)),
            (74_359, true, false, ClockVerdict::Sound(open)),
            (74_363, true, false, ClockVerdict::Sound(at(74_363))),
            (74_364, true, false, ClockVerdict::Ahead),
            (74_364, true, true, ClockVerdict::Sound(at(74_364))),
            (74_415, false, false, ClockVerdict::Sound(at(74_415))),
            (74_416, false, false, ClockVerdict::Ahead),
            (74_416, false, true, ClockVerdict::Sound(at(74_416))),
            (0, false, true, ClockVerdict::Behind),
        ] {
            let judged = judge(at(of_clock), open, was_sound, || vouched);
            assert_eq!(judged, verdict, "{of_clock} {was_sound} {vouched}");
        }
    }

    #[test]
    fn a_second_start_agrees_if_it_is_not_much_later() {
        assert!(agrees(at(100), at(100)) && agrees(at(156), at(100)));
        assert!(!agrees(at(99), at(100)) && !agrees(at(157), at(100)));
    }
}
