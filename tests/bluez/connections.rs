//! Connections: which peers may connect, which ones we connect to, and what they can read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bluez_mgmt::{MgmtError, Privacy};
use futures::future::BoxFuture;
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;
use tcnd::radio::bluez::{Central, CentralError, Kernel, Options, Platform};
use tcnd::radio::{AddressKind, Mode, Order};
use tcnd_client::Problem;
use tcnd_rpa_timeout::Known;
use tokio::time::timeout;
use zbus::OwnedVariant;

use super::bluez::{Device, Machine, MockBluetoothd};
use super::harness::{Harness, frame, now, on_a_bus};

/// A kernel with configured answers, and peers that answer reads.
#[derive(Clone)]
pub(crate) struct MockPlatform {
    privacy: Arc<Mutex<Option<Privacy>>>,
    configured: Arc<Mutex<Privacy>>,
    addresses: Arc<Mutex<Option<Known>>>,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    reads: Arc<Mutex<Vec<[u8; 6]>>>,
}

impl MockPlatform {
    fn new(privacy: Option<Privacy>) -> Self {
        Self {
            privacy: Arc::new(Mutex::new(privacy)),
            configured: Arc::new(Mutex::new(Privacy::Off)),
            addresses: Arc::default(),
            answer: Arc::default(),
            reads: Arc::default(),
        }
    }

    fn set(&self, privacy: Option<Privacy>) {
        *self.privacy.lock().unwrap() = privacy;
    }

    /// What bluetoothd is configured to.
    pub(crate) fn configure(&self, privacy: Privacy) {
        *self.configured.lock().unwrap() = privacy;
    }

    /// What is known of the addresses that the controller makes.
    pub(crate) fn tell(&self, addresses: Option<Known>) {
        *self.addresses.lock().unwrap() = addresses;
    }

    fn reads(&self) -> usize {
        self.reads.lock().unwrap().len()
    }
}

impl Kernel for MockPlatform {
    fn privacy<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<Privacy, MgmtError>> {
        assert_eq!(adapter, "hci0");
        let answer = self.privacy.lock().unwrap().ok_or(MgmtError::Unavailable);
        Box::pin(async move { answer })
    }

    fn configured_privacy(&self) -> Privacy {
        *self.configured.lock().unwrap()
    }

    fn addresses(&self, adapter: &str) -> Option<Known> {
        assert_eq!(adapter, "hci0");
        *self.addresses.lock().unwrap()
    }
}

impl Central for MockPlatform {
    fn read<'a>(
        &'a self,
        adapter: &'a str,
        peer: [u8; 6],
    ) -> BoxFuture<'a, Result<Vec<u8>, CentralError>> {
        assert_eq!(adapter, "hci0");
        self.reads.lock().unwrap().push(peer);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move { answer.ok_or(CentralError::TimedOut) })
    }

    fn renew(&self) {}
}

/// A radio that was asked for this mode, up on a machine that says this of
/// its privacy.
pub(crate) async fn asked(
    mode: Mode,
    machine: Machine,
    privacy: Option<Privacy>,
) -> (Harness, MockBluetoothd, MockPlatform) {
    asked_with(mode, machine, privacy, Duration::from_secs(600)).await
}

/// The same, where the kernel keeps an address for so long.
async fn asked_with(
    mode: Mode,
    machine: Machine,
    privacy: Option<Privacy>,
    rpa_timeout: Duration,
) -> (Harness, MockBluetoothd, MockPlatform) {
    let bluez = MockBluetoothd::start(machine).await;
    let mock = MockPlatform::new(privacy);
    let platform = Platform {
        kernel: Arc::new(mock.clone()),
        central: Arc::new(mock.clone()),
    };
    let options = Options {
        mode,
        rpa_timeout,
        ..Options::default()
    };
    (Harness::within(options, platform), bluez, mock)
}

