//! The plan against a scripted BlueZ.

mod discovery;
mod model;

use tcn_engine::RadioCapabilities;

use super::*;

const BROADCAST: Readiness = Readiness {
    capabilities: RadioCapabilities {
        can_air: true,
        can_carry: false,
        can_listen: true,
        address_lifetime: Duration::ZERO,
    },
    connectable: false,
};

const CONNECTABLE: Readiness = Readiness {
    capabilities: RadioCapabilities {
        can_carry: true,
        ..BROADCAST.capabilities
    },
    connectable: true,
};

fn frame(byte: u8) -> Frame {
    Frame::own(TemporaryContactNumber::from_bytes([byte; 16]))
}

fn up() -> Plan {
    let mut plan = Plan::default();
    plan.set_readiness(Some(BROADCAST));
    plan.events().for_each(drop);
    plan
}

fn events(plan: &mut Plan) -> Vec<String> {
    plan.events().map(|event| format!("{event:?}")).collect()
}

/// Carries steps out as a BlueZ without errors, and lists them.
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
            Step::Serve => {
                plan.serving(true);
            }
            Step::DisconnectStrangers => {
                plan.strangers_gone();
                plan.set_strangers(false);
            }
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
    assert_eq!(plan.advert(), AdvertState::Airing(frame(1)));
    plan.events().for_each(drop);
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
    assert_eq!(events(&mut plan), ["Rested"]);
}

#[test]
fn each_rest_is_answered_once() {
    let mut plan = airing(Controller::Legacy);
    plan.order(Order::Rest);
    plan.order(Order::Rest);
    carry_out(&mut plan, Controller::Legacy);
    assert_eq!(events(&mut plan), ["Rested", "Rested"]);
    plan.order(Order::Rest);
    carry_out(&mut plan, Controller::Legacy);
    assert_eq!(events(&mut plan), ["Rested"]);
}

#[test]
fn rest_is_answered_even_if_the_adapter_goes() {
    let mut plan = airing(Controller::Legacy);
    plan.order(Order::Rest);
    plan.set_readiness(None);
    plan.order(Order::Rest);
    assert_eq!(events(&mut plan), ["Down", "Rested", "Rested"]);
}

#[test]
fn a_restart_leaves_the_advert_alone() {
    let mut plan = airing(Controller::Legacy);
    plan.restart_due();
    let steps = carry_out(&mut plan, Controller::Legacy);
    assert_eq!(steps, [Step::StopScan, Step::StartScan]);
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
    plan.registered(frame(1), Registration::Uncertain);
    let steps = carry_out(&mut plan, Controller::Legacy);
    assert_eq!(steps, [Step::Renew, Step::ConfirmGone, Step::StartScan]);
    let gone = frame(1);
    let expected = [
        format!("Withdrawn({gone:?})"),
        "DiscoveryStarted".to_owned(),
    ];
    assert_eq!(events(&mut plan), expected);
}

#[test]
fn a_discoverable_adapter_is_left_and_listened_to() {
    let mut plan = airing(Controller::Extended);
    plan.set_readiness(Some(Readiness::default()));
    assert_eq!(
        plan.advert(),
        AdvertState::Leaving,
        "the handle must go at once"
    );
    assert_eq!(plan.next(), Some(Step::ConfirmGone));
    plan.gone();
    assert_eq!(plan.next(), None);
    assert!(plan.is_scanning());
    plan.set_readiness(Some(BROADCAST));
    assert_eq!(plan.next(), None, "an advert came back by itself");
    let up = |readiness: Readiness| format!("Up({:?})", readiness.capabilities);
    let gone = frame(1);
    assert_eq!(
        events(&mut plan),
        [
            format!("Withdrawn({gone:?})"),
            up(Readiness::default()),
            up(BROADCAST)
        ]
    );
}

#[test]
fn an_advert_that_vanished_is_told_after_a_second_look() {
    let mut plan = airing(Controller::Extended);
    plan.suspect_loss(false);
    assert_eq!(plan.next(), Some(Step::Verify));
    plan.verified(true);
    assert_eq!(plan.next(), None);
    plan.suspect_loss(false);
    assert_eq!(plan.next(), Some(Step::Verify));
    plan.verified(false);
    assert_eq!(plan.next(), None);
    assert_eq!(events(&mut plan).len(), 1);
}

#[test]
fn a_doubt_that_comes_during_a_look_is_looked_into_too() {
    for released in [false, true] {
        let mut plan = airing(Controller::Extended);
        plan.suspect_loss(false);
        assert_eq!(plan.next(), Some(Step::Verify));
        plan.suspect_loss(released);
        assert_eq!(plan.is_on_air(), !released);
        plan.verified(true);
        assert_eq!(plan.is_on_air(), !released);
        assert_eq!(plan.next(), Some(Step::Verify));
        plan.verified(false);
        assert!(!plan.is_on_air());
        assert_eq!(events(&mut plan).len(), 1);
    }
}

#[test]
fn a_connection_replaced_does_not_forget_what_was_ordered() {
    let mut plan = airing(Controller::Extended);
    plan.order(Order::Air(frame(2)));
    assert_eq!(plan.next(), Some(Step::StopScan));
    plan.scan_stopped();
    plan.renew();
    carry_out(&mut plan, Controller::Extended);
    assert_eq!(plan.advert(), AdvertState::Airing(frame(2)));
}

