//! The version of the running BlueZ, as far as it is known, and what follows for discovery.
//!
//! No property names the version. But an adapter's `Modalias` ends in it, unless `DeviceID`
//! in main.conf says otherwise: "usb:v1D6Bp0246d0557" is the Linux Foundation (1D6B), BlueZ
//! (0246), 5.87 (0557: the major and the minor number as bytes). It is the version of the
//! running bluetoothd, not of the installed tools.
//!
//! BlueZ: src/main.c, `VERSION` and `did_version`; lib/bluetooth/sdp.c;
//! doc/org.bluez.Adapter.rst, `Modalias`.

use bluer::Modalias;

/// The vendor and product numbers of BlueZ.
const BLUEZ: (u32, u32) = (0x1D6B, 0x0246);

/// The release that crashes while any program discovers by UUID, on every advert with a
/// list of services: `is_filter_match` in src/adapter.c calls a function at the address of
/// the text of a UUID. bluez/bluez#2282; neither 5.86 nor a release after 5.87 has the
/// defect.
const CRASHES_BY_UUID: Version = Version(5, 87);

/// A release of BlueZ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u8, u8);

impl Version {
    /// The version in the `Modalias` of an adapter; `None` if it does not name BlueZ.
    pub(super) fn from_modalias(modalias: &Modalias) -> Option<Self> {
        let Modalias {
            source,
            vendor,
            product,
            device,
        } = modalias;
        let is_bluez = source == "usb" && (*vendor, *product) == BLUEZ;
        let [major, minor] = u16::try_from(*device).ok()?.to_be_bytes();
        is_bluez.then_some(Self(major, minor))
    }
}

/// Whether discovery may filter by service UUID: not where that crashes bluetoothd, nor
/// where the version is not known.
pub(super) fn may_filter_by_uuid(version: Option<Version>) -> bool {
    version.is_some_and(|version| version != CRASHES_BY_UUID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_of(modalias: &str) -> Option<Version> {
        Version::from_modalias(&modalias.parse().unwrap())
    }

    #[test]
    fn the_version_is_read_from_the_modalias() {
        // As seen on Debian 12, 13 and testing.
        assert_eq!(version_of("usb:v1D6Bp0246d0542"), Some(Version(5, 66)));
        assert_eq!(version_of("usb:v1D6Bp0246d0552"), Some(Version(5, 82)));
        assert_eq!(version_of("usb:v1D6Bp0246d0557"), Some(Version(5, 87)));
        assert_eq!(version_of("usb:v1d6bp0246d0600"), Some(Version(6, 0)));
    }

    #[test]
    fn another_device_id_tells_nothing() {
        for modalias in [
            "bluetooth:v1D6Bp0246d0557",
            "usb:v05ACp8217d0557",
            "usb:v1D6Bp0247d0557",
        ] {
            assert_eq!(version_of(modalias), None, "{modalias}");
        }
    }

    #[test]
    fn no_uuid_is_asked_for_where_that_ends_bluetoothd() {
        for version in [(5, 50), (5, 66), (5, 82), (5, 86), (5, 88), (6, 0)] {
            assert!(may_filter_by_uuid(Some(Version(version.0, version.1))));
        }
        assert!(!may_filter_by_uuid(Some(Version(5, 87))));
        assert!(!may_filter_by_uuid(None));
    }
}
