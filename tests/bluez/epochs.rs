//! An epoch on the air: its order, its content, its end.

use std::collections::HashMap;
use std::time::Duration;

use tcnd::radio::bluez::Options;
use tcnd::radio::{AddressKind, Order};
use tcnd_client::Problem;
use zbus::OwnedVariant;

use super::bluez::{Adapter, Machine, MockBluetoothd};
use super::harness::{Harness, frame, on_a_bus};
use super::sightings::device;

#[test]
fn an_extended_controller_scans_before_it_airs() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        assert_eq!(
            bluez.calls(),
            "SetDiscoveryFilter StartDiscovery RegisterAdvertisement"
        );
        bluez.set(|machine| machine.log.clear());
        harness.rest().await;
        harness.air(2).await;
        assert_eq!(
            bluez.calls(),
            "StopDiscovery UnregisterAdvertisement SetDiscoveryFilter StartDiscovery RegisterAdvertisement"
        );
    });
}

#[test]
fn a_legacy_controller_airs_before_it_scans() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::legacy(), 1).await;
        assert_eq!(
            bluez.calls(),
            "RegisterAdvertisement SetDiscoveryFilter StartDiscovery"
        );
        bluez.set(|machine| machine.log.clear());
        harness.rest().await;
        harness.air(2).await;
        bluez.until_scanning().await;
        assert_eq!(
            bluez.calls(),
            "StopDiscovery UnregisterAdvertisement RegisterAdvertisement SetDiscoveryFilter StartDiscovery"
        );
    });
}

#[test]
fn a_new_order_without_rest_clears_the_air_first() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::legacy(), 1).await;
        bluez.set(|machine| machine.log.clear());
        harness.air(2).await;
        assert_eq!(
            bluez.machine().log[..3],
            [
                "StopDiscovery",
                "UnregisterAdvertisement",
                "RegisterAdvertisement"
            ]
        );
    });
}

#[test]
fn the_advert_is_the_frame_and_nothing_else() {
    on_a_bus(async || {
        let (_bench, bluez) = Harness::airing(Machine::extended(), 7).await;
        let machine = bluez.machine();
        let advert = &machine.registered[0];
        let said: Vec<_> = advert.keys().map(String::as_str).collect();
        assert_eq!(
            said,
            [
                "MaxInterval",
                "MinInterval",
                "ServiceData",
                "ServiceUUIDs",
                "Timeout",
                "Type"
            ]
        );
        let data: HashMap<String, OwnedVariant> = advert["ServiceData"].clone().try_into().unwrap();
        let [(uuid, data)] = <[_; 1]>::try_from(Vec::from_iter(data)).unwrap();
        assert_eq!(uuid, "0000c019-0000-1000-8000-00805f9b34fb");
        assert_eq!(Vec::<u8>::try_from(data).unwrap(), [7; 20]);
        let uuids = Vec::<String>::try_from(advert["ServiceUUIDs"].clone()).unwrap();
        assert_eq!(uuids, ["0000c019-0000-1000-8000-00805f9b34fb"]);
        assert_eq!(
            String::try_from(advert["Type"].clone()).unwrap(),
            "broadcast"
        );
        assert_eq!(u16::try_from(advert["Timeout"].clone()).unwrap(), 1200);
        assert_eq!(u32::try_from(advert["MinInterval"].clone()).unwrap(), 200);
        assert_eq!(u32::try_from(advert["MaxInterval"].clone()).unwrap(), 250);
    });
}

#[test]
fn discovery_is_filtered_and_makes_nobody_discoverable() {
    on_a_bus(async || {
        let (harness, bluez) = Harness::up(Machine::extended()).await;
        harness.order(Order::Listen).await;
        bluez.until_scanning().await;
        let machine = bluez.machine();
        let filter = &machine.filters[0];
        let said: Vec<_> = filter.keys().map(String::as_str).collect();
        let all = ["DuplicateData", "Pattern", "RSSI", "Transport", "UUIDs"];
        assert_eq!(said, all);
        // After 5.87, BlueZ signals the strength of each advert only if a minimum is set.
        assert_eq!(i16::try_from(filter["RSSI"].clone()).unwrap(), -127);
        assert_eq!(String::try_from(filter["Transport"].clone()).unwrap(), "le");
        assert_eq!(String::try_from(filter["Pattern"].clone()).unwrap(), "");
        assert!(bool::try_from(filter["DuplicateData"].clone()).unwrap());
        let uuids = Vec::<String>::try_from(filter["UUIDs"].clone()).unwrap();
        assert_eq!(uuids, ["0000c019-0000-1000-8000-00805f9b34fb"]);
        assert_eq!(machine.count("RegisterAdvertisement"), 0);
    });
}

/// bluetoothd 5.87 crashes at the next advert while any program discovers by UUID.
#[test]
fn no_uuid_is_asked_for_where_that_would_end_bluetoothd() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::up(Machine::extended()).await;
        let last_uuids = || {
            let asked = bluez
                .machine()
                .filters
                .last()
                .unwrap()
                .get("UUIDs")
                .cloned();
            asked.map_or(0, |uuids| Vec::<String>::try_from(uuids).unwrap().len())
        };
        for (modalias, uuids) in [
            (Some("usb:v1D6Bp0246d0556"), 1),
            (Some("usb:v1D6Bp0246d0557"), 0),
            (Some("usb:v1D6Bp0246d0558"), 1),
            (Some("usb:v05ACp8217d0558"), 0), // by DeviceID in main.conf
            (None, 0),
        ] {
            bluez.set(|machine| {
                let adapters = machine.adapters.values_mut();
                adapters.for_each(|adapter| adapter.modalias = modalias);
            });
            harness.order(Order::Listen).await;
            bluez.until_scanning().await;
            assert_eq!(last_uuids(), uuids, "{modalias:?}");
            harness.rest().await;
        }
    });
}

