//! What is heard, and what it costs.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use tcnd::radio::Order;

use super::bluez::{Device, Machine, MockBluetoothd};
use super::harness::{DEADLINE, Harness, frame, on_a_bus};

pub(crate) fn device(byte: u8, rssi: i16) -> Device {
    Device {
        data: Some(vec![byte; 20]),
        rssi: Some(rssi),
        ..Device::default()
    }
}

async fn listening() -> (Harness, MockBluetoothd) {
    let (mut harness, bluez) = Harness::up(Machine::extended()).await;
    harness.order(Order::Listen).await;
    harness.status(|status| status.scanning).await;
    (harness, bluez)
}

/// The same, when device 1 with number 1 was heard.
async fn hearing() -> (Harness, MockBluetoothd) {
    let (mut harness, bluez) = listening().await;
    bluez.appear("hci0", 1, device(1, -60)).await;
    assert_eq!(harness.heard().await, Some((frame(1), Some(-60))));
    (harness, bluez)
}

#[test]
fn an_advert_costs_no_call() {
    on_a_bus(async || {
        let (mut harness, bluez) = hearing().await;
        let calls = bluez.machine().calls;
        for rssi in -90..-40 {
            bluez.advert("hci0", 1, &[1; 20], Some(rssi)).await;
            assert_eq!(harness.heard().await, Some((frame(1), Some(rssi))));
        }
        assert_eq!(bluez.machine().calls, calls);
    });
}

#[test]
fn a_number_that_changes_is_heard_with_its_signal() {
    on_a_bus(async || {
        let (mut harness, bluez) = hearing().await;
        bluez.advert("hci0", 1, &[2; 20], Some(-70)).await;
        assert_eq!(harness.heard().await, Some((frame(2), Some(-70))));
        bluez.advert("hci0", 1, &[3; 16], None).await;
        let (heard, rssi) = harness.heard().await.unwrap();
        assert_eq!((heard.tcn, heard.carrier, rssi), (frame(3).tcn, None, None));
    });
}

/// Nothing is heard of a device but what it says next.
async fn unheard_until(harness: &mut Harness, bluez: &MockBluetoothd, last: u16) {
    bluez.appear("hci0", 99, device(99, -40)).await;
    assert_eq!(harness.heard().await, Some((frame(99), Some(-40))));
    bluez.advert("hci0", last, &[77; 20], Some(-50)).await;
    assert_eq!(harness.heard().await, Some((frame(77), Some(-50))));
}

#[test]
fn adverts_without_the_number_do_not_prolong_it() {
    on_a_bus(async || {
        let (mut harness, bluez) = hearing().await;
        for round in 0..40 {
            bluez.silent_advert("hci0", 1, -60 - round % 3).await;
        }
        unheard_until(&mut harness, &bluez, 1).await;
        // The number and its signal at once with one that is of another advert.
        bluez.advert("hci0", 1, &[2; 20], Some(-70)).await;
        bluez.silent_advert("hci0", 1, -90).await;
        assert_eq!(harness.heard().await, Some((frame(2), Some(-70))));
        unheard_until(&mut harness, &bluez, 1).await;
    });
}

#[test]
fn data_of_another_service_does_not_prolong_a_number() {
    on_a_bus(async || {
        let (mut harness, bluez) = hearing().await;
        for _ in 0..10 {
            bluez.foreign_advert("hci0", 1, &[9; 20], -60).await;
        }
        unheard_until(&mut harness, &bluez, 1).await;
    });
}

#[test]
fn a_number_said_again_is_heard_again() {
    on_a_bus(async || {
        let (mut harness, bluez) = hearing().await;
        for _ in 0..10 {
            bluez.silent_advert("hci0", 1, -60).await;
            bluez.advert("hci0", 1, &[1; 20], Some(-60)).await;
            assert_eq!(harness.heard().await, Some((frame(1), Some(-60))));
        }
    });
}

#[test]
fn what_bluez_remembers_of_before_is_no_sighting() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::up(Machine::extended()).await;
        // Another program scans: data and signal strength are kept.
        bluez.appear("hci0", 1, device(1, -60)).await;
        harness.order(Order::Listen).await;
        harness.status(|status| status.scanning).await;
        bluez.silent_advert("hci0", 1, -61).await;
        unheard_until(&mut harness, &bluez, 1).await;
    });
}

#[test]
fn a_signal_of_127_is_none() {
    on_a_bus(async || {
        let (mut harness, bluez) = listening().await;
        bluez.appear("hci0", 1, device(1, 127)).await;
        assert_eq!(harness.heard().await, Some((frame(1), None)));
    });
}

