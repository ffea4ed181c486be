//! A controller that changes its resolvable private addresses by a timer of its own
//! (LL Privacy): no address belongs to two numbers.

use std::time::Duration;

use bluez_mgmt::Privacy;
use tcnd::radio::{Event, Mode, Order};
use tcnd_client::Problem;
use tcnd_rpa_timeout::Known;

use super::bluez::{Machine, MockBluetoothd};
use super::connections::{MockPlatform, asked, is_peripheral, number, stranger_connects};
use super::harness::{Harness, frame, now, on_a_bus};

const TIMEOUT: Duration = Duration::from_secs(4);
/// The longest that an address may live.
const LIFE: Duration = Duration::from_millis(4500);

fn known(certain_in: u64) -> Option<Known> {
    Some(Known {
        timeout: TIMEOUT,
        certain_in: Duration::from_secs(certain_in),
    })
}

/// A radio that has just started, with this known of its controller.
async fn started(mode: Mode, addresses: Option<Known>) -> (Harness, MockBluetoothd, MockPlatform) {
    let privacy = Some(Privacy::ByController);
    let (mut harness, bluez, mock) = asked(mode, Machine::extended(), privacy).await;
    mock.configure(Privacy::ByController);
    mock.tell(addresses);
    // It listens, and waits until an address that it may have had before is gone.
    harness.expect_up(false).await;
    harness.order(Order::Listen).await;
    bluez.until_scanning().await;
    (harness, bluez, mock)
}

/// A radio that may air, and rests.
async fn rested(harness: &mut Harness) {
    harness.expect_up(true).await;
    harness.rest().await;
}

#[test]
fn nothing_is_aired_before_the_timer_is_known() {
    on_a_bus(async || {
        for mode in [Mode::Full, Mode::Relay] {
            let (mut harness, bluez, mock) = started(mode, None).await;
            harness.problems(&[Problem::AddressOutOfStep]).await;
            assert_eq!(harness.status.mode, Mode::Listen);
            harness.order(Order::Air(frame(1))).await;
            bluez.until_scanning().await;
            assert_eq!(bluez.called("RegisterAdvertisement"), 0);
            // The program that sets it comes later than the controller.
            mock.tell(known(0));
            harness.expect_up(false).await;
            rested(&mut harness).await;
            harness.air(1).await;
            harness.problems(&[]).await;
            assert_eq!(harness.status.mode, mode);
            drop(harness);
            bluez.stop().await;
        }
    });
}

#[test]
fn between_two_numbers_nothing_is_aired_for_longer_than_an_address_lives() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = started(Mode::Full, known(0)).await;
        let start = now();
        harness.problems(&[Problem::AddressHeld]).await;
        rested(&mut harness).await;
        assert!(
            start.elapsed() > LIFE - Duration::from_secs(1),
            "at a start"
        );
        harness.air(1).await;
        harness.problems(&[]).await;
        assert!(is_peripheral(&bluez));
        stranger_connects(&mut harness, &bluez, 1, 1).await;
        bluez.write("hci0", 1, &[9; 16]).await.unwrap();
        assert_eq!(harness.written().await, number(9));
        let off = now();
        harness.order(Order::Rest).await;
        harness.expect_up(false).await;
        harness.expect_rested().await;
        // It listens on, and that is no problem.
        harness.order(Order::Listen).await;
        bluez.until_scanning().await;
        harness.status(|status| status.scanning).await;
        assert!(harness.status.problems.is_empty());
        let before = bluez.called("RegisterAdvertisement");
        rested(&mut harness).await;
        assert!(off.elapsed() > LIFE, "{:?}", off.elapsed());
        assert_eq!(bluez.called("RegisterAdvertisement"), before);
        bluez.set(|machine| machine.log.clear());
        harness.air(2).await;
        let calls = [
            "SetDiscoveryFilter",
            "StartDiscovery",
            "RegisterAdvertisement",
        ];
        assert_eq!(bluez.machine().log, calls, "scanning has another address");
    });
}

