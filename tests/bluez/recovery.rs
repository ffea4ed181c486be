//! What is taken away comes back by itself; meanwhile the problem is named.

use std::time::Duration;

use tcnd::radio::Order;
use tcnd::radio::bluez::{AdapterChoice, Options};
use tcnd_client::Problem;

use super::bluez::{Adapter, Calls, Machine, MockBluetoothd};
use super::harness::{Harness, frame, on_a_bus, with_a_bus};

#[test]
fn power_off_and_on() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::legacy(), 1).await;
        bluez.power("hci0", false).await;
        harness.expect_off_air(1).await;
        harness.problems(&[Problem::AdapterOff]).await;
        assert!(!harness.status.advertising && !harness.status.scanning);
        bluez.until_adverts(0).await;
        bluez.until_called("StopDiscovery", 1).await;
        bluez.quiet_for(Duration::from_secs(1)).await;
        assert!(!bluez.machine().adapter().powered, "powered on unasked");
        bluez.power("hci0", true).await;
        harness.expect_up(true).await;
        harness.problems(&[]).await;
        harness.air(2).await;
        bluez.until_scanning().await;
        harness
            .status(|status| status.adapters[0].recoveries == 1)
            .await;
        assert_eq!(
            harness.status.adapters[0].last_problem,
            Some(Problem::AdapterOff)
        );
    });
}

#[test]
fn rfkill_is_told_from_power_off() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::up(Machine::extended()).await;
        bluez.block("hci0").await;
        harness.expect_down().await;
        harness.problems(&[Problem::AdapterBlocked]).await;
        bluez.power("hci0", true).await;
        harness.expect_up(true).await;
        harness.problems(&[]).await;
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
        let _bluez = MockBluetoothd::start(Machine::of([("hci0", blocked)])).await;
        let mut harness = Harness::with(Options::default());
        harness.problems(&[Problem::AdapterBlocked]).await;
    });
}

#[test]
fn an_adapter_replugged_under_another_name_is_known_by_its_address() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        let adapter = bluez.unplug("hci0").await;
        harness.expect_off_air(1).await;
        harness.problems(&[Problem::AdapterMissing]).await;
        bluez.plug("hci2", adapter).await;
        harness.air_once_up(2).await;
        harness.status(|status| !status.adapters.is_empty()).await;
        assert_eq!(harness.status.adapters[0].name, "hci2");
        assert_eq!(harness.status.adapters[0].recoveries, 1);
    });
}

#[test]
fn only_the_adapter_configured_is_used() {
    on_a_bus(async || {
        let bluez = MockBluetoothd::start(Machine::extended()).await;
        let mut harness = Harness::with(Options {
            adapter: Some(AdapterChoice::Address([2, 0, 0, 0, 0, 9])),
            ..Options::default()
        });
        harness.problems(&[Problem::AdapterMissing]).await;
        bluez.plug("hci3", Adapter::new(9, true)).await;
        harness.air_once_up(1).await;
        let machine = bluez.machine();
        assert_eq!(machine.adapters["hci3"].adverts(), 1);
        assert_eq!(machine.adapters["hci0"].adverts(), 0);
    });
}

/// Two adapters with one address, of which the first cannot advertise.
fn twins() -> Machine {
    let without_advertising = Adapter {
        advertises: false,
        ..Adapter::new(1, true)
    };
    Machine::of([
        ("hci0", without_advertising),
        ("hci1", Adapter::new(1, true)),
    ])
}

