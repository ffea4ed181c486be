//! What is taken away comes back by itself; meanwhile the trouble is named.

use std::time::Duration;

use tcnd::radio::bluez::Options;
use tcnd::radio::{Order, Trouble};

use super::bench::{Bench, frame, on_a_bus, with_a_bus};
use super::bluez::{Adapter, Bluez, Calls, Machine};

#[test]
fn power_off_and_on() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::airing(Machine::legacy(), 1).await;
        bluez.power("hci0", false).await;
        bench.expect_withdrawn(1).await;
        bench.expect_down().await;
        bench.troubles(&[Trouble::AdapterOff]).await;
        assert!(!bench.status.advertising && !bench.status.scanning);
        bluez
            .until(|machine| machine.adapter().adverts() == 0)
            .await;
        bluez
            .until(|machine| machine.count("StopDiscovery") == 1)
            .await;
        bluez.quiet_for(Duration::from_secs(1)).await;
        assert!(!bluez.machine().adapter().powered, "powered on unasked");
        bluez.power("hci0", true).await;
        bench.expect_up(true).await;
        bench.troubles(&[]).await;
        bench.air(2).await;
        bluez.until(|machine| machine.adapter().scanning()).await;
        bench
            .status(|status| status.adapters[0].recoveries == 1)
            .await;
        assert_eq!(
            bench.status.adapters[0].last_trouble,
            Some(Trouble::AdapterOff)
        );
    });
}

#[test]
fn rfkill_is_told_from_power_off() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::up(Machine::extended()).await;
        bluez.block("hci0").await;
        bench.expect_down().await;
        bench.troubles(&[Trouble::AdapterBlocked]).await;
        bluez.power("hci0", true).await;
        bench.expect_up(true).await;
        bench.troubles(&[]).await;
    });
}

#[test]
fn rfkill_is_seen_at_the_start() {
    on_a_bus(async || {
        let blocked = Adapter {
            powered: false,
            power_state: Some("off-blocked"),
            ..Adapter::new(1, true)
        };
        let _bluez = Bluez::start(Machine::of([("hci0", blocked)])).await;
        let mut bench = Bench::with(Options::default());
        bench.troubles(&[Trouble::AdapterBlocked]).await;
    });
}

#[test]
fn an_adapter_replugged_under_another_name_is_known_by_its_address() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::airing(Machine::extended(), 1).await;
        let adapter = bluez.unplug("hci0").await;
        bench.expect_withdrawn(1).await;
        bench.expect_down().await;
        bench.troubles(&[Trouble::AdapterMissing]).await;
        bluez.plug("hci2", adapter).await;
        bench.expect_up(true).await;
        bench.air(2).await;
        bench.status(|status| !status.adapters.is_empty()).await;
        assert_eq!(bench.status.adapters[0].name, "hci2");
        assert_eq!(bench.status.adapters[0].recoveries, 1);
    });
}

#[test]
fn only_the_adapter_configured_is_used() {
    on_a_bus(async || {
        let bluez = Bluez::start(Machine::extended()).await;
        let mut bench = Bench::with(Options {
            adapter: Some([2, 0, 0, 0, 0, 9]),
            ..Options::default()
        });
        bench.troubles(&[Trouble::AdapterMissing]).await;
        bluez.plug("hci3", Adapter::new(9, true)).await;
        bench.expect_up(true).await;
        bench.air(1).await;
        let machine = bluez.machine();
        assert_eq!(machine.adapters["hci3"].adverts(), 1);
        assert_eq!(machine.adapters["hci0"].adverts(), 0);
    });
}

#[test]
fn bluetoothd_stopped_and_started() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::airing(Machine::extended(), 1).await;
        let machine = bluez.stop().await;
        bench.expect_withdrawn(1).await;
        bench.expect_down().await;
        bench.troubles(&[Trouble::BluetoothdMissing]).await;
        assert!(bench.status.adapters.is_empty());
        let bluez = Bluez::restart(machine).await;
        bench.expect_up(true).await;
        bench.troubles(&[]).await;
        bench.air(2).await;
        bluez.until(|machine| machine.adapter().scanning()).await;
        assert_eq!(bluez.machine().adapter().adverts(), 1);
    });
}

#[test]
fn bluetoothd_killed_and_started() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::airing(Machine::legacy(), 1).await;
        let machine = bluez.crash().await;
        bench.expect_withdrawn(1).await;
        bench.expect_down().await;
        bench.troubles(&[Trouble::BluetoothdMissing]).await;
        let bluez = Bluez::restart(machine).await;
        bench.expect_up(true).await;
        bench.air(2).await;
        bluez.until(|machine| machine.adapter().scanning()).await;
        bench
            .status(|status| status.troubles.is_empty() && status.scanning)
            .await;
    });
}

#[test]
fn a_stopped_bluetoothd_is_not_called_and_so_not_started() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::airing(Machine::extended(), 1).await;
        bluez.set(|machine| machine.log.clear());
        let mut calls = Calls::watch().await;
        let _machine = bluez.stop().await;
        bench.expect_withdrawn(1).await;
        bench.expect_down().await;
        let call = tokio::time::timeout(Duration::from_secs(3), calls.next()).await;
        assert!(call.is_err(), "called: {call:?}");
    });
}

