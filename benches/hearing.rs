//! What listening costs: processor time, wakes and memory, beside 20 neighbours.
//!
//! `cargo bench --bench hearing` runs the built `tcnd` on a private dbus-daemon with a mock
//! bluetoothd. While tcnd discovers, that sends a signal for each advert of 20 neighbours
//! with an interval of 270 ms, as Android's clients have. tcnd runs without neighbours, then
//! with them and `listen = "always"`, then with `listen = "windows"`, which is the default on
//! battery, for [`MEASURED`] each.
//!
//! The processor time is what the scheduler counts for the threads of tcnd
//! (Documentation/scheduler/sched-stats.rst, `/proc/PID/task/TID/schedstat`), the wakes are
//! their voluntary context switches. Needs dbus-daemon (package dbus).
#![expect(clippy::print_stdout, reason = "a bench speaks on standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

#[path = "../tests/bluez/bluez/mod.rs"]
#[allow(dead_code, reason = "a bench needs less of it than the tests")]
mod bluez;
#[path = "../tests/support/dbus_daemon.rs"]
mod dbus_daemon;
/// What the mock bluetoothd asks of its surroundings.
mod harness {
    use std::time::Duration;

    pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

    pub(crate) async fn connect() -> zbus::Connection {
        let address = std::env::var(super::BUS).unwrap();
        let builder = zbus::connection::Builder::address(address.as_str());
        builder.build().await.unwrap()
    }
}

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bluez::{Device, Machine, MockBluetoothd};
use dbus_daemon::DbusDaemon;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{MissedTickBehavior, interval, sleep};

const TCND: &str = env!("CARGO_BIN_EXE_tcnd");
/// Tells the address of the bus to the process that measures.
const BUS: &str = "TCND_BENCH_BUS";
const ADAPTER: &str = "hci0";
const NEIGHBOURS: u16 = 20;
const ADVERT_INTERVAL: Duration = Duration::from_millis(270);
/// Ten windows.
const MEASURED: Duration = Duration::from_secs(300);
/// After this the first window of a start is over, and the database made.
const SETTLED: Duration = Duration::from_secs(40);
/// In seconds of processor time an hour, with `listen = "windows"`.
const AIM: f64 = 2.0;

fn main() {
    if std::env::var(BUS).is_ok() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        return runtime.unwrap().block_on(measure());
    }
    let bus = DbusDaemon::start("--session");
    let mut itself = Command::new(std::env::current_exe().unwrap());
    let measured = itself.env(BUS, &bus.address).status().unwrap();
    assert!(measured.success());
}

async fn measure() {
    let bluez = MockBluetoothd::start(Machine::extended()).await;
    for number in 0..NEIGHBOURS {
        bluez.appear(ADAPTER, number, Device::default()).await;
    }
    let alone = Cost::of("always", &bluez, 0).await;
    let always = Cost::of("always", &bluez, NEIGHBOURS).await;
    let windows = Cost::of("windows", &bluez, NEIGHBOURS).await;
    println!(
        "nobody near, listen = \"always\": {} wakes in {} s, {:.3} s of processor time",
        alone.wakes,
        MEASURED.as_secs(),
        alone.processor,
    );
    always.print("always");
    windows.print("windows");
    println!(
        "windows: {:.1} s of processor time an hour (aim: {AIM:.0}), {:.2} of always",
        windows.processor_an_hour(),
        windows.processor / always.processor,
    );
}

/// What one run cost in [`MEASURED`].
struct Cost {
    adverts: u32,
    /// In seconds.
    processor: f64,
    wakes: u64,
    resident_kib: u64,
}

impl Cost {
    async fn of(listen: &str, bluez: &MockBluetoothd, neighbours: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration = format!("enabled = true\nlisten = \"{listen}\"\n");
        fs::write(folder.path().join("bench.toml"), configuration).unwrap();
        let tcnd = Daemon::start(folder.path());
        bluez.until_scanning().await;
        send_adverts(bluez, neighbours, SETTLED).await;
        let (processor, wakes) = tcnd.spent();
        let adverts = send_adverts(bluez, neighbours, MEASURED).await;
        let (processor_after, wakes_after) = tcnd.spent();
        Self {
            adverts,
            processor: processor_after - processor,
            wakes: wakes_after - wakes,
            resident_kib: tcnd.status("VmRSS:"),
        }
    }

    fn processor_an_hour(&self) -> f64 {
        self.processor * 3600.0 / MEASURED.as_secs_f64()
    }

    fn print(&self, listen: &str) {
        let adverts = f64::from(self.adverts);
        println!(
            "listen = \"{listen}\": {} adverts in {} s; {:.2} s of processor time, {:.0} us an advert; \
             {} wakes, {:.0} for 10,000 adverts; {:.1} MiB resident",
            self.adverts,
            MEASURED.as_secs(),
            self.processor,
            self.processor / adverts * 1e6,
            self.wakes,
            self.wakes as f64 / adverts * 1e4,
            self.resident_kib as f64 / 1024.0,
        );
    }
}

/// Sends the adverts of the neighbours for a time, whenever anybody discovers; how many.
async fn send_adverts(bluez: &MockBluetoothd, neighbours: u16, time: Duration) -> u32 {
    let mut sent = 0;
    let sending = async {
        let mut next = interval(ADVERT_INTERVAL / u32::from(NEIGHBOURS));
        next.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for number in (0..neighbours).cycle() {
            next.tick().await;
            if bluez.machine().adapter().scanning() {
                let data = [number.to_le_bytes()[0]; 20];
                bluez.advert(ADAPTER, number, &data, Some(-60)).await;
                sent += 1;
            }
        }
    };
    tokio::select! {
        () = sending => sleep(time).await, // there are none
        () = sleep(time) => {}
    }
    sent
}

/// A running daemon. It is asked to stop when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Path) -> Self {
        let bus = std::env::var(BUS).unwrap();
        let mut command = Command::new(TCND);
        command.args(["--bus", &bus, "--config"]);
        command.arg(folder.join("bench.toml"));
        command.arg("--state-dir").arg(folder.join("state"));
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &bus);
        command.stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Seconds of processor time, and wakes, until now.
    fn spent(&self) -> (f64, u64) {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let mut spent = (0.0, 0);
        for task in tasks {
            let task = task.unwrap().path();
            let statistics = fs::read_to_string(task.join("schedstat")).unwrap();
            let nanoseconds: u64 = statistics.split(' ').next().unwrap().parse().unwrap();
            spent.0 += nanoseconds as f64 / 1e9;
            let status = fs::read_to_string(task.join("status")).unwrap();
            spent.1 += field(&status, "voluntary_ctxt_switches:");
        }
        spent
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        field(&status, name)
    }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}
