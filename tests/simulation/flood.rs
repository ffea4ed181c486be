//! A flood of numbers that one sender invents, beside real neighbours.
//!
//! Twenty neighbours change their number every quarter of an hour and are heard every
//! minute. Beside them one sender broadcasts hundreds of numbers a minute, each once.
//! The log takes 4096 new numbers in a quarter of an hour, so most of the flood has to
//! wait, and no neighbour may.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tcn_engine::{Engine, Input, KeyId, Moment, Output, Policy, RadioCapabilities, Sighting};
use tcn_protocol::{TemporaryContactNumber, UnixTime};

const NEIGHBOURS: usize = 20;
/// Minutes for which a neighbour keeps one number.
const LIFE: u64 = 15;

type Tcn = TemporaryContactNumber;

/// How the flood's numbers compare with the neighbours'.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bytes {
    /// Below every neighbour's.
    Low,
    Random,
}

struct Street {
    engine: Engine,
    rng: ChaCha20Rng,
    now: Moment,
    /// When each of the neighbours' numbers was first heard, in minutes.
    born: BTreeMap<Tcn, u64>,
    written: BTreeMap<Tcn, u64>,
}

impl Street {
    fn new() -> Self {
        let now = Moment::new(Duration::from_secs(100), UnixTime(1_800_000_000));
        let mut street = Self {
            engine: Engine::new(now, Policy::default(), KeyId(1), []),
            rng: ChaCha20Rng::seed_from_u64(20),
            now,
            born: BTreeMap::new(),
            written: BTreeMap::new(),
        };
        let deaf_and_dumb = RadioCapabilities {
            can_listen: true,
            ..RadioCapabilities::default()
        };
        street.tell(0, Input::RadioUp(deaf_and_dumb));
        street.tell(0, Input::Consent(true));
        street
    }

    fn tell(&mut self, minute: u64, input: Input) {
        self.engine.handle(self.now, input, &mut self.rng);
        while let Some(output) = self.engine.poll_output() {
            let Output::Save(seq, batch) = output else {
                continue;
            };
            for contact in batch {
                if self.born.contains_key(&contact.tcn) {
                    self.written.entry(contact.tcn).or_insert(minute);
                }
            }
            self.engine
                .handle(self.now, Input::Stored(seq), &mut self.rng);
        }
    }

    fn hear(&mut self, minute: u64, tcn: Tcn) {
        let sighting = Sighting {
            tcn,
            bridged: false,
            rssi: Some(-60),
        };
        self.tell(minute, Input::Heard(sighting));
    }

    fn number(&mut self) -> Tcn {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        // Above all low ones.
        bytes[0] |= 1;
        Tcn::from_bytes(bytes)
    }

    /// One minute: the flood, then the neighbours.
    fn minute(&mut self, minute: u64, neighbours: &[Tcn], rate: u64, kind: Bytes) {
        for i in 0..rate {
            let mut low = [0; 16];
            low[8..].copy_from_slice(&(minute * rate + i + 1).to_be_bytes());
            let tcn = match kind {
                Bytes::Low => Tcn::from_bytes(low),
                Bytes::Random => self.number(),
            };
            self.hear(minute, tcn);
        }
        for tcn in neighbours {
            self.born.entry(*tcn).or_insert(minute);
            self.hear(minute, *tcn);
        }
        let minute_later = self.now.boot + Duration::from_secs(60);
        self.now = Moment::new(minute_later, self.now.wall.after(Duration::from_secs(60)));
        self.tell(minute, Input::Timeout);
    }
}

/// The number of neighbours' numbers, how many of those were never written, and the
/// longest delay of the others in minutes.
fn flooded(hours: u64, rate: u64, kind: Bytes) -> (usize, usize, u64) {
    let mut street = Street::new();
    let mut neighbours = Vec::new();
    for minute in 0..hours * 60 {
        if minute % LIFE == 0 {
            neighbours = (0..NEIGHBOURS).map(|_| street.number()).collect();
        }
        street.minute(minute, &neighbours, rate, kind);
    }
    // The last of them are written by the end of the quarter after their own.
    for minute in hours * 60..hours * 60 + LIFE {
        street.minute(minute, &[], rate, kind);
    }
    let lost = street.born.len() - street.written.len();
    let delays = street.written.iter();
    let delay = delays.map(|(tcn, minute)| minute - street.born[tcn]).max();
    (street.born.len(), lost, delay.unwrap_or(0))
}

#[test]
fn a_flood_of_300_low_numbers_a_minute_keeps_no_neighbour_out_of_the_log() {
    let (numbers, lost, delay) = flooded(6, 300, Bytes::Low);
    assert_eq!((numbers, lost), (480, 0));
    assert!(delay <= LIFE, "{delay} minutes");
}

#[test]
fn a_flood_of_550_low_numbers_a_minute_keeps_no_neighbour_out_of_the_log() {
    let (numbers, lost, delay) = flooded(6, 550, Bytes::Low);
    assert_eq!((numbers, lost), (480, 0));
    assert!(delay <= LIFE, "{delay} minutes");
}

#[test]
fn a_flood_of_1000_numbers_a_minute_of_any_kind_keeps_no_neighbour_out_of_the_log() {
    for kind in [Bytes::Low, Bytes::Random] {
        let (numbers, lost, delay) = flooded(1, 1000, kind);
        assert_eq!((numbers, lost), (80, 0), "{kind:?}");
        assert!(delay <= LIFE, "{kind:?}: {delay} minutes");
    }
}
