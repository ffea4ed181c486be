//! The running kernel.
//!
//! Between Linux 5.15 and 6.12, a controller whose random address was never set had
//! none while an advert was on, and scanning failed. Stable releases have the fix, "Fix
//! not setting Random Address when required". Distributions hide the stable release
//! they build: Debian calls 6.1.119 "6.1.0-28-amd64" and gives the real version in
//! `uname -v`.

use tcnd_config::Mode;

use super::check::DoctorCheck;
use super::mode;

/// The oldest series whose Bluetooth code was read for tcnd.
const OLDEST: (u32, u32) = (5, 15);

/// The first series with the fix of random addresses.
const FIXED: (u32, u32) = (6, 12);

/// Older series that have the fix, and the first stable release with it.
const MENDED: [((u32, u32), u32); 2] = [((6, 1), 141), ((6, 6), 87)];

/// The kernel's name and version.
#[derive(Debug)]
pub(crate) struct KernelVersion {
    release: String,
    build: String,
}

impl KernelVersion {
    /// Reads those of the running kernel.
    pub(crate) fn read() -> Self {
        let uname = rustix::system::uname();
        Self {
            release: uname.release().to_string_lossy().into_owned(),
            build: uname.version().to_string_lossy().into_owned(),
        }
    }

    /// Its name.
    pub(crate) fn release(&self) -> &str {
        &self.release
    }

    pub(crate) fn check(&self, mode: Mode) -> DoctorCheck {
        let found = format!("Linux {}", self.release);
        match self.series() {
            None => DoctorCheck::unchecked("kernel", found),
            Some(series) if series < OLDEST => DoctorCheck::warn(
                "kernel",
                format!("{found}; tcnd is not tested before 5.15"),
                "use a newer kernel",
            ),
            Some(series) if mode::is_connectable(mode) => self.addresses(found, series),
            Some(_) => DoctorCheck::ok("kernel", found),
        }
    }

    fn addresses(&self, found: String, series: (u32, u32)) -> DoctorCheck {
        if series >= FIXED {
            return DoctorCheck::ok("kernel", found);
        }
        let mended = MENDED.into_iter().find(|(known, _)| *known == series);
        match (mended, self.stable(series)) {
            (Some((_, since)), Some(stable)) if stable >= since => DoctorCheck::ok("kernel", found),
            (Some((_, since)), None) => DoctorCheck::unchecked(
                "kernel",
                format!(
                    "{found}; its name does not show whether it has the fix for random addresses \
                     from {}.{}.{since}",
                    series.0, series.1
                ),
            ),
            (Some(_), Some(_)) | (None, _) => DoctorCheck::warn(
                "kernel",
                format!(
                    "{found}; it may set random addresses too late, and then refuses to scan \
                     while it broadcasts"
                ),
                "use Linux 6.12 or newer, or at least 6.1.141 or 6.6.87 of those series",
            ),
        }
    }

    fn series(&self) -> Option<(u32, u32)> {
        let mut numbers = numbers(&self.release);
        Some((numbers.next()??, numbers.next()??))
    }

    /// The stable number after the series, if it is not hidden.
    fn stable(&self, series: (u32, u32)) -> Option<u32> {
        let words = self.build.split_ascii_whitespace().chain([&*self.release]);
        words.filter_map(|word| stable_of(word, series)).max()
    }
}

/// The third number of `6.1.119-1`. 0 stands for any stable release, so it gives
/// `None`.
fn stable_of(word: &str, series: (u32, u32)) -> Option<u32> {
    let mut numbers = numbers(word);
    let found = (numbers.next()??, numbers.next()??);
    let stable = numbers.next()??;
    (found == series && stable > 0).then_some(stable)
}

fn numbers(text: &str) -> impl Iterator<Item = Option<u32>> {
    text.split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckVerdict;
    use super::*;

    const DEBIAN: &str = "#1 SMP PREEMPT_DYNAMIC Debian";

    fn kernel(release: &str, build: &str) -> KernelVersion {
        KernelVersion {
            release: release.into(),
            build: build.into(),
        }
    }

    #[test]
    fn kernels_are_compared_by_series() {
        let series = |release| kernel(release, "").series();
        assert_eq!(series("6.1.0-28-amd64"), Some((6, 1)));
        assert_eq!(series("5.10.0"), Some((5, 10)));
        assert!(series("5.4").unwrap() < OLDEST);
        assert!(series("5.15.0").unwrap() >= OLDEST);
        assert_eq!(series("GNU"), None);
    }

    #[test]
    fn broadcasting_asks_no_more_than_the_series() {
        let verdict = |release| kernel(release, "").check(Mode::Broadcast).verdict;
        assert_eq!(verdict("5.15.0"), CheckVerdict::Ok);
        assert_eq!(verdict("5.10.0"), CheckVerdict::Warn);
        assert_eq!(verdict("GNU"), CheckVerdict::Unchecked);
    }

    #[test]
    fn the_fix_of_random_addresses_is_looked_for_where_others_connect() {
        for (release, build, expected) in [
            ("6.12.0", "", CheckVerdict::Ok),
            ("6.18.44-fc-v669", "#1 SMP", CheckVerdict::Ok),
            ("7.0.1", "", CheckVerdict::Ok),
            ("6.1.141", "", CheckVerdict::Ok),
            ("6.1.140", "", CheckVerdict::Warn),
            ("6.6.87+rpt-rpi-v8", "", CheckVerdict::Ok),
            ("6.6.51+rpt-rpi-v8", "", CheckVerdict::Warn),
            (
                "6.1.0-28-amd64",
                "6.1.119-1 (2024-11-22)",
                CheckVerdict::Warn,
            ),
            ("6.1.0-39-amd64", "6.1.148-1 (2025-08-26)", CheckVerdict::Ok),
            ("6.1.0-28-generic", "", CheckVerdict::Unchecked),
            ("6.8.0-45-generic", "#45-Ubuntu", CheckVerdict::Warn),
            ("5.15.215", "", CheckVerdict::Warn),
            ("5.4.1", "", CheckVerdict::Warn),
            ("GNU", "", CheckVerdict::Unchecked),
        ] {
            let kernel = kernel(release, &format!("{DEBIAN} {build}"));
            for mode in [Mode::Full, Mode::Relay] {
                assert_eq!(kernel.check(mode).verdict, expected, "{release} {build}");
            }
        }
    }
}
