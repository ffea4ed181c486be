//! The plan, told what BlueZ would do.

use proptest::prelude::*;

use super::*;

fn frame(byte: u8) -> Frame {
    Frame::own(TemporaryContactNumber::from_bytes([byte; 16]))
}

fn up() -> Plan {
    let mut plan = Plan::default();
    plan.see(Some(true));
    plan.said().for_each(drop);
    plan
}

fn said(plan: &mut Plan) -> Vec<String> {
    plan.said().map(|event| format!("{event:?}")).collect()
}

/// Carries steps out as a BlueZ without faults, and lists them.
fn carry_out(plan: &mut Plan, controller: Controller) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = plan.next() {
        steps.push(step);
        assert!(steps.len() < 20, "no end: {steps:?}");
        match step {
            Step::Inspect => plan.inspected(controller),
            Step::StartScan => {
                plan.scan_started();
            }
            Step::StopScan => plan.scan_stopped(),
            Step::Register(frame) => {
                plan.registered(frame, Registration::Done);
            }
            Step::ConfirmGone => plan.gone(),
            Step::Verify => plan.verified(true),
            Step::Renew => plan.renewed(),
        }
    }
    steps
}

fn airing(controller: Controller) -> Plan {
    let mut plan = up();
    plan.order(Order::Air(frame(1)));
    carry_out(&mut plan, controller);
    assert_eq!(plan.advert(), Advert::Airing(frame(1).tcn));
    plan.said().for_each(drop);
    plan
}

#[test]
fn an_extended_controller_scans_first() {
    let mut plan = up();
    plan.order(Order::Air(frame(1)));
    let steps = carry_out(&mut plan, Controller::Extended);
    assert_eq!(
        steps,
        [Step::Inspect, Step::StartScan, Step::Register(frame(1))]
    );
}

#[test]
fn a_legacy_controller_airs_first() {
    let mut plan = up();
    plan.order(Order::Air(frame(1)));
    let steps = carry_out(&mut plan, Controller::Legacy);
    assert_eq!(
        steps,
        [Step::Inspect, Step::Register(frame(1)), Step::StartScan]
    );
}

#[test]
fn rest_stops_listening_before_it_leaves_the_air() {
    let mut plan = airing(Controller::Extended);
    plan.order(Order::Rest);
    let steps = carry_out(&mut plan, Controller::Extended);
    assert_eq!(steps, [Step::StopScan, Step::ConfirmGone]);
    assert_eq!(said(&mut plan), ["Rested"]);
}

#[test]
fn each_rest_is_answered_once() {
    let mut plan = airing(Controller::Legacy);
    plan.order(Order::Rest);
    plan.order(Order::Rest);
    carry_out(&mut plan, Controller::Legacy);
    assert_eq!(said(&mut plan), ["Rested", "Rested"]);
    plan.order(Order::Rest);
    carry_out(&mut plan, Controller::Legacy);
    assert_eq!(said(&mut plan), ["Rested"]);
}

#[test]
fn rest_is_answered_even_if_the_adapter_goes() {
    let mut plan = airing(Controller::Legacy);
    plan.order(Order::Rest);
    plan.see(None);
    plan.order(Order::Rest);
    assert_eq!(said(&mut plan), ["Down", "Rested", "Rested"]);
}

#[test]
fn a_restart_leaves_the_advert_alone() {
    let mut plan = airing(Controller::Legacy);
    plan.restart_due();
    let steps = carry_out(&mut plan, Controller::Legacy);
    assert_eq!(steps, [Step::StopScan, Step::StartScan]);
}

