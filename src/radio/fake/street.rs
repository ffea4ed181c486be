//! A street where people pass by.
//!
//! Everyone comes from out of range, walks up to some distance, stays for a
//! while, walks on and is replaced by somebody else some time later. While
//! near they are heard about once a second, less a few adverts lost, at a
//! signal that falls with the distance. Their numbers change like anybody's.

use std::time::Duration;

use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;
use tokio::sync::broadcast;
use tokio::time::{self, MissedTickBehavior};

use super::dice::Dice;
use super::{Mode, Options, Peer, Transmission};

/// Where people come from and go to, in decimetres: out of range.
const FAR: u16 = 400;
/// Adverts lost, of a hundred.
const LOST: u16 = 15;
/// Where one can connect, each of so many only tells their number.
const MUTE: u64 = 3;
/// Signal in dBm up to a distance in decimetres: -59 at one metre, 6 dB less
/// with each doubling, as in the open.
const SIGNAL: [(u16, i16); 6] = [
    (10, -59),
    (20, -65),
    (40, -71),
    (80, -77),
    (160, -83),
    (320, -89),
];

/// Runs the street until nobody is on the air to hear it.
pub(super) async fn live(options: Options, ether: broadcast::Sender<Transmission>) {
    let mut dice = Dice::new(options.seed);
    let mut people: Vec<_> = (0..options.neighbours)
        .map(|_| Walker::new(&mut dice, 15))
        .collect();
    let connectable = matches!(options.mode, Mode::Full | Mode::Relay);
    let mut second = time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        for (walker, id) in people.iter_mut().zip(0_u64..) {
            walker.step(&mut dice);
            let Some(rssi) = walker.signal() else {
                continue;
            };
            if dice.chance(LOST) {
                continue;
            }
            let said = ether.send(Transmission {
                from: 0,
                frame: Frame::own(walker.number),
                rssi: Some(rssi + dice.fading(5)),
                by: (connectable && id % MUTE == 0).then_some(Peer(id)),
            });
            if said.is_err() {
                return;
            }
        }
    }
}

struct Walker {
    number: TemporaryContactNumber,
    /// Seconds until the number changes.
    rotates_in: u16,
    /// Seconds until they set out.
    sets_out_in: u16,
    /// Decimetres from us.
    distance: u16,
    /// Decimetres a second.
    pace: u16,
    /// How near they come, in decimetres.
    nearest: u16,
    /// Seconds they stay there.
    stays: u16,
    leaving: bool,
}

impl Walker {
    fn new(dice: &mut Dice, latest: u16) -> Self {
        Self {
            number: dice.number(),
            rotates_in: dice.between(1, 900),
            sets_out_in: dice.between(0, latest),
            distance: FAR,
            pace: dice.between(7, 16),
            nearest: dice.between(5, 60),
            stays: dice.between(5, 900),
            leaving: false,
        }
    }

    /// One second passes.
    fn step(&mut self, dice: &mut Dice) {
        if self.sets_out_in > 0 {
            self.sets_out_in -= 1;
            return;
        }
        self.rotates_in -= 1;
        if self.rotates_in == 0 {
            self.number = dice.number();
            self.rotates_in = dice.between(780, 900);
        }
        if self.leaving {
            self.distance += self.pace;
            if self.distance >= FAR {
                *self = Self::new(dice, 120);
            }
        } else if self.distance > self.nearest {
            self.distance = self.distance.saturating_sub(self.pace).max(self.nearest);
        } else if self.stays > 0 {
            self.stays -= 1;
        } else {
            self.leaving = true;
        }
    }

    /// Signal in dBm, if in range.
    fn signal(&self) -> Option<i16> {
        let (_, dbm) = SIGNAL
            .iter()
            .find(|(reach, _)| self.distance <= *reach)
            .filter(|_| self.sets_out_in == 0)?;
        Some(*dbm)
    }
}