#[test]
fn a_number_that_comes_too_early_is_not_aired() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = started(Mode::Full, known(0)).await;
        rested(&mut harness).await;
        harness.air(1).await;
        bluez.set(|machine| machine.log.clear());
        harness.order(Order::Air(frame(2))).await;
        harness.expect_withdrawn(2).await;
        harness.expect_up(false).await;
        harness.expect_up(true).await;
        assert_eq!(bluez.called("RegisterAdvertisement"), 0);
    });
}

#[test]
fn what_is_carried_changes_within_one_epoch() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = started(Mode::Relay, known(0)).await;
        rested(&mut harness).await;
        harness.air(1).await;
        for byte in [5, 6] {
            let carried = tcn_protocol::beacon::Frame::carried(number(byte), frame(1).carrier_id());
            harness.order(Order::Swap(carried)).await;
            let event = harness.next().await;
            assert!(matches!(event, Event::Aired(aired) if aired == carried));
        }
        assert_eq!(bluez.machine().registered.len(), 3);
    });
}

#[test]
fn an_address_of_an_earlier_timeout_is_waited_for_and_that_is_named() {
    on_a_bus(async || {
        let (mut harness, _bluez, mock) = started(Mode::Full, known(8)).await;
        let start = now();
        harness.problems(&[Problem::AddressHeld]).await;
        rested(&mut harness).await;
        mock.tell(known(0));
        assert!(start.elapsed() > Duration::from_secs(7));
        harness.air(1).await;
    });
}

#[test]
fn switching_the_adapter_off_and_on_shortens_nothing() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = started(Mode::Full, known(0)).await;
        rested(&mut harness).await;
        harness.air(1).await;
        let off = now();
        bluez.power("hci0", false).await;
        harness.expect_off_air(1).await;
        bluez.power("hci0", true).await;
        harness.expect_up(false).await;
        harness.expect_up(true).await;
        assert!(off.elapsed() > LIFE, "{:?}", off.elapsed());
    });
}

#[test]
fn while_another_program_scans_its_address_is_not_shared() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = started(Mode::Full, known(0)).await;
        rested(&mut harness).await;
        bluez.scan_for_others("hci0", true).await;
        bluez.quiet_for(Duration::from_millis(500)).await; // told by then
        bluez.set(|machine| machine.log.clear());
        harness.order(Order::Air(frame(1))).await;
        harness.problems(&[Problem::AddressHeld]).await;
        bluez.until_called("RegisterAdvertisement", 1).await;
        assert_eq!(bluez.called("StartDiscovery"), 0);
    });
}

/// In mode broadcast the kernel is not asked, and bluetoothd's configuration says it.
#[test]
fn a_broadcast_pauses_between_two_numbers_as_well() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = started(Mode::Broadcast, known(0)).await;
        rested(&mut harness).await;
        harness.air(1).await;
        assert!(!is_peripheral(&bluez));
        let off = now();
        harness.order(Order::Rest).await;
        harness.expect_up(false).await;
        harness.expect_rested().await;
        let before = bluez.called("RegisterAdvertisement");
        rested(&mut harness).await;
        assert!(off.elapsed() > LIFE, "{:?}", off.elapsed());
        assert_eq!(bluez.called("RegisterAdvertisement"), before);
        harness.air(2).await;
        harness.problems(&[]).await;
    });
}

#[test]
fn a_broadcast_goes_by_the_default_of_the_kernel_and_says_that_it_waits() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = started(Mode::Broadcast, None).await;
        harness.problems(&[Problem::AddressHeld]).await;
        assert_eq!(harness.status.mode, Mode::Broadcast);
        harness.order(Order::Air(frame(1))).await;
        bluez.until_scanning().await;
        assert_eq!(bluez.called("RegisterAdvertisement"), 0);
    });
}