#[test]
fn pauses_double_up_to_a_minute() {
    let mut retry = Retry::default();
    let pauses: Vec<_> = (0..9).map(|_| retry.fail().as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    retry.succeed();
    assert_eq!(retry.fail().as_secs(), 1);
}

#[test]
fn a_legacy_controller_refused_keeps_silent_then_listens_between_tries() {
    let mut plan = up();
    plan.order(Order::Air(frame(1)));
    assert_eq!(plan.next(), Some(Step::Inspect));
    plan.inspected(Controller::Legacy);
    for _ in 0..2 {
        assert_eq!(plan.next(), Some(Step::Register(frame(1))));
        plan.registered(frame(1), Registration::Refused);
        assert_eq!(plan.next(), None, "a scan would be in its own way");
        plan.resume_advert();
    }
    assert_eq!(plan.next(), Some(Step::Register(frame(1))));
    plan.registered(frame(1), Registration::Refused);
    assert_eq!(plan.next(), Some(Step::StartScan));
    plan.scan_started();
    assert_eq!(plan.next(), None);
    plan.resume_advert();
    let steps = carry_out(&mut plan, Controller::Legacy);
    assert_eq!(
        steps,
        [Step::StopScan, Step::Register(frame(1)), Step::StartScan]
    );
}

#[test]
fn refusals_without_end_replace_the_connection() {
    let mut plan = up();
    plan.order(Order::Air(frame(1)));
    assert_eq!(plan.next(), Some(Step::Inspect));
    plan.inspected(Controller::Extended);
    plan.scan_started();
    for _ in 0..8 {
        assert_eq!(plan.next(), Some(Step::Register(frame(1))));
        plan.registered(frame(1), Registration::Refused);
        plan.resume_advert();
    }
    assert_eq!(plan.next(), Some(Step::StopScan));
    plan.scan_stopped();
    assert_eq!(plan.next(), Some(Step::Renew));
}

#[test]
fn a_doubtful_advert_is_burnt_and_waited_out() {
    let mut plan = up();
    plan.order(Order::Air(frame(1)));
    plan.inspected(Controller::Legacy);
    assert_eq!(plan.next(), Some(Step::Register(frame(1))));
    plan.registered(frame(1), Registration::Doubtful);
    let steps = carry_out(&mut plan, Controller::Legacy);
    assert_eq!(steps, [Step::Renew, Step::ConfirmGone, Step::StartScan]);
    let tcn = frame(1).tcn;
    assert_eq!(said(&mut plan), [format!("Withdrawn({tcn:?})")]);
}

#[test]
fn a_discoverable_adapter_is_left_and_listened_to() {
    let mut plan = airing(Controller::Extended);
    plan.see(Some(false));
    assert_eq!(plan.advert(), Advert::Leaving, "the handle must go at once");
    assert_eq!(plan.next(), Some(Step::ConfirmGone));
    plan.gone();
    assert_eq!(plan.next(), None);
    assert!(plan.is_scanning());
    plan.see(Some(true));
    assert_eq!(plan.next(), None, "an advert came back by itself");
    let tcn = frame(1).tcn;
    assert_eq!(
        said(&mut plan),
        [
            format!("Withdrawn({tcn:?})"),
            "Up { can_air: false }".to_owned(),
            "Up { can_air: true }".to_owned()
        ]
    );
}

#[test]
fn an_advert_that_vanished_is_told_after_a_second_look() {
    let mut plan = airing(Controller::Extended);
    plan.doubt();
    assert_eq!(plan.next(), Some(Step::Verify));
    plan.verified(true);
    assert_eq!(plan.next(), None);
    plan.doubt();
    assert_eq!(plan.next(), Some(Step::Verify));
    plan.verified(false);
    assert_eq!(plan.next(), None);
    assert_eq!(said(&mut plan).len(), 1);
}

#[test]
fn a_connection_replaced_does_not_forget_what_was_ordered() {
    let mut plan = airing(Controller::Extended);
    plan.order(Order::Air(frame(2)));
    assert_eq!(plan.next(), Some(Step::StopScan));
    plan.scan_stopped();
    plan.renew();
    carry_out(&mut plan, Controller::Extended);
    assert_eq!(plan.advert(), Advert::Airing(frame(2).tcn));
}

#[test]
fn an_advert_registered_too_late_is_cleared_when_the_adapter_is_back() {
    let mut plan = up();
    plan.order(Order::Air(frame(1)));
    plan.see(None);
    plan.registered_late();
    plan.see(Some(true));
    plan.order(Order::Air(frame(2)));
    let steps = carry_out(&mut plan, Controller::Legacy);
    assert_eq!(steps[..1], [Step::ConfirmGone]);
}

/// What may happen to a plan, and how BlueZ may answer.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Order(u8),
    See(Option<bool>),
    Work(u8),
    Resume,
    Restart,
    ScanEnds,
    Doubt,
    Forget,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => any::<u8>().prop_map(Happening::Order),
        1 => any::<Option<bool>>().prop_map(Happening::See),
        12 => any::<u8>().prop_map(Happening::Work),
        2 => Just(Happening::Resume),
        1 => Just(Happening::Restart),
        1 => Just(Happening::ScanEnds),
        1 => Just(Happening::Doubt),
        1 => Just(Happening::Forget),
    ]
}

