//! Which number is on the air, and the handover from one to the next.
//!
//! | state     | on the air           | leaves it when                                        |
//! |-----------|----------------------|-------------------------------------------------------|
//! | Silent    | nothing              | the radio is up and something is wanted               |
//! | Listening | discovery only       | broadcasting becomes possible, or nothing is wanted   |
//! | Preparing | nothing              | the number is durable and the silence is over         |
//! | Stalled   | discovery only       | the store may have recovered: a new number is drawn   |
//! | Airing    | advert and discovery | its time is over, or it is not wanted, or it is lost  |
//! | Resting   | being taken off      | the radio has seen both gone                          |
//!
//! The rules behind the table: a number is aired once and under one address. The old one
//! is seen gone before the new one is ordered. None is ordered before its record is
//! durable. A late event (a timer after a night of suspend) first ends what is stale.
//!
//! The rotation gives the machine its own numbers, the [`Bridge`] the numbers of others
//! that it carries in between. What it wants done comes out as [`Output`]s. This file
//! holds the transitions, [`Context`] the actions on the way.

mod context;

use std::time::Duration;

use rand_core::CryptoRng;

pub(super) use self::context::Context;
use tcn_protocol::beacon::Frame;

use super::bridge::{Bridge, Slot};
use super::rotation::{LONGEST_SILENCE, Numbered, random_up_to};
use super::{LogEvent, Moment, Output, Seq};

/// How long to wait after the store refused a number.
const STALL: Duration = Duration::from_secs(30);

/// How long a radio may take to leave the air before it counts as stuck. The radio's own
/// deadline is shorter.
const REST_DEADLINE: Duration = Duration::from_secs(60);

/// What should be on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    Listen,
    Air,
}

/// What is aired from one rotation to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    /// The frame of our number; for a relay the vacant one.
    pub(super) frame: Frame,
    /// Our number with its key and index; a relay has none.
    pub(super) number: Option<Numbered>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Silent,
    Listening,
    Preparing(Prepared),
    Stalled {
        until: Duration,
    },
    Airing(OnAir),
    Resting {
        number: Option<Numbered>,
        since: Duration,
    },
}

/// A number that waits until it is durable and the silence is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    epoch: Epoch,
    seq: Seq,
    durable: bool,
    not_before: Duration,
}

/// The epoch on the air, and the frame that is on it now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OnAir {
    epoch: Epoch,
    pub(super) since: Duration,
    until: Duration,
    pub(super) confirmed: bool,
    slot: Slot,
}

/// What can happen to a broadcast.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// What is wanted, or the time, may have changed.
    Reevaluate,
    Rotate,
    /// The key in use was dropped: its numbers may neither go on the air nor stay on it.
    KeyEnded,
    RadioDown,
    Aired(Frame),
    Withdrawn(Frame),
    Rested,
    Stored(Seq),
    NotStored(Seq),
}

impl State {
    /// The next state. What must be done for it is pushed to `context.out`.
    pub(super) fn step<R: CryptoRng>(self, event: Event, context: &mut Context<'_, R>) -> Self {
        match self {
            Self::Silent => silent(event, context),
            Self::Listening => listening(event, context),
            Self::Preparing(at) => preparing(at, event, context),
            Self::Stalled { until } => stalled(until, event, context),
            Self::Airing(at) => airing(at, event, context),
            Self::Resting { number, since } => resting(number, since, event, context),
        }
    }

    /// When this state has to be evaluated again.
    pub(super) fn timeout(&self, bridge: &Bridge) -> Option<Duration> {
        match self {
            Self::Silent | Self::Listening => None,
            Self::Preparing(at) => at.durable.then_some(at.not_before),
            Self::Stalled { until } => Some(*until),
            Self::Airing(at) => {
                let turn = bridge.turn_ends(at.epoch.frame, &at.slot);
                Some(turn.map_or(at.until, |turn| turn.min(at.until)))
            }
            Self::Resting { since, .. } => Some(*since + REST_DEADLINE),
        }
    }

