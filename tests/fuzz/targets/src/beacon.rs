//! Adverts: nothing panics, and what is read is aired alike.

use tcn_protocol::beacon::{BeaconError, Frame};

/// Checks that for one input.
pub fn run(bytes: &[u8]) {
    match Frame::from_service_data(bytes) {
        Ok(frame) => assert_aired_alike(frame, bytes),
        Err(error) => assert_eq!(error, BeaconError::ServiceDataShort { have: bytes.len() }),
    }
    if let Ok(frame) = Frame::from_advertisement(bytes) {
        let tcn = frame.tcn.as_bytes();
        assert!(
            bytes.windows(tcn.len()).any(|window| window == tcn),
            "numbers are not invented"
        );
        assert_aired_alike(frame, tcn);
    }
}

fn assert_aired_alike(frame: Frame, read_from: &[u8]) {
    assert_eq!(frame.tcn.as_bytes()[..], read_from[..16]);
    let again = Frame::from_advertisement(&frame.advertisement()).expect("our own frame is read");
    assert_eq!(Frame::from_service_data(&frame.service_data()), Ok(again));
    assert_eq!(again.is_bridged(), frame.is_bridged());
    match frame.carrier {
        Some(_) => assert_eq!(again, frame),
        // Aired again, it is the sender's own.
        None => assert_eq!(again, Frame::own(frame.tcn)),
    }
}
