//! What to broadcast, keep and disclose, and when: decisions over time, and nothing else.
//!
//! The engine has no clock, no randomness, no I/O and no threads of its own. The driver
//! passes what happened ([`Input`]) and when ([`Moment`]), and carries out what the
//! engine asks for ([`Output`]). A driver fits on one page (`daemon/driver.rs`), and a
//! test can run a week in a millisecond (`tests/simulation`).
//!
//! ```text
//!   handle(now, input, rng) ──▶ [state] ──▶ poll_output() until None
//!                                     └──▶ poll_timeout(): when to call again
//! ```
//!
//! [`broadcast`] decides about our own number, [`bridge`] about the numbers of others
//! that are aired in between, [`listening`] when discovery runs, [`encounters`] about the
//! numbers heard, with the time that [`unheard`] says was missed. [`disclosure`] says what a report would disclose.

pub mod activity;
mod backoff;
mod bridge;
mod broadcast;
mod cadence;
mod clock;
mod clock_record;
mod contact;
pub mod disclosure;
mod encounters;
mod input;
mod listening;
mod moment;
mod output;
mod own;
mod pause;
mod policy;
mod report_keys;
mod rotation;
mod signal;
mod timekeeping;
mod unheard;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand_core::CryptoRng;
use tcn_protocol::{RatchetIndex, TemporaryContactNumber, UnixTime};

use self::bridge::{Admission, Bridge};
use self::broadcast::{BroadcastEvent, BroadcastState, Context, Want};
use self::encounters::Encounters;
use self::listening::Listening;
use self::own::OwnNumbers;
use self::rotation::{Life, Rotation};
use self::timekeeping::Timekeeping;

pub use backoff::backoff;
pub use cadence::{Cadence, CadenceReason, Listen, ListenConditions};
pub use clock_record::{
    BootId, CLOCK_FLOOR, ClockDoubt, ClockRecord, FutureDates, Redating, Shift,
};
pub use contact::Contact;
pub use input::{Input, LONGEST_WAIT, RadioCapabilities, Seq, Sighting, WriterId};
pub use moment::Moment;
pub use output::{LogEvent, Order, Output};
pub use pause::{Hold, Holds, Pause};
pub use policy::{Mode, Policy};
pub use report_keys::{Aired, KeyHistory, KeyId, Record, Seed};
pub use signal::{ASSUMED_TX_POWER_DBM, ATTENUATION_BOUNDS_DB, Signal};
pub use unheard::Unheard;

/// Retention runs this often, so a contact lives at most this much longer.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// No retention within this time after the start: a clock that starts in the wrong decade
/// must have a chance to be set before anything is destroyed by it.
const FORGET_AFTER_START: Duration = Duration::from_secs(600);

/// The decision logic of one daemon.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    consent: bool,
    pause: Pause,
    /// The machine sleeps, or is about to.
    asleep: bool,
    /// `None` while the radio cannot be used.
    radio: Option<RadioCapabilities>,
    conditions: ListenConditions,
    listening: Listening,
    broadcast: BroadcastState,
    bridge: Bridge,
    rotation: Rotation,
    own: OwnNumbers,
    encounters: Encounters,
    timekeeping: Timekeeping,
    /// Batches on their way to the store, kept until it answers.
    saving: BTreeMap<Seq, Vec<Contact>>,
    next_flush: Duration,
    next_forget: Duration,
    last: Moment,
    next_seq: Seq,
    failing: StoreFailures,
    rotations: u64,
    outputs: VecDeque<Output>,
}

/// Whether the store refused the last batch, by kind: contacts need no fsync, so a stored
/// batch of contacts says nothing of records, which need one.
#[derive(Clone, Copy, Debug, Default)]
struct StoreFailures {
    contacts: bool,
    records: bool,
}

impl StoreFailures {
    fn any(self) -> bool {
        self.contacts || self.records
    }
}