#[test]
fn of_two_adapters_with_one_address_the_one_that_can_broadcast_is_used() {
    on_a_bus(async || {
        let bluez = MockBluetoothd::start(twins()).await;
        let mut harness = Harness::with(Options {
            adapter: Some(AdapterChoice::Address([2, 0, 0, 0, 0, 1])),
            ..Options::default()
        });
        harness.air_once_up(1).await;
        assert_eq!(bluez.machine().adapters["hci1"].adverts(), 1);
        // It stays so after the adapter was off.
        bluez.power("hci1", false).await;
        harness.expect_off_air(1).await;
        harness.expect_up(false).await;
        harness.problems(&[Problem::AdvertiseUnsupported]).await;
        bluez.power("hci1", true).await;
        harness.expect_down().await;
        harness.air_once_up(2).await;
        harness.problems(&[]).await;
        assert_eq!(bluez.machine().adapters["hci1"].adverts(), 1);
    });
}

#[test]
fn a_second_adapter_that_comes_to_advertise_takes_over_from_one_that_cannot() {
    on_a_bus(async || {
        let mut machine = twins();
        machine.adapters.get_mut("hci1").unwrap().advertises = false;
        let bluez = MockBluetoothd::start(machine).await;
        let mut harness = Harness::with(Options::default());
        harness.expect_up(false).await;
        harness.problems(&[Problem::AdvertiseUnsupported]).await;
        bluez.offer_advertising("hci1").await;
        harness.expect_down().await;
        harness.air_once_up(1).await;
        assert_eq!(bluez.machine().adapters["hci1"].adverts(), 1);
    });
}

#[test]
fn an_adapter_is_chosen_by_its_kernel_name_too() {
    on_a_bus(async || {
        let adapters = [
            ("hci0", Adapter::new(1, true)),
            ("hci1", Adapter::new(1, true)),
        ];
        let bluez = MockBluetoothd::start(Machine::of(adapters)).await;
        let mut harness = Harness::with(Options {
            adapter: Some(AdapterChoice::Name(1)),
            ..Options::default()
        });
        harness.air_once_up(1).await;
        harness.status(|status| status.adapters.len() == 2).await;
        assert!(harness.status.adapters[1].selected && !harness.status.adapters[0].selected);
        let adapter = bluez.unplug("hci1").await;
        harness.expect_off_air(1).await;
        harness.problems(&[Problem::AdapterMissing]).await;
        bluez.plug("hci1", adapter).await;
        harness.expect_up(true).await;
    });
}

#[test]
fn bluetoothd_stopped_and_started() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        let machine = bluez.stop().await;
        harness.expect_off_air(1).await;
        harness.problems(&[Problem::BluetoothdMissing]).await;
        assert!(harness.status.adapters.is_empty());
        let bluez = MockBluetoothd::restart(machine).await;
        harness.expect_up(true).await;
        harness.problems(&[]).await;
        harness.air(2).await;
        bluez.until_scanning().await;
        assert_eq!(bluez.machine().adapter().adverts(), 1);
    });
}

#[test]
fn bluetoothd_killed_and_started() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::legacy(), 1).await;
        let machine = bluez.crash().await;
        harness.expect_off_air(1).await;
        harness.problems(&[Problem::BluetoothdMissing]).await;
        let bluez = MockBluetoothd::restart(machine).await;
        harness.air_once_up(2).await;
        bluez.until_scanning().await;
        harness
            .status(|status| status.problems.is_empty() && status.scanning)
            .await;
    });
}

#[test]
fn a_stopped_bluetoothd_is_not_called_and_so_not_started() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        bluez.set(|machine| machine.log.clear());
        let mut calls = Calls::watch().await;
        let _machine = bluez.stop().await;
        harness.expect_off_air(1).await;
        let call = tokio::time::timeout(Duration::from_secs(3), calls.next()).await;
        assert!(call.is_err(), "called: {call:?}");
    });
}

#[test]
fn a_service_that_comes_late_is_waited_for() {
    on_a_bus(async || {
        let mut harness = Harness::with(Options::default());
        harness.problems(&[Problem::BluetoothdMissing]).await;
        harness.rest().await;
        let _bluez = MockBluetoothd::start(Machine::extended()).await;
        harness.air_once_up(1).await;
    });
}

