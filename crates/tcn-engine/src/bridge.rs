//! The numbers of others that this machine carries, and which frame is on the air next.
//!
//! An iPhone in the background cannot broadcast its number. It writes the number to a
//! device that can, and that device broadcasts it in the iPhone's place. There is one
//! advert, so it is shared by time: our own frame for a slot, then a carried one, then
//! our own again. Every frame ends in the first four bytes of our own number. By them a
//! receiver tells a carrier from an owner, and an iPhone writes once in each of our
//! epochs: it takes new bytes for a new carrier. The same bytes show that everything
//! carried in one epoch comes from one radio, and a number carried in two epochs would
//! link them. So all carried numbers are dropped when ours changes, and none is carried
//! in two epochs in a row.
//!
//! A writer can also lie. Each writer has one number carried at a time and may write
//! [`MAX_PER_WRITER`] in an epoch. All writers share [`MAX_CARRIED`] places, for
//! [`CARRY_TIME`] each: the writer may have left by then. A full list takes no newcomer,
//! rather than let newcomers drive out the numbers in it.
//!
//! Clients: tcn-client-ios ea25cb0, `shortTemporaryIdentifiers`;
//! tcn-client-android 7d48399, `TcnBluetoothManager.kt`, the advertising queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

use super::{Moment, Sighting, WriterId};

/// Numbers carried at once. With slots of 20 s, and ours between two of them, each is
/// then on the air about once in 20 minutes, that is hardly ever.
pub(super) const MAX_CARRIED: usize = 32;

/// Numbers that one writer may write in an epoch. An iPhone writes one.
pub(super) const MAX_PER_WRITER: u8 = 4;

/// Writers remembered. Numbers of further writers are logged but not carried until our
/// number changes.
const MAX_WRITERS: usize = 256;

/// How long a number is carried after it was written.
pub(super) const CARRY_TIME: Duration = Duration::from_secs(5 * 60);

/// The weakest signal of a writer, in dBm, whose number is carried. A weaker writer is
/// too far away to meet the people who hear us.
const MIN_RSSI_DBM: i16 = -90;

/// The frame on the air within an epoch, and when its slot ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) frame: Frame,
    pub(super) ends: Duration,
}

/// What happens to a number that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may be carried.
    Carried,
    /// There are too many writers to tell them apart: the number is logged only.
    Logged,
    /// This writer has written too many.
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Bridge {
    /// The next one to be aired first.
    carried: VecDeque<Carried>,
    /// How many numbers each wrote in this epoch.
    writers: BTreeMap<WriterId, u8>,
    /// All numbers carried in this epoch, and in the last one that carried any.
    this_epoch: BTreeSet<TemporaryContactNumber>,
    epoch_before: BTreeSet<TemporaryContactNumber>,
}

#[derive(Debug)]
struct Carried {
    tcn: TemporaryContactNumber,
    writer: WriterId,
    until: Duration,
}

impl Bridge {
    /// Decides about one more number of a writer in this epoch, and counts it.
    pub(super) fn admit(&mut self, writer: WriterId) -> Admission {
        if self.writers.len() >= MAX_WRITERS && !self.writers.contains_key(&writer) {
            return Admission::Logged;
        }
        let written = self.writers.entry(writer).or_insert(0);
        if *written == MAX_PER_WRITER {
            return Admission::Refused;
        }
        *written += 1;
        Admission::Carried
    }

    /// Carries a number from now on, in place of the one that the same writer wrote
    /// before. `own` is the frame of the carrier.
    pub(super) fn carry(&mut self, now: Moment, own: Frame, written: Sighting, writer: WriterId) {
        // Carried by us, it would look like our own number.
        let taken_for_ours = !Frame::carried(written.tcn, own.carrier_id()).is_bridged();
        let links = self.epoch_before.contains(&written.tcn);
        if taken_for_ours || links || written.rssi.is_some_and(|rssi| rssi < MIN_RSSI_DBM) {
            return;
        }
        self.carried
            .retain(|carried| carried.writer != writer && carried.tcn != written.tcn);
        if self.carried.len() < MAX_CARRIED {
            self.this_epoch.insert(written.tcn);
            self.carried.push_back(Carried {
                tcn: written.tcn,
                writer,
                until: now.boot + CARRY_TIME,
            });
        }
    }

    /// Our own number changes: drops all carried numbers and forgets all writers of the
    /// epoch.
    pub(super) fn flush(&mut self) {
        self.carried.clear();
        self.writers.clear();
        if !self.this_epoch.is_empty() {
            self.epoch_before = std::mem::take(&mut self.this_epoch);
        }
    }

    /// When the slot of the frame on the air ends; none while no other frame waits.
    pub(super) fn turn_ends(&self, own: Frame, slot: &Slot) -> Option<Duration> {
        (slot.frame != own || !self.carried.is_empty()).then_some(slot.ends)
    }

    /// The next frame: our own after each carried one, unless our own is vacant, as a
    /// relay's is.
    pub(super) fn next(&mut self, now: Moment, own: Frame, on_air: Frame) -> Frame {
        self.carried.retain(|carried| now.boot < carried.until);
        if on_air != own && own.tcn != TemporaryContactNumber::VACANT {
            return own;
        }
        let Some(next) = self.carried.pop_front() else {
            return own;
        };
        let frame = Frame::carried(next.tcn, own.carrier_id());
        self.carried.push_back(next);
        frame
    }
}