#[test]
fn rest_is_told_only_when_the_advert_is_gone() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        bluez.set(|machine| machine.hold_adverts = true);
        harness.order(Order::Rest).await;
        bluez.until_called("UnregisterAdvertisement", 1).await;
        let early = tokio::time::timeout(Duration::from_secs(1), harness.expect_rested()).await;
        assert!(early.is_err(), "rested while the advert was on the air");
        assert_eq!(bluez.machine().adapter().adverts(), 1);
        bluez.set(|machine| machine.hold_adverts = false);
        harness.expect_rested().await;
        assert_eq!(bluez.machine().adapter().adverts(), 0);
        assert!(!bluez.machine().adapter().scanning());
    });
}

#[test]
fn at_rest_nothing_is_called() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        harness.rest().await;
        harness
            .status(|status| !status.advertising && !status.scanning)
            .await;
        bluez.quiet_for(Duration::from_secs(2)).await;
        harness.rest().await;
    });
}

#[test]
fn the_status_tells_what_was_verified() {
    on_a_bus(async || {
        let (mut harness, _bluez) = Harness::airing(Machine::extended(), 1).await;
        harness
            .status(|status| {
                status.advertising
                    && status.scanning
                    && status.adverts_ok == 1
                    && status.adapters.len() == 1
                    && status.adapters[0].instances_free == 4
            })
            .await;
        let adapter = &harness.status.adapters[0];
        assert_eq!(adapter.name, "hci0");
        assert!(adapter.powered && adapter.selected && adapter.can_advertise);
        assert_eq!(adapter.address, AddressKind::NonResolvable);
        assert!(harness.status.problems.is_empty() && !harness.status.simulated);
    });
}

#[test]
fn a_discoverable_adapter_is_left_at_once_and_still_listened_to() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::airing(Machine::extended(), 1).await;
        bluez.make_discoverable("hci0", true).await;
        bluez.until_adverts(0).await;
        harness.expect_withdrawn(1).await;
        harness.expect_up(false).await;
        harness.problems(&[Problem::AddressNotPrivate]).await;
        assert_eq!(harness.status.adapters[0].address, AddressKind::Public);
        assert!(bluez.machine().adapter().scanning(), "it stopped listening");
        bluez.make_discoverable("hci0", false).await;
        harness.expect_up(true).await;
        harness.problems(&[]).await;
        assert_eq!(bluez.called("RegisterAdvertisement"), 1, "aired twice");
        harness.air(2).await;
    });
}

#[test]
fn nothing_is_aired_on_an_adapter_that_is_discoverable_from_the_start() {
    on_a_bus(async || {
        let mut machine = Machine::legacy();
        machine.adapters.get_mut("hci0").unwrap().discoverable = true;
        let bluez = MockBluetoothd::start(machine).await;
        let mut harness = Harness::with(Options::default());
        harness.expect_up(false).await;
        harness.order(Order::Air(frame(1))).await;
        bluez.until_scanning().await;
        bluez.quiet_for(Duration::from_secs(2)).await;
        assert_eq!(bluez.called("RegisterAdvertisement"), 0);
    });
}

#[test]
fn discovery_is_started_anew_now_and_then() {
    on_a_bus(async || {
        let bluez = MockBluetoothd::start(Machine::legacy()).await;
        let mut harness = Harness::with(Options {
            discovery_restart: Duration::from_millis(300),
            ..Options::default()
        });
        harness.air_once_up(1).await;
        harness.status(|status| status.scan_restarts >= 3).await;
        assert!(bluez.called("StopDiscovery") >= 3);
        assert_eq!(bluez.called("RegisterAdvertisement"), 1);
        assert!(harness.status.advertising);
    });
}

#[test]
fn discovery_pauses_by_order() {
    on_a_bus(async || {
        let bluez = MockBluetoothd::start(Machine::extended()).await;
        let mut harness = Harness::with(Options::default());
        harness.air_once_up(1).await;
        harness.status(|status| status.scanning).await;
        for round in 1..=3 {
            let number = u8::try_from(round).unwrap();
            bluez.appear("hci0", 1, device(number, -60)).await;
            assert_eq!(harness.heard().await, Some((frame(number), Some(-60))));
            // What is heard last is heard, though signals gather.
            bluez.advert("hci0", 1, &[99; 20], Some(-70)).await;
            harness.order(Order::StopDiscovery).await;
            assert_eq!(harness.heard().await, Some((frame(99), Some(-70))));
            let stopped = |machine: &Machine| !machine.adapters["hci0"].scanning();
            bluez.until(stopped).await;
            assert_eq!(bluez.called("StopDiscovery"), round);
            harness.order(Order::StartDiscovery).await;
            bluez.until_scanning().await;
        }
        harness.status(|status| status.scanning).await;
        assert_eq!(harness.status.scan_restarts, 0);
        assert_eq!(bluez.called("RegisterAdvertisement"), 1);
    });
}

#[test]
fn an_adapter_without_advertising_is_listened_to() {
    on_a_bus(async || {
        let without_advertising = Adapter {
            advertises: false,
            ..Adapter::new(1, false)
        };
        let bluez = MockBluetoothd::start(Machine::of([("hci0", without_advertising)])).await;
        let mut harness = Harness::with(Options::default());
        harness.expect_up(false).await;
        harness.problems(&[Problem::AdvertiseUnsupported]).await;
        harness.order(Order::Listen).await;
        bluez.until_scanning().await;
    });
}
