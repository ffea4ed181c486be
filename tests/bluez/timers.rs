//! A controller that makes its resolvable private addresses by a timer of its own
//! (LL Privacy): no address goes with two numbers.

use std::time::{Duration, Instant};

use bluez_mgmt::Privacy;
use tcnd::radio::{Event, Mode, Order, Trouble};
use tcnd_rpa_timeout::Known;

use super::bench::{Bench, frame, on_a_bus};
use super::bluez::{Bluez, Machine};
use super::connections::{Played, asked, is_peripheral, number, visit_of};

const TIMEOUT: Duration = Duration::from_secs(4);
/// The longest that an address may live.
const LIFE: Duration = Duration::from_millis(4500);

fn known(certain_in: u64) -> Option<Known> {
    Some(Known {
        timeout: TIMEOUT,
        certain_in: Duration::from_secs(certain_in),
    })
}

#[expect(clippy::disallowed_methods, reason = "what is timed is the radio")]
fn now() -> Instant {
    Instant::now()
}

/// A radio that has just begun, with this known of its controller.
async fn started(mode: Mode, addresses: Option<Known>) -> (Bench, Bluez, Played) {
    let privacy = Some(Privacy::ByController);
    let (mut bench, bluez, played) = asked(mode, Machine::extended(), privacy).await;
    played.configure(Privacy::ByController);
    played.tell(addresses);
    // It listens, and waits until an address that it may have had before is gone.
    bench.expect_up(false).await;
    bench.order(Order::Listen).await;
    bluez.until(|machine| machine.adapter().scanning()).await;
    (bench, bluez, played)
}

/// A radio that may air, and rests.
async fn rested(bench: &mut Bench) {
    bench.expect_up(true).await;
    bench.order(Order::Rest).await;
    bench.expect_rested().await;
}

#[test]
fn nothing_is_aired_before_the_timer_is_known() {
    on_a_bus(async || {
        for mode in [Mode::Full, Mode::Relay] {
            let (mut bench, bluez, played) = started(mode, None).await;
            bench.troubles(&[Trouble::AddressOutOfStep]).await;
            assert_eq!(bench.status.mode, Mode::Listen);
            bench.order(Order::Air(frame(1))).await;
            bluez.until(|machine| machine.adapter().scanning()).await;
            assert_eq!(bluez.machine().count("RegisterAdvertisement"), 0);
            // The program that sets it comes later than the controller.
            played.tell(known(0));
            bench.expect_up(false).await;
            rested(&mut bench).await;
            bench.air(1).await;
            bench.troubles(&[]).await;
            assert_eq!(bench.status.mode, mode);
            drop(bench);
            bluez.stop().await;
        }
    });
}

#[test]
fn between_two_numbers_nothing_is_aired_for_longer_than_an_address_lives() {
    on_a_bus(async || {
        let (mut bench, bluez, _) = started(Mode::Full, known(0)).await;
        let begun = now();
        bench.troubles(&[Trouble::AddressHeld]).await;
        rested(&mut bench).await;
        assert!(
            begun.elapsed() > LIFE - Duration::from_secs(1),
            "at a start"
        );
        bench.air(1).await;
        bench.troubles(&[]).await;
        assert!(is_peripheral(&bluez));
        visit_of(&mut bench, &bluez, 1, 1).await;
        bluez.write("hci0", 1, &[9; 16]).await.unwrap();
        assert_eq!(bench.told().await, number(9));
        let off = now();
        bench.order(Order::Rest).await;
        bench.expect_up(false).await;
        bench.expect_rested().await;
        // It listens on, and that is no trouble.
        bench.order(Order::Listen).await;
        bluez.until(|machine| machine.adapter().scanning()).await;
        bench.status(|status| status.scanning).await;
        assert!(bench.status.troubles.is_empty());
        let before = bluez.machine().count("RegisterAdvertisement");
        rested(&mut bench).await;
        assert!(off.elapsed() > LIFE, "{:?}", off.elapsed());
        assert_eq!(bluez.machine().count("RegisterAdvertisement"), before);
        bluez.set(|machine| machine.log.clear());
        bench.air(2).await;
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
        let (mut bench, bluez, _) = started(Mode::Full, known(0)).await;
        rested(&mut bench).await;
        bench.air(1).await;
        bluez.set(|machine| machine.log.clear());
        bench.order(Order::Air(frame(2))).await;
        bench.expect_withdrawn(2).await;
        bench.expect_up(false).await;
        bench.expect_up(true).await;
        assert_eq!(bluez.machine().count("RegisterAdvertisement"), 0);
    });
}

