//! Values of keys that are neither numbers nor durations.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The adapter to use. An address identifies the machine, so `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AdapterChoice {
    /// By its device address, most significant byte first. Of several adapters with one
    /// address, which cheap ones can have, the most capable is used.
    Address([u8; 6]),
    /// By the number in the kernel's name for it: 0 is `hci0`. The kernel may give an
    /// adapter another name when it is plugged in again.
    Name(u16),
}

/// Neither six bytes in hexadecimal with colons between, nor `hci` and a number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "expected a device address such as \"AA:BB:CC:DD:EE:FF\", or a kernel name such as \"hci0\""
)]
pub struct NotAnAdapter;

impl FromStr for AdapterChoice {
    type Err = NotAnAdapter;

    fn from_str(text: &str) -> Result<Self, NotAnAdapter> {
        if let Some(number) = text.strip_prefix("hci") {
            let index: u16 = number.parse().map_err(|_| NotAnAdapter)?;
            // "+1" and "01" parse as numbers, but are not kernel names.
            let is_name = index.to_string() == number;
            return is_name.then_some(Self::Name(index)).ok_or(NotAnAdapter);
        }
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or(NotAnAdapter)?;
            if part.len() != 2 || part.starts_with('+') {
                return Err(NotAnAdapter);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| NotAnAdapter)?;
        }
        match parts.next() {
            None => Ok(Self::Address(octets)),
            Some(_) => Err(NotAnAdapter),
        }
    }
}

impl fmt::Debug for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(_) => f.write_str("Address([REDACTED])"),
            Self::Name(index) => write!(f, "Name(hci{index})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_six_bytes_with_colons_or_a_kernel_name() {
        let address = "AA:bb:00:DD:EE:FF".parse();
        let octets = [0xaa, 0xbb, 0x00, 0xdd, 0xee, 0xff];
        assert_eq!(address, Ok(AdapterChoice::Address(octets)));
        assert_eq!("hci0".parse(), Ok(AdapterChoice::Name(0)));
        assert_eq!("hci65535".parse(), Ok(AdapterChoice::Name(u16::MAX)));
        for text in [
            "",
            "hci",
            "hci+1",
            "hci01",
            "hci65536",
            "HCI0",
            "hci0 ",
            "fake0",
            "AA:BB:CC:DD:EE",
            "AA:BB:CC:DD:EE:FF:00",
            "AABBCCDDEEFF",
            "+A:BB:CC:DD:EE:FF",
            "AA:BB:CC:DD:EE:GG",
        ] {
            assert_eq!(text.parse::<AdapterChoice>(), Err(NotAnAdapter), "{text}");
        }
    }

    #[test]
    fn debug_does_not_tell_the_address() {
        let address: AdapterChoice = "AA:BB:CC:DD:EE:FF".parse().unwrap();
        let shown = format!("{address:?}").to_lowercase();
        assert!(!shown.contains("aa") && !shown.contains("170"), "{shown}");
    }
}