/// The adapter is switched off and on again, by which its addresses are new.
async fn renew(harness: &mut Harness, bluez: &MockBluetoothd) {
    harness.expect_up(true).await;
    bluez.power("hci0", false).await;
    harness.expect_down().await;
    bluez.power("hci0", true).await;
    harness.expect_up(true).await;
}

/// In mode full, on the air.
async fn reachable() -> (Harness, MockBluetoothd, MockPlatform) {
    let (mut harness, bluez, mock) =
        asked(Mode::Full, Machine::extended(), Some(Privacy::On)).await;
    renew(&mut harness, &bluez).await;
    harness.air(1).await;
    harness.problems(&[]).await;
    (harness, bluez, mock)
}

/// A device that appears by connecting.
fn stranger() -> Device {
    Device {
        connected: true,
        foreign: true,
        ..Device::default()
    }
}

/// A stranger connects, and the radio notices it.
pub(crate) async fn stranger_connects(
    harness: &mut Harness,
    bluez: &MockBluetoothd,
    last: u16,
    frame: u8,
) {
    bluez.appear("hci0", last, stranger()).await;
    harness.expect_aired(frame).await;
}

fn phone() -> Device {
    Device {
        rssi: Some(-60),
        ..Device::default()
    }
}

pub(crate) fn number(byte: u8) -> TemporaryContactNumber {
    frame(byte).tcn
}

/// The last advert registered, by name of the property.
fn registered(bluez: &MockBluetoothd, name: &str) -> Option<OwnedVariant> {
    bluez.machine().registered.last()?.get(name).cloned()
}

pub(crate) fn is_peripheral(bluez: &MockBluetoothd) -> bool {
    let kind = registered(bluez, "Type").unwrap();
    String::try_from(kind).unwrap() == "peripheral"
}

#[test]
fn without_privacy_full_is_a_broadcast_and_relay_only_listens() {
    on_a_bus(async || {
        for (privacy, problem) in [
            (Some(Privacy::Off), Problem::PrivacyOff),
            (None, Problem::PrivacyUnknown),
        ] {
            let (mut harness, bluez, _) = asked(Mode::Full, Machine::extended(), privacy).await;
            harness.air_once_up(1).await;
            harness
                .status(|status| status.problems.contains_key(&problem))
                .await;
            assert_eq!(harness.status.mode, Mode::Broadcast);
            assert!(!is_peripheral(&bluez));
            assert!(registered(&bluez, "Discoverable").is_none());
            assert_eq!(bluez.called("RegisterApplication"), 0);
            drop(harness);
            bluez.stop().await;
            let (mut harness, bluez, _) = asked(Mode::Relay, Machine::extended(), privacy).await;
            harness.expect_up(false).await;
            harness.order(Order::Listen).await;
            harness.status(|status| status.scanning).await;
            assert_eq!(harness.status.mode, Mode::Listen);
            assert!(harness.status.problems.contains_key(&problem));
            bluez.stop().await;
        }
    });
}

#[test]
fn with_privacy_the_server_is_there_before_the_advert_that_leads_to_it() {
    on_a_bus(async || {
        let (harness, bluez, _) = reachable().await;
        assert_eq!(harness.status.mode, Mode::Full);
        assert_eq!(harness.status.adapters[0].address, AddressKind::Resolvable);
        let log = bluez.machine().log;
        let at = |call: &str| log.iter().position(|logged| logged == call).unwrap();
        assert!(at("RegisterApplication") < at("RegisterAdvertisement"));
        assert!(is_peripheral(&bluez));
        let discoverable = registered(&bluez, "Discoverable").unwrap();
        assert!(bool::try_from(discoverable).unwrap());
    });
}

#[test]
fn privacy_is_asked_about_in_each_epoch() {
    on_a_bus(async || {
        let (mut harness, bluez, mock) = reachable().await;
        mock.set(Some(Privacy::Off));
        harness.rest_early().await;
        harness.order(Order::Air(frame(2))).await;
        // It falls back to what is allowed, and says so before anything is aired.
        harness.expect_withdrawn(2).await;
        harness.expect_up(true).await;
        harness.rest().await;
        harness.air(3).await;
        assert!(!is_peripheral(&bluez));
        harness.problems(&[Problem::PrivacyOff]).await;
        assert_eq!(bluez.machine().registered.len(), 2, "2 was never aired");
    });
}

