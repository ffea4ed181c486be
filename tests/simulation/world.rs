//! The world: one air, a virtual clock, and daemons whose radio and store are
//! models that never lie to the checks.
//!
//! Time advances from event to event. Radios take time to obey, stores to write;
//! machines sleep, crash, lose their adapter or get their clock set. After every event
//! [`Node::check`] compares what is on the air with the promises; a broken promise
//! panics with the seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tcn_engine::{
    Cadence, Contact, Engine, Input, KeyId, ListenConditions, Moment, Order, Output, Policy,
    RadioCapabilities, Record, Redating, Seq, Sighting, WriterId,
};
use tcn_protocol::beacon::Frame;
use tcn_protocol::{
    Ratchet, RatchetIndex, ReportAuthorizationKey, TemporaryContactNumber, UnixTime,
};

const EPOCH: u64 = 1_800_000_000;
/// The longest time a radio takes to obey and a store takes to write.
const SLOWEST: Duration = Duration::from_millis(800);
const ADVERT_EVERY: Duration = Duration::from_secs(7);

type Tcn = TemporaryContactNumber;

pub(crate) struct World {
    seed: u64,
    now: Duration,
    rng: ChaCha20Rng,
    policy: Policy,
    nodes: Vec<Node>,
    next_advert: Duration,
    next_chaos: Duration,
    chaos: Option<Chaos>,
    echo: BTreeSet<usize>,
    phones: Vec<Phone>,
}

/// A phone that cannot broadcast: it writes its number once to each carrier, and hears
/// what the carriers broadcast.
struct Phone {
    tcn: Tcn,
    told: BTreeSet<[u8; 4]>,
    heard: BTreeSet<Tcn>,
}

/// The failures that may happen.
#[derive(Clone, Copy)]
pub(crate) struct Chaos {
    radio: bool,
    clock: bool,
    suspend: bool,
    crash: bool,
    store: bool,
    report: bool,
}

impl Chaos {
    pub(crate) fn everything() -> Self {
        Self {
            radio: true,
            clock: true,
            suspend: true,
            crash: true,
            store: true,
            report: true,
        }
    }

    pub(crate) fn crashes() -> Self {
        Self {
            radio: false,
            clock: false,
            suspend: false,
            crash: true,
            store: false,
            report: true,
        }
    }
}

struct Node {
    engine: Engine,
    rng: ChaCha20Rng,
    wall_offset: i64,
    asleep_until: Option<Duration>,
    woke: Duration,
    policy: Policy,
    radio: RadioModel,
    store: StoreModel,
    pending: Vec<(Duration, Input)>,
    aired: BTreeMap<Tcn, OnAir>,
    first_use: BTreeMap<KeyId, Duration>,
    /// Keys that a report disclosed.
    reported: BTreeSet<[u8; 32]>,
    restarts: u32,
}

impl Phone {
    /// Takes another number for each carrier, as iPhones do.
    fn ratchet(&mut self) {
        let mut bytes = *self.tcn.as_bytes();
        let counted = u64::from_le_bytes(bytes[8..].try_into().unwrap());
        bytes[8..].copy_from_slice(&counted.wrapping_add(1).to_le_bytes());
        self.tcn = Tcn::from_bytes(bytes);
    }
}

struct OnAir {
    from: Duration,
    to: Option<Duration>,
}

#[derive(Default)]
struct RadioModel {
    up: bool,
    can_air: bool,
    /// The frame on the air, and the start of its epoch.
    airing: Option<(Frame, Duration)>,
    /// Numbers written in the epoch on the air.
    told: BTreeSet<Tcn>,
    swaps: usize,
    hold: Duration,
    deaf: bool,
    listening: bool,
    /// Since when discovery pauses by order.
    paused: Option<Duration>,
    ordered: Option<(Duration, Order)>,
    /// When discovery starts, or stops.
    discovery: Option<(Duration, bool)>,
}

#[derive(Default)]
struct StoreModel {
    broken: bool,
    writing: VecDeque<(Duration, Seq, Write)>,
    keys: BTreeMap<KeyId, ([u8; 32], UnixTime)>,
    broadcasts: BTreeMap<(KeyId, RatchetIndex), (UnixTime, Option<UnixTime>)>,
    contacts: BTreeMap<(u64, Tcn), Contact>,
}

