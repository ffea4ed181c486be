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
mod state;

use std::time::Duration;

use rand_core::CryptoRng;

pub(super) use self::context::Context;
pub(super) use self::state::{BroadcastState, Want};
use self::state::{OnAir, Prepared};
use tcn_protocol::beacon::Frame;

use super::bridge::Bridge;
use super::rotation::{LONGEST_SILENCE, Numbered, random_up_to};
use super::{LogEvent, Moment, Order, Output, Seq};

/// How long to wait after the store refused a number.
const STALL: Duration = Duration::from_secs(30);

/// How long a radio may take to leave the air before it counts as stuck. The radio's own
/// deadline is shorter.
const REST_DEADLINE: Duration = Duration::from_secs(60);

/// What can happen to a broadcast.
#[derive(Clone, Copy, Debug)]
pub(super) enum BroadcastEvent {
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

impl BroadcastState {
    /// The next state. What must be done for it is pushed to `context.out`.
    pub(super) fn step<R: CryptoRng>(
        self,
        event: BroadcastEvent,
        context: &mut Context<'_, R>,
    ) -> Self {
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

    /// Whether the radio is to listen.
    pub(super) fn listens(&self) -> bool {
        match self {
            Self::Listening | Self::Stalled { .. } | Self::Airing(_) => true,
            Self::Silent | Self::Preparing(_) | Self::Resting { .. } => false,
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

fn silent<R: CryptoRng>(event: BroadcastEvent, context: &mut Context<'_, R>) -> BroadcastState {
    match event {
        BroadcastEvent::Reevaluate | BroadcastEvent::RadioDown | BroadcastEvent::Rested => {
            context.begin(Duration::ZERO)
        }
        BroadcastEvent::Rotate
        | BroadcastEvent::KeyEnded
        | BroadcastEvent::Stored(_)
        | BroadcastEvent::NotStored(_) => BroadcastState::Silent,
        BroadcastEvent::Aired(_) | BroadcastEvent::Withdrawn(_) => {
            context.unexpected("a number on the air that was not ordered");
            BroadcastState::Silent
        }
    }
}

fn listening<R: CryptoRng>(event: BroadcastEvent, context: &mut Context<'_, R>) -> BroadcastState {
    match event {
        BroadcastEvent::Reevaluate if context.want == Want::Listen => BroadcastState::Listening,
        BroadcastEvent::Reevaluate => context.rest(None),
        BroadcastEvent::RadioDown => BroadcastState::Silent,
        BroadcastEvent::Rotate
        | BroadcastEvent::KeyEnded
        | BroadcastEvent::Stored(_)
        | BroadcastEvent::NotStored(_) => BroadcastState::Listening,
        BroadcastEvent::Aired(_) | BroadcastEvent::Withdrawn(_) | BroadcastEvent::Rested => {
            context.unexpected("word of a number while only listening");
            BroadcastState::Listening
        }
    }
}

fn preparing<R: CryptoRng>(
    mut at: Prepared,
    event: BroadcastEvent,
    context: &mut Context<'_, R>,
) -> BroadcastState {
    match event {
        BroadcastEvent::Stored(seq) if seq == at.seq => at.durable = true,
        BroadcastEvent::NotStored(seq) if seq == at.seq && context.want == Want::Air => {
            context.out.push(Output::Radio(Order::Listen));
            return BroadcastState::Stalled {
                until: context.now.boot + STALL,
            };
        }
        BroadcastEvent::RadioDown => {
            context.never_aired(at.epoch);
            return BroadcastState::Silent;
        }
        BroadcastEvent::KeyEnded => {
            context.never_aired(at.epoch);
            return context.begin(at.not_before.saturating_sub(context.now.boot));
        }
        BroadcastEvent::Reevaluate
        | BroadcastEvent::Stored(_)
        | BroadcastEvent::NotStored(_)
        | BroadcastEvent::Rotate
        | BroadcastEvent::Rested => {}
        BroadcastEvent::Aired(_) | BroadcastEvent::Withdrawn(_) => {
            context.unexpected("word of a number before it was ordered");
        }
    }
    if context.want != Want::Air {
        context.never_aired(at.epoch);
        return context.begin(Duration::ZERO);
    }
    if !at.durable || context.now.boot < at.not_before {
        return BroadcastState::Preparing(at);
    }
    if context.now.boot > at.not_before + context.life().number {
        // Suspended in between: its key may be past its life by now.
        context.never_aired(at.epoch);
        return context.begin(Duration::ZERO);
    }
    context.air(at.epoch)
}

fn stalled<R: CryptoRng>(
    until: Duration,
    event: BroadcastEvent,
    context: &mut Context<'_, R>,
) -> BroadcastState {
    match event {
        BroadcastEvent::RadioDown => BroadcastState::Silent,
        BroadcastEvent::Reevaluate if context.want != Want::Air || context.now.boot >= until => {
            context.rest(None)
        }
        BroadcastEvent::Reevaluate
        | BroadcastEvent::Rotate
        | BroadcastEvent::KeyEnded
        | BroadcastEvent::Rested
        | BroadcastEvent::Stored(_)
        | BroadcastEvent::NotStored(_) => BroadcastState::Stalled { until },
        BroadcastEvent::Aired(_) | BroadcastEvent::Withdrawn(_) => {
            context.unexpected("word of a number while none was ordered");
            BroadcastState::Stalled { until }
        }
    }
}

fn airing<R: CryptoRng>(
    mut at: OnAir,
    event: BroadcastEvent,
    context: &mut Context<'_, R>,
) -> BroadcastState {
    match event {
        BroadcastEvent::Aired(frame) if frame == at.epoch.frame => {
            if !at.confirmed {
                context.out.push(Output::Log(LogEvent::Rotated));
            }
            at.confirmed = true;
        }
        BroadcastEvent::RadioDown => {
            context.retired(at.epoch.number);
            return BroadcastState::Silent;
        }
        BroadcastEvent::Rotate | BroadcastEvent::KeyEnded => return context.rest(at.epoch.number),
        // Our own frame or a carried one: the epoch is over.
        BroadcastEvent::Withdrawn(frame) if frame.carrier_id() == at.epoch.frame.carrier_id() => {
            context.retired(at.epoch.number);
            return context.relisten();
        }
        BroadcastEvent::Reevaluate | BroadcastEvent::Stored(_) | BroadcastEvent::NotStored(_) => {}
        // The slot of this frame may be over by now.
        BroadcastEvent::Aired(frame) if frame.carrier_id() == at.epoch.frame.carrier_id() => {}
        BroadcastEvent::Aired(_) | BroadcastEvent::Withdrawn(_) | BroadcastEvent::Rested => {
            context.unexpected("word of another number than the one on the air");
        }
    }
    // A shorter period takes effect at once, also for the number on the air.
    at.until = at.until.min(at.since + context.life().number);
    if context.want != Want::Air || context.now.boot >= at.until {
        return context.rest(at.epoch.number);
    }
    context.take_turns(&mut at);
    BroadcastState::Airing(at)
}

fn resting<R: CryptoRng>(
    number: Option<Numbered>,
    since: Duration,
    event: BroadcastEvent,
    context: &mut Context<'_, R>,
) -> BroadcastState {
    match event {
        BroadcastEvent::Rested => {
            let silence = random_up_to(LONGEST_SILENCE, context.rng);
            context.succeed(number, silence)
        }
        BroadcastEvent::RadioDown => {
            context.retired(number);
            BroadcastState::Silent
        }
        // Sent before the radio saw the order to rest.
        BroadcastEvent::Aired(_)
        | BroadcastEvent::Withdrawn(_)
        | BroadcastEvent::Reevaluate
        | BroadcastEvent::Rotate
        | BroadcastEvent::KeyEnded
        | BroadcastEvent::Stored(_)
        | BroadcastEvent::NotStored(_) => BroadcastState::Resting { number, since },
    }
}

#[cfg(test)]
mod tests {
    use super::super::bridge::Slot;
    use super::state::Epoch;
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

    fn airing_until(until: Duration) -> BroadcastState {
        BroadcastState::Airing(OnAir {
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

    fn prepared(durable: bool) -> BroadcastState {
        BroadcastState::Preparing(Prepared {
            epoch: epoch(),
            seq: Seq(5),
            durable,
            not_before: NOW,
        })
    }

    /// Each state before any of its deadlines.
    fn state(name: &str) -> BroadcastState {
        let later = NOW + Duration::from_secs(10);
        match name {
            "Silent" => BroadcastState::Silent,
            "Listening" => BroadcastState::Listening,
            "Preparing" => prepared(false),
            "Stalled" => BroadcastState::Stalled { until: later },
            "Airing" => airing_until(later),
            "Resting" => BroadcastState::Resting {
                number: epoch().number,
                since: NOW,
            },
            other => panic!("no state {other}"),
        }
    }

    fn event(name: &str) -> BroadcastEvent {
        let frame = epoch().frame;
        match name {
            "Reevaluate" => BroadcastEvent::Reevaluate,
            "Rotate" => BroadcastEvent::Rotate,
            "KeyEnded" => BroadcastEvent::KeyEnded,
            "RadioDown" => BroadcastEvent::RadioDown,
            "Aired" => BroadcastEvent::Aired(frame),
            "Withdrawn" => BroadcastEvent::Withdrawn(frame),
            "Rested" => BroadcastEvent::Rested,
            "Stored" => BroadcastEvent::Stored(Seq(5)),
            "NotStored" => BroadcastEvent::NotStored(Seq(5)),
            other => panic!("no event {other}"),
        }
    }

    fn step(
        state: BroadcastState,
        event: BroadcastEvent,
        want: Want,
        boot: Duration,
    ) -> (BroadcastState, Vec<String>) {
        let (mut rng, mut out) = (ChaCha20Rng::seed_from_u64(1), Vec::new());
        let mut context = Context {
            now: Moment::new(boot, UnixTime(2_000_000_000)),
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
        let name = if let Output::Radio(order) = output {
            format!("{order:?}")
        } else {
            format!("{output:?}")
        };
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
        let (next, out) = step(state("Airing"), BroadcastEvent::Reevaluate, Want::Air, late);
        assert!(matches!(
            next,
            BroadcastState::Resting {
                number: Some(_),
                ..
            }
        ));
        assert_eq!(out, ["Rest"]);
        let (next, out) = step(
            state("Stalled"),
            BroadcastEvent::Reevaluate,
            Want::Air,
            late,
        );
        assert!(matches!(next, BroadcastState::Resting { number: None, .. }));
        assert_eq!(out, ["Rest"]);
        let (next, out) = step(prepared(true), BroadcastEvent::Reevaluate, Want::Air, late);
        assert!(
            matches!(
                next,
                BroadcastState::Preparing(Prepared { seq: Seq(10), .. })
            ),
            "{next:?}"
        );
        assert_eq!(
            out,
            ["Persist", "Log", "Persist"],
            "a stale number is not aired"
        );
        assert!(state("Resting").overdue(Moment::new(late, UnixTime(0))));
        assert!(!state("Resting").overdue(Moment::new(NOW, UnixTime(0))));
    }
}