#[test]
fn an_adapter_made_discoverable_is_no_matter_where_privacy_is_on() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        bluez.make_discoverable("hci0", true).await;
        harness.rest_early().await;
        harness.air(2).await;
        harness.problems(&[Problem::AddressHeld]).await;
    });
}

#[test]
fn whoever_reads_is_told_the_number_of_the_epoch_and_whoever_writes_is_heard() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        stranger_connects(&mut harness, &bluez, 1, 1).await;
        assert_eq!(bluez.read("hci0", 1).await.unwrap(), [1; 16]);
        assert_eq!(bluez.read("hci0", 1).await.unwrap(), [1; 16], "no ratchet");
        bluez.write("hci0", 1, &[9; 16]).await.unwrap();
        assert_eq!(harness.written().await, number(9));
        for refused in [&[9; 15][..], &[]] {
            let error = bluez.write("hci0", 1, refused).await.unwrap_err();
            assert!(error.to_string().contains("InvalidValueLength"), "{error}");
        }
        harness.rest_early().await;
        assert!(bluez.read("hci0", 1).await.is_err(), "between two epochs");
        assert!(bluez.write("hci0", 1, &[8; 16]).await.is_err());
        harness.air(2).await;
        stranger_connects(&mut harness, &bluez, 2, 2).await;
        assert_eq!(bluez.read("hci0", 2).await.unwrap(), [2; 16]);
    });
}

#[test]
fn a_relay_is_told_numbers_and_has_none_to_tell() {
    on_a_bus(async || {
        let privacy = Some(Privacy::On);
        let (mut harness, bluez, _) = asked(Mode::Relay, Machine::extended(), privacy).await;
        renew(&mut harness, &bluez).await;
        harness.order(Order::Air(Frame::vacant([7; 4]))).await;
        bluez.until_adverts(1).await;
        bluez.appear("hci0", 1, phone()).await;
        let error = bluez.read("hci0", 1).await.unwrap_err();
        assert!(error.to_string().contains("NotPermitted"), "{error}");
        bluez.write("hci0", 1, &[9; 16]).await.unwrap();
        assert_eq!(harness.written().await, number(9));
    });
}

#[test]
fn a_swap_changes_the_frame_and_leaves_discovery_alone() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        bluez.until_scanning().await;
        bluez.set(|machine| machine.log.clear());
        let carried = Frame::carried(number(5), frame(1).carrier_id());
        harness.order(Order::Swap(carried)).await;
        let event = harness.next().await;
        assert!(matches!(event, tcnd::radio::Event::Aired(aired) if aired == carried));
        let log = bluez.machine().log;
        assert_eq!(log, ["UnregisterAdvertisement", "RegisterAdvertisement"]);
        bluez.appear("hci0", 1, stranger()).await;
        bluez.until_called("RegisterAdvertisement", 2).await;
        let answer = bluez.read("hci0", 1).await.unwrap();
        assert_eq!(answer, [1; 16], "whatever is carried, ours is told");
    });
}

#[test]
fn who_holds_a_connection_neither_silences_us_nor_stays() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        bluez.set(|machine| machine.log.clear());
        stranger_connects(&mut harness, &bluez, 1, 1).await;
        bluez.until_called("Disconnect", 1).await;
        harness.expect_aired(1).await;
        assert_eq!(bluez.called("RegisterAdvertisement"), 2);
    });
}

/// Each connection takes the advert off the air, however soon it follows another.
#[test]
fn a_peer_that_connects_again_at_once_does_not_silence_us() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        stranger_connects(&mut harness, &bluez, 1, 1).await;
        for _ in 0..3 {
            bluez.connect("hci0", 1, false).await;
            bluez.connect("hci0", 1, true).await;
            harness.expect_aired(1).await;
        }
    });
}