enum Write {
    Records(Vec<Record>),
    Growth(Vec<Contact>),
}

impl World {
    pub(crate) fn new(seed: u64, nodes: usize, policy: Policy) -> Self {
        let mut world = Self {
            seed,
            now: Duration::from_secs(100),
            rng: ChaCha20Rng::seed_from_u64(seed),
            policy,
            nodes: Vec::new(),
            next_advert: Duration::from_secs(101),
            next_chaos: Duration::from_secs(160),
            chaos: None,
            echo: BTreeSet::new(),
            phones: Vec::new(),
        };
        for i in 0..nodes {
            let rng = ChaCha20Rng::seed_from_u64(seed * 100 + i as u64);
            let now = Moment::new(world.now, UnixTime(EPOCH + world.now.as_secs()));
            world.nodes.push(Node::new(now, policy, rng));
        }
        for i in 0..nodes {
            world.tell(i, Input::Consent(true));
        }
        world
    }

    pub(crate) fn chaos(&mut self, chaos: Chaos) {
        self.chaos = Some(chaos);
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.next_event(end) {
            self.now = at;
            self.step();
        }
        self.now = end;
    }

    pub(crate) fn tell(&mut self, i: usize, input: Input) {
        let now = self.moment(i);
        self.nodes[i].tell(now, input);
        self.check(i);
    }

    pub(crate) fn set_policy(&mut self, i: usize, policy: Policy) {
        self.nodes[i].policy = policy;
        self.tell(i, Input::PolicyChanged(policy));
    }

    pub(crate) fn suspend(&mut self, i: usize, span: Duration) {
        self.nodes[i].asleep_until = Some(self.now + span);
        let end = self.now + span;
        self.run(span);
        self.now = end;
        self.wake(i);
    }

    pub(crate) fn set_clock(&mut self, i: usize, to: UnixTime) {
        let truth = EPOCH + self.now.as_secs();
        self.nodes[i].wall_offset = i64::try_from(to.0).unwrap() - i64::try_from(truth).unwrap();
        self.tell(i, Input::Timeout);
    }

    pub(crate) fn break_store(&mut self, i: usize, broken: bool) {
        self.nodes[i].store.broken = broken;
    }

    pub(crate) fn forbid_air(&mut self, i: usize, forbidden: bool) {
        let now = self.moment(i);
        self.nodes[i].forbid_air(now, forbidden);
        self.check(i);
    }

    /// From now on this node hears its own numbers again, as from a bridge.
    pub(crate) fn echo(&mut self, i: usize) {
        self.echo.insert(i);
    }

    pub(crate) fn true_time(&self) -> UnixTime {
        UnixTime(EPOCH + self.now.as_secs())
    }

    pub(crate) fn aired(&self, i: usize) -> usize {
        self.nodes[i].aired.len()
    }

    pub(crate) fn keys(&self, i: usize) -> usize {
        self.nodes[i].store.keys.len()
    }

    pub(crate) fn rows(&self, i: usize) -> usize {
        self.nodes[i].store.contacts.len()
    }

    pub(crate) fn restarts(&self, i: usize) -> u32 {
        self.nodes[i].restarts
    }

    pub(crate) fn rows_outside(&self, i: usize, from: UnixTime, to: UnixTime) -> usize {
        let contacts = self.nodes[i].store.contacts.values();
        contacts
            .filter(|contact| contact.start < from || contact.end > to)
            .count()
    }

    pub(crate) fn own_rows(&self, i: usize) -> usize {
        let node = &self.nodes[i];
        node.store
            .contacts
            .keys()
            .filter(|(_, tcn)| node.aired.contains_key(tcn))
            .count()
    }

    pub(crate) fn longest_contact(&self, i: usize) -> Duration {
        let spans = self.nodes[i]
            .store
            .contacts
            .values()
            .map(|c| c.end.0 - c.start.0);
        Duration::from_secs(spans.max().unwrap_or(0))
    }

    pub(crate) fn on_air(&self, i: usize) -> bool {
        self.nodes[i].radio.airing.is_some()
    }

