//! What a transition of the broadcast can do: draw a number, air it, change the frame,
//! rest, and record all of it.
//!
//! Nothing is done here. Everything is pushed to [`Context::out`], in the order in
//! which it has to happen.

use std::time::Duration;

use rand_core::CryptoRng;
use tcn_protocol::beacon::{CARRIER_LEN, Frame};

use super::super::bridge::{Bridge, Slot};
use super::super::rotation::{Life, Numbered, Rotation, random_up_to};
use super::super::{LogEvent, Moment, Order, Output, Policy, RadioCapabilities, Record, Seq};
use super::state::{BroadcastState, Epoch, OnAir, Prepared, Want};

/// Everything that a transition may use besides the state machine.
pub(crate) struct Context<'a, R> {
    pub(crate) now: Moment,
    pub(crate) want: Want,
    pub(crate) capabilities: RadioCapabilities,
    pub(crate) policy: &'a Policy,
    pub(crate) rotation: &'a mut Rotation,
    pub(crate) bridge: &'a mut Bridge,
    pub(crate) rng: &'a mut R,
    pub(crate) next_seq: &'a mut Seq,
    pub(crate) out: &'a mut Vec<Output>,
}

impl<R: CryptoRng> Context<'_, R> {
    /// From nothing on the air to what is wanted.
    pub(super) fn begin(&mut self, silence: Duration) -> BroadcastState {
        self.succeed(None, silence)
    }

    /// From a number that has just left the air to what is wanted. If that is another
    /// number, both are recorded at once, so that the store syncs the disk once.
    pub(super) fn succeed(&mut self, left: Option<Numbered>, silence: Duration) -> BroadcastState {
        if self.want == Want::Air && !self.policy.relay {
            return self.prepare_number(left, silence);
        }
        self.retired(left);
        match self.want {
            Want::Nothing => BroadcastState::Silent,
            Want::Listen => {
                self.out.push(Output::Radio(Order::Listen));
                BroadcastState::Listening
            }
            Want::Air => self.prepare_relay(silence),
        }
    }

    fn prepare_number(&mut self, left: Option<Numbered>, silence: Duration) -> BroadcastState {
        let life = self.life();
        let (number, drawn) = self.rotation.draw(self.now, life, self.rng);
        if drawn.len() > 1 {
            self.out.push(Output::Log(LogEvent::NewKey));
        }
        let mut records: Vec<_> = left.map(|left| self.end_of(left)).into_iter().collect();
        records.extend(drawn);
        let seq = self.persist(records);
        let epoch = Epoch {
            frame: Frame::own(number.tcn),
            number: Some(number),
        };
        BroadcastState::Preparing(Prepared {
            epoch,
            seq,
            durable: false,
            not_before: self.now.boot + silence,
        })
    }

    /// A relay has no number, so there is nothing to make durable. It draws only the
    /// carrier bytes of the epoch.
    fn prepare_relay(&mut self, silence: Duration) -> BroadcastState {
        let mut carrier = [0; CARRIER_LEN];
        self.rng.fill_bytes(&mut carrier);
        carrier[0] |= 1; // all zeros would name the vacant number as its own carrier
        let epoch = Epoch {
            frame: Frame::vacant(carrier),
            number: None,
        };
        BroadcastState::Preparing(Prepared {
            epoch,
            seq: Seq(0),
            durable: true,
            not_before: self.now.boot + silence,
        })
    }

    pub(super) fn air(&mut self, epoch: Epoch) -> BroadcastState {
        self.out.push(Output::Radio(Order::Air(epoch.frame)));
        let since = self.now.boot;
        let life = self.life().number;
        let jitter = random_up_to(self.policy.jitter.min(life / 4), self.rng);
        let life = life.saturating_sub(jitter);
        BroadcastState::Airing(OnAir {
            epoch,
            since,
            until: since + life,
            confirmed: false,
            slot: Slot {
                frame: epoch.frame,
                ends: since + self.policy.slot,
            },
        })
    }

    /// Airs the next frame, if the slot of this one is over.
    pub(super) fn take_turns(&mut self, at: &mut OnAir) {
        let over = self.bridge.turn_ends(at.epoch.frame, &at.slot);
        if over.is_none_or(|over| self.now.boot < over) {
            return;
        }
        if !self.capabilities.can_carry {
            self.bridge.flush();
        }
        let next = self.bridge.next(self.now, at.epoch.frame, at.slot.frame);
        if next != at.slot.frame {
            self.out.push(Output::Radio(Order::Swap(next)));
        }
        at.slot = Slot {
            frame: next,
            ends: self.now.boot + self.policy.slot,
        };
    }

    pub(super) fn life(&self) -> Life {
        Life::new(self.policy, self.capabilities.address_lifetime)
    }

    pub(super) fn rest(&mut self, number: Option<Numbered>) -> BroadcastState {
        self.out.push(Output::Radio(Order::Rest));
        BroadcastState::Resting {
            number,
            since: self.now.boot,
        }
    }

    /// After the radio lost the advert by itself. It still listens, so if a number can be
    /// aired again, that epoch has to end first.
    pub(super) fn relisten(&mut self) -> BroadcastState {
        match self.want {
            Want::Listen => BroadcastState::Listening,
            Want::Nothing | Want::Air => self.rest(None),
        }
    }

    pub(super) fn retired(&mut self, number: Option<Numbered>) {
        if let Some(number) = number {
            let record = self.end_of(number);
            self.persist(vec![record]);
        }
    }

    fn end_of(&self, Numbered { key, index, .. }: Numbered) -> Record {
        let until = self.now.wall;
        Record::Retired { key, index, until }
    }

    /// The index is spent, and the record must not claim that the number was on the air.
    pub(super) fn never_aired(&mut self, epoch: Epoch) {
        if let Some(Numbered { key, index, .. }) = epoch.number {
            self.persist(vec![Record::Unaired { key, index }]);
        }
    }

    fn persist(&mut self, records: Vec<Record>) -> Seq {
        let seq = *self.next_seq;
        self.next_seq.0 += 1;
        self.out.push(Output::Persist(seq, records));
        seq
    }

    pub(super) fn unexpected(&mut self, what: &'static str) {
        self.out.push(Output::Log(LogEvent::Unexpected(what)));
    }
}
