//! The plan against random actions of BlueZ, the adapter and peers.

use proptest::prelude::*;

use super::*;

/// What may happen to a plan, with the answers of BlueZ.
#[derive(Clone, Copy, Debug)]
enum Action {
    Order(u8),
    See(Option<u8>),
    Arrive,
    Linger,
    Work(u8),
    Resume,
    Restart,
    ScanEnds,
    Doubt,
    Forget,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => any::<u8>().prop_map(Action::Order),
        1 => any::<Option<u8>>().prop_map(Action::See),
        2 => Just(Action::Arrive),
        1 => Just(Action::Linger),
        12 => any::<u8>().prop_map(Action::Work),
        2 => Just(Action::Resume),
        1 => Just(Action::Restart),
        1 => Just(Action::ScanEnds),
        1 => Just(Action::Doubt),
        1 => Just(Action::Forget),
    ]
}

/// A BlueZ with random answers, and the invariants that must hold.
#[derive(Default)]
struct Model {
    plan: Plan,
    legacy: bool,
    frames: u8,
    /// Frames of past epochs, and those aired where no peer can connect.
    burnt: Vec<Frame>,
    /// The frames that the epoch ordered last may air.
    epoch: Vec<Frame>,
    /// Peers can connect; then the GATT service has to be registered.
    connectable: bool,
    served: bool,
    /// A peer has been connected since before the last order.
    old_connection: bool,
    connected: bool,
    rests: usize,
    rested: usize,
}

impl Model {
    fn act(&mut self, action: Action) {
        match action {
            Action::Order(kind) => self.order(kind),
            Action::See(now) => self.set_readiness(now.map(|kind| kind % 3)),
            Action::Arrive if self.connectable => {
                self.connected = true;
                self.plan.set_strangers(true);
                self.plan.refresh();
            }
            Action::Arrive => {}
            Action::Linger => self.plan.disconnect_due(),
            Action::Work(answer) if self.plan.is_up() => self.work(answer),
            Action::Work(_) => {}
            Action::Resume => {
                self.plan.resume_advert();
                self.plan.resume_scan();
                self.plan.resume_serve();
            }
            Action::Restart => self.plan.restart_due(),
            Action::ScanEnds if self.plan.is_scanning() => {
                self.plan.scan_failed();
            }
            Action::ScanEnds => {}
            Action::Doubt => self.plan.suspect_loss(false),
            Action::Forget => {
                self.set_readiness(None);
                self.plan.forget();
                (self.served, self.connected, self.old_connection) = (false, false, false);
            }
        }
        self.listen();
    }

    fn set_readiness(&mut self, kind: Option<u8>) {
        let readiness = kind.map(|kind| match kind {
            0 => Readiness::default(),
            1 => BROADCAST,
            _ => CONNECTABLE,
        });
        self.connectable = readiness.is_some_and(|readiness| readiness.connectable);
        self.served &= self.connectable;
        self.plan.set_readiness(readiness);
    }

    fn order(&mut self, kind: u8) {
        if kind % 8 == 7 {
            let discovers = kind >= 128;
            return self.plan.order(match discovers {
                true => Order::StartDiscovery,
                false => Order::StopDiscovery,
            });
        }
        if kind % 4 == 3 {
            let Some(first) = self.epoch.first() else {
                return;
            };
            let carried = TemporaryContactNumber::from_bytes([kind; 16]);
            let swapped = Frame::carried(carried, first.carrier_id());
            self.epoch.push(swapped);
            return self.plan.order(Order::Swap(swapped));
        }
        self.burnt.append(&mut self.epoch);
        self.old_connection = self.connected;
        self.plan.order(match kind % 4 {
            0 => {
                self.rests += 1;
                Order::Rest
            }
            1 => Order::Listen,
            _ => {
                self.frames = self.frames.wrapping_add(1);
                self.epoch.push(frame(self.frames));
                Order::Air(frame(self.frames))
            }
        });
    }

    fn work(&mut self, answer: u8) {
        let Some(step) = self.plan.next() else {
            return;
        };
        match step {
            Step::Inspect => self.plan.inspected(if self.legacy {
                Controller::Legacy
            } else {
                Controller::Extended
            }),
            Step::StartScan if answer.is_multiple_of(4) => {
                self.plan.scan_failed();
            }
            Step::StartScan => {
                assert!(!self.plan.is_scanning());
                self.plan.scan_started();
            }
            Step::StopScan => self.plan.scan_stopped(),
            Step::Register(frame) => self.register(frame, answer),
            Step::ConfirmGone if answer.is_multiple_of(4) => self.plan.renew(),
            Step::ConfirmGone => self.plan.gone(),
            Step::Verify => self.plan.verified(answer.is_multiple_of(2)),
            Step::Serve => {
                assert!(self.connectable && !self.served);
                self.served = !answer.is_multiple_of(4);
                self.plan.serving(self.served);
            }
            Step::DisconnectStrangers => {
                (self.connected, self.old_connection) = (false, false);
                self.plan.strangers_gone();
                self.plan.set_strangers(false);
            }
            Step::Renew => {
                self.served = false;
                self.plan.renewed();
            }
        }
    }

    fn register(&mut self, frame: Frame, answer: u8) {
        assert!(!self.burnt.contains(&frame), "aired twice");
        assert!(self.epoch.contains(&frame), "never ordered");
        assert!(!self.connectable || self.served, "nothing to connect for");
        assert!(!self.old_connection, "an observer sees both epochs");
        assert_eq!(self.plan.advert(), AdvertState::Absent, "two at once");
        assert!(
            !(self.legacy && self.plan.is_scanning()),
            "would be refused"
        );
        let how = match answer % 3 {
            0 => Registration::Refused,
            1 => Registration::Uncertain,
            _ => Registration::Done,
        };
        if how == Registration::Uncertain || (how == Registration::Done && !self.connectable) {
            self.burnt.push(frame);
        }
        self.plan.registered(frame, how);
    }

    fn listen(&mut self) {
        let silent = !self.plan.is_scanning() && self.plan.advert() == AdvertState::Absent;
        let up = self.plan.is_up();
        for event in self.plan.events() {
            if matches!(event, Event::Rested) {
                self.rested += 1;
                assert!(silent || !up, "rested on the air");
            }
        }
        assert!(self.rested <= self.rests, "rested unasked");
    }
}

proptest! {
    #[test]
    fn whatever_bluez_does_no_number_is_aired_twice_and_every_rest_is_answered(
        legacy: bool,
        happenings in prop::collection::vec(action(), 0..120),
    ) {
        let mut model = Model { legacy, ..Model::default() };
        model.act(Action::See(Some(1)));
        for action in happenings {
            model.act(action);
        }
        model.act(Action::See(Some(2)));
        model.act(Action::Order(0));
        for _ in 0..20 {
            model.act(Action::Work(1));
        }
        prop_assert_eq!(model.rested, model.rests);
        model.act(Action::Order(2));
        for _ in 0..20 {
            model.act(Action::Work(14));
        }
        let last = frame(model.frames);
        prop_assert_eq!(model.plan.advert(), AdvertState::Airing(last));
    }
}