    /// Our frame, while its epoch is on the air and may carry numbers of others.
    pub(super) fn carrier(&self) -> Option<Frame> {
        match self {
            Self::Airing(at) => Some(at.epoch.frame),
            Self::Silent
            | Self::Listening
            | Self::Preparing(_)
            | Self::Stalled { .. }
            | Self::Resting { .. } => None,
        }
    }

    /// The number that waits to be aired. It is recorded as reserved, and the record is
    /// taken back if its key ends now.
    pub(super) fn reserved(&self) -> Option<Numbered> {
        match self {
            Self::Preparing(at) => at.epoch.number,
            Self::Silent
            | Self::Listening
            | Self::Stalled { .. }
            | Self::Airing(_)
            | Self::Resting { .. } => None,
        }
    }

    /// Whether a number is about to be aired, on the air, or being replaced by the next.
    pub(super) fn is_handover(&self) -> bool {
        match self {
            Self::Preparing(_) | Self::Airing(_) | Self::Resting { .. } => true,
            Self::Silent | Self::Listening | Self::Stalled { .. } => false,
        }
    }

    /// Whether the radio has kept a number on the air past all deadlines.
    pub(super) fn overdue(&self, now: Moment) -> bool {
        matches!(self, Self::Resting { since, .. } if now.boot > *since + REST_DEADLINE)
    }
}

fn silent<R: CryptoRng>(event: Event, context: &mut Context<'_, R>) -> State {
    match event {
        Event::Reevaluate | Event::RadioDown | Event::Rested => context.begin(Duration::ZERO),
        Event::Rotate | Event::KeyEnded | Event::Stored(_) | Event::NotStored(_) => State::Silent,
        Event::Aired(_) | Event::Withdrawn(_) => {
            context.unexpected("a number on the air that was not ordered");
            State::Silent
        }
    }
}

fn listening<R: CryptoRng>(event: Event, context: &mut Context<'_, R>) -> State {
    match event {
        Event::Reevaluate if context.want == Want::Listen => State::Listening,
        Event::Reevaluate => context.rest(None),
        Event::RadioDown => State::Silent,
        Event::Rotate | Event::KeyEnded | Event::Stored(_) | Event::NotStored(_) => {
            State::Listening
        }
        Event::Aired(_) | Event::Withdrawn(_) | Event::Rested => {
            context.unexpected("word of a number while only listening");
            State::Listening
        }
    }
}

fn preparing<R: CryptoRng>(mut at: Prepared, event: Event, context: &mut Context<'_, R>) -> State {
    match event {
        Event::Stored(seq) if seq == at.seq => at.durable = true,
        Event::NotStored(seq) if seq == at.seq && context.want == Want::Air => {
            context.out.push(Output::Listen);
            return State::Stalled {
                until: context.now.boot + STALL,
            };
        }
        Event::RadioDown => {
            context.never_aired(at.epoch);
            return State::Silent;
        }
        Event::KeyEnded => {
            context.never_aired(at.epoch);
            return context.begin(at.not_before.saturating_sub(context.now.boot));
        }
        Event::Reevaluate
        | Event::Stored(_)
        | Event::NotStored(_)
        | Event::Rotate
        | Event::Rested => {}
        Event::Aired(_) | Event::Withdrawn(_) => {
            context.unexpected("word of a number before it was ordered");
        }
    }
    if context.want != Want::Air {
        context.never_aired(at.epoch);
        return context.begin(Duration::ZERO);
    }
    if !at.durable || context.now.boot < at.not_before {
        return State::Preparing(at);
    }
    if context.now.boot > at.not_before + context.life().number {
        // Suspended in between: its key may be past its life by now.
        context.never_aired(at.epoch);
        return context.begin(Duration::ZERO);
    }
    context.air(at.epoch)
}

