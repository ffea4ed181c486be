//! A private bus, a mock bluetoothd and the radio on it.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;
use tcnd::radio::bluez::{BluerRelay, Options, Platform};
use tcnd::radio::{Event, Order, Radio, Status};
use tcnd_client::Problem;
use tokio::time::timeout;
use zbus::{Address, Connection, connection};

use super::bluez::{Machine, MockBluetoothd};
use super::dbus_daemon::DbusDaemon;

/// Longer than any wait of the radio.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The address of the bus. `DBUS_SYSTEM_BUS_ADDRESS` is that of the relay, as in the daemon.
const BUS: &str = "TCND_TEST_BUS";
/// The number in the name of the relay.
const UNIQUE: &str = "TCND_TEST_RELAY";
static NEXT: AtomicU64 = AtomicU64::new(0);
const SCENARIO: &str = "TCND_TEST_SCENARIO";

/// Runs the scenario in a process of its own, on a bus of its own.
pub(crate) fn on_a_bus(scenario: impl AsyncFnOnce()) {
    let name = name_of(&scenario);
    run(&name, async |bus| {
        scenario().await;
        drop(bus);
    });
}

/// The same, for a scenario that ends its bus.
pub(crate) fn with_a_bus(scenario: impl AsyncFnOnce(Bus)) {
    let name = name_of(&scenario);
    run(&name, scenario);
}

/// The name of the test whose closure this is. A wrong name is noticed, since then no test
/// runs.
fn name_of<T>(_: &T) -> String {
    let name = std::any::type_name::<T>();
    let test = name.trim_end_matches("::{{closure}}");
    test.trim_start_matches("bluez::").to_owned()
}

fn run(name: &str, scenario: impl AsyncFnOnce(Bus)) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the environment is how libdbus learns of a bus"
    )]
    let (inside, address, unique) = (
        std::env::var(SCENARIO).is_ok(),
        std::env::var(BUS),
        std::env::var(UNIQUE),
    );
    if inside {
        let address = address.unwrap();
        let bus = Bus::start(&address);
        let upstream = Address::try_from(address.as_str()).unwrap();
        let relay = BluerRelay::before(upstream, unique.unwrap().parse().unwrap()).unwrap();
        relay.start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            // Shown when the scenario fails.
            let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO);
            log.with_writer(std::io::stderr).init();
            scenario(bus).await;
        });
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // One for each scenario, though several run at once.
    let unique = NEXT.fetch_add(1, Ordering::Relaxed) << 32 | u64::from(std::process::id());
    let relay = format!("unix:abstract=tcnd-bluer-{unique:016x}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(
            BUS,
            format!("unix:path={}", directory.path().join("bus").display()),
        )
        .env(BluerRelay::VARIABLE, &relay)
        .env(UNIQUE, unique.to_string())
        .env(SCENARIO, name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "scenario {name}:\n{text}\n{errors}"
    );
}

/// A connection of another program.
pub(crate) async fn connect() -> Connection {
    #[expect(
        clippy::disallowed_methods,
        reason = "the environment is how a scenario learns of its bus"
    )]
    let address = std::env::var(BUS).unwrap();
    connection::Builder::address(address.as_str())
        .build()
        .await
        .unwrap()
}

/// A dbus-daemon that can be restarted at its address.
pub(crate) struct Bus {
    daemon: DbusDaemon,
}

impl Bus {
    /// Ends the bus, and starts another at the same address.
    pub(crate) fn restart(self) -> Self {
        // The address that it printed ends with a GUID.
        let (address, _) = self.daemon.address.split_once(',').unwrap();
        let address = address.to_owned();
        drop(self);
        Self::start(&address)
    }

    fn start(address: &str) -> Self {
        // A killed dbus-daemon leaves its socket behind.
        let _ = std::fs::remove_file(address.trim_start_matches("unix:path="));
        let configuration = format!(
            "<busconfig><listen>{address}</listen><auth>EXTERNAL</auth>\
             <policy context='default'><allow send_destination='*'/>\
             <allow receive_sender='*'/><allow own='*'/><allow user='*'/></policy></busconfig>"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), configuration).unwrap();
        let daemon = DbusDaemon::start(&format!("--config-file={}", file.path().display()));
        Self { daemon }
    }
}

#[expect(clippy::disallowed_methods, reason = "what is timed is the radio")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn frame(byte: u8) -> Frame {
    Frame::own(TemporaryContactNumber::from_bytes([byte; 16]))
}

/// The radio, and its last status.
pub(crate) struct Harness {
    pub(crate) radio: Radio,
    pub(crate) status: Status,
}

impl Harness {
    /// A radio with these options.
    pub(crate) fn with(options: Options) -> Self {
        Self {
            radio: tcnd::radio::bluez::spawn(options),
            status: Status::default(),
        }
    }

    /// A radio on this platform.
    pub(crate) fn within(options: Options, platform: Platform) -> Self {
        Self {
            radio: tcnd::radio::bluez::spawn_with(options, platform),
            status: Status::default(),
        }
    }

    /// A machine with one adapter, and a radio that is up.
    pub(crate) async fn up(machine: Machine) -> (Self, MockBluetoothd) {
        let bluez = MockBluetoothd::start(machine).await;
        let mut harness = Self::with(Options::default());
        harness.expect_up(true).await;
        (harness, bluez)
    }

