//! A TCN as it goes through the air: service data under UUID 0xC019.
//!
//! The specification's text speaks of 16 bytes. The clients send 20, of which the last
//! four are the first four of the sender's own current number. So a receiver can tell a
//! number the sender made from one it carries for a phone that cannot broadcast. We
//! write 20 bytes and accept 16 or more. Flags, UUID list and service data fill a
//! legacy advert to the last of its 31 bytes: nothing can be added, neither a name nor
//! the transmit power.
//!
//! Spec: TCN 6b64d09, README "TCN sharing with Bluetooth Low Energy". Frame and GATT
//! characteristic: tcn-client-android 7d48399, `TcnConstants.kt` and
//! `TcnBluetoothManager.kt`. AD structures: Core Specification Supplement 11,
//! Part A; Core Specification Vol 3 Part C 11.

use std::fmt;

use thiserror::Error;

use super::TemporaryContactNumber;

/// The service, in its 16-bit form. This form is deployed, but the Bluetooth SIG never
/// registered it.
pub const SERVICE_UUID16: u16 = 0xC019;

/// The service, in its 128-bit form, 0000C019-0000-1000-8000-00805F9B34FB.
pub const SERVICE_UUID: u128 = 0x0000_C019_0000_1000_8000_0080_5F9B_34FB;

/// The GATT characteristic that phones read and write numbers by,
/// D61F4F27-3D6B-4B04-9E46-C9D2EA617F62.
pub const CHARACTERISTIC_UUID: u128 = 0xD61F_4F27_3D6B_4B04_9E46_C9D2_EA61_7F62;

/// Length of the service data we write, in bytes.
pub const SERVICE_DATA_LEN: usize = TemporaryContactNumber::LEN + CARRIER_LEN;

/// Length of a legacy advert, in bytes; our frame fills it.
pub const ADVERTISEMENT_LEN: usize = 31;

/// Length of a carrier's identifier, in bytes.
pub const CARRIER_LEN: usize = 4;

/// The content of one advert: a number, and the radio that carried it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The broadcast number.
    pub tcn: TemporaryContactNumber,
    /// First four bytes of the carrier's own current number, where it sent
    /// them (the specification's text says 16 bytes, the clients send 20).
    pub carrier: Option<[u8; CARRIER_LEN]>,
}

/// An advert or service data that gives no number.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BeaconError {
    /// The advert does not name the service at all.
    #[error("the advert is not one of service 0xC019; ignore it")]
    NotOurs,
    /// The advert names the service but holds no data of it. An iPhone in the
    /// foreground sends such adverts; its number is read by GATT.
    #[error("the advert holds no number; connect and read the characteristic")]
    ServiceDataAbsent,
    /// The service data are shorter than a number.
    #[error("the service data has {have} bytes, a number has 16; ignore it")]
    ServiceDataShort {
        /// Bytes that were there.
        have: usize,
    },
}

impl Frame {
    /// The frame of a number by the radio it belongs to.
    pub const fn own(tcn: TemporaryContactNumber) -> Self {
        Self {
            tcn,
            carrier: Some(short_id(tcn)),
        }
    }

    /// The frame of a carrier that has no number of its own and carries none.
    pub const fn vacant(carrier: [u8; CARRIER_LEN]) -> Self {
        Self::carried(TemporaryContactNumber::VACANT, carrier)
    }

    /// The frame of another device's number, by its carrier.
    pub const fn carried(tcn: TemporaryContactNumber, carrier: [u8; CARRIER_LEN]) -> Self {
        Self {
            tcn,
            carrier: Some(carrier),
        }
    }

    /// The four bytes that identify the radio that broadcasts this frame.
    pub fn carrier_id(&self) -> [u8; CARRIER_LEN] {
        self.carrier.unwrap_or(short_id(self.tcn))
    }

    /// Whether the carrier said that the number is not its own.
    ///
    /// A frame of 16 bytes does not say, and counts as the sender's own.
    pub fn is_bridged(&self) -> bool {
        self.carrier
            .is_some_and(|carrier| carrier != short_id(self.tcn))
    }

    /// Reads service data under 0xC019: a number of 16 bytes, then a carrier if at
    /// least 4 more bytes follow. Further bytes are ignored, as the deployed clients
    /// do.
    ///
    /// # Errors
    /// [`BeaconError::ServiceDataShort`] below 16 bytes.
    pub fn from_service_data(data: &[u8]) -> Result<Self, BeaconError> {
        let (tcn, rest) = data
            .split_first_chunk()
            .ok_or(BeaconError::ServiceDataShort { have: data.len() })?;
        Ok(Self {
            tcn: TemporaryContactNumber::from_bytes(*tcn),
            carrier: rest.first_chunk().copied(),
        })
    }

    /// The service data to broadcast. A frame without a carrier is sent as the number's
    /// own.
    pub fn service_data(&self) -> [u8; SERVICE_DATA_LEN] {
        let mut data = [0; SERVICE_DATA_LEN];
        let (tcn, carrier) = data.split_at_mut(TemporaryContactNumber::LEN);
        tcn.copy_from_slice(self.tcn.as_bytes());
        carrier.copy_from_slice(&self.carrier_id());
        data
    }

