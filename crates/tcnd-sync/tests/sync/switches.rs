//! Flags and exit statuses.

use std::fs;
use std::process::Command;

use crate::mock_server::{MockServer, Reply};
use crate::mock_tcnd::{CallHold, When};
use crate::{Harness, RunOutput, Running, run, soon};

#[test]
fn without_a_source_it_says_so_and_is_well() {
    let harness = Harness::new();
    harness.sources(&[]);
    let ended = harness.run().is(0);
    ended.says("no source is configured");
    assert_eq!(ended.log.lines().count(), 1);
    assert_eq!(harness.tcnd.state().calls, ["begin", "end"]);
    assert_eq!(harness.tcnd.state().sources, []);
}

#[test]
fn a_faulty_registry_is_refused_with_every_fault_before_anybody_is_asked() {
    for check in [true, false] {
        let harness = Harness::of("mirror", "http://reports.example.org/", "publsh = true");
        let mut command = harness.command();
        if check {
            command.arg("--check-config");
        }
        let ended = RunOutput::of(&run(command)).is(78);
        for part in [
            "sources.toml:4: url: ",
            "allow_http = true",
            "sources.toml:5: ",
            "\"publish\"?",
        ] {
            ended.says(part);
        }
        assert!(harness.tcnd.state().calls.is_empty());
    }
}

#[test]
fn a_sound_registry_can_be_checked_without_tcnd() {
    let harness = Harness::of("folder", "/media/reports", "");
    let mut command = harness.command();
    command.arg("--check-config");
    let output = run(command);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("The configuration is valid"), "{said}");
    assert!(harness.tcnd.state().calls.is_empty());
}

#[test]
fn without_tcnd_it_says_that_and_ends_with_3() {
    let harness = Harness::new();
    harness.sources(&[]);
    for address in ["unix:path=/nonexistent", "unowned"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcnd-sync"));
        command.stderr(std::process::Stdio::piped());
        command
            .arg("--state-dir")
            .arg(harness.state())
            .arg("--sources");
        command
            .arg(harness.folder.path().join("sources.toml"))
            .arg("--bus");
        let bus;
        let address = if address == "unowned" {
            // A bus without tcnd.
            bus = crate::dbus_daemon::DbusDaemon::start("--session");
            &bus.address
        } else {
            address
        };
        command.arg(address).stdout(std::process::Stdio::piped());
        RunOutput::of(&run(command))
            .is(3)
            .says("systemctl status tcnd");
    }
}

#[test]
fn a_second_run_leaves_the_first_alone() {
    let server = MockServer::new(|_| Reply::ok(b"[]".to_vec()));
    let harness = Harness::of("coepi-v4", &server.url(), "");
    let hold = CallHold {
        call: "pending",
        when: When::Before,
        skip: 0,
    };
    let held = harness.tcnd.hold(hold);
    let mut first = Running::start(&harness);
    soon(&held);
    harness.run().is(1).says("another run is under way");
    assert_eq!(server.asked(), 0);
    first.kill();
    harness.run().is(0);
    assert_eq!(server.asked(), 1);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let harness = Harness::new();
    harness.sources(&[]);
    fs::remove_dir(harness.state()).unwrap();
    fs::write(harness.state(), "").unwrap();
    harness.run().is(1).says("state directory");
}

#[test]
fn a_usage_error_ends_with_2() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcnd-sync"));
    command
        .arg("--nonsense")
        .stderr(std::process::Stdio::null());
    assert_eq!(run(command).status.code(), Some(2));
}
