//! Discovery that is stopped and started by order.

use super::*;

#[test]
fn discovery_pauses_by_order_and_leaves_the_advert_alone() {
    for controller in [Controller::Legacy, Controller::Extended] {
        let mut plan = airing(controller);
        plan.order(Order::StopDiscovery);
        assert_eq!(carry_out(&mut plan, controller), [Step::StopScan]);
        assert!(plan.is_settled() && plan.is_discovery_paused());
        plan.order(Order::StartDiscovery);
        assert_eq!(plan.next(), Some(Step::StartScan));
        assert_eq!(plan.scan_started(), ScanStart::Resumed);
        assert_eq!(events(&mut plan), ["DiscoveryStarted"]);
        assert!(plan.is_settled() && !plan.is_discovery_paused());
        assert_eq!(plan.advert(), AdvertState::Airing(frame(1)));
        // Another start has another reason.
        plan.scan_stopped();
        assert_eq!(plan.scan_started(), ScanStart::Restarted);
    }
}

#[test]
fn each_start_of_discovery_is_answered() {
    let mut plan = airing(Controller::Extended);
    plan.order(Order::StopDiscovery);
    plan.order(Order::StartDiscovery);
    assert_eq!(carry_out(&mut plan, Controller::Extended), []);
    assert_eq!(events(&mut plan), ["DiscoveryStarted"]);
}

#[test]
fn discovery_that_fails_is_retried_in_a_pause() {
    let mut plan = airing(Controller::Extended);
    plan.scan_failed();
    plan.order(Order::StopDiscovery);
    assert_eq!(plan.next(), None);
    plan.resume_scan();
    let steps = carry_out(&mut plan, Controller::Extended);
    assert_eq!(steps, [Step::StartScan, Step::StopScan]);
    assert!(!plan.is_scan_failing() && plan.is_discovery_paused());
}

#[test]
fn a_pause_of_discovery_ends_with_the_epoch() {
    let mut plan = airing(Controller::Extended);
    plan.order(Order::StopDiscovery);
    carry_out(&mut plan, Controller::Extended);
    plan.order(Order::Rest);
    carry_out(&mut plan, Controller::Extended);
    plan.order(Order::Air(frame(2)));
    let steps = carry_out(&mut plan, Controller::Extended);
    assert_eq!(
        steps,
        [Step::Inspect, Step::StartScan, Step::Register(frame(2))]
    );
}