#[test]
fn an_advert_registered_too_late_is_cleared_when_the_adapter_is_back() {
    let mut plan = up();
    plan.order(Order::Air(frame(1)));
    plan.set_readiness(None);
    plan.registered_late();
    plan.set_readiness(Some(BROADCAST));
    plan.order(Order::Air(frame(2)));
    let steps = carry_out(&mut plan, Controller::Legacy);
    assert_eq!(steps[..1], [Step::ConfirmGone]);
}

/// On the air, and connectable.
fn reachable() -> Plan {
    let mut plan = Plan::default();
    plan.set_readiness(Some(CONNECTABLE));
    plan.order(Order::Air(frame(1)));
    let steps = carry_out(&mut plan, Controller::Extended);
    let (scan, register) = (Step::StartScan, Step::Register(frame(1)));
    assert_eq!(steps, [Step::Inspect, Step::Serve, scan, register]);
    plan.events().for_each(drop);
    plan
}

#[test]
fn a_frame_is_swapped_while_listening_goes_on() {
    let mut plan = reachable();
    let swapped = Frame::carried(frame(2).tcn, frame(1).carrier_id());
    plan.order(Order::Swap(swapped));
    assert_eq!(
        plan.advert(),
        AdvertState::Leaving,
        "the handle must go at once"
    );
    assert_eq!(
        plan.readable_number(),
        Some(Some(frame(1).tcn)),
        "our own is told"
    );
    let steps = carry_out(&mut plan, Controller::Extended);
    assert_eq!(steps, [Step::ConfirmGone, Step::Register(swapped)]);
    assert_eq!(events(&mut plan), [format!("Aired({swapped:?})")]);
}

#[test]
fn a_swap_without_an_epoch_is_nothing() {
    let mut plan = up();
    plan.order(Order::Listen);
    carry_out(&mut plan, Controller::Extended);
    plan.order(Order::Swap(frame(2)));
    assert_eq!(carry_out(&mut plan, Controller::Extended), []);
}

#[test]
fn who_connects_has_the_advert_registered_anew() {
    let mut plan = reachable();
    plan.set_strangers(true);
    plan.refresh();
    let steps = carry_out(&mut plan, Controller::Extended);
    assert_eq!(steps, [Step::ConfirmGone, Step::Register(frame(1))]);
}

#[test]
fn who_is_connected_is_sent_away_before_another_number_is_told() {
    let mut plan = reachable();
    plan.set_strangers(true);
    plan.order(Order::Rest);
    assert_eq!(plan.readable_number(), None);
    let steps = carry_out(&mut plan, Controller::Extended);
    assert_eq!(
        steps,
        [Step::StopScan, Step::ConfirmGone, Step::DisconnectStrangers]
    );
    assert_eq!(events(&mut plan), ["Rested"]);
}

#[test]
fn nothing_is_aired_while_the_server_is_refused() {
    let mut plan = Plan::default();
    plan.set_readiness(Some(CONNECTABLE));
    plan.order(Order::Air(frame(1)));
    plan.inspected(Controller::Extended);
    assert_eq!(plan.next(), Some(Step::Serve));
    assert!(plan.serving(false).is_some());
    assert_eq!(plan.next(), Some(Step::StartScan));
    plan.scan_started();
    assert_eq!(plan.next(), None);
    assert!(plan.is_serve_failing());
    plan.resume_serve();
    let steps = carry_out(&mut plan, Controller::Extended);
    assert_eq!(steps, [Step::Serve, Step::Register(frame(1))]);
}

#[test]
fn privacy_lost_takes_the_advert_off_the_air() {
    let mut plan = reachable();
    plan.set_readiness(Some(BROADCAST));
    assert_eq!(plan.advert(), AdvertState::Leaving);
    assert_eq!(events(&mut plan).len(), 2);
    plan.set_readiness(Some(CONNECTABLE));
    plan.order(Order::Air(frame(2)));
    let steps = carry_out(&mut plan, Controller::Extended);
    assert!(steps.contains(&Step::Serve), "{steps:?}");
}

#[test]
fn a_deaf_epoch_is_aired_without_a_scan() {
    let mut plan = reachable();
    plan.order(Order::Air(frame(2)));
    plan.suppress_scan();
    let steps = carry_out(&mut plan, Controller::Extended);
    assert!(!steps.contains(&Step::StartScan), "{steps:?}");
    assert_eq!(plan.advert(), AdvertState::Airing(frame(2)));
    plan.order(Order::Air(frame(3)));
    let steps = carry_out(&mut plan, Controller::Extended);
    assert!(steps.contains(&Step::StartScan), "{steps:?}");
}

#[test]
fn the_first_scan_of_an_epoch_never_begins_beside_a_private_advert() {
    let mut plan = Plan::default();
    plan.set_readiness(Some(CONNECTABLE));
    plan.order(Order::Air(frame(1)));
    plan.inspected(Controller::Extended);
    plan.serving(true);
    assert_eq!(plan.next(), Some(Step::StartScan));
    plan.scan_failed();
    assert_eq!(plan.next(), Some(Step::Register(frame(1))));
    plan.registered(frame(1), Registration::Done);
    assert_eq!(plan.next(), None);
    plan.resume_scan();
    let steps = carry_out(&mut plan, Controller::Extended);
    let (scan, register) = (Step::StartScan, Step::Register(frame(1)));
    assert_eq!(steps, [Step::ConfirmGone, scan, register]);
}
