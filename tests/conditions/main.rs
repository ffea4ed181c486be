//! The conditions of listening, followed on a real dbus-daemon.
//!
//! UPower, the power profiles and BlueZ are mocks ([`harness`]). Each service has a file that
//! lets the bus start it, as on Debian; nothing here may start one.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../support/dbus_daemon.rs"]
mod dbus_daemon;
mod harness;

use tcn_engine::ListenConditions;
use tcnd::conditions::watch_at;
use zbus::Variant;

use harness::{BLUEZ, Bus, MockService, OLD_PROFILES, PROFILES, UPOWER, until};

const NONE: ListenConditions = ListenConditions {
    on_battery: false,
    power_saver: false,
    audio: false,
    device: false,
};
const BATTERY: ListenConditions = ListenConditions {
    on_battery: true,
    ..NONE
};
const SAVER: ListenConditions = ListenConditions {
    power_saver: true,
    ..NONE
};
const AUDIO: ListenConditions = ListenConditions {
    audio: true,
    ..NONE
};
const SHARED: ListenConditions = ListenConditions {
    device: true,
    ..NONE
};

const DEVICE: &str = "/org/bluez/hci0/dev_00_00_00_00_00_01";
const TRANSPORT: &str = "/org/bluez/hci0/dev_00_00_00_00_00_01/fd0";

#[tokio::test]
async fn power_is_read_and_followed() {
    let bus = Bus::start();
    let upower = MockService::start(&bus, UPOWER).await;
    upower.set(true);
    let profiles = MockService::start(&bus, PROFILES).await;
    profiles.set("power-saver");
    let mut conditions = watch_at(bus.address());
    let both = ListenConditions {
        power_saver: true,
        ..BATTERY
    };
    until(&mut conditions, both).await;
    upower.change(false).await;
    until(&mut conditions, SAVER).await;
    profiles.change("balanced").await;
    until(&mut conditions, NONE).await;
    upower.change(true).await;
    until(&mut conditions, BATTERY).await;
}

#[tokio::test]
async fn a_service_that_comes_later_is_read_and_one_that_goes_leaves_the_default() {
    let bus = Bus::start();
    let mut conditions = watch_at(bus.address());
    let profiles = MockService::start(&bus, OLD_PROFILES).await;
    profiles.change("power-saver").await;
    until(&mut conditions, SAVER).await;
    profiles.stop().await;
    until(&mut conditions, NONE).await;
    let bluez = MockService::start(&bus, BLUEZ).await;
    // The first list is empty, as before BlueZ has adapters.
    bluez.until_asked(1).await;
    bluez.object(TRANSPORT, "MediaTransport1", &[("State", "active".into())]);
    bluez.announce("/org/bluez/hci0").await;
    until(&mut conditions, AUDIO).await;
    bluez.stop().await;
    until(&mut conditions, NONE).await;
    let upower = MockService::start(&bus, UPOWER).await;
    upower.change(true).await;
    until(&mut conditions, BATTERY).await;
}

#[tokio::test]
async fn connections_and_sound_are_followed() {
    let bus = Bus::start();
    let bluez = MockService::start(&bus, BLUEZ).await;
    bluez.object(DEVICE, "Device1", &[("Paired", true.into())]);
    let mut conditions = watch_at(bus.address());
    let connected = |it: bool| [("Connected", Variant::from(it))];
    // The rule for the device comes after the first list.
    bluez.until_asked(2).await;
    bluez.changed(DEVICE, "Device1", &connected(true)).await;
    until(&mut conditions, SHARED).await;
    bluez.object(TRANSPORT, "MediaTransport1", &[("State", "idle".into())]);
    let active = [("State", Variant::from("active"))];
    bluez.changed(TRANSPORT, "MediaTransport1", &active).await;
    let both = ListenConditions {
        audio: true,
        ..SHARED
    };
    until(&mut conditions, both).await;
    bluez.remove(TRANSPORT, "MediaTransport1").await;
    until(&mut conditions, SHARED).await;
    bluez.changed(DEVICE, "Device1", &connected(false)).await;
    until(&mut conditions, NONE).await;
}