    /// Reads a whole advert, as the controller reports it.
    ///
    /// The first service data of the service counts, by its 16-, 32- or 128-bit UUID,
    /// whether or not the UUID list names it. A structure that runs past the end, or
    /// has length 0, ends the advert; the structures before it count. BlueZ reads
    /// adverts in the same way.
    ///
    /// # Errors
    /// [`BeaconError::NotOurs`] if the service does not occur,
    /// [`BeaconError::ServiceDataAbsent`] if it is only listed,
    /// [`BeaconError::ServiceDataShort`] if its data hold no number.
    pub fn from_advertisement(advert: &[u8]) -> Result<Self, BeaconError> {
        let mut listed = false;
        for structure in (Structures { rest: advert }) {
            match structure.service_data() {
                Some(data) => return Self::from_service_data(data),
                None => listed |= structure.lists_service(),
            }
        }
        Err(if listed {
            BeaconError::ServiceDataAbsent
        } else {
            BeaconError::NotOurs
        })
    }

    /// The whole legacy advert: flags, complete list of 16-bit UUIDs, service
    /// data.
    ///
    /// BlueZ composes the same bytes from the parts. This form is for comparison, and
    /// shows that there is no byte to spare.
    pub fn advertisement(&self) -> [u8; ADVERTISEMENT_LEN] {
        let [low, high] = SERVICE_UUID16.to_le_bytes();
        let head = [
            2,
            FLAGS,
            GENERAL_DISCOVERABLE,
            3,
            UUIDS16_COMPLETE,
            low,
            high,
            23,
            DATA16,
            low,
            high,
        ];
        let mut advert = [0; ADVERTISEMENT_LEN];
        let (start, data) = advert.split_at_mut(head.len());
        start.copy_from_slice(&head);
        data.copy_from_slice(&self.service_data());
        advert
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carrier = match self.carrier {
            None => "unnamed",
            Some(_) if self.is_bridged() => "bridge",
            Some(_) => "own",
        };
        f.debug_struct("Frame")
            .field("tcn", &self.tcn)
            .field("carrier", &format_args!("{carrier}"))
            .finish()
    }
}

/// The four bytes that identify a carrier.
const fn short_id(tcn: TemporaryContactNumber) -> [u8; CARRIER_LEN] {
    let [a, b, c, d, ..] = *tcn.as_bytes();
    [a, b, c, d]
}

// AD types: Assigned Numbers, 2.3 "Common Data Types".
const FLAGS: u8 = 0x01;
const UUIDS16_INCOMPLETE: u8 = 0x02;
const UUIDS16_COMPLETE: u8 = 0x03;
const UUIDS32_INCOMPLETE: u8 = 0x04;
const UUIDS32_COMPLETE: u8 = 0x05;
const UUIDS128_INCOMPLETE: u8 = 0x06;
const UUIDS128_COMPLETE: u8 = 0x07;
const DATA16: u8 = 0x16;
const DATA32: u8 = 0x20;
const DATA128: u8 = 0x21;

/// LE General Discoverable Mode, as Android's stack sets it.
const GENERAL_DISCOVERABLE: u8 = 0x02;

/// One AD structure: a type and its data.
struct Structure<'a> {
    kind: u8,
    data: &'a [u8],
}

impl<'a> Structure<'a> {
    /// The data after the UUID, if this is service data of our service.
    fn service_data(&self) -> Option<&'a [u8]> {
        let (uuid, data) = self.data.split_at_checked(match self.kind {
            DATA16 => 2,
            DATA32 => 4,
            DATA128 => 16,
            _ => return None,
        })?;
        is_service(uuid).then_some(data)
    }

    /// Whether this is a list of UUIDs with our service in it.
    fn lists_service(&self) -> bool {
        let width = match self.kind {
            UUIDS16_INCOMPLETE | UUIDS16_COMPLETE => 2,
            UUIDS32_INCOMPLETE | UUIDS32_COMPLETE => 4,
            UUIDS128_INCOMPLETE | UUIDS128_COMPLETE => 16,
            _ => return false,
        };
        self.data.chunks_exact(width).any(is_service)
    }
}

/// Whether a UUID of 2, 4 or 16 bytes, little-endian, is our service.
fn is_service(uuid: &[u8]) -> bool {
    let full = SERVICE_UUID.to_le_bytes();
    match uuid.len() {
        // The short forms stand for bytes 12 to 15 of the Bluetooth base UUID.
        2 => uuid == &full[12..14],
        4 => uuid == &full[12..],
        _ => uuid == full,
    }
}

/// The AD structures of an advert, up to the first that is not whole.
struct Structures<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Structures<'a> {
    type Item = Structure<'a>;

    fn next(&mut self) -> Option<Structure<'a>> {
        let (&length, rest) = self.rest.split_first()?;
        let (structure, rest) = rest.split_at_checked(length.into())?;
        let (&kind, data) = structure.split_first()?;
        self.rest = rest;
        Some(Structure { kind, data })
    }
}