    pub(crate) fn listening(&self, i: usize) -> bool {
        self.nodes[i].radio.hears()
    }

    pub(crate) fn current(&self, i: usize) -> Option<Tcn> {
        self.nodes[i].radio.airing.map(|(frame, _)| frame.tcn)
    }

    /// Numbers of `from` that were on the air for a while and that `by` has
    /// not logged.
    pub(crate) fn missed(&self, from: usize, by: usize, recent: Duration) -> usize {
        let logged: BTreeSet<Tcn> = self.nodes[by]
            .store
            .contacts
            .keys()
            .map(|(_, tcn)| *tcn)
            .collect();
        let long_enough = |on_air: &OnAir| {
            let to = on_air.to.unwrap_or(self.now);
            to.saturating_sub(on_air.from) > 3 * ADVERT_EVERY && on_air.from + recent < self.now
        };
        let aired = self.nodes[from].aired.iter();
        aired
            .filter(|(tcn, on_air)| long_enough(on_air) && !logged.contains(tcn))
            .count()
    }

    /// Numbers once on the air that cannot be derived from any durable record.
    pub(crate) fn underivable(&self, i: usize) -> usize {
        let node = &self.nodes[i];
        let known = node.store.derive_all();
        node.aired
            .keys()
            .filter(|tcn| !known.contains_key(tcn))
            .count()
    }

    fn moment(&self, i: usize) -> Moment {
        let truth = EPOCH + self.now.as_secs();
        let wall = truth.saturating_add_signed(self.nodes[i].wall_offset);
        Moment::new(self.now, UnixTime(wall))
    }

    fn next_event(&self, end: Duration) -> Option<Duration> {
        let chaos = self.chaos.is_some().then_some(self.next_chaos);
        let nodes = self.nodes.iter().map(Node::next_event);
        let next = nodes.chain([self.next_advert]).chain(chaos).min()?;
        (next <= end).then_some(next.max(self.now))
    }

    fn step(&mut self) {
        for i in 0..self.nodes.len() {
            if self.nodes[i]
                .asleep_until
                .is_some_and(|until| self.now >= until)
            {
                self.wake(i);
            }
            let now = self.moment(i);
            self.nodes[i].advance(now);
            self.check(i);
        }
        if self.now >= self.next_advert {
            self.next_advert = self.now + ADVERT_EVERY;
            self.adverts();
        }
        if let Some(chaos) = self.chaos
            && self.now >= self.next_chaos
        {
            self.next_chaos = self.now + Duration::from_secs(self.rng.next_u64() % 400);
            self.mischief(chaos);
        }
    }

    fn wake(&mut self, i: usize) {
        self.nodes[i].asleep_until = None;
        self.nodes[i].woke = self.now;
        self.tell(i, Input::Resumed);
    }