#[test]
fn paired_devices_and_other_peoples_sensors_are_left_alone() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        // The one connects by itself; to the other a program does, which has
        // heard it before.
        let paired = Device {
            paired: true,
            ..stranger()
        };
        bluez.appear("hci0", 1, paired).await;
        harness.expect_aired(1).await;
        bluez.appear("hci0", 2, phone()).await;
        bluez.connect("hci0", 2, true).await;
        harness.expect_aired(1).await;
        harness.rest_early().await;
        harness.air(2).await;
        assert_eq!(bluez.called("Disconnect"), 0);
        // They have been there since before this number was.
        for last in [1, 2] {
            assert!(bluez.read("hci0", last).await.is_err());
        }
    });
}

#[test]
fn strangers_are_sent_away_before_another_number_is_aired() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        stranger_connects(&mut harness, &bluez, 1, 1).await;
        bluez.set(|machine| machine.log.clear());
        harness.rest_early().await;
        assert_eq!(bluez.called("Disconnect"), 1);
        assert_eq!(bluez.called("RegisterAdvertisement"), 0);
    });
}

#[test]
fn a_phone_without_service_data_is_read_once_and_heard_from_then_on() {
    on_a_bus(async || {
        let (mut harness, bluez, mock) = reachable().await;
        *mock.answer.lock().unwrap() = Some(vec![7; 16]);
        bluez.appear("hci0", 1, phone()).await;
        bluez.silent_advert("hci0", 1, -61).await;
        let (heard, rssi) = harness.heard().await.unwrap();
        let read = (number(7), false, None);
        assert_eq!((heard.tcn, heard.is_bridged(), rssi), read);
        // Discovery restarts, and does not forget the phone.
        bluez.until_called("StartDiscovery", 2).await;
        for signal in [-63, -64] {
            bluez.silent_advert("hci0", 1, signal).await;
            while harness.heard().await != Some((frame(7), Some(signal))) {}
        }
        assert_eq!(mock.reads.lock().unwrap()[..], [[0x40, 0, 0, 0, 0, 1]]);
    });
}

#[test]
fn who_sends_service_data_is_never_visited() {
    on_a_bus(async || {
        let (mut harness, bluez, mock) = reachable().await;
        let malformed = Device {
            data: Some(vec![1; 15]),
            ..phone()
        };
        let android = Device {
            data: Some(vec![2; 20]),
            ..phone()
        };
        bluez.appear("hci0", 1, malformed).await;
        assert_eq!(harness.heard().await, None);
        bluez.appear("hci0", 2, android).await;
        assert_eq!(harness.heard().await, Some((frame(2), Some(-60))));
        for rssi in -70..-60 {
            bluez.silent_advert("hci0", 1, rssi).await;
            bluez.silent_advert("hci0", 2, rssi).await;
            bluez.advert("hci0", 2, &[2; 20], Some(rssi)).await;
            while harness.heard().await != Some((frame(2), Some(rssi))) {}
        }
        assert_eq!(mock.reads(), 0);
    });
}

#[test]
fn nobody_is_visited_where_privacy_is_off_nor_by_a_relay() {
    on_a_bus(async || {
        for (mode, privacy) in [(Mode::Full, Privacy::Off), (Mode::Relay, Privacy::On)] {
            let (mut harness, bluez, mock) = asked(mode, Machine::extended(), Some(privacy)).await;
            renew(&mut harness, &bluez).await;
            harness.air(1).await;
            bluez.until_scanning().await;
            bluez.appear("hci0", 1, phone()).await;
            let android = Device {
                data: Some(vec![2; 20]),
                ..phone()
            };
            bluez.appear("hci0", 2, android).await;
            assert_eq!(harness.heard().await, Some((frame(2), Some(-60))));
            for rssi in -70..-60 {
                bluez.silent_advert("hci0", 1, rssi).await;
                bluez.advert("hci0", 2, &[2; 20], Some(rssi)).await;
                while harness.heard().await != Some((frame(2), Some(rssi))) {}
            }
            assert_eq!(mock.reads(), 0, "{mode:?}");
            bluez.stop().await;
        }
    });
}

