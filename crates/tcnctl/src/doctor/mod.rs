//! `tcnctl doctor`: checks whether this machine is fit for tcnd, and whether tcnd
//! works.
//!
//! The checks are independent of tcnd: they ask BlueZ, systemd and the kernel directly,
//! so they help most when tcnd does not even start. A fact that cannot be found out is
//! reported as `unchecked`, never as `ok`. Nothing is changed, and no check needs a
//! password.
//!
//! The modes `full` and `relay`, where other devices connect, need more of a machine
//! than broadcasting does, and the administrator must set most of it. So the configured
//! mode decides how the checks are judged ([`mode`]), and findings about bluetoothd's
//! main.conf name the line.

mod adapter;
mod bluetoothd;
mod command_line;
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

use super::answer::Answer;
use kernel::Kernel;
use mode::Asked;

/// The document of `doctor --json`; `docs/tcnctl-json.md` describes it.
#[derive(Debug, Serialize)]
struct Findings {
    ok: bool,
    #[serde(flatten)]
    machine: Machine,
    checks: Vec<Check>,
}

/// The facts behind the checks, as far as they are known.
#[derive(Debug, Serialize)]
struct Machine {
    mode: Option<&'static str>,
    kernel: String,
    bluez: Option<String>,
    clock_synchronised: Option<bool>,
    adapters: Vec<adapter::Facts>,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    /// A stable token.
    name: &'static str,
    verdict: Verdict,
    /// The finding, for people.
    found: String,
    /// The remedy; present with every warning and failure.
    cure: Option<String>,
}

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// No fault.
    Ok,
    /// tcnd works, but the user should know this.
    Warn,
    /// tcnd does not work, or only in part.
    Fail,
    /// It could not be found out.
    Unchecked,
}

/// Runs all checks. The machine is checked on the system bus, where BlueZ always is;
/// tcnd on the bus of `choice`.
pub(super) async fn doctor(choice: &BusChoice, json: bool) -> Answer {
    let asked = Asked::new(tcnd_config::load(&[]));
    let mode = asked.mode();
    let kernel = Kernel::read();
    let mut machine = Machine {
        mode: asked.fact(),
        kernel: kernel.release().to_owned(),
        bluez: None,
        clock_synchronised: None,
        adapters: Vec::new(),
    };
    let mut checks = vec![asked.check(), kernel.check(mode)];
    match tcnd_client::connect(&BusChoice::System).await {
        Ok(system) => {
            let ground = Path::new("/");
            checks.extend(machine::checks(&system, mode, ground, &mut machine).await);
        }
        Err(_) => checks.push(Check::fail(
            "system-bus",
            "the system bus cannot be reached, so Bluetooth was not looked at".to_owned(),
            "systemctl start dbus",
        )),
    }
    checks.extend(service::checks(choice).await);
    let ok = checks.iter().all(|check| check.verdict != Verdict::Fail);
    let findings = Findings {
        ok,
        machine,
        checks,
    };
    Answer::new(json, &findings, Findings::render).failed_unless(ok)
}

impl Findings {
    fn render(&self) -> String {
        let mut text: String = self.checks.iter().map(Check::render).collect();
        text.push_str(if self.ok {
            "Nothing is in the way."
        } else {
            "Something is in the way: see what failed, and its cure."
        });
        text
    }
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            found: found.into(),
            cure: None,
        }
    }

    fn warn(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            cure: Some(cure.into()),
            ..Self::ok(name, found)
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(name, found, cure)
        }
    }

    fn unchecked(name: &'static str, why: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Unchecked,
            ..Self::ok(name, why)
        }
    }

    fn render(&self) -> String {
        let mark = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
            Verdict::Unchecked => "-",
        };
        let mut text = format!("{mark:<5} {:<14} {}\n", self.name, self.found);
        if let Some(cure) = &self.cure {
            text.push_str(&format!("{:<21}cure: {cure}\n", ""));
        }
        text
    }
}