    fn adverts(&mut self) {
        let heard: Vec<(usize, Frame)> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.asleep_until.is_none())
            .filter_map(|(i, node)| node.radio.airing.map(|(frame, _)| (i, frame)))
            .collect();
        self.phones_hear(&heard);
        for to in 0..self.nodes.len() {
            let node = &self.nodes[to];
            if node.asleep_until.is_some() || !node.radio.hears() {
                continue;
            }
            for &(from, frame) in &heard {
                if from != to || self.echo.contains(&to) {
                    let rssi = Some(-60 - i16::try_from(self.rng.next_u64() % 30).unwrap());
                    self.tell(
                        to,
                        Input::Heard(Sighting {
                            tcn: frame.tcn,
                            bridged: frame.is_bridged() || from == to,
                            rssi,
                        }),
                    );
                }
            }
        }
    }

    fn phones_hear(&mut self, heard: &[(usize, Frame)]) {
        for id in 0..self.phones.len() {
            for &(node, frame) in heard {
                let phone = &mut self.phones[id];
                phone.heard.insert(frame.tcn);
                if phone.told.insert(frame.carrier_id()) {
                    phone.ratchet();
                    let told = Sighting {
                        tcn: phone.tcn,
                        bridged: false,
                        rssi: None,
                    };
                    self.nodes[node].radio.told.insert(told.tcn);
                    self.tell(node, Input::Written(told, WriterId(id as u64)));
                }
            }
        }
    }

    /// A writer that writes one number after another, as fast as it can.
    pub(crate) fn babble(&mut self, i: usize, writer: u64, numbers: u64) {
        for number in 0..numbers {
            let mut bytes = [0xbb; 16];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            let tcn = Tcn::from_bytes(bytes);
            self.nodes[i].radio.told.insert(tcn);
            let told = Sighting {
                tcn,
                bridged: false,
                rssi: Some(-40),
            };
            self.tell(i, Input::Written(told, WriterId(writer)));
        }
    }

    /// How many numbers of such a writer this node has logged.
    pub(crate) fn babbled(&self, i: usize) -> usize {
        let logged = self.nodes[i].store.contacts.keys();
        let logged: BTreeSet<Tcn> = logged.map(|(_, tcn)| *tcn).collect();
        let of_it = logged.iter().filter(|tcn| tcn.as_bytes()[8..] == [0xbb; 8]);
        of_it.count()
    }

    /// Adds a phone. Returns the byte that its numbers begin with.
    pub(crate) fn phone(&mut self) -> u8 {
        let mark = 0xf0 + u8::try_from(self.phones.len()).unwrap();
        self.phones.push(Phone {
            tcn: Tcn::from_bytes([mark; 16]),
            told: BTreeSet::new(),
            heard: BTreeSet::new(),
        });
        mark
    }

    /// The numbers a phone has heard so far, by the first byte.
    pub(crate) fn heard_by_phone(&self, phone: usize) -> BTreeSet<u8> {
        let heard = self.phones[phone].heard.iter();
        heard.map(|tcn| tcn.as_bytes()[0]).collect()
    }

    /// Whether this node has logged a number that begins with this byte.
    pub(crate) fn logged(&self, i: usize, mark: u8) -> bool {
        let mut contacts = self.nodes[i].store.contacts.keys();
        contacts.any(|(_, logged)| logged.as_bytes()[0] == mark)
    }

    /// How often one frame of an epoch was replaced by another.
    pub(crate) fn swaps(&self, i: usize) -> usize {
        self.nodes[i].radio.swaps
    }

    /// From now on the radio requires a number to stay for this long.
    pub(crate) fn hold(&mut self, i: usize, hold: Duration) {
        self.nodes[i].radio.hold = hold;
        let (now, capabilities) = (self.moment(i), self.nodes[i].capabilities());
        self.nodes[i].tell(now, Input::RadioUp(capabilities));
        self.check(i);
    }

    /// The radio can, or cannot, listen while a number is on the air.
    pub(crate) fn deafen(&mut self, i: usize, deaf: bool) {
        self.nodes[i].radio.deaf = deaf;
        let (now, capabilities) = (self.moment(i), self.nodes[i].capabilities());
        self.nodes[i].tell(now, Input::RadioUp(capabilities));
        self.check(i);
    }

    fn mischief(&mut self, chaos: Chaos) {
        let i = usize::try_from(self.rng.next_u64()).unwrap() % self.nodes.len();
        if self.nodes[i].asleep_until.is_some() {
            return;
        }
        let now = self.moment(i);
        match self.rng.next_u64() % 10 {
            0 if chaos.radio => self.nodes[i].radio_lost(now),
            1 if chaos.radio => {
                self.nodes[i].forbid_air(now, self.rng.next_u64().is_multiple_of(2))
            }
            2 if chaos.clock => {
                let jump = i64::try_from(self.rng.next_u64() % 200_000).unwrap() - 100_000;
                self.nodes[i].wall_offset += jump;
            }
            3 if chaos.suspend => {
                let span = Duration::from_secs(self.rng.next_u64() % 3000);
                self.nodes[i].asleep_until = Some(self.now + span);
            }
            4 | 5 if chaos.crash => self.crash(i),
            6 if chaos.store => self.nodes[i].store.broken ^= true,
            7 => self.tell(i, Input::Rotate),
            8 if chaos.report => self.report(i),
            9 => {
                let bits = self.rng.next_u64();
                let conditions = ListenConditions {
                    on_battery: bits & 1 != 0,
                    power_saver: bits & 2 != 0,
                    audio: bits & 4 != 0,
                    device: bits & 8 != 0,
                };
                self.tell(i, Input::ListenConditions(conditions));
            }
            _ => self.tell(i, Input::Timeout),
        }
        self.check(i);
    }

    /// This node reports every number it ever broadcast: every key it has is disclosed,
    /// with all that could still be derived from it.
    pub(crate) fn report(&mut self, i: usize) {
        let limit = self.nodes[i].engine.next_key();
        let keys = self.nodes[i].store.keys_below(limit);
        self.nodes[i].reported.extend(keys);
        self.tell(i, Input::EndKey);
    }

    /// The process dies: state that is not durable is lost, BlueZ drops the advert, and
    /// a new process starts from the contents of the store.
    fn crash(&mut self, i: usize) {
        let now = self.moment(i);
        let node = &mut self.nodes[i];
        node.off_air(now.boot);
        node.radio.listening = false;
        node.radio.ordered = None;
        node.radio.discovery = None;
        node.pending.clear();
        // A write in progress may or may not have arrived.
        let writing = std::mem::take(&mut node.store.writing);
        for (_, _, write) in writing {
            if self.rng.next_u64().is_multiple_of(2) {
                node.store.apply(write);
            }
        }
        let next_key = node
            .store
            .keys
            .keys()
            .next_back()
            .map_or(KeyId(1), |id| KeyId(id.0 + 1));
        let own = node.store.derive_all().into_keys();
        node.engine = Engine::new(now, node.policy, next_key, own);
        node.restarts += 1;
        let capabilities = node.capabilities();
        self.tell(i, Input::Consent(true));
        if self.nodes[i].radio.up {
            self.tell(i, Input::RadioUp(capabilities));
        }
    }

    fn check(&self, i: usize) {
        let (seed, now) = (self.seed, self.now);
        let node = &self.nodes[i];
        let awake = node.asleep_until.is_none();
        if let Some((_, since)) = node.radio.airing
            && awake
        {
            // While the machine is asleep, the kernel keeps the radio quiet; after
            // waking, the node must leave the air at once.
            let policy = self.policy.period.max(node.policy.period);
            let period = policy.max(node.radio.hold);
            let end = (since + period).max(node.woke);
            assert!(
                now <= end + 2 * SLOWEST,
                "seed {seed}: on the air for {:?}",
                now - since
            );
        }
        if let Some(since) = node.radio.paused
            && node.radio.listening
            && awake
        {
            let end = since.max(node.woke) + Cadence::Windows.longest_pause();
            assert!(
                now <= end + 2 * SLOWEST,
                "seed {seed}: nobody was heard for {:?}",
                now - since
            );
        }
    }
}