/// A BlueZ that answers as it likes, and what must hold whatever it does.
#[derive(Default)]
struct Street {
    plan: Plan,
    legacy: bool,
    frames: u8,
    burnt: Vec<Frame>,
    rests: usize,
    rested: usize,
}

impl Street {
    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Order(kind) => self.order(kind),
            Happening::See(now) => self.plan.see(now),
            Happening::Work(answer) if self.plan.is_up() => self.work(answer),
            Happening::Work(_) => {}
            Happening::Resume => {
                self.plan.resume_advert();
                self.plan.resume_scan();
            }
            Happening::Restart => self.plan.restart_due(),
            Happening::ScanEnds if self.plan.is_scanning() => {
                self.plan.scan_failed();
            }
            Happening::ScanEnds => {}
            Happening::Doubt => self.plan.doubt(),
            Happening::Forget => {
                self.plan.see(None);
                self.plan.forget();
            }
        }
        self.listen();
    }

    fn order(&mut self, kind: u8) {
        self.plan.order(match kind % 3 {
            0 => {
                self.rests += 1;
                Order::Rest
            }
            1 => Order::Listen,
            _ => {
                self.frames = self.frames.wrapping_add(1);
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
            Step::Renew => self.plan.renewed(),
        }
    }

    fn register(&mut self, frame: Frame, answer: u8) {
        assert!(!self.burnt.contains(&frame), "aired twice");
        assert_eq!(self.plan.advert(), Advert::Absent, "two at once");
        assert!(
            !(self.legacy && self.plan.is_scanning()),
            "would be refused"
        );
        let how = match answer % 3 {
            0 => Registration::Refused,
            1 => Registration::Doubtful,
            _ => Registration::Done,
        };
        if how != Registration::Refused {
            self.burnt.push(frame);
        }
        self.plan.registered(frame, how);
    }

    fn listen(&mut self) {
        let silent = !self.plan.is_scanning() && self.plan.advert() == Advert::Absent;
        let up = self.plan.is_up();
        for event in self.plan.said() {
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
        happenings in prop::collection::vec(happening(), 0..120),
    ) {
        let mut street = Street { legacy, ..Street::default() };
        street.happen(Happening::See(Some(true)));
        for happening in happenings {
            street.happen(happening);
        }
        street.happen(Happening::See(Some(true)));
        street.happen(Happening::Order(0));
        for _ in 0..20 {
            street.happen(Happening::Work(1));
        }
        prop_assert_eq!(street.rested, street.rests);
        street.happen(Happening::Order(2));
        for _ in 0..20 {
            street.happen(Happening::Work(14));
        }
        let last = frame(street.frames);
        prop_assert_eq!(street.plan.advert(), Advert::Airing(last.tcn));
    }
}