#[test]
fn a_server_refused_is_named_and_tried_again() {
    on_a_bus(async || {
        let machine = Machine {
            refuse_servers: 2,
            ..Machine::extended()
        };
        let (mut harness, bluez, _) = asked(Mode::Full, machine, Some(Privacy::On)).await;
        renew(&mut harness, &bluez).await;
        harness.order(Order::Air(frame(1))).await;
        harness.problems(&[Problem::ConnectFailed]).await;
        assert_eq!(bluez.called("RegisterAdvertisement"), 0);
        harness.problems(&[]).await;
        bluez.until_adverts(1).await;
    });
}

#[test]
fn a_legacy_controller_waits_for_another_address_and_carries_nothing() {
    on_a_bus(async || {
        let privacy = Some(Privacy::On);
        let soon = Duration::from_secs(16);
        let (mut harness, bluez, _) =
            asked_with(Mode::Full, Machine::legacy(), privacy, soon).await;
        harness.expect_up(false).await;
        let held = [Problem::AddressHeld, Problem::BridgeUnavailable];
        harness.problems(&held).await;
        assert_eq!(bluez.called("RegisterAdvertisement"), 0);
        assert_eq!(bluez.called("StartDiscovery"), 0);
        harness.air_once_up(1).await;
        harness.problems(&[Problem::BridgeUnavailable]).await;
        // At once another number: it has to wait as well.
        harness.order(Order::Rest).await;
        harness.expect_up(false).await;
        harness.expect_rested().await;
        harness.air_once_up(2).await;
    });
}

#[test]
fn a_number_that_comes_early_is_aired_and_does_not_listen() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        bluez.until_scanning().await;
        harness.rest_early().await;
        bluez.set(|machine| machine.log.clear());
        harness.air(2).await;
        harness.problems(&[Problem::AddressHeld]).await;
        bluez.quiet_for(Duration::from_secs(2)).await;
        assert_eq!(bluez.calls(), "RegisterAdvertisement");
    });
}

#[test]
fn after_a_start_listening_waits_for_another_address() {
    on_a_bus(async || {
        let (privacy, soon) = (Some(Privacy::On), Duration::from_secs(16));
        let (mut harness, bluez, _) =
            asked_with(Mode::Full, Machine::extended(), privacy, soon).await;
        harness.air_once_up(1).await;
        harness.problems(&[Problem::AddressHeld]).await;
        assert!(!bluez.machine().log.contains(&"StartDiscovery".to_owned()));
        // Now it can, and asks for another number to begin with.
        harness.expect_up(true).await;
        harness.rest().await;
        bluez.set(|machine| machine.log.clear());
        harness.air(2).await;
        harness.problems(&[]).await;
        let log = bluez.machine().log;
        let calls = [
            "SetDiscoveryFilter",
            "StartDiscovery",
            "RegisterAdvertisement",
        ];
        assert_eq!(log, calls);
    });
}

/// bluetoothd reads its configuration when it starts.
#[test]
fn privacy_switched_on_under_a_broadcast_is_heeded_and_the_wait_is_named() {
    on_a_bus(async || {
        let (mut bench, bluez, played) = asked(Mode::Broadcast, Machine::extended(), None).await;
        bench.expect_up(true).await;
        bench.air(1).await;
        bench.order(Order::Rest).await;
        bench.expect_rested().await;
        bench.air(2).await;
        bench.problems(&[]).await;
        let machine = bluez.stop().await;
        bench.expect_withdrawn(2).await;
        bench.expect_down().await;
        played.configure(Privacy::On);
        let bluez = MockBluetoothd::restart(machine).await;
        bench.expect_up(true).await;
        bluez.set(|machine| machine.log.clear());
        bench.air(3).await;
        bench.problems(&[Problem::AddressHeld]).await;
        assert!(!bluez.machine().log.contains(&"StartDiscovery".to_owned()));
    });
}