    pub(crate) async fn order(&self, order: Order) {
        self.radio.orders.send(order).await.unwrap();
    }

    /// The same, on the air.
    pub(crate) async fn airing(machine: Machine, byte: u8) -> (Self, MockBluetoothd) {
        let (mut harness, bluez) = Self::up(machine).await;
        harness.air(byte).await;
        bluez.until_scanning().await;
        (harness, bluez)
    }

    /// Orders a frame and waits until it is aired.
    pub(crate) async fn air(&mut self, byte: u8) {
        self.order(Order::Air(frame(byte))).await;
        self.expect_aired(byte).await;
    }

    /// Waits until frames can be aired, and airs one.
    pub(crate) async fn air_once_up(&mut self, byte: u8) {
        self.expect_up(true).await;
        self.air(byte).await;
    }

    /// Rests before an address that is kept can have changed, and checks the capabilities for
    /// the next epoch.
    pub(crate) async fn rest_early(&mut self) {
        self.order(Order::Rest).await;
        self.expect_up(true).await;
        self.expect_rested().await;
    }

    /// Leaves the air.
    pub(crate) async fn rest(&mut self) {
        self.order(Order::Rest).await;
        self.expect_rested().await;
    }

    async fn expect(&mut self, what: &str, is: impl FnOnce(&Event) -> bool) {
        let event = self.next().await;
        assert!(is(&event), "expected {what}, got {event:?}");
    }

    /// The frame is registered, for the first time or again.
    pub(crate) async fn expect_aired(&mut self, byte: u8) {
        let is = |event: &Event| matches!(event, Event::Aired(aired) if *aired == frame(byte));
        self.expect("it to be aired", is).await;
    }

    pub(crate) async fn expect_up(&mut self, can_air: bool) {
        let is = |event: &Event| matches!(event, Event::Up(can) if can.can_air == can_air);
        self.expect(&format!("Up, can_air: {can_air}"), is).await;
    }

    /// On the air, and whether it can listen.
    pub(crate) async fn expect_listening(&mut self, can_listen: bool) {
        let is = |event: &Event| matches!(event, Event::Up(can) if can.can_air && can.can_listen == can_listen);
        self.expect(&format!("Up, can_listen: {can_listen}"), is)
            .await;
    }

    pub(crate) async fn expect_withdrawn(&mut self, byte: u8) {
        let is = |event: &Event| matches!(event, Event::Withdrawn(gone) if *gone == frame(byte));
        self.expect("it to be withdrawn", is).await;
    }

    pub(crate) async fn expect_down(&mut self) {
        self.expect("Down", |event| matches!(event, Event::Down))
            .await;
    }

    /// The frame is withdrawn, and nothing can be aired.
    pub(crate) async fn expect_off_air(&mut self, byte: u8) {
        self.expect_withdrawn(byte).await;
        self.expect_down().await;
    }

    pub(crate) async fn expect_rested(&mut self) {
        self.expect("Rested", |event| matches!(event, Event::Rested))
            .await;
    }

    /// The next event but statuses and what is heard.
    pub(crate) async fn next(&mut self) -> Event {
        self.find(|event| match event {
            Event::Status(_)
            | Event::DiscoveryStarted
            | Event::Heard { .. }
            | Event::Malformed
            | Event::Written { .. } => None,
            Event::Up(_) | Event::Down | Event::Aired(_) | Event::Withdrawn(_) | Event::Rested => {
                Some(event.clone())
            }
        })
        .await
        .expect("an event in time")
    }

    /// The next thing heard: a frame with its signal, or nothing readable.
    pub(crate) async fn heard(&mut self) -> Option<(Frame, Option<i16>)> {
        self.find(|event| {
            if let Event::Heard { frame, rssi } = event {
                return Some(Some((*frame, *rssi)));
            }
            matches!(event, Event::Malformed).then_some(None)
        })
        .await
        .expect("something heard in time")
    }

    /// The next number that a peer wrote.
    pub(crate) async fn written(&mut self) -> TemporaryContactNumber {
        self.find(|event| {
            let Event::Written { tcn, .. } = event else {
                return None;
            };
            Some(*tcn)
        })
        .await
        .expect("something told in time")
    }

    /// Waits for a status that matches; the current one counts.
    pub(crate) async fn status(&mut self, wanted: impl Fn(&Status) -> bool) {
        if !wanted(&self.status) {
            let is = |event: &Event| matches!(event, Event::Status(status) if wanted(status));
            let found = self.find(|event| is(event).then_some(())).await;
            assert!(found.is_some(), "not in time; it is {:#?}", self.status);
        }
    }

    /// Waits until exactly these problems are reported.
    pub(crate) async fn problems(&mut self, problems: &[Problem]) {
        let mut wanted = problems.to_vec();
        wanted.sort();
        self.status(|status| status.problems.keys().eq(&wanted))
            .await;
    }

    async fn find<T>(&mut self, fits: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let finding = async {
            loop {
                let event = self.radio.events.recv().await.expect("the radio runs");
                if let Event::Status(status) = &event {
                    self.status = status.clone();
                }
                if let Some(found) = fits(&event) {
                    return found;
                }
            }
        };
        timeout(DEADLINE, finding).await.ok()
    }
}
