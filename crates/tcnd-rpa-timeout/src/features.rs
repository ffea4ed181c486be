//! Finds the controllers that make the addresses of adverts themselves.
//!
//! These are the controllers with LL Privacy, on a kernel that leaves addresses to
//! them. A controller without extended advertising can support it as well, but the
//! kernel then names no peer that has an entry on its resolving list, so its adverts
//! have the host's addresses.
//!
//! Kernel: net/bluetooth/hci_debugfs.c, `features_show`; hci_sync.c,
//! `hci_setup_ext_adv_instance_sync`. Core Specification: Vol 6 Part B 4.6.

/// LL Privacy: bit 6 of the features of the link layer.
const LL_PRIVACY: u64 = 1 << 6;
/// LE Extended Advertising: bit 12.
const EXTENDED_ADVERTISING: u64 = 1 << 12;

/// Whether a controller makes addresses, by the text of its `features` in debugfs;
/// `None` if the text does not say.
pub(super) fn makes_addresses(text: &str) -> Option<bool> {
    let bytes = text.lines().find_map(|line| line.strip_prefix("LE: "))?;
    let mut features = [0; 8];
    let mut describe = bytes.split_whitespace();
    for feature in &mut features {
        let word = describe.next()?;
        *feature = u8::from_str_radix(word.trim_start_matches("0x"), 16).ok()?;
    }
    let wanted = LL_PRIVACY | EXTENDED_ADVERTISING;
    Some(u64::from_le_bytes(features) & wanted == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

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