#[test]
fn the_bus_itself_is_lost_and_found() {
    with_a_bus(async |bus| {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        let bus = bus.restart();
        harness.expect_off_air(1).await;
        harness.problems(&[Problem::BluetoothdMissing]).await;
        let _bluez = MockBluetoothd::start(bluez.machine().cleared()).await;
        harness.air_once_up(2).await;
        harness.problems(&[]).await;
        drop(bus);
    });
}

#[test]
fn a_frame_refused_is_tried_again_with_growing_pauses() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::up(Machine::legacy()).await;
        bluez.set(|machine| machine.refuse_adverts = 2);
        harness.order(Order::Air(frame(1))).await;
        harness.problems(&[Problem::AdvertiseFailed]).await;
        let error = &harness.status.problems[&Problem::AdvertiseFailed];
        assert!(error.contains("org.bluez.Error."), "{error}");
        assert!(!harness.status.advertising);
        bluez.until_called("RegisterAdvertisement", 2).await;
        bluez.quiet_for(Duration::from_millis(1500)).await;
        harness.expect_aired(1).await;
        harness.problems(&[]).await;
        assert_eq!(harness.status.adverts_failed, 2);
        assert_eq!(harness.status.adverts_ok, 1);
    });
}

#[test]
fn rest_ends_the_tries() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::up(Machine::extended()).await;
        bluez.set(|machine| machine.refuse_adverts = 100);
        harness.order(Order::Air(frame(1))).await;
        harness.problems(&[Problem::AdvertiseFailed]).await;
        harness.rest().await;
        harness.problems(&[]).await;
        bluez.quiet_for(Duration::from_secs(3)).await;
    });
}

#[test]
fn discovery_refused_is_tried_again() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::up(Machine::extended()).await;
        bluez.set(|machine| machine.refuse_scans = 2);
        harness.order(Order::Listen).await;
        harness.problems(&[Problem::ScanFailed]).await;
        let error = &harness.status.problems[&Problem::ScanFailed];
        assert!(error.starts_with("starting discovery: "), "{error}");
        harness
            .status(|status| status.scanning && status.problems.is_empty())
            .await;
        assert_eq!(bluez.called("StartDiscovery"), 3);
    });
}

#[test]
fn discovery_that_ends_by_itself_is_started_again() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        bluez.end_discovery("hci0").await;
        harness.status(|status| !status.scanning).await;
        harness
            .status(|status| status.scanning && status.scan_restarts == 1)
            .await;
        assert!(bluez.machine().adapter().scanning());
        assert!(harness.status.advertising, "the advert went with it");
    });
}

#[test]
fn an_advert_bluez_dropped_is_noticed() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        bluez.drop_adverts("hci0").await;
        harness.expect_withdrawn(1).await;
        harness
            .status(|status| !status.advertising && status.scanning)
            .await;
        harness.air(2).await;
    });
}

/// On the air beside this many adverts of other programs.
async fn airing_beside(others: usize) -> (Harness, MockBluetoothd) {
    let machine = Machine::of([("hci0", Adapter::new(1, true).beside(others))]);
    Harness::airing(machine, 1).await
}

/// The number is given up, is not aired again, and the next one is.
async fn expect_lost(harness: &mut Harness, bluez: &MockBluetoothd, others: usize) {
    harness.expect_withdrawn(1).await;
    harness
        .status(|status| !status.advertising && status.scanning)
        .await;
    assert_eq!(bluez.machine().registered.len(), 1, "aired again");
    harness.air(2).await;
    harness.status(|status| status.advertising).await;
    let adapter = bluez.machine().adapters["hci0"].clone();
    assert_eq!((adapter.own(), adapter.adverts()), (1, others + 1));
    assert_eq!(bluez.machine().registered.len(), 2);
}