/// The state of an engine, as a driver may publish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Consent was given.
    pub consent: bool,
    /// Whether it is paused, and until when.
    pub pause: Pause,
    /// Since when the number on the air is there, on the boot-time clock.
    pub airing_since: Option<Duration>,
    /// The radio rests or is gone: nothing is on the air, and it does not listen.
    pub silent: bool,
    /// What is wrong with the wall clock; `None` if nothing is known to be wrong.
    pub clock: Option<ClockDoubt>,
    /// The store refused the last batch of one kind.
    pub store_failing: bool,
    /// How discovery runs while the radio listens, and why.
    pub cadence: (Cadence, CadenceReason),
    /// A number is being replaced by the next, so that for a moment nothing is on the
    /// air.
    pub handover: bool,
    /// More numbers were heard than the table has room for.
    pub table_full: bool,
    /// Sightings dropped since the start.
    pub dropped: u64,
    /// Epochs on the air since the start, each with its own number or, on a relay, with
    /// its own carrier bytes.
    pub rotations: u64,
    /// The longest time a number stays on the air with this radio.
    pub longest_life: Duration,
    /// The radio did not leave the air in time. The process should end.
    pub overdue: bool,
}

impl Engine {
    /// An engine that starts at `now` without consent and without a radio.
    ///
    /// `next_key` is an identifier that no key ever had. `own` are our numbers of earlier
    /// runs of the process, the newest last.
    pub fn new(
        now: Moment,
        policy: Policy,
        next_key: KeyId,
        own: impl IntoIterator<Item = TemporaryContactNumber>,
    ) -> Self {
        let mut numbers = OwnNumbers::default();
        own.into_iter().for_each(|tcn| numbers.add(tcn));
        Self {
            policy,
            consent: false,
            pause: Pause::No,
            asleep: false,
            radio: None,
            conditions: ListenConditions::default(),
            listening: Listening::Off,
            broadcast: BroadcastState::Silent,
            bridge: Bridge::default(),
            rotation: Rotation::new(next_key),
            own: numbers,
            encounters: Encounters::default(),
            timekeeping: Timekeeping::new(now, next_key),
            saving: BTreeMap::new(),
            next_flush: now.boot + policy.flush,
            next_forget: now.boot + FORGET_AFTER_START,
            last: now,
            next_seq: Seq(1),
            failing: StoreFailures::default(),
            rotations: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. Drain [`poll_output`](Self::poll_output) afterwards.
    pub fn handle<R: CryptoRng>(&mut self, now: Moment, input: Input, rng: &mut R) {
        self.detect_clock_jump(now);
        let event = match input {
            Input::Timeout => BroadcastEvent::Reevaluate,
            Input::Consent(consent) => {
                self.consent = consent;
                BroadcastEvent::Reevaluate
            }
            Input::Paused(pause) => {
                self.pause = pause;
                BroadcastEvent::Reevaluate
            }
            Input::PolicyChanged(policy) => self.policy_changed(now, policy),
            Input::Rotate | Input::Resumed => BroadcastEvent::Rotate,
            Input::Asleep(asleep) => {
                self.asleep = asleep;
                BroadcastEvent::Reevaluate
            }
            Input::EndKey => {
                self.rotation.drop_key();
                BroadcastEvent::KeyEnded
            }
            Input::Erased(from, to) => {
                self.erase(from, to);
                BroadcastEvent::Reevaluate
            }
            Input::Wiped => {
                self.rotation.drop_key();
                self.own = OwnNumbers::default();
                self.erase(UnixTime(0), UnixTime(u64::MAX));
                BroadcastEvent::KeyEnded
            }
            Input::ListenConditions(conditions) => {
                self.conditions = conditions;
                BroadcastEvent::Reevaluate
            }
            Input::DiscoveryStarted => self.discovery_started(now),
            Input::RadioUp(capabilities) => self.radio_up(capabilities),
            Input::RadioDown => {
                self.radio = None;
                BroadcastEvent::RadioDown
            }
            Input::Aired(frame) => BroadcastEvent::Aired(frame),
            Input::Withdrawn(frame) => BroadcastEvent::Withdrawn(frame),
            Input::Rested => BroadcastEvent::Rested,
            Input::Heard(sighting) => {
                self.hear(now, sighting);
                BroadcastEvent::Reevaluate
            }
            Input::Written(sighting, writer) => {
                self.on_written(now, sighting, writer);
                BroadcastEvent::Reevaluate
            }
            Input::Stored(seq) => self.stored(seq),
            Input::NotStored(seq) => self.not_stored(now, seq),
            Input::Synchronised(asked, is) => self.clock_status(now, asked, is),
            Input::ClockConfirmed => self.confirm_clock(now, false),
        };
        self.step(now, event, rng);
        self.run_periodic(now);
        self.last = now;
    }

    /// The next thing to do, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call with [`Input::Timeout`], on the boot-time clock.
    pub fn poll_timeout(&self) -> Duration {
        let flush = self.encounters.dirty().then_some(self.next_flush);
        let listening = self.listening.timeout(self.cadence().0);
        [flush, listening, self.broadcast.timeout(&self.bridge)]
            .into_iter()
            .flatten()
            .fold(self.next_forget, Duration::min)
    }

    /// The identifier that the next key will have. After [`Input::EndKey`] the engine
    /// draws no more numbers of keys with a lower identifier.
    pub fn next_key(&self) -> KeyId {
        self.rotation.next_key()
    }

    /// The number that is reserved, has not been on the air yet and, after
    /// [`Input::EndKey`] now, never will be.
    pub fn reserved(&self) -> Option<(KeyId, RatchetIndex)> {
        let number = self.broadcast.reserved()?;
        Some((number.key, number.index))
    }

    /// Writes all deltas, whatever the time. For the end of the process.
    pub fn flush(&mut self, now: Moment) {
        let batch = self.encounters.take_deltas(now);
        self.write(batch);
    }

    /// The state that may be published.
    pub fn view(&self, now: Moment) -> View {
        View {
            consent: self.consent,
            pause: self.pause,
            airing_since: match &self.broadcast {
                BroadcastState::Airing(at) => at.confirmed.then_some(at.since),
                BroadcastState::Silent
                | BroadcastState::Listening
                | BroadcastState::Preparing(_)
                | BroadcastState::Stalled { .. }
                | BroadcastState::Resting { .. } => None,
            },
            silent: matches!(self.broadcast, BroadcastState::Silent),
            cadence: self.cadence(),
            clock: self.timekeeping.doubt(now, self.policy.retention),
            store_failing: self.failing.any(),
            handover: self.want() == Want::Air && self.broadcast.is_handover(),
            table_full: self.encounters.table_full(now),
            dropped: self.encounters.dropped(),
            rotations: self.rotations,
            longest_life: self.longest_life(),
            overdue: self.broadcast.overdue(now),
        }
    }

    /// How many different numbers were heard within this last time, at most a quarter of
    /// an hour: after that the engine forgets them.
    pub fn nearby(&self, now: Moment, within: Duration) -> usize {
        self.encounters.heard_since(now.boot.saturating_sub(within))
    }

    /// Whether this serial number belongs to contacts on their way to the store, and
    /// not to records.
    pub fn saves(&self, seq: Seq) -> bool {
        self.saving.contains_key(&seq)
    }

    /// The longest time a number stays on the air with this radio.
    pub fn longest_life(&self) -> Duration {
        let address_lifetime = self.radio.unwrap_or_default().address_lifetime;
        Life::new(&self.policy, address_lifetime).number
    }

    fn step<R: CryptoRng>(&mut self, now: Moment, event: BroadcastEvent, rng: &mut R) {
        let mut out = Vec::new();
        let mut context = Context {
            now,
            want: self.want(),
            capabilities: self.radio.unwrap_or_default(),
            policy: &self.policy,
            rotation: &mut self.rotation,
            bridge: &mut self.bridge,
            rng,
            next_seq: &mut self.next_seq,
            out: &mut out,
        };
        let state = std::mem::replace(&mut self.broadcast, BroadcastState::Silent);
        self.broadcast = state.step(event, &mut context);
        let ordered = out
            .iter()
            .any(|output| matches!(output, Output::Radio(Order::Air(_) | Order::Listen)));
        self.listening = self.listening.step(
            now,
            (self.broadcast.listens(), ordered),
            self.cadence().0,
            rng,
            &mut out,
        );
        let runs = self.listening.runs();
        self.encounters_at(now).discovery_runs(now, runs);
        if self.broadcast.carrier().is_none() {
            self.bridge.flush();
        }
        for output in out {
            if let Output::Radio(Order::Air(frame)) = &output {
                self.own.add(frame.tcn);
                self.rotations += 1;
            }
            self.outputs.push_back(output);
        }
    }

    fn cadence(&self) -> (Cadence, CadenceReason) {
        self.policy.listen.cadence(self.conditions)
    }

    fn want(&self) -> Want {
        if !self.consent || self.pause != Pause::No || self.asleep {
            return Want::Nothing;
        }
        match self.radio {
            None => Want::Nothing,
            Some(capabilities) if capabilities.can_air => Want::Air,
            Some(capabilities) if capabilities.can_listen => Want::Listen,
            Some(_) => Want::Nothing,
        }
    }

    fn policy_changed(&mut self, now: Moment, policy: Policy) -> BroadcastEvent {
        self.policy = policy;
        self.next_flush = self.next_flush.min(now.boot + policy.flush);
        BroadcastEvent::Reevaluate
    }

    fn discovery_started(&mut self, now: Moment) -> BroadcastEvent {
        self.listening = self.listening.started(now);
        BroadcastEvent::Reevaluate
    }

    /// When the radio can listen again, it starts together with a new number: both then
    /// last equally long.
    fn radio_up(&mut self, capabilities: RadioCapabilities) -> BroadcastEvent {
        let before = self.radio.replace(capabilities);
        let was_deaf = before.is_some_and(|before| !before.can_listen);
        if was_deaf && capabilities.can_listen && self.broadcast.carrier().is_some() {
            BroadcastEvent::Rotate
        } else {
            BroadcastEvent::Reevaluate
        }
    }

    /// Sightings without consent, or while paused, are not kept: they may still arrive
    /// after the order to rest.
    fn hear(&mut self, now: Moment, sighting: Sighting) {
        if self.want() != Want::Nothing && self.is_other_sender(sighting.tcn) {
            let dated = Self::dating_moment(now);
            self.encounters_at(now).hear(dated, sighting);
        }
    }

    /// The encounters, for a change that may have to be stored.
    fn encounters_at(&mut self, now: Moment) -> &mut Encounters {
        if !self.encounters.dirty() {
            self.next_flush = now.boot + self.policy.flush;
        }
        &mut self.encounters
    }

    /// A peer that writes its number is near, and cannot broadcast it.
    fn on_written(&mut self, now: Moment, sighting: Sighting, writer: WriterId) {
        let admission = self.bridge.admit(writer);
        if !self.is_other_sender(sighting.tcn) || admission == Admission::Refused {
            return;
        }
        self.hear(now, sighting);
        if let Some(own) = self.broadcast.carrier()
            && admission == Admission::Carried
            && self.radio.unwrap_or_default().can_carry
        {
            self.bridge.carry(now, own, sighting, writer);
        }
    }

    /// Whether a number belongs to another sender: neither vacant nor ours.
    fn is_other_sender(&self, tcn: TemporaryContactNumber) -> bool {
        tcn != TemporaryContactNumber::VACANT && !self.own.contains(&tcn)
    }

    fn erase(&mut self, from: UnixTime, to: UnixTime) {
        self.encounters.erase(from, to);
        for batch in self.saving.values_mut() {
            batch.retain(|contact| contact.start < from || contact.start >= to);
        }
    }

    fn stored(&mut self, seq: Seq) -> BroadcastEvent {
        match self.saving.remove(&seq) {
            Some(_) => self.failing.contacts = false,
            None => self.failing.records = false,
        }
        BroadcastEvent::Stored(seq)
    }

    fn not_stored(&mut self, now: Moment, seq: Seq) -> BroadcastEvent {
        // The batch may have held the record of the key in use. Numbers of a key that
        // is not durable must never be drawn.
        self.rotation.drop_key();
        match self.saving.remove(&seq) {
            Some(batch) => {
                self.failing.contacts = true;
                self.encounters.restore(now, batch);
            }
            None => self.failing.records = true,
        }
        BroadcastEvent::NotStored(seq)
    }

    fn run_periodic(&mut self, now: Moment) {
        if self.encounters.dirty() && now.boot >= self.next_flush {
            self.next_flush = now.boot + self.policy.flush;
            if now.wall >= CLOCK_FLOOR {
                self.save(now);
            }
        }
        if now.boot >= self.next_forget {
            self.next_forget = now.boot + FORGET_EVERY;
            self.forget(now);
        }
    }

    /// One batch at a time. Later deltas go with the next batch.
    fn save(&mut self, now: Moment) {
        if self.saving.is_empty() {
            let batch = self.encounters.take_deltas(now);
            self.write(batch);
        }
    }

    fn write(&mut self, batch: Vec<Contact>) {
        if batch.is_empty() {
            return;
        }
        let seq = self.next_seq;
        self.next_seq.0 += 1;
        self.saving.insert(seq, batch.clone());
        self.outputs.push_back(Output::Save(seq, batch));
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn next(engine: &mut Engine, wanted: fn(&Output) -> Option<Seq>) -> Seq {
        let outputs = std::iter::from_fn(|| engine.poll_output());
        let mut found = outputs.filter_map(|output| wanted(&output));
        found.next().expect("there is one")
    }

    fn persisted(output: &Output) -> Option<Seq> {
        let Output::Persist(seq, _) = output else {
            return None;
        };
        Some(*seq)
    }

    fn saved(output: &Output) -> Option<Seq> {
        let Output::Save(seq, _) = output else {
            return None;
        };
        Some(*seq)
    }

    /// Contacts need no fsync, records do: a disk may take one and refuse the other.
    #[test]
    fn contacts_that_are_written_do_not_hide_records_that_are_not() {
        let now = Moment::new(Duration::from_secs(1000), UnixTime(2_000_000_000));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut engine = Engine::new(now, Policy::default(), KeyId(1), []);
        let capabilities = RadioCapabilities {
            can_air: true,
            can_listen: true,
            ..RadioCapabilities::default()
        };
        engine.handle(now, Input::RadioUp(capabilities), &mut rng);
        engine.handle(now, Input::Consent(true), &mut rng);
        let refused = next(&mut engine, persisted);
        engine.handle(now, Input::NotStored(refused), &mut rng);
        let heard = Sighting {
            tcn: TemporaryContactNumber::from_bytes([7; 16]),
            bridged: false,
            rssi: Some(-50),
        };
        engine.handle(now, Input::Heard(heard), &mut rng);
        engine.flush(now);
        let contacts = next(&mut engine, saved);
        engine.handle(now, Input::Stored(contacts), &mut rng);
        assert!(engine.view(now).store_failing);
        let later = Moment::new(
            now.boot + Duration::from_secs(60),
            now.wall.after(Duration::from_secs(60)),
        );
        engine.handle(later, Input::Timeout, &mut rng);
        engine.handle(later, Input::Rested, &mut rng);
        let taken = next(&mut engine, persisted);
        engine.handle(later, Input::Stored(taken), &mut rng);
        assert!(!engine.view(later).store_failing);
        assert_eq!(engine.nearby(later, Duration::from_secs(60)), 1);
    }
}