#[cfg(test)]
mod tests {
    use tcn_protocol::UnixTime;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::new(Duration::from_secs(seconds), UnixTime(2_000_000_000))
    }

    fn number(byte: u8) -> TemporaryContactNumber {
        TemporaryContactNumber::from_bytes([byte; 16])
    }

    fn written(byte: u8) -> Sighting {
        Sighting {
            tcn: number(byte),
            bridged: false,
            rssi: None,
        }
    }

    const OWN: Frame = Frame::own(TemporaryContactNumber::from_bytes([0xaa; 16]));

    fn carrying(numbers: &[u8]) -> Bridge {
        let mut bridge = Bridge::default();
        for byte in numbers {
            bridge.carry(at(0), OWN, written(*byte), WriterId((*byte).into()));
        }
        bridge
    }

    /// The first bytes of the frames in the order they are aired.
    fn turns(bridge: &mut Bridge, own: Frame, now: u64, count: usize) -> Vec<u8> {
        let mut on_air = own;
        std::iter::repeat_with(|| {
            on_air = bridge.next(at(now), own, on_air);
            assert_eq!(on_air.carrier_id(), own.carrier_id());
            on_air.tcn.as_bytes()[0]
        })
        .take(count)
        .collect()
    }

    #[test]
    fn our_own_number_has_every_other_turn() {
        let mut bridge = carrying(&[1, 2]);
        assert_eq!(turns(&mut bridge, OWN, 1, 6), [1, 0xaa, 2, 0xaa, 1, 0xaa]);
    }

    #[test]
    fn a_relay_has_no_turn_of_its_own_while_it_carries() {
        let mut bridge = carrying(&[1, 2]);
        let vacant = Frame::vacant([9; 4]);
        assert_eq!(turns(&mut bridge, vacant, 1, 4), [1, 2, 1, 2]);
        let end = CARRY_TIME.as_secs();
        assert_eq!(turns(&mut bridge, vacant, end, 2), [0, 0]);
    }

    #[test]
    fn nothing_is_carried_past_its_stay_or_past_a_flush() {
        let end = CARRY_TIME.as_secs();
        let mut bridge = carrying(&[1]);
        assert_eq!(turns(&mut bridge, OWN, end - 1, 1), [1]);
        assert_eq!(turns(&mut bridge, OWN, end, 2), [0xaa, 0xaa]);
        let mut bridge = carrying(&[1, 2]);
        bridge.flush();
        assert_eq!(turns(&mut bridge, OWN, 1, 2), [0xaa, 0xaa]);
        let slot = Slot {
            frame: OWN,
            ends: at(5).boot,
        };
        assert_eq!(bridge.turn_ends(OWN, &slot), None);
    }

    #[test]
    fn a_writer_is_carried_with_the_last_of_four_numbers_at_most() {
        let mut bridge = Bridge::default();
        let admitted: Vec<u8> = (1..=200)
            .filter(|byte| {
                bridge.admit(WriterId(7)) == Admission::Carried && {
                    bridge.carry(at(0), OWN, written(*byte), WriterId(7));
                    true
                }
            })
            .collect();
        assert_eq!(admitted, [1, 2, 3, 4]);
        assert_eq!(turns(&mut bridge, OWN, 1, 4), [4, 0xaa, 4, 0xaa]);
        bridge.flush();
        assert_eq!(
            bridge.admit(WriterId(7)),
            Admission::Carried,
            "a new epoch, a new allowance"
        );
        assert_eq!(bridge.admit(WriterId(8)), Admission::Carried);
    }

    #[test]
    fn a_crowd_of_writers_is_bounded_and_drives_nobody_out() {
        let mut bridge = carrying(&[1]);
        for writer in 1000..100_000 {
            if bridge.admit(WriterId(writer)) == Admission::Carried {
                let mut bytes = [3; 16];
                bytes[..8].copy_from_slice(&writer.to_be_bytes());
                let written = Sighting {
                    tcn: TemporaryContactNumber::from_bytes(bytes),
                    bridged: false,
                    rssi: None,
                };
                bridge.carry(at(0), OWN, written, WriterId(writer));
            }
        }
        assert_eq!(
            (bridge.carried.len(), bridge.writers.len()),
            (MAX_CARRIED, MAX_WRITERS)
        );
        assert_eq!(turns(&mut bridge, OWN, 1, 1), [1]);
    }

    #[test]
    fn no_number_is_carried_in_two_epochs_in_a_row() {
        let mut bridge = carrying(&[1]);
        bridge.flush();
        bridge.flush();
        for byte in [1, 2] {
            bridge.carry(at(1), OWN, written(byte), WriterId(byte.into()));
        }
        assert_eq!(turns(&mut bridge, OWN, 1, 3), [2, 0xaa, 2]);
    }

    #[test]
    fn the_faint_and_those_who_pose_as_us_are_not_carried() {
        let mut bridge = Bridge::default();
        for (rssi, byte) in [(-91, 1), (-90, 2)] {
            let written = Sighting {
                rssi: Some(rssi),
                ..written(byte)
            };
            bridge.carry(at(0), OWN, written, WriterId(byte.into()));
        }
        let mut posing = [3; 16];
        posing[..4].copy_from_slice(&OWN.carrier_id());
        let posing = Sighting {
            tcn: TemporaryContactNumber::from_bytes(posing),
            ..written(0)
        };
        bridge.carry(at(0), OWN, posing, WriterId(3));
        assert_eq!(turns(&mut bridge, OWN, 1, 3), [2, 0xaa, 2]);
    }
}