impl RadioModel {
    fn hears(&self) -> bool {
        self.listening && self.paused.is_none()
    }
}

impl Node {
    fn new(now: Moment, policy: Policy, rng: ChaCha20Rng) -> Self {
        let mut node = Self {
            engine: Engine::new(now, policy, KeyId(1), []),
            rng,
            wall_offset: 0,
            asleep_until: None,
            woke: Duration::ZERO,
            policy,
            radio: RadioModel {
                up: true,
                can_air: true,
                ..RadioModel::default()
            },
            store: StoreModel::default(),
            pending: Vec::new(),
            aired: BTreeMap::new(),
            first_use: BTreeMap::new(),
            reported: BTreeSet::new(),
            restarts: 0,
        };
        node.tell(now, Input::RadioUp(node.capabilities()));
        node
    }

    fn capabilities(&self) -> RadioCapabilities {
        RadioCapabilities {
            can_air: self.radio.can_air,
            can_carry: self.radio.hold.is_zero(),
            can_listen: !self.radio.deaf,
            address_lifetime: self.radio.hold,
        }
    }

    fn next_event(&self) -> Duration {
        if let Some(until) = self.asleep_until {
            return until;
        }
        let pending = self.pending.iter().map(|(at, _)| *at);
        let writing = self.store.writing.front().map(|(at, _, _)| *at);
        let ordered = self.radio.ordered.iter().map(|(at, _)| *at);
        let discovery = self.radio.discovery.iter().map(|(at, _)| *at);
        pending
            .chain(writing)
            .chain(ordered)
            .chain(discovery)
            .fold(self.engine.poll_timeout(), Duration::min)
    }

