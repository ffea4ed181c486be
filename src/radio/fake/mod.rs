//! A radio without hardware, which ships: `--radio fake`.
//!
//! An [`Air`] is shared by any number of radios of one process. What one radio airs, the
//! others hear once a second. [`Air::radio_with_switch`] gives a radio whose adapter can be
//! switched off, unplugged, made discoverable or made to refuse adverts, so that the daemon
//! can be tested against everything that BlueZ does to it. [`spawn`] puts one radio into a
//! street where simulated people come and go. Demonstrations show this, and
//! [`super::Status::simulated`] says so. [`join`] puts it into a street that several
//! daemons share, without simulated people. In mode full some of the simulated people
//! cannot broadcast, like an iPhone in the background, and write their number to the radio
//! instead.
//!
//! Randomness comes from a seed alone and time from tokio's clock, so a run under paused
//! time is the same every time.

mod condition;
mod fake_radio;
mod options;
mod pedestrians;
mod rng;
mod shared;
mod transmission;

use tokio::sync::{broadcast, mpsc, watch};

use super::event_queue::{EVENT_CAPACITY, ORDER_CAPACITY};
use super::{Event, Mode, Order, Radio};
use rng::SplitMix64;
use transmission::Transmission;

pub use condition::Condition;
pub use options::Options;
pub use shared::{StreetError, join};

/// The air between the radios of one process.
#[derive(Clone, Debug)]
pub struct Air {
    ether: broadcast::Sender<Transmission>,
    seed: u64,
}

/// Changes the condition of one simulated adapter.
#[derive(Debug)]
pub struct Switch(watch::Sender<Condition>);

impl Switch {
    /// Sets the condition from now on.
    pub fn set(&self, condition: Condition) {
        self.0.send_replace(condition);
    }
}

impl Air {
    /// How many adverts a listener may be behind before it misses some, as in a crowd.
    const DEPTH: usize = 1024;

    /// An empty air. The seed decides the fading.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            ether: broadcast::Sender::new(Self::DEPTH),
            seed,
        }
    }

    /// A radio on it, with this adapter name. Must be called within a tokio runtime.
    #[must_use]
    pub fn radio(&self, name: &str) -> Radio {
        self.radio_with_switch(name).0
    }

    /// The same, with a switch for its adapter. It starts working.
    #[must_use]
    pub fn radio_with_switch(&self, name: &str) -> (Radio, Switch) {
        self.radio_of(name, Mode::Broadcast)
    }

    fn radio_of(&self, name: &str, mode: Mode) -> (Radio, Switch) {
        let (orders_in, orders) = mpsc::channel::<Order>(ORDER_CAPACITY);
        let (events, events_out) = mpsc::channel::<Event>(EVENT_CAPACITY);
        let (switch, condition) = watch::channel(Condition::Working);
        let rng = SplitMix64::of(self.seed, name);
        let fake = fake_radio::FakeRadio::new(name, mode, rng, self.ether.clone(), events);
        tokio::spawn(fake.run(orders, condition));
        let radio = Radio {
            orders: orders_in,
            events: events_out,
        };
        (radio, Switch(switch))
    }
}

/// A radio in a street of simulated people. Must be called within a tokio
/// runtime.
#[must_use]
pub fn spawn(options: Options) -> Radio {
    let air = Air::new(options.seed);
    let (radio, _) = air.radio_of("fake0", options.mode);
    tokio::spawn(pedestrians::run(options, air.ether));
    radio
}

#[cfg(test)]
mod tests;