fn stalled<R: CryptoRng>(until: Duration, event: Event, context: &mut Context<'_, R>) -> State {
    match event {
        Event::RadioDown => State::Silent,
        Event::Reevaluate if context.want != Want::Air || context.now.boot >= until => {
            context.rest(None)
        }
        Event::Reevaluate
        | Event::Rotate
        | Event::KeyEnded
        | Event::Rested
        | Event::Stored(_)
        | Event::NotStored(_) => State::Stalled { until },
        Event::Aired(_) | Event::Withdrawn(_) => {
            context.unexpected("word of a number while none was ordered");
            State::Stalled { until }
        }
    }
}

fn airing<R: CryptoRng>(mut at: OnAir, event: Event, context: &mut Context<'_, R>) -> State {
    match event {
        Event::Aired(frame) if frame == at.epoch.frame => {
            if !at.confirmed {
                context.out.push(Output::Log(LogEvent::Rotated));
            }
            at.confirmed = true;
        }
        Event::RadioDown => {
            context.retired(at.epoch.number);
            return State::Silent;
        }
        Event::Rotate | Event::KeyEnded => return context.rest(at.epoch.number),
        // Our own frame or a carried one: the epoch is over.
        Event::Withdrawn(frame) if frame.carrier_id() == at.epoch.frame.carrier_id() => {
            context.retired(at.epoch.number);
            return context.relisten();
        }
        Event::Reevaluate | Event::Stored(_) | Event::NotStored(_) => {}
        // The slot of this frame may be over by now.
        Event::Aired(frame) if frame.carrier_id() == at.epoch.frame.carrier_id() => {}
        Event::Aired(_) | Event::Withdrawn(_) | Event::Rested => {
            context.unexpected("word of another number than the one on the air");
        }
    }
    // A shorter period takes effect at once, also for the number on the air.
    at.until = at.until.min(at.since + context.life().number);
    if context.want != Want::Air || context.now.boot >= at.until {
        return context.rest(at.epoch.number);
    }
    context.take_turns(&mut at);
    State::Airing(at)
}

