//! `tcnctl doctor`: is this machine fit, and does tcnd do its work on it?
//!
//! The checks stand on their own feet: they ask BlueZ, systemd and the kernel
//! directly, so they help most when tcnd does not even start. Whatever cannot
//! be found out is `unchecked` and said to be so; it is never passed off as
//! well. Nothing is changed, and nothing needs a password.
//!
//! The modes `full` and `relay`, where others connect, ask more of a machine
//! than broadcasting does, and most of it is the administrator's to set. So the
//! checks are judged by the configured mode ([`mode`]), and what is said of
//! bluetoothd's main.conf names the line.

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

/// The plain facts that the checks were judged by, as far as they were found.
#[derive(Debug, Serialize)]
struct Machine {
    mode: Option<&'static str>,
    kernel: String,
    bluez: Option<String>,
    clock_synchronised: Option<bool>,
    adapters: Vec<adapter::Facts>,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    /// A stable token.
    name: &'static str,
    verdict: Verdict,
    /// What was found, for people.
    found: String,
    /// What helps; with every warning and failure.
    cure: Option<String>,
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Well.
    Ok,
    /// tcnd works, but this should be known.
    Warn,
    /// tcnd does not work, or not all of it.
    Fail,
    /// It could not be found out.
    Unchecked,
}

/// Looks at everything. The machine is asked on the system bus, where BlueZ
/// always is; tcnd where `choice` says.
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
