//! The packet format of the management interface, as far as we use it: two commands,
//! and their answers among other packets.
//!
//! BlueZ: doc/mgmt-api.txt, "Packet Structures", "Read Controller Information
//! Command", "Read Experimental Features Information Command", "Command Complete
//! Event", "Command Status Event". All integers are little-endian.

use super::MgmtError;

/// Current settings, bit 13: privacy.
pub(super) const SETTING_PRIVACY: u32 = 1 << 13;

/// Supported and current settings, bit 22: LL Privacy. Since Linux 6.15.
pub(super) const SETTING_LL_PRIVACY: u32 = 1 << 22;

/// The experimental feature LL Privacy of Linux to 6.13, in the byte order of the
/// packet: 15c0a148-c273-11ea-b3de-0242ac130004 from its end.
const LL_PRIVACY: [u8; 16] = 0x15c0_a148_c273_11ea_b3de_0242_ac13_0004_u128.to_le_bytes();

/// Flags of a feature, bit 0: it is on.
const ON: u8 = 1;

/// Bytes of the longest packet that can be an answer to us. Linux knows six
/// features.
pub const LONGEST_ANSWER: usize = HEADER + COMPLETE + COUNT + 32 * FEATURE;

const READ_INFORMATION: u16 = 0x0004;
const READ_FEATURES: u16 = 0x0049;
const COMMAND_COMPLETE: u16 = 0x0001;
const COMMAND_STATUS: u16 = 0x0002;
const STATUS_UNKNOWN_COMMAND: u8 = 0x01;
const STATUS_INVALID_INDEX: u8 = 0x11;

/// Code, controller, length of what follows.
const HEADER: usize = 6;
/// Before the return parameters: opcode, status.
const COMPLETE: usize = 3;
/// Address 6, version 1, manufacturer 2, supported settings 4, current
/// settings 4, class 3, name 249, short name 11.
const INFORMATION: usize = 280;
const SUPPORTED_SETTINGS_AT: usize = 9;
const CURRENT_SETTINGS_AT: usize = 13;
/// How many features follow.
const COUNT: usize = 2;
/// UUID 16, flags 4.
const FEATURE: usize = 20;

/// The fields we use of the answer about a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Information {
    /// Supported settings, a bit each.
    pub supported: u32,
    /// Current settings, a bit each.
    pub current: u32,
}

/// The command Read Controller Information, for the controller of this index.
pub fn read_information(controller: u16) -> [u8; 6] {
    command(READ_INFORMATION, controller)
}

/// The command Read Experimental Features Information, for the controller of
/// this index.
pub fn read_features(controller: u16) -> [u8; 6] {
    command(READ_FEATURES, controller)
}

fn command(opcode: u16, controller: u16) -> [u8; 6] {
    let ([a, b], [c, d]) = (opcode.to_le_bytes(), controller.to_le_bytes());
    [a, b, c, d, 0, 0]
}

/// The answer to [`read_information`], if this packet is one. Other packets give
/// `None`, by their first bytes, so they may be cut off after [`LONGEST_ANSWER`].
///
/// # Errors
/// [`MgmtError::NoController`] and [`MgmtError::Refused`] are answers too;
/// [`MgmtError::Malformed`] is a packet of a wrong length.
pub fn information(controller: u16, packet: &[u8]) -> Result<Option<Information>, MgmtError> {
    let told = answer(READ_INFORMATION, controller, packet)?;
    told.map(settings).transpose()
}

/// Whether the experimental feature LL Privacy is on, if this packet is the answer
/// to [`read_features`]. A kernel that does not know the command, before 5.7, does
/// not know the feature.
///
/// # Errors
/// As of [`information`].
pub fn has_ll_privacy(controller: u16, packet: &[u8]) -> Result<Option<bool>, MgmtError> {
    match answer(READ_FEATURES, controller, packet) {
        Ok(told) => told.map(is_ll_privacy_on).transpose(),
        Err(MgmtError::Refused(STATUS_UNKNOWN_COMMAND)) => Ok(Some(false)),
        Err(error) => Err(error),
    }
}

