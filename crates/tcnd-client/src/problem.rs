//! The problems that tcnd can name, as `org.tcncoalition.Tcnd1.Manager.Problems` has them.

/// Declares the problems, each with its token.
macro_rules! problems {
    ($(#[$attribute:meta])* pub enum $name:ident { $($(#[$doc:meta])* $problem:ident = $token:literal,)* }) => {
        $(#[$attribute])*
        pub enum $name {
            $($(#[$doc])* $problem,)*
        }

        impl $name {
            /// Every problem.
            pub const ALL: &[Self] = &[$(Self::$problem),*];

            /// Its word on the bus and in the journal.
            pub const fn token(self) -> &'static str {
                match self {
                    $(Self::$problem => $token,)*
                }
            }
        }
    };
}

problems! {
    /// Something that is wrong with tcnd, or around it.
    ///
    /// Its token is stable, and its sentence and cure are in [`notices`](crate::notices).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum Problem {
        /// No `org.bluez` on the bus.
        BluetoothdMissing = "bluetoothd-missing",
        /// No adapter, or not the configured one.
        AdapterMissing = "adapter-missing",
        /// The adapter is powered off. tcnd never powers an adapter on unasked.
        AdapterOff = "adapter-off",
        /// The adapter is blocked by rfkill.
        AdapterBlocked = "adapter-blocked",
        /// The adapter does not support LE advertising.
        AdvertiseUnsupported = "advertise-unsupported",
        /// BlueZ refuses the advert; tcnd tries again with growing pauses.
        AdvertiseFailed = "advertise-failed",
        /// The adapter is discoverable, so an advert would carry its real address.
        AddressNotPrivate = "address-not-private",
        /// Discovery cannot be started; tcnd tries again with growing pauses.
        ScanFailed = "scan-failed",
        /// The kernel's privacy is off, so no peer may connect.
        PrivacyOff = "privacy-off",
        /// It is unknown whether the kernel's privacy is on, so no peer may connect.
        PrivacyUnknown = "privacy-unknown",
        /// The controller keeps an address for now. The next number, or scanning with it, waits
        /// for another address.
        AddressHeld = "address-held",
        /// The controller changes its addresses by a timer of its own, and their lifetime is not
        /// known, so numbers and addresses cannot change together.
        AddressOutOfStep = "address-out-of-step",
        /// The controller keeps its address too long to carry numbers of others.
        BridgeUnavailable = "bridge-unavailable",
        /// BlueZ refuses the GATT server; tcnd tries again with growing pauses.
        ConnectFailed = "connect-failed",
        /// The wall clock cannot be right, or nothing confirms it after it went ahead by more
        /// than the retention.
        ClockUnsynchronised = "clock-unsynchronised",
        /// The store cannot write: no space, or no permission.
        StorageFull = "storage-full",
        /// A damaged database was quarantined at the start.
        StorageCorrupt = "storage-corrupt",
        /// More numbers are heard than there is room for; some were dropped.
        Crowded = "crowded",
        /// Reports of others were not checked for two days.
        ReportsStale = "reports-stale",
        /// A source of reports could not be checked.
        SyncFailed = "sync-failed",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::notices::PROBLEMS;

    #[test]
    fn every_problem_has_a_notice_and_every_notice_a_problem() {
        let named: BTreeSet<_> = Problem::ALL.iter().map(|problem| problem.token()).collect();
        let explained: BTreeSet<_> = PROBLEMS.iter().map(|notice| notice.token).collect();
        assert_eq!(named.len(), Problem::ALL.len());
        assert_eq!(named, explained);
    }
}
