//! Simulated people who pass by.
//!
//! Each person comes from out of range, walks up to some distance, stays for a while, walks
//! on, and is replaced by another some time later. While near, a person is heard about once
//! a second, apart from a few lost adverts, at a signal that falls with the distance. The
//! numbers rotate like those of real devices.

use std::time::Duration;

use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;
use tokio::sync::broadcast;
use tokio::time::{self, MissedTickBehavior};

use super::super::Peer;
use super::rng::SplitMix64;
use super::{Mode, Options, Transmission};

/// Where people come from and go to: out of range. In decimetres.
const FAR: u16 = 400;
/// Lost adverts, in percent.
const LOST: u16 = 15;
/// Where the radio is connectable, one in this many people writes the number instead of
/// broadcasting it.
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

/// Runs the simulation until no radio is left.
pub(super) async fn run(options: Options, ether: broadcast::Sender<Transmission>) {
    let mut rng = SplitMix64::new(options.seed);
    let mut pedestrians: Vec<_> = (0..options.neighbours)
        .map(|_| Pedestrian::new(&mut rng, 15))
        .collect();
    let connectable = matches!(options.mode, Mode::Full | Mode::Relay);
    let mut second = time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        for (pedestrian, id) in pedestrians.iter_mut().zip(0_u64..) {
            pedestrian.step(&mut rng);
            let Some(rssi) = pedestrian.signal() else {
                continue;
            };
            if rng.chance(LOST) {
                continue;
            }
            let said = ether.send(Transmission {
                from: 0,
                frame: Frame::own(pedestrian.number),
                rssi: Some(rssi + rng.fading(5)),
                writer: (connectable && id % MUTE == 0).then_some(Peer(id)),
            });
            if said.is_err() {
                return;
            }
        }
    }
}

struct Pedestrian {
    number: TemporaryContactNumber,
    /// Seconds until the number changes.
    rotates_in: u16,
    /// Seconds until the person sets out.
    sets_out_in: u16,
    /// Distance to the radio, in decimetres.
    distance: u16,
    /// Speed, in decimetres per second.
    pace: u16,
    /// The nearest distance, in decimetres.
    nearest: u16,
    /// Seconds of the stay there.
    stays: u16,
    leaving: bool,
}

impl Pedestrian {
    fn new(rng: &mut SplitMix64, latest: u16) -> Self {
        Self {
            number: rng.number(),
            rotates_in: rng.between(1, 900),
            sets_out_in: rng.between(0, latest),
            distance: FAR,
            pace: rng.between(7, 16),
            nearest: rng.between(5, 60),
            stays: rng.between(5, 900),
            leaving: false,
        }
    }

    /// One second passes.
    fn step(&mut self, rng: &mut SplitMix64) {
        if self.sets_out_in > 0 {
            self.sets_out_in -= 1;
            return;
        }
        self.rotates_in -= 1;
        if self.rotates_in == 0 {
            self.number = rng.number();
            self.rotates_in = rng.between(780, 900);
        }
        if self.leaving {
            self.distance += self.pace;
            if self.distance >= FAR {
                *self = Self::new(rng, 120);
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