/// The return parameters of this command for this controller, if the packet has
/// them.
fn answer(opcode: u16, controller: u16, packet: &[u8]) -> Result<Option<&[u8]>, MgmtError> {
    let (header, parameters) = packet
        .split_first_chunk::<HEADER>()
        .ok_or(MgmtError::Malformed)?;
    let [code, of, length] = [0, 2, 4].map(|at| u16::from_le_bytes([header[at], header[at + 1]]));
    if of != controller || ![COMMAND_COMPLETE, COMMAND_STATUS].contains(&code) {
        return Ok(None);
    }
    let (&[low, high, status], told) = parameters
        .split_first_chunk::<COMPLETE>()
        .ok_or(MgmtError::Malformed)?;
    if u16::from_le_bytes([low, high]) != opcode {
        return Ok(None);
    }
    if usize::from(length) != parameters.len() {
        return Err(MgmtError::Malformed);
    }
    match status {
        0 if code == COMMAND_COMPLETE => Ok(Some(told)),
        0 => Err(MgmtError::Malformed),
        STATUS_INVALID_INDEX => Err(MgmtError::NoController),
        other => Err(MgmtError::Refused(other)),
    }
}

fn settings(information: &[u8]) -> Result<Information, MgmtError> {
    let information: &[u8; INFORMATION] =
        information.try_into().map_err(|_| MgmtError::Malformed)?;
    let settings = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| information[at + i]));
    Ok(Information {
        supported: settings(SUPPORTED_SETTINGS_AT),
        current: settings(CURRENT_SETTINGS_AT),
    })
}