    fn advance(&mut self, now: Moment) {
        if self.asleep_until.is_some() {
            return;
        }
        while let Some(position) = self.pending.iter().position(|(at, _)| *at <= now.boot) {
            let (_, input) = self.pending.remove(position);
            self.tell(now, input);
        }
        // One after another, as the store's single thread writes them.
        while self
            .store
            .writing
            .front()
            .is_some_and(|(at, _, _)| *at <= now.boot)
        {
            let (_, seq, write) = self.store.writing.pop_front().unwrap();
            let stored = !self.store.broken && self.store.apply(write);
            self.tell(
                now,
                if stored {
                    Input::Stored(seq)
                } else {
                    Input::NotStored(seq)
                },
            );
        }
        if let Some((at, ordered)) = self.radio.ordered
            && at <= now.boot
        {
            self.radio.ordered = None;
            self.obey(now, ordered);
        }
        if let Some((at, runs)) = self.radio.discovery
            && at <= now.boot
        {
            self.radio.discovery = None;
            self.switch_discovery(now, runs);
        }
        if self.engine.poll_timeout() <= now.boot {
            self.tell(now, Input::Timeout);
        }
    }

    fn tell(&mut self, now: Moment, input: Input) {
        self.engine.handle(now, input, &mut self.rng);
        while let Some(output) = self.engine.poll_output() {
            self.perform(now, output);
        }
    }

    fn perform(&mut self, now: Moment, output: Output) {
        let later = now.boot + Duration::from_millis(self.rng.next_u64() % 100);
        match output {
            Output::Persist(seq, records) => {
                self.store
                    .writing
                    .push_back((later, seq, Write::Records(records)));
            }
            Output::Save(seq, growth) => {
                assert!(growth.len() <= 8192, "a batch without bounds");
                self.store
                    .writing
                    .push_back((later, seq, Write::Growth(growth)));
            }
            Output::Forget(before) => self.store.forget(before),
            Output::Redate(redating) => self.store.redate(&redating),
            // Data with a date in the future have tests of their own (`clocks.rs`).
            Output::ForgetFuture(_) | Output::KeepClock(_) => {}
            Output::Radio(Order::Air(frame)) => {
                assert!(
                    self.radio.airing.is_none(),
                    "ordered on the air while another is there"
                );
                if self.policy.relay {
                    assert_eq!(frame.tcn, Tcn::VACANT, "a relay has no number");
                    assert!(
                        frame.is_bridged(),
                        "the vacant number belongs to no machine"
                    );
                    return self.order(now, Order::Air(frame));
                }
                let tcn = frame.tcn;
                assert!(!frame.is_bridged(), "an epoch begins with an own number");
                assert!(!self.aired.contains_key(&tcn), "a number was ordered twice");
                let key = self.store.derive_all().get(&tcn).copied();
                let key = key.expect("a number is aired only when its record is durable");
                assert!(
                    !self.reported.contains(&self.store.keys[&key].0),
                    "a number was aired that a report gives away"
                );
                let first = *self.first_use.entry(key).or_insert(now.boot);
                let end = now.boot + self.policy.period.max(self.radio.hold);
                assert!(
                    end <= first + self.policy.key_life,
                    "a key outlives its life"
                );
                self.order(now, Order::Air(frame));
            }
            Output::Radio(Order::StopDiscovery) => self.radio.discovery = Some((later, false)),
            Output::Radio(Order::StartDiscovery) => self.radio.discovery = Some((later, true)),
            Output::Radio(order) => self.order(now, order),
            Output::Log(_) => {}
        }
    }

    fn order(&mut self, now: Moment, ordered: Order) {
        if !matches!(ordered, Order::Swap(_)) {
            self.radio.discovery = None;
        }
        let takes = self.rng.next_u64() % u64::try_from(SLOWEST.as_millis()).unwrap();
        self.radio.ordered = Some((now.boot + Duration::from_millis(takes), ordered));
    }