#[test]
fn a_service_that_comes_late_is_waited_for() {
    on_a_bus(async || {
        let mut bench = Bench::with(Options::default());
        bench.troubles(&[Trouble::BluetoothdMissing]).await;
        bench.order(Order::Rest).await;
        bench.expect_rested().await;
        let _bluez = Bluez::start(Machine::extended()).await;
        bench.expect_up(true).await;
        bench.air(1).await;
    });
}

#[test]
fn the_bus_itself_is_lost_and_found() {
    with_a_bus(async |bus| {
        let (mut bench, bluez) = Bench::airing(Machine::extended(), 1).await;
        let bus = bus.restart();
        bench.expect_withdrawn(1).await;
        bench.expect_down().await;
        bench.troubles(&[Trouble::BluetoothdMissing]).await;
        let _bluez = Bluez::start(bluez.machine().cleared()).await;
        bench.expect_up(true).await;
        bench.air(2).await;
        bench.troubles(&[]).await;
        drop(bus);
    });
}

#[test]
fn a_frame_refused_is_tried_again_with_growing_pauses() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::up(Machine::legacy()).await;
        bluez.set(|machine| machine.refuse_adverts = 2);
        bench.order(Order::Air(frame(1))).await;
        bench.troubles(&[Trouble::AdvertiseFailed]).await;
        assert!(!bench.status.advertising);
        bluez
            .until(|machine| machine.count("RegisterAdvertisement") == 2)
            .await;
        bluez.quiet_for(Duration::from_millis(1500)).await;
        let event = bench.next().await;
        assert!(matches!(event, tcnd::radio::Event::Aired(aired) if aired == frame(1)));
        bench.troubles(&[]).await;
        assert_eq!(bench.status.adverts_failed, 2);
        assert_eq!(bench.status.adverts_ok, 1);
    });
}

#[test]
fn rest_ends_the_tries() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::up(Machine::extended()).await;
        bluez.set(|machine| machine.refuse_adverts = 100);
        bench.order(Order::Air(frame(1))).await;
        bench.troubles(&[Trouble::AdvertiseFailed]).await;
        bench.order(Order::Rest).await;
        bench.expect_rested().await;
        bench.troubles(&[]).await;
        bluez.quiet_for(Duration::from_secs(3)).await;
    });
}

#[test]
fn discovery_refused_is_tried_again() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::up(Machine::extended()).await;
        bluez.set(|machine| machine.refuse_scans = 2);
        bench.order(Order::Listen).await;
        bench.troubles(&[Trouble::ScanFailed]).await;
        bench
            .status(|status| status.scanning && status.troubles.is_empty())
            .await;
        assert_eq!(bluez.machine().count("StartDiscovery"), 3);
    });
}

#[test]
fn discovery_that_ends_by_itself_is_started_again() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::airing(Machine::extended(), 1).await;
        bluez.end_discovery("hci0").await;
        bench.status(|status| !status.scanning).await;
        bench
            .status(|status| status.scanning && status.scan_restarts == 1)
            .await;
        assert!(bluez.machine().adapter().scanning());
        assert!(bench.status.advertising, "the advert went with it");
    });
}

#[test]
fn an_advert_bluez_dropped_is_noticed() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::airing(Machine::extended(), 1).await;
        bluez.drop_adverts("hci0").await;
        bench.expect_withdrawn(1).await;
        bench
            .status(|status| !status.advertising && status.scanning)
            .await;
        bench.air(2).await;
    });
}

/// The slowest of all: 15 s until an answer is given up, 30 s until bluer's
/// connection is closed.
#[test]
fn a_registration_never_answered_is_not_repeated_and_does_not_stay() {
    on_a_bus(async || {
        let (mut bench, bluez) = Bench::up(Machine::extended()).await;
        bluez.set(|machine| machine.swallow_registrations = true);
        bench.order(Order::Air(frame(1))).await;
        bluez
            .until(|machine| machine.adapter().adverts() == 1)
            .await;
        bench.expect_withdrawn(1).await;
        bluez.set(|machine| machine.swallow_registrations = false);
        bench.order(Order::Rest).await;
        // BlueZ drops it with the connection that registered it.
        tokio::join!(
            bluez.until(|machine| machine.adapter().adverts() == 0),
            bench.expect_rested()
        );
        bench.air(2).await;
        assert_eq!(bluez.machine().count("RegisterAdvertisement"), 2);
    });
}

#[test]
fn advertising_that_comes_after_the_adapter_is_noticed() {
    on_a_bus(async || {
        let early = Adapter {
            advertises: false,
            ..Adapter::new(1, true)
        };
        let bluez = Bluez::start(Machine::of([("hci0", early)])).await;
        let mut bench = Bench::with(Options::default());
        bench.expect_up(false).await;
        bench.troubles(&[Trouble::AdvertiseUnsupported]).await;
        bluez.offer_advertising("hci0").await;
        bench.expect_up(true).await;
        bench.troubles(&[]).await;
        bench.air(1).await;
    });
}
