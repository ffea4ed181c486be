//! Packets of the kernel's management socket: nothing panics, an answer is what its
//! bytes say and to whom they say it, and no command of tcnd is taken for one.
//!
//! Input: the index of the controller that was asked about, then a packet.

use bluez_mgmt::MgmtError;
use bluez_mgmt::wire::{self, LONGEST_ANSWER};

/// Bytes of the answer about a controller.
const INFORMATION: usize = 289;

/// Checks that for one input.
pub fn run(bytes: &[u8]) {
    let Some((&[low, high], packet)) = bytes.split_first_chunk() else {
        return;
    };
    let controller = u16::from_le_bytes([low, high]);
    let command = wire::read_information(controller);
    assert_eq!(
        command,
        [4, 0, low, high, 0, 0],
        "Read Controller Information"
    );
    let asked = wire::information(controller, &command);
    assert!(matches!(asked, Ok(None)), "a command is no answer");

    match wire::information(controller, packet) {
        Ok(Some(told)) => {
            assert_is_for(packet, controller);
            assert_eq!(packet[..2], [1, 0], "Command Complete");
            assert_eq!((packet.len(), packet[8]), (INFORMATION, 0), "success");
            // Address 6, version 1, manufacturer 2 before them.
            let settings = [told.supported, told.current]
                .map(u32::to_le_bytes)
                .concat();
            assert_eq!(packet[9 + 9..][..8], settings);
            let other = wire::information(controller.wrapping_add(1), packet);
            assert!(matches!(other, Ok(None)), "it is for one controller");
        }
        Ok(None) => {
            // What is for others may be cut off by a buffer for ours.
            let cut = &packet[..packet.len().min(LONGEST_ANSWER)];
            assert!(matches!(wire::information(controller, cut), Ok(None)));
        }
        Err(MgmtError::NoController) => {
            assert_is_for(packet, controller);
            assert_eq!(packet[8], 0x11, "Invalid Index");
        }
        Err(MgmtError::Refused(status)) => {
            assert_is_for(packet, controller);
            assert!(status == packet[8] && ![0, 0x11].contains(&status));
        }
        Err(MgmtError::Malformed) => {}
        Err(other) => panic!("no packet says that: {other}"),
    }
    if let Ok(Some(_)) = wire::has_ll_privacy(controller, packet) {
        assert_eq!(packet[2..4], controller.to_le_bytes());
        assert_eq!(packet[6..8], [0x49, 0]);
        let other = wire::has_ll_privacy(controller.wrapping_add(1), packet);
        assert!(matches!(other, Ok(None)), "it is for one controller");
    }
}

/// Events 1 and 2 tell of a command, here that of the controller.
fn assert_is_for(packet: &[u8], controller: u16) {
    assert!(packet[0] == 1 || packet[0] == 2);
    assert_eq!(packet[2..4], controller.to_le_bytes());
    let length = u16::from_le_bytes([packet[4], packet[5]]);
    assert_eq!(usize::from(length), packet.len() - 6);
    assert_eq!(packet[6..8], [4, 0]);
}