    fn obey(&mut self, now: Moment, ordered: Order) {
        if !self.radio.up {
            return;
        }
        match ordered {
            Order::Air(frame) => {
                self.radio.airing = Some((frame, now.boot));
                self.radio.told.clear();
                self.radio.listening = true;
                self.switch_discovery(now, true);
                if !self.policy.relay {
                    let on_air = OnAir {
                        from: now.boot,
                        to: None,
                    };
                    self.aired.insert(frame.tcn, on_air);
                }
                self.tell(now, Input::Aired(frame));
            }
            Order::Swap(frame) => self.swap(now, frame),
            Order::Listen => {
                self.radio.listening = true;
                self.switch_discovery(now, true);
            }
            Order::Rest => {
                self.off_air(now.boot);
                self.radio.listening = false;
                self.tell(now, Input::Rested);
            }
            Order::StopDiscovery | Order::StartDiscovery => unreachable!("obeyed by themselves"),
        }
    }

    fn switch_discovery(&mut self, now: Moment, runs: bool) {
        if self.radio.listening {
            self.radio.paused = (!runs).then_some(now.boot);
            if runs {
                self.tell(now, Input::DiscoveryStarted);
            }
        }
    }

    /// Another frame of the same epoch, under another address.
    fn swap(&mut self, now: Moment, frame: Frame) {
        let Some((before, since)) = self.radio.airing else {
            return;
        };
        assert_eq!(
            before.carrier_id(),
            frame.carrier_id(),
            "all of an epoch is aired by one name"
        );
        assert!(self.radio.hold.is_zero(), "carried without a new address");
        let ours = self.aired.contains_key(&frame.tcn);
        assert_eq!(ours, !frame.is_bridged(), "an own number was carried");
        assert!(
            ours || frame.tcn == Tcn::VACANT || self.radio.told.contains(&frame.tcn),
            "no phone wrote this number in this epoch"
        );
        self.radio.swaps += 1;
        self.radio.airing = Some((frame, since));
        self.tell(now, Input::Aired(frame));
    }

    fn off_air(&mut self, now: Duration) {
        if let Some((frame, _)) = self.radio.airing.take() {
            let carrier = frame.carrier_id();
            let ours = self.aired.iter_mut();
            ours.filter(|(tcn, on_air)| {
                Frame::own(**tcn).carrier_id() == carrier && on_air.to.is_none()
            })
            .for_each(|(_, on_air)| on_air.to = Some(now));
        }
    }

    fn radio_lost(&mut self, now: Moment) {
        let airing = self.radio.airing.map(|(frame, _)| frame);
        self.off_air(now.boot);
        self.radio.listening = false;
        self.radio.ordered = None;
        if let Some(frame) = airing {
            self.tell(now, Input::Withdrawn(frame));
        }
        self.radio.ordered = None;
        self.tell(now, Input::RadioDown);
        let back = now.boot + Duration::from_secs(self.rng.next_u64() % 60);
        self.pending
            .push((back, Input::RadioUp(self.capabilities())));
    }

    fn forbid_air(&mut self, now: Moment, forbidden: bool) {
        self.radio.can_air = !forbidden;
        if forbidden && let Some((frame, _)) = self.radio.airing {
            self.off_air(now.boot);
            self.tell(now, Input::Withdrawn(frame));
        }
        self.tell(now, Input::RadioUp(self.capabilities()));
    }
}

impl StoreModel {
    /// Applies all or nothing, as a transaction with foreign keys.
    fn apply(&mut self, write: Write) -> bool {
        match write {
            Write::Records(records) => {
                let fits = records.iter().all(|record| self.fits(record, &records));
                if fits {
                    records.into_iter().for_each(|record| self.record(record));
                }
                fits
            }
            Write::Growth(growth) => {
                growth.into_iter().for_each(|contact| self.merge(contact));
                true
            }
        }
    }