#[test]
fn data_that_is_no_frame_is_counted_as_such() {
    on_a_bus(async || {
        let (mut harness, bluez) = listening().await;
        let short = Device {
            data: Some(vec![1; 15]),
            ..device(1, -60)
        };
        bluez.appear("hci0", 1, short).await;
        assert_eq!(harness.heard().await, None);
        bluez.advert("hci0", 1, &[], Some(-50)).await;
        assert_eq!(harness.heard().await, None);
        bluez.advert("hci0", 1, &[4; 20], Some(-50)).await;
        assert_eq!(harness.heard().await, Some((frame(4), Some(-50))));
    });
}

#[test]
fn other_peoples_devices_are_not_listened_to() {
    on_a_bus(async || {
        let (mut harness, bluez) = listening().await;
        let foreign = Device {
            data: None,
            rssi: Some(-40),
            foreign: true,
            ..Device::default()
        };
        bluez.appear("hci0", 1, foreign).await;
        bluez.appear("hci0", 2, device(2, -60)).await;
        assert_eq!(harness.heard().await, Some((frame(2), Some(-60))));
        bluez.foreign_advert("hci0", 1, &[9; 20], -40).await;
        bluez.silent_advert("hci0", 1, -41).await;
        bluez.advert("hci0", 2, &[2; 20], Some(-61)).await;
        assert_eq!(harness.heard().await, Some((frame(2), Some(-61))));
    });
}

#[test]
fn a_device_only_remembered_is_not_heard_until_it_speaks() {
    on_a_bus(async || {
        let (mut harness, bluez) = Harness::up(Machine::extended()).await;
        let remembered = Device {
            rssi: None,
            ..device(1, 0)
        };
        bluez.appear("hci0", 1, remembered).await;
        harness.order(Order::Listen).await;
        harness.status(|status| status.scanning).await;
        let early = tokio::time::timeout(Duration::from_secs(1), harness.heard()).await;
        assert!(early.is_err(), "heard {early:?}");
        bluez.advert("hci0", 1, &[1; 20], Some(-66)).await;
        assert_eq!(harness.heard().await, Some((frame(1), Some(-66))));
    });
}

/// BlueZ makes a device of an advert before it takes over all that the advert says.
#[test]
fn a_device_is_ours_as_soon_as_it_says_so() {
    on_a_bus(async || {
        let (mut harness, bluez) = listening().await;
        let strange = Device {
            data: None,
            foreign: true,
            ..device(1, -60)
        };
        bluez.appear("hci0", 1, strange).await;
        unheard_until(&mut harness, &bluez, 1).await;
    });
}

#[test]
fn a_crowd_beyond_all_bounds_is_survived() {
    on_a_bus(async || {
        let (mut harness, bluez) = listening().await;
        for round in 0..11 {
            for number in 0..100 {
                bluez
                    .appear("hci0", round * 100 + number, device(1, -60))
                    .await;
            }
            for _ in 0..100 {
                assert_eq!(harness.heard().await, Some((frame(1), Some(-60))));
            }
        }
        for number in [0, 1099] {
            bluez.advert("hci0", number, &[2; 20], Some(-50)).await;
            assert_eq!(harness.heard().await, Some((frame(2), Some(-50))));
        }
        harness.rest().await;
    });
}

/// Each with its own strength.
#[test]
fn adverts_that_gather_are_all_heard() {
    on_a_bus(async || {
        let (mut harness, bluez) = hearing().await;
        for byte in 0..200 {
            for rssi in [-90, -80, -70, -60] {
                bluez.advert("hci0", 1, &[byte; 20], Some(rssi)).await;
            }
        }
        for byte in 0..200 {
            for rssi in [-90, -80, -70, -60] {
                assert_eq!(harness.heard().await, Some((frame(byte), Some(rssi))));
            }
        }
    });
}

/// Any program may send a signal straight to a connection.
#[test]
fn a_signal_of_another_program_is_no_sighting() {
    on_a_bus(async || {
        let (mut harness, bluez) = hearing().await;
        let sent = bluez.forged_advert("hci0", 1, &[66; 20], -30).await;
        assert!(sent > 0, "the signal was sent to no connection");
        unheard_until(&mut harness, &bluez, 1).await;
    });
}

/// bluer would decode each of them, whether anything listens to it or not.
#[test]
fn bluer_gets_no_signals_of_devices() {
    on_a_bus(async || {
        let (mut harness, bluez) = listening().await;
        bluez.appear("hci0", 1, device(1, -60)).await;
        let session = bluer::Session::new().await.unwrap();
        let adapter = session.adapter("hci0").unwrap();
        let mut of_adapter = adapter.events().await.unwrap();
        let device = adapter
            .device(bluer::Address([0x40, 0, 0, 0, 0, 1]))
            .unwrap();
        let mut of_device = device.events().await.unwrap();
        bluez.advert("hci0", 1, &[2; 20], Some(-50)).await;
        while harness.heard().await != Some((frame(2), Some(-50))) {}
        bluez.make_discoverable("hci0", true).await;
        let changed = tokio::time::timeout(DEADLINE, of_adapter.next()).await;
        assert!(changed.unwrap().is_some());
        assert!(of_device.next().now_or_never().is_none());
    });
}
