//! Adverts as phones send them.

use serde_json::Value;
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::{self, BeaconError, Frame};

use crate::{array, unhex, vectors};

fn frame(vectors: &Value, what: &str) -> Vec<u8> {
    let frames = vectors["frames"].as_array().unwrap();
    unhex(
        &frames
            .iter()
            .find(|frame| frame["what"].as_str().unwrap().starts_with(what))
            .unwrap()["adv"],
    )
}

fn tcn(value: &Value) -> TemporaryContactNumber {
    TemporaryContactNumber::from_bytes(array(value))
}

#[test]
fn what_android_sends_is_read_and_written_alike() {
    let vectors = vectors!("ble.json");
    let (own, carried) = (tcn(&vectors["own_tcn"]), tcn(&vectors["bridged_tcn"]));

    let advert = frame(&vectors, "Android client, own TCN");
    let read = Frame::from_advertisement(&advert).unwrap();
    assert_eq!(read, Frame::own(own));
    assert!(!read.is_bridged());
    assert_eq!(read.advertisement()[..], advert[..]);

    let advert = frame(&vectors, "Android client, bridging");
    let read = Frame::from_advertisement(&advert).unwrap();
    assert_eq!(
        read,
        Frame {
            tcn: carried,
            carrier: Frame::own(own).carrier
        }
    );
    assert!(read.is_bridged());
    assert_eq!(read.advertisement()[..], advert[..]);
    assert_eq!(read.service_data()[..], advert[11..]);
}

/// Every frame of the vectors: the first 16 bytes of the service data, or the
/// reason why there are none.
#[test]
fn every_frame_of_the_vectors_is_understood() {
    let vectors = vectors!("ble.json");
    let own = tcn(&vectors["own_tcn"]);
    let read = |what| Frame::from_advertisement(&frame(&vectors, what));
    assert_eq!(
        read("16-byte service data"),
        Ok(Frame {
            tcn: own,
            carrier: None
        })
    );
    assert_eq!(
        read("15-byte service data"),
        Err(BeaconError::ServiceDataShort { have: 15 })
    );
    assert_eq!(read("24-byte service data"), Ok(Frame::own(own)));
    assert_eq!(read("iOS foreground"), Err(BeaconError::ServiceDataAbsent));
    assert_eq!(
        read("UUID as 128 bits"),
        Err(BeaconError::ServiceDataAbsent)
    );
    assert_eq!(read("ito"), Err(BeaconError::NotOurs));
    assert_eq!(
        vectors["frames"].as_array().unwrap().len(),
        8,
        "all frames are named here or above"
    );
}

#[test]
fn the_uuids_are_the_vectors() {
    let vectors = vectors!("ble.json");
    assert_eq!(
        format!("{:x}", beacon::SERVICE_UUID16),
        vectors["service_uuid16"]
    );
    let uuid = vectors["characteristic_uuid"]
        .as_str()
        .unwrap()
        .replace('-', "");
    assert_eq!(format!("{:032x}", beacon::CHARACTERISTIC_UUID), uuid);
    let base = 0x0000_0000_0000_1000_8000_0080_5F9B_34FB;
    assert_eq!(
        beacon::SERVICE_UUID,
        base | u128::from(beacon::SERVICE_UUID16) << 96
    );
}

#[test]
fn service_data_by_any_width_of_the_uuid_is_ours() {
    let own = Frame::own(TemporaryContactNumber::from_bytes([7; 16]));
    let full = beacon::SERVICE_UUID.to_le_bytes();
    for (kind, uuid) in [
        (0x16, &full[12..14]),
        (0x20, &full[12..]),
        (0x21, &full[..]),
    ] {
        let length = u8::try_from(1 + uuid.len() + 20).unwrap();
        let advert = [&[length, kind], uuid, &own.service_data()].concat();
        assert_eq!(Frame::from_advertisement(&advert), Ok(own), "{kind:#x}");
        // One digit off is another service.
        let mut foreign = advert;
        foreign[2 + uuid.len() - 1] ^= 1;
        assert_eq!(
            Frame::from_advertisement(&foreign),
            Err(BeaconError::NotOurs),
            "{kind:#x}"
        );
    }
}

#[test]
fn what_stands_before_damage_holds() {
    let own = Frame::own(TemporaryContactNumber::from_bytes([7; 16]));
    for tail in [&[0, 0, 0][..], &[9, 0xff, 1], &[1], &[0xff]] {
        let advert = [&own.advertisement()[..], tail].concat();
        assert_eq!(Frame::from_advertisement(&advert), Ok(own), "{tail:?}");
    }
}
