//! Which controllers make the addresses of adverts themselves.
//!
//! Those that can do LL Privacy, since Linux 6.14. One without extended
//! advertising can do it as well, but the kernel then names no peer that has an
//! entry on its resolving list, so its adverts have the host's addresses.
//!
//! Kernel: net/bluetooth/hci_debugfs.c, `features_show`; hci_sync.c,
//! `hci_setup_ext_adv_instance_sync`. Core Specification: Vol 6 Part B 4.6.

/// LL Privacy: bit 6 of the features of the link layer.
const LL_PRIVACY: u64 = 1 << 6;
/// LE Extended Advertising: bit 12.
const EXTENDED_ADVERTISING: u64 = 1 << 12;

/// Whether a kernel of this release leaves addresses to controllers that can make
/// them.
pub(super) fn leaves_addresses(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (6, 14),
        _ => false,
    }
}

/// Whether a controller makes addresses, by the text of its `features` in debugfs;
/// none if that does not tell.
pub(super) fn makes_addresses(text: &str) -> Option<bool> {
    let bytes = text.lines().find_map(|line| line.strip_prefix("LE: "))?;
    let mut features = [0; 8];
    let mut words = bytes.split_whitespace();
    for feature in &mut features {
        let word = words.next()?;
        *feature = u8::from_str_radix(word.trim_start_matches("0x"), 16).ok()?;
    }
    let wanted = LL_PRIVACY | EXTENDED_ADVERTISING;
    Some(u64::from_le_bytes(features) & wanted == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_since_6_14_leave_addresses_to_controllers() {
        for release in ["6.14.0-27-generic", "6.15.1", "7.2.12+deb14-amd64", "10.0"] {
            assert!(leaves_addresses(release), "{release}");
        }
        for release in [
            "6.1.0-28-amd64",
            "6.12.48+deb13-amd64",
            "6.13.9",
            "5.15",
            "",
        ] {
            assert!(!leaves_addresses(release), "{release}");
        }
    }

    #[test]
    fn a_controller_tells_it_by_two_bits() {
        let text = |le: &str| format!(" 0: ff fe 8f fe db ff 5b 87\n 1: 00 00 00\nLE: {le}\n");
        for (le, makes) in [
            ("7f 10 00 00 00 00 00 00", true),
            ("ff 59 01 00 00 00 00 00", true),
            // LL Privacy alone, extended advertising alone, neither.
            ("7f 00 00 00 00 00 00 00", false),
            ("3f 10 00 00 00 00 00 00", false),
            ("01 00 00 00 00 00 00 00", false),
        ] {
            assert_eq!(makes_addresses(&text(le)), Some(makes), "{le}");
        }
        for unclear in ["", "7f", "7f 10 00 00 00 00 00", "7f zz 00 00 00 00 00 00"] {
            assert_eq!(makes_addresses(&text(unclear)), None, "{unclear}");
        }
        assert_eq!(makes_addresses(" 0: ff ff\n"), None, "no LE");
    }
}