fn resting<R: CryptoRng>(
    number: Option<Numbered>,
    since: Duration,
    event: Event,
    context: &mut Context<'_, R>,
) -> State {
    match event {
        Event::Rested => {
            let silence = random_up_to(LONGEST_SILENCE, context.rng);
            context.retired(number);
            context.begin(silence)
        }
        Event::RadioDown => {
            context.retired(number);
            State::Silent
        }
        // Sent before the radio saw the order to rest.
        Event::Aired(_)
        | Event::Withdrawn(_)
        | Event::Reevaluate
        | Event::Rotate
        | Event::KeyEnded
        | Event::Stored(_)
        | Event::NotStored(_) => State::Resting { number, since },
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use tcn_protocol::{RatchetIndex, TemporaryContactNumber, UnixTime};

    use super::*;
    use crate::rotation::Rotation;
    use crate::{KeyId, Policy, RadioCapabilities};

    const STATES: [&str; 6] = [
        "Silent",
        "Listening",
        "Preparing",
        "Stalled",
        "Airing",
        "Resting",
    ];
    const EVENTS: [&str; 9] = [
        "Reevaluate",
        "Rotate",
        "KeyEnded",
        "RadioDown",
        "Aired",
        "Withdrawn",
        "Rested",
        "Stored",
        "NotStored",
    ];
    const NOW: Duration = Duration::from_secs(1000);

    fn number() -> Numbered {
        let index = RatchetIndex::new(7).unwrap();
        Numbered {
            key: KeyId(1),
            index,
            tcn: TemporaryContactNumber::from_bytes([7; 16]),
        }
    }

    fn epoch() -> Epoch {
        Epoch {
            frame: Frame::own(number().tcn),
            number: Some(number()),
        }
    }

    fn airing_until(until: Duration) -> State {
        State::Airing(OnAir {
            epoch: epoch(),
            since: NOW,
            until,
            confirmed: false,
            slot: Slot {
                frame: epoch().frame,
                ends: NOW,
            },
        })
    }

    fn prepared(durable: bool) -> State {
        State::Preparing(Prepared {
            epoch: epoch(),
            seq: Seq(5),
            durable,
            not_before: NOW,
        })
    }

    /// Each state before any of its deadlines.
    fn state(name: &str) -> State {
        let later = NOW + Duration::from_secs(10);
        match name {
            "Silent" => State::Silent,
            "Listening" => State::Listening,
            "Preparing" => prepared(false),
            "Stalled" => State::Stalled { until: later },
            "Airing" => airing_until(later),
            "Resting" => State::Resting {
                number: epoch().number,
                since: NOW,
            },
            other => panic!("no state {other}"),
        }
    }

    fn event(name: &str) -> Event {
        let frame = epoch().frame;
        match name {
            "Reevaluate" => Event::Reevaluate,
            "Rotate" => Event::Rotate,
            "KeyEnded" => Event::KeyEnded,
            "RadioDown" => Event::RadioDown,
            "Aired" => Event::Aired(frame),
            "Withdrawn" => Event::Withdrawn(frame),
            "Rested" => Event::Rested,
            "Stored" => Event::Stored(Seq(5)),
            "NotStored" => Event::NotStored(Seq(5)),
            other => panic!("no event {other}"),
        }
    }

    fn step(state: State, event: Event, want: Want, boot: Duration) -> (State, Vec<String>) {
        let (mut rng, mut out) = (ChaCha20Rng::seed_from_u64(1), Vec::new());
        let mut context = Context {
            now: Moment {
                boot,
                wall: UnixTime(2_000_000_000),
            },
            want,
            capabilities: RadioCapabilities::default(),
            policy: &Policy::default(),
            rotation: &mut Rotation::new(KeyId(2)),
            bridge: &mut Bridge::default(),
            rng: &mut rng,
            next_seq: &mut Seq(9),
            out: &mut out,
        };
        let next = state.step(event, &mut context);
        (next, out.iter().map(name).collect())
    }

    fn name(output: &Output) -> String {
        let name = format!("{output:?}");
        let end = name.find(['(', ' ']).unwrap_or(name.len());
        name[..end].to_owned()
    }

    fn table() -> String {
        let mut table = String::new();
        for from in STATES {
            for on in EVENTS {
                for want in [Want::Air, Want::Listen, Want::Nothing] {
                    let (to, out) = step(state(from), event(on), want, NOW);
                    let to = format!("{to:?}");
                    let to = to.split([' ', '(']).next().unwrap();
                    let line = format!("{from} {on} {want:?} -> {to} {}", out.join(","));
                    table.push_str(line.trim_end());
                    table.push('\n');
                }
            }
        }
        table
    }

    #[test]
    fn the_whole_table() {
        assert_eq!(table(), include_str!("transitions.txt"));
    }

    #[test]
    fn deadlines() {
        let late = NOW + Duration::from_secs(3600);
        let (next, out) = step(state("Airing"), Event::Reevaluate, Want::Air, late);
        assert!(matches!(
            next,
            State::Resting {
                number: Some(_),
                ..
            }
        ));
        assert_eq!(out, ["Rest"]);
        let (next, out) = step(state("Stalled"), Event::Reevaluate, Want::Air, late);
        assert!(matches!(next, State::Resting { number: None, .. }));
        assert_eq!(out, ["Rest"]);
        let (next, out) = step(prepared(true), Event::Reevaluate, Want::Air, late);
        assert!(
            matches!(next, State::Preparing(Prepared { seq: Seq(10), .. })),
            "{next:?}"
        );
        assert_eq!(
            out,
            ["Persist", "Log", "Persist"],
            "a stale number is not aired"
        );
        assert!(state("Resting").overdue(Moment {
            boot: late,
            wall: UnixTime(0)
        }));
        assert!(!state("Resting").overdue(Moment {
            boot: NOW,
            wall: UnixTime(0)
        }));
    }
}