#[test]
fn what_is_carried_changes_within_one_epoch() {
    on_a_bus(async || {
        let (mut bench, bluez, _) = started(Mode::Relay, known(0)).await;
        rested(&mut bench).await;
        bench.air(1).await;
        for byte in [5, 6] {
            let carried = tcn_protocol::beacon::Frame::carried(number(byte), frame(1).carrier_id());
            bench.order(Order::Swap(carried)).await;
            let event = bench.next().await;
            assert!(matches!(event, Event::Aired(aired) if aired == carried));
        }
        assert_eq!(bluez.machine().registered.len(), 3);
    });
}

#[test]
fn an_address_of_an_earlier_timeout_is_waited_for_and_that_is_named() {
    on_a_bus(async || {
        let (mut bench, _bluez, played) = started(Mode::Full, known(8)).await;
        let begun = now();
        bench.troubles(&[Trouble::AddressHeld]).await;
        rested(&mut bench).await;
        played.tell(known(0));
        assert!(begun.elapsed() > Duration::from_secs(7));
        bench.air(1).await;
    });
}

#[test]
fn switching_the_adapter_off_and_on_shortens_nothing() {
    on_a_bus(async || {
        let (mut bench, bluez, _) = started(Mode::Full, known(0)).await;
        rested(&mut bench).await;
        bench.air(1).await;
        let off = now();
        bluez.power("hci0", false).await;
        bench.expect_withdrawn(1).await;
        bench.expect_down().await;
        bluez.power("hci0", true).await;
        bench.expect_up(false).await;
        bench.expect_up(true).await;
        assert!(off.elapsed() > LIFE, "{:?}", off.elapsed());
    });
}

#[test]
fn while_another_program_scans_its_address_is_not_shared() {
    on_a_bus(async || {
        let (mut bench, bluez, _) = started(Mode::Full, known(0)).await;
        rested(&mut bench).await;
        bluez.scan_for_others("hci0", true).await;
        bluez.quiet_for(Duration::from_millis(500)).await; // told by then
        bluez.set(|machine| machine.log.clear());
        bench.order(Order::Air(frame(1))).await;
        bench.troubles(&[Trouble::AddressHeld]).await;
        bluez
            .until(|machine| machine.count("RegisterAdvertisement") == 1)
            .await;
        assert_eq!(bluez.machine().count("StartDiscovery"), 0);
    });
}

/// In mode broadcast the kernel is not asked, and bluetoothd's configuration says it.
#[test]
fn a_broadcast_pauses_between_two_numbers_as_well() {
    on_a_bus(async || {
        let (mut bench, bluez, _) = started(Mode::Broadcast, known(0)).await;
        rested(&mut bench).await;
        bench.air(1).await;
        assert!(!is_peripheral(&bluez));
        let off = now();
        bench.order(Order::Rest).await;
        bench.expect_up(false).await;
        bench.expect_rested().await;
        let before = bluez.machine().count("RegisterAdvertisement");
        rested(&mut bench).await;
        assert!(off.elapsed() > LIFE, "{:?}", off.elapsed());
        assert_eq!(bluez.machine().count("RegisterAdvertisement"), before);
        bench.air(2).await;
        bench.troubles(&[]).await;
    });
}

#[test]
fn a_broadcast_goes_by_the_default_of_the_kernel_and_says_that_it_waits() {
    on_a_bus(async || {
        let (mut bench, bluez, _) = started(Mode::Broadcast, None).await;
        bench.troubles(&[Trouble::AddressHeld]).await;
        assert_eq!(bench.status.mode, Mode::Broadcast);
        bench.order(Order::Air(frame(1))).await;
        bluez.until(|machine| machine.adapter().scanning()).await;
        assert_eq!(bluez.machine().count("RegisterAdvertisement"), 0);
    });
}