#[test]
fn an_epoch_ends_before_its_address_can() {
    on_a_bus(async || {
        let (privacy, soon) = (Some(Privacy::On), Duration::from_secs(14));
        let machine = Machine::extended();
        let (mut harness, bluez, _) = asked_with(Mode::Full, machine, privacy, soon).await;
        renew(&mut harness, &bluez).await;
        harness.air(1).await;
        bluez.until_scanning().await;
        let scans = bluez.called("StartDiscovery");
        // Four seconds later, ten before the kernel's timeout.
        harness.expect_withdrawn(1).await;
        harness.expect_up(false).await;
        harness.order(Order::Rest).await;
        // The next number has an address of its own, and is not listened with
        // until the scanner has.
        harness.expect_listening(false).await;
        harness.expect_rested().await;
        assert!(!bluez.machine().adapter().scanning());
        harness.air(2).await;
        assert_eq!(bluez.called("StartDiscovery"), scans);
        harness.expect_listening(true).await;
        harness.rest().await;
        harness.air(3).await;
        bluez.until_scanning().await;
    });
}

#[test]
fn while_another_program_scans_its_address_is_not_taken_for_a_new_one() {
    on_a_bus(async || {
        let (mut harness, bluez, _) =
            asked(Mode::Full, Machine::extended(), Some(Privacy::On)).await;
        renew(&mut harness, &bluez).await;
        bluez.scan_for_others("hci0", true).await;
        harness.air_once_up(1).await;
        harness.problems(&[Problem::AddressHeld]).await;
        assert_eq!(bluez.called("StartDiscovery"), 0);
        bluez.scan_for_others("hci0", false).await;
        harness.expect_up(true).await;
    });
}

/// Where the adapter keeps an address, an own pause is no scan of another program, and a scan
/// of another program is no reason to stop listening.
#[test]
fn a_pause_of_discovery_is_not_taken_for_a_scan_of_another_program() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = asked(Mode::Full, Machine::legacy(), Some(Privacy::On)).await;
        harness.expect_up(false).await;
        bluez.power("hci0", false).await;
        harness.expect_down().await;
        bluez.power("hci0", true).await;
        harness.expect_up(true).await;
        harness.order(Order::Listen).await;
        for others in [false, true] {
            bluez.until_scanning().await;
            bluez.scan_for_others("hci0", others).await;
            harness.order(Order::StopDiscovery).await;
            bluez.until(|machine| !machine.adapter().scanning()).await;
            bluez.scan_for_others("hci0", others).await;
            harness.order(Order::StartDiscovery).await;
        }
        bluez.until_scanning().await;
        let event = timeout(Duration::from_millis(500), harness.next()).await;
        assert!(event.is_err(), "{event:?}");
    });
}

#[test]
fn a_crowd_at_the_door_has_the_advert_registered_once_a_second() {
    on_a_bus(async || {
        let (mut harness, bluez, _) = reachable().await;
        let registered = |machine: &Machine| machine.count("RegisterAdvertisement");
        // For the first at once.
        let start = now();
        stranger_connects(&mut harness, &bluez, 1, 1).await;
        let before = registered(&bluez.machine());
        for last in 2..4 {
            bluez.appear("hci0", last, stranger()).await;
        }
        // And for the others when the second is over.
        bluez.until(|machine| registered(machine) > before).await;
        assert!(start.elapsed() >= Duration::from_secs(1));
        harness.expect_aired(1).await;
    });
}

#[test]
fn the_owners_devices_are_not_visited() {
    on_a_bus(async || {
        let (mut harness, bluez, mock) = reachable().await;
        let paired = Device {
            paired: true,
            ..phone()
        };
        let before = bluez.machine().calls;
        bluez.appear("hci0", 1, paired).await;
        bluez.silent_advert("hci0", 1, -61).await;
        // Looked at, and spared: Connected, Paired.
        bluez.until(|machine| machine.calls >= before + 2).await;
        harness.rest_early().await;
        assert_eq!(mock.reads(), 0);
    });
}
