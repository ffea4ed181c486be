//! The problems that tcnd can name, as `org.tcncoalition.Tcnd1.Manager.Problems` has them.

/// Something that is wrong with tcnd, or around it.
///
/// Its token is stable, and its sentence and cure are in [`notices`](crate::notices).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// No `org.bluez` on the bus.
    BluetoothdMissing,
    /// No adapter, or not the configured one.
    AdapterMissing,
    /// The adapter is powered off. tcnd never powers an adapter on unasked.
    AdapterOff,
    /// The adapter is blocked by rfkill.
    AdapterBlocked,
    /// The adapter does not support LE advertising.
    AdvertiseUnsupported,
    /// BlueZ refuses the advert; tcnd tries again with growing pauses.
    AdvertiseFailed,
    /// The adapter is discoverable, so an advert would carry its real address.
    AddressNotPrivate,
    /// Discovery cannot be started; tcnd tries again with growing pauses.
    ScanFailed,
    /// The kernel's privacy is off, so no peer may connect.
    PrivacyOff,
    /// It is unknown whether the kernel's privacy is on, so no peer may connect.
    PrivacyUnknown,
    /// The controller keeps an address for now. The next number, or scanning with it, waits
    /// for another address.
    AddressHeld,
    /// The controller changes its addresses by a timer of its own, and their lifetime is not
    /// known, so numbers and addresses cannot change together.
    AddressOutOfStep,
    /// The controller keeps its address too long to carry numbers of others.
    BridgeUnavailable,
    /// BlueZ refuses the GATT server; tcnd tries again with growing pauses.
    ConnectFailed,
    /// The wall clock cannot be right, or nothing confirms it after it went ahead by more
    /// than the retention.
    ClockUnsynchronised,
    /// The store cannot write: no space, or no permission.
    StorageFull,
    /// A damaged database was quarantined at the start.
    StorageCorrupt,
    /// More numbers are heard than there is room for; some were dropped.
    Crowded,
    /// Reports of others were not checked for two days.
    ReportsStale,
    /// A source of reports could not be checked.
    SyncFailed,
}

impl Problem {
    /// Every problem.
    pub const ALL: [Self; 20] = [
        Self::BluetoothdMissing,
        Self::AdapterMissing,
        Self::AdapterOff,
        Self::AdapterBlocked,
        Self::AdvertiseUnsupported,
        Self::AdvertiseFailed,
        Self::AddressNotPrivate,
        Self::ScanFailed,
        Self::PrivacyOff,
        Self::PrivacyUnknown,
        Self::AddressHeld,
        Self::AddressOutOfStep,
        Self::BridgeUnavailable,
        Self::ConnectFailed,
        Self::ClockUnsynchronised,
        Self::StorageFull,
        Self::StorageCorrupt,
        Self::Crowded,
        Self::ReportsStale,
        Self::SyncFailed,
    ];

    /// Its word on the bus and in the journal.
    pub const fn token(self) -> &'static str {
        match self {
            Self::BluetoothdMissing => "bluetoothd-missing",
            Self::AdapterMissing => "adapter-missing",
            Self::AdapterOff => "adapter-off",
            Self::AdapterBlocked => "adapter-blocked",
            Self::AdvertiseUnsupported => "advertise-unsupported",
            Self::AdvertiseFailed => "advertise-failed",
            Self::AddressNotPrivate => "address-not-private",
            Self::ScanFailed => "scan-failed",
            Self::PrivacyOff => "privacy-off",
            Self::PrivacyUnknown => "privacy-unknown",
            Self::AddressHeld => "address-held",
            Self::AddressOutOfStep => "address-out-of-step",
            Self::BridgeUnavailable => "bridge-unavailable",
            Self::ConnectFailed => "connect-failed",
            Self::ClockUnsynchronised => "clock-unsynchronised",
            Self::StorageFull => "storage-full",
            Self::StorageCorrupt => "storage-corrupt",
            Self::Crowded => "crowded",
            Self::ReportsStale => "reports-stale",
            Self::SyncFailed => "sync-failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::notices::PROBLEMS;

    #[test]
    fn every_problem_has_a_notice_and_every_notice_a_problem() {
        let named: BTreeSet<_> = Problem::ALL.into_iter().map(Problem::token).collect();
        let explained: BTreeSet<_> = PROBLEMS.iter().map(|notice| notice.token).collect();
        assert_eq!(named.len(), Problem::ALL.len());
        assert_eq!(named, explained);
    }
}