#[test]
fn an_advert_lost_beside_those_of_other_programs_is_noticed() {
    on_a_bus(async || {
        let (mut harness, bluez) = airing_beside(3).await;
        bluez.lose_advert("hci0").await;
        expect_lost(&mut harness, &bluez, 3).await;
    });
}

#[test]
fn an_advert_of_another_program_that_ends_is_not_taken_for_ours() {
    on_a_bus(async || {
        let (mut harness, bluez) = airing_beside(2).await;
        harness.status(|status| status.advertising).await;
        for left in [1, 0] {
            bluez.end_another("hci0").await;
            // Asked about: an advert known is not registered again.
            let asked = 2 - left;
            bluez.until_called("RegisterAdvertisement", 1 + asked).await;
        }
        harness
            .status(|status| status.adapters[0].instances_free == 4)
            .await;
        bluez.quiet_for(Duration::from_secs(1)).await;
        assert!(harness.status.advertising, "withdrawn for nothing");
        assert_eq!(bluez.machine().registered.len(), 1);
        // And ours is still noticed.
        bluez.lose_advert("hci0").await;
        expect_lost(&mut harness, &bluez, 0).await;
    });
}

#[test]
fn an_advert_that_bluez_releases_counts_at_once() {
    on_a_bus(async || {
        let (mut harness, bluez) = airing_beside(1).await;
        bluez.release("hci0").await;
        expect_lost(&mut harness, &bluez, 2).await;
    });
}

#[test]
fn nobody_but_bluetoothd_releases_an_advert() {
    on_a_bus(async || {
        let (mut harness, bluez) = airing_beside(0).await;
        let told = bluez.release_by_another("hci0").await;
        assert!(
            matches!(&told, Err(zbus::Error::FDO(error)) if matches!(**error, zbus::fdo::Error::AccessDenied(_))),
            "{told:?}"
        );
        bluez.quiet_for(Duration::from_secs(1)).await;
        harness.status(|status| status.advertising).await;
    });
}

#[test]
fn an_adapter_that_loses_advertising_is_still_listened_to() {
    on_a_bus(async || {
        let (mut harness, bluez) = airing_beside(0).await;
        bluez.withdraw_advertising("hci0").await;
        harness.expect_withdrawn(1).await;
        harness.expect_up(false).await;
        harness.problems(&[Problem::AdvertiseUnsupported]).await;
        assert!(!harness.status.advertising);
        bluez.offer_advertising("hci0").await;
        harness.air_once_up(2).await;
        // What the adapter says is heard again.
        bluez.power("hci0", false).await;
        harness.expect_off_air(2).await;
    });
}

/// The slowest of all: 15 s until an answer is given up.
#[test]
fn a_registration_never_answered_is_not_repeated_and_does_not_stay() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::up(Machine::extended()).await;
        bluez.set(|machine| machine.swallow_registrations = true);
        harness.order(Order::Air(frame(1))).await;
        bluez.until_adverts(1).await;
        harness.expect_withdrawn(1).await;
        bluez.set(|machine| machine.swallow_registrations = false);
        harness.order(Order::Rest).await;
        // BlueZ drops it with the connection that registered it.
        tokio::join!(
            bluez.until(|machine| machine.adapter().adverts() == 0),
            harness.expect_rested()
        );
        harness.air(2).await;
        assert_eq!(bluez.called("RegisterAdvertisement"), 2);
    });
}

#[test]
fn advertising_that_comes_after_the_adapter_is_noticed() {
    on_a_bus(async || {
        let early = Adapter {
            advertises: false,
            ..Adapter::new(1, true)
        };
        let bluez = MockBluetoothd::start(Machine::of([("hci0", early)])).await;
        let mut harness = Harness::with(Options::default());
        harness.expect_up(false).await;
        harness.problems(&[Problem::AdvertiseUnsupported]).await;
        bluez.offer_advertising("hci0").await;
        harness.expect_up(true).await;
        harness.problems(&[]).await;
        harness.air(1).await;
    });
}