#[tokio::test]
async fn wrong_types_are_the_default() {
    let bus = Bus::start();
    let upower = MockService::start(&bus, UPOWER).await;
    let profiles = MockService::start(&bus, PROFILES).await;
    let bluez = MockService::start(&bus, BLUEZ).await;
    upower.set(true);
    bluez.object(TRANSPORT, "MediaTransport1", &[("State", "active".into())]);
    let mut conditions = watch_at(bus.address());
    let both = ListenConditions {
        audio: true,
        ..BATTERY
    };
    until(&mut conditions, both).await;
    upower.change("true").await;
    until(&mut conditions, AUDIO).await;
    bluez
        .changed(TRANSPORT, "MediaTransport1", &[("State", 1u8.into())])
        .await;
    until(&mut conditions, NONE).await;
    profiles.change("power-saver").await;
    until(&mut conditions, SAVER).await;
    profiles.change(7u32).await;
    until(&mut conditions, NONE).await;
    // A body of another signature changes nothing, and ends nothing.
    upower.malformed().await;
    upower.change(true).await;
    until(&mut conditions, BATTERY).await;
}

#[tokio::test]
async fn no_service_is_started_by_asking() {
    let bus = Bus::start();
    let mut conditions = watch_at(bus.address());
    // One that comes and goes is asked, and not started when it is gone.
    for _ in 0..2 {
        let profiles = MockService::start(&bus, PROFILES).await;
        profiles.change("power-saver").await;
        until(&mut conditions, SAVER).await;
        profiles.stop().await;
        until(&mut conditions, NONE).await;
    }
    assert_eq!(bus.started(), [""; 0]);
    // The bus does start it for another program.
    let asking = bus.connect().await;
    let interface = Some("org.freedesktop.DBus.Peer");
    let asked = asking.call_method(Some(UPOWER.name), "/", interface, "Ping", &());
    assert!(asked.await.is_err());
    assert_eq!(bus.started(), [UPOWER.name]);
}

#[tokio::test]
async fn a_flood_of_adverts_does_not_arrive() {
    let bus = Bus::start();
    let bluez = MockService::start(&bus, BLUEZ).await;
    bluez.object(DEVICE, "Device1", &[("Paired", true.into())]);
    let relay = bus.relay();
    let mut conditions = watch_at(relay.address());
    bluez.until_asked(2).await;
    let connected = [("Connected", Variant::from(true))];
    bluez.changed(DEVICE, "Device1", &connected).await;
    until(&mut conditions, SHARED).await;
    let before = relay.received();
    for at in 0..2000 {
        let device = format!("/org/bluez/hci0/dev_near_{}", at % 100);
        let rssi = [("RSSI", Variant::from(-40i16))];
        bluez.changed(&device, "Device1", &rssi).await;
        if at % 10 == 0 {
            bluez.announce(&device).await;
            bluez.remove(&device, "Device1").await;
        }
    }
    // What comes behind them has come, so they would have.
    bluez.object(TRANSPORT, "MediaTransport1", &[("State", "idle".into())]);
    let active = [("State", Variant::from("active"))];
    bluez.changed(TRANSPORT, "MediaTransport1", &active).await;
    let both = ListenConditions {
        audio: true,
        ..SHARED
    };
    until(&mut conditions, both).await;
    let received = relay.received() - before;
    assert!((1..1500).contains(&received), "{received} bytes");
}

/// Each program can send a signal to the connection of another.
#[tokio::test]
async fn a_signal_of_another_program_is_ignored() {
    let bus = Bus::start();
    let upower = MockService::start(&bus, UPOWER).await;
    let profiles = MockService::start(&bus, PROFILES).await;
    let mut conditions = watch_at(bus.address());
    upower.until_asked(1).await;
    let stranger = MockService::named(&bus, UPOWER, "org.example.Stranger").await;
    stranger.forge(&upower.asker(), true).await;
    profiles.change("power-saver").await;
    until(&mut conditions, SAVER).await;
}

#[tokio::test]
async fn without_a_bus_the_default_holds_and_a_new_bus_is_followed() {
    let mut bus = Bus::start();
    let address = bus.address();
    bus.stop();
    let mut conditions = watch_at(address.clone());
    for _ in 0..2 {
        bus.restart();
        let upower = MockService::start(&bus, UPOWER).await;
        upower.set(true);
        until(&mut conditions, BATTERY).await;
        bus.stop();
        until(&mut conditions, NONE).await;
    }
}

#[tokio::test]
async fn the_connection_ends_with_the_last_receiver() {
    let bus = Bus::start();
    let upower = MockService::start(&bus, UPOWER).await;
    let conditions = watch_at(bus.address());
    upower.until_asked(1).await;
    let asker = upower.asker();
    drop(conditions);
    upower.until_gone(&asker).await;
}
