//! `tcnctl doctor`: checks whether this machine is fit for tcnd, and whether tcnd
//! works.
//!
//! The checks are independent of tcnd: they ask BlueZ, systemd and the kernel directly,
//! so they also help when tcnd does not start. An unknown fact is reported as
//! `unchecked`, never as `ok`. Nothing is changed, and no check needs a
//! password.
//!
//! The modes `full` and `relay`, where other devices connect, need more of a machine
//! than broadcasting does, and the administrator must set most of it. So the configured
//! mode decides how the checks are judged ([`mode`]), and findings about bluetoothd's
//! main.conf name the line.

mod adapter;
mod bluetoothd;
mod check;
mod command_line;
mod controller;
mod kernel;
mod machine;
mod main_conf;
mod mode;
mod privacy;
mod restart;
mod sandbox;
mod service;
mod unit;

use std::path::Path;

use serde::Serialize;
use tcnd_client::BusChoice;

use self::check::{CheckVerdict, DoctorCheck};
use self::kernel::KernelVersion;
use self::machine::MachineFacts;
use self::mode::ConfiguredMode;
use crate::output::CommandOutput;

/// The document of `doctor --json`; `docs/tcnctl-json.md` describes it.
#[derive(Debug, Serialize)]
struct DoctorDocument {
    ok: bool,
    #[serde(flatten)]
    machine: MachineFacts,
    checks: Vec<DoctorCheck>,
}

/// Runs all checks. The machine is checked on the system bus, where BlueZ always is;
/// tcnd on the bus of `choice`.
pub(crate) async fn doctor(choice: &BusChoice, json: bool) -> CommandOutput {
    let configured = ConfiguredMode::new(tcnd_config::load(&[]));
    let mode = configured.mode();
    let kernel = KernelVersion::read();
    let mut machine = MachineFacts {
        mode: configured.known_name(),
        kernel: kernel.release().to_owned(),
        bluez: None,
        clock_synchronised: None,
        adapters: Vec::new(),
    };
    let mut checks = vec![configured.check(), kernel.check(mode)];
    match tcnd_client::connect(&BusChoice::System).await {
        Ok(system) => {
            let root = Path::new("/");
            checks.extend(machine::checks(&system, mode, root, &mut machine).await);
        }
        Err(_) => checks.push(DoctorCheck::fail(
            "system-bus",
            "the system bus cannot be reached, so Bluetooth was not checked".to_owned(),
            "systemctl start dbus",
        )),
    }
    checks.extend(service::checks(choice).await);
    let ok = checks
        .iter()
        .all(|check| check.verdict != CheckVerdict::Fail);
    let findings = DoctorDocument {
        ok,
        machine,
        checks,
    };
    CommandOutput::new(json, &findings, DoctorDocument::render).failed_unless(ok)
}

impl DoctorDocument {
    fn render(&self) -> String {
        let mut text: String = self.checks.iter().map(DoctorCheck::render).collect();
        text.push_str(if self.ok {
            "No check failed."
        } else {
            "Some checks failed: see their cures."
        });
        text
    }
}