fn is_ll_privacy_on(told: &[u8]) -> Result<bool, MgmtError> {
    let (&[low, high], features) = told
        .split_first_chunk::<COUNT>()
        .ok_or(MgmtError::Malformed)?;
    let (features, rest) = features.as_chunks::<FEATURE>();
    if !rest.is_empty() || features.len() != usize::from(u16::from_le_bytes([low, high])) {
        return Err(MgmtError::Malformed);
    }
    let is_on = |feature: &[u8; FEATURE]| feature[..16] == LL_PRIVACY && feature[16] & ON != 0;
    Ok(features.iter().any(is_on))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Command Complete with these current settings.
    pub(crate) fn told(controller: u16, current: u32) -> Vec<u8> {
        told_of(controller, 0x0003_feff, current)
    }

    /// The same of a controller that supports these settings.
    pub(crate) fn told_of(controller: u16, supported: u32, current: u32) -> Vec<u8> {
        let mut information = [0xee; INFORMATION];
        information[9..13].copy_from_slice(&supported.to_le_bytes());
        information[13..17].copy_from_slice(&current.to_le_bytes());
        packet(1, controller, 4, 0, &information)
    }

    /// Command Status, as the kernel refuses.
    pub(crate) fn refused(controller: u16, status: u8) -> Vec<u8> {
        packet(2, controller, 4, status, &[])
    }

    /// Command Complete with two features, the second being LL Privacy with these
    /// flags: as Linux 6.12 reports them for a controller that supports it.
    pub(crate) fn featured(controller: u16, flags: u8) -> Vec<u8> {
        let other = [0x1c, 0xda, 0x47, 0x1c, 0x48, 0x6c, 0x01, 0xab];
        let mut features = vec![2, 0];
        features.extend(other.into_iter().chain([0xee; 8]).chain([1, 0, 0, 0]));
        features.extend(LL_PRIVACY.into_iter().chain([flags, 0, 0, 0]));
        packet(1, controller, 0x49, 0, &features)
    }

    /// Command Status for the features.
    pub(crate) fn features_refused(controller: u16, status: u8) -> Vec<u8> {
        packet(2, controller, 0x49, status, &[])
    }

    fn packet(code: u16, controller: u16, opcode: u16, status: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(3 + rest.len()).unwrap();
        let mut bytes = [code, controller, length, opcode]
            .map(u16::to_le_bytes)
            .concat();
        bytes.push(status);
        bytes.extend(rest);
        bytes
    }

    fn malformed(packet: &[u8]) -> bool {
        matches!(information(3, packet), Err(MgmtError::Malformed))
    }

    #[test]
    fn a_command_is_six_bytes() {
        assert_eq!(read_information(0x0102), [0x04, 0x00, 0x02, 0x01, 0, 0]);
        assert_eq!(read_features(0x0102), [0x49, 0x00, 0x02, 0x01, 0, 0]);
    }

    #[test]
    fn the_current_settings_are_read_and_not_the_supported_ones() {
        let mut packet = told(3, 0x0a01);
        packet[6 + 3 + 9..][..4].copy_from_slice(&0xffff_ffff_u32.to_le_bytes());
        let current = information(3, &packet).unwrap().unwrap().current;
        assert_eq!(current, 0x0a01);
        assert_eq!(current & SETTING_PRIVACY, 0);
    }

    #[test]
    fn a_packet_of_a_wrong_length_is_none() {
        let right = told(3, 0x2a01);
        assert!(right.len() <= LONGEST_ANSWER);
        for length in 0..right.len() {
            assert!(malformed(&right[..length]), "{length}");
        }
        let mut long = right;
        long.push(0);
        assert!(malformed(&long));
        // Even if its own length is right.
        assert!(malformed(&packet(1, 3, 4, 0, &[0; INFORMATION - 1])));
        assert!(malformed(&packet(1, 3, 4, 0, &[0; INFORMATION + 1])));
        // Successful, but by the event that only refuses.
        assert!(malformed(&packet(2, 3, 4, 0, &[])));
    }

    #[test]
    fn a_packet_that_lies_about_its_length_is_none() {
        for mut packet in [told(3, 0x2a01), refused(3, 0x11)] {
            packet[4] ^= 1;
            assert!(malformed(&packet), "{packet:?}");
        }
    }

    #[test]
    fn packets_for_others_are_none() {
        let others = [
            told(2, 0x2a01),
            refused(2, 0x11),
            packet(1, 3, 5, 0, &[0; INFORMATION]),
            packet(2, 3, 5, 0x11, &[]),
            vec![0x06, 0, 3, 0, 4, 0, 1, 2, 3, 4],
        ];
        for packet in others {
            assert_eq!(information(3, &packet).unwrap(), None, "{packet:?}");
        }
        for packet in [told(3, 0x2a01), featured(2, 1), refused(3, 0x11)] {
            assert_eq!(has_ll_privacy(3, &packet).unwrap(), None, "{packet:?}");
        }
    }

    #[test]
    fn the_experimental_feature_is_told() {
        for (flags, is_on) in [(0, false), (1, true), (2, false), (3, true)] {
            let told = has_ll_privacy(3, &featured(3, flags)).unwrap();
            assert_eq!(told, Some(is_on), "{flags}");
        }
        // As Linux 6.12 reports for a controller without support, and 6.15 for all.
        let none = packet(1, 3, 0x49, 0, &[0, 0]);
        assert_eq!(has_ll_privacy(3, &none).unwrap(), Some(false));
        let unknown = features_refused(3, 0x01);
        assert_eq!(has_ll_privacy(3, &unknown).unwrap(), Some(false));
        let busy = has_ll_privacy(3, &features_refused(3, 0x0a));
        assert!(matches!(busy, Err(MgmtError::Refused(0x0a))));
        for (count, length) in [(1, 40), (3, 40), (2, 39), (0, 1)] {
            let mut features = vec![count, 0];
            features.resize(2 + length, 0);
            let wrong = has_ll_privacy(3, &packet(1, 3, 0x49, 0, &features));
            assert!(
                matches!(wrong, Err(MgmtError::Malformed)),
                "{count} {length}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_wild(packet in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = information(3, &packet);
            let _ = has_ll_privacy(3, &packet);
        }

        #[test]
        fn every_setting_is_read_back(controller: u16, supported: u32, current: u32) {
            let read = information(controller, &told_of(controller, supported, current)).unwrap();
            prop_assert_eq!(read, Some(Information { supported, current }));
        }
    }
}