    /// Keys that are written or in the queue.
    fn keys_below(&self, limit: KeyId) -> Vec<[u8; 32]> {
        let written = self.keys.iter().map(|(id, (seed, _))| (*id, *seed));
        let records = self.writing.iter().flat_map(|(_, _, write)| match write {
            Write::Records(records) => records.as_slice(),
            Write::Growth(_) => &[],
        });
        let coming = records.filter_map(|record| match record {
            Record::KeyBorn { key, seed, .. } => Some((*key, **seed.0)),
            Record::Reserved { .. } | Record::Unaired { .. } | Record::Retired { .. } => None,
        });
        let keys = written.chain(coming).filter(|(id, _)| *id < limit);
        keys.map(|(_, seed)| seed).collect()
    }

    fn fits(&self, record: &Record, with: &[Record]) -> bool {
        let born = |id| {
            with.iter()
                .any(|r| matches!(r, Record::KeyBorn { key, .. } if *key == id))
        };
        match record {
            Record::KeyBorn { .. } | Record::Unaired { .. } | Record::Retired { .. } => true,
            Record::Reserved { key, .. } => self.keys.contains_key(key) || born(*key),
        }
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::KeyBorn { key, seed, born } => {
                assert!(
                    self.keys.insert(key, (**seed.0, born)).is_none(),
                    "a key name was reused"
                );
            }
            Record::Reserved { key, index, from } => {
                let fresh = self.broadcasts.insert((key, index), (from, None)).is_none();
                assert!(fresh, "an index was used twice");
            }
            Record::Unaired { key, index } => {
                self.broadcasts.remove(&(key, index));
            }
            Record::Retired { key, index, until } => {
                if let Some(broadcast) = self.broadcasts.get_mut(&(key, index)) {
                    broadcast.1 = Some(until);
                }
            }
        }
    }

    fn merge(&mut self, growth: Contact) {
        assert!(
            growth.start <= growth.end,
            "a contact that ends before it starts"
        );
        assert!(growth.signal.sightings() > 0 || growth.unheard.after > 0);
        let row = self
            .contacts
            .entry((growth.start.0 / 900, growth.tcn))
            .or_insert(growth);
        row.start = row.start.min(growth.start);
        row.end = row.end.max(growth.end);
    }

    /// A write in progress has the old dates, and is moved with the rest.
    fn redate(&mut self, redating: &Redating) {
        if let Some(shift) = redating.moved {
            let moved = |at: UnixTime| UnixTime(at.0.saturating_add_signed(shift.by));
            let contacts = std::mem::take(&mut self.contacts).into_values();
            let mut move_one = |mut contact: Contact| {
                if contact.start >= shift.since {
                    contact.start = moved(contact.start);
                    contact.end = moved(contact.end);
                }
                contact
            };
            let contacts: Vec<_> = contacts.map(&mut move_one).collect();
            contacts.into_iter().for_each(|contact| self.merge(contact));
            for (_, _, write) in &mut self.writing {
                if let Write::Growth(growth) = write {
                    growth
                        .iter_mut()
                        .for_each(|contact| *contact = move_one(*contact));
                }
            }
        }
    }

    fn forget(&mut self, before: UnixTime) {
        self.contacts.retain(|_, contact| contact.end >= before);
        let live: BTreeSet<KeyId> = self
            .broadcasts
            .iter()
            .filter(|(_, (from, to))| to.unwrap_or(*from) >= before)
            .map(|((key, _), _)| *key)
            .collect();
        self.keys.retain(|key, _| live.contains(key));
        self.broadcasts.retain(|(key, _), _| live.contains(key));
    }

    /// Every number that can be derived from the durable records, with its key.
    fn derive_all(&self) -> BTreeMap<Tcn, KeyId> {
        let mut numbers = BTreeMap::new();
        for (id, (seed, _)) in &self.keys {
            let last = self
                .broadcasts
                .keys()
                .filter(|(key, _)| key == id)
                .map(|(_, i)| *i)
                .max();
            let mut tck = ReportAuthorizationKey::from_bytes(seed).first_temporary_contact_key();
            while last.is_some_and(|last| tck.index() <= last) {
                numbers.insert(tck.temporary_contact_number(), *id);
                match tck.ratchet() {
                    Ratchet::Next(next) => tck = next,
                    Ratchet::Spent => break,
                }
            }
        }
        numbers
    }
}
