//! Scripts rely on `docs/tcnctl-json.md`: every document in it has exactly the keys
//! that are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::doctor;
use crate::mock_tcnd::{MockTcnd, busy, run, soon};

const PAGE: &str = include_str!("../../../../docs/tcnctl-json.md");
const REPORT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fuzz/seeds/wire/specification"
);

/// The example under each heading.
fn examples() -> BTreeMap<&'static str, Value> {
    let sections = PAGE.split("\n## tcnctl ").skip(1);
    sections
        .map(|section| {
            let (command, rest) = section.split_once('\n').unwrap();
            let (_, block) = rest.split_once("```json\n").unwrap();
            let (example, _) = block.split_once("\n```").unwrap();
            (command, serde_json::from_str(example).unwrap())
        })
        .collect()
}

/// Every key with its path; all elements of a list count as one.
fn keys(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, way: &str, found: &mut BTreeSet<String>) {
        if let Some(object) = value.as_object() {
            for (key, value) in object {
                let way = format!("{way}.{key}");
                walk(value, &way, found);
                found.insert(way);
            }
        }
        for value in value.as_array().into_iter().flatten() {
            walk(value, &format!("{way}[]"), found);
        }
    }
    let mut found = BTreeSet::new();
    walk(value, "", &mut found);
    found
}

#[tokio::test]
async fn every_example_has_the_keys_that_are_printed() {
    let it = MockTcnd::new(busy()).await;
    let bad = it.fixture.folder.path().join("bad.toml");
    fs::write(&bad, "tcn_perod = 1").unwrap();
    for (command, example) in examples() {
        let printed = match command {
            "watch --format json" => first_of_watch(&it, "json").await,
            "watch --format waybar" => first_of_watch(&it, "waybar").await,
            "doctor" => print_of_doctor(&it).await,
            "config check" => print(&it, &["config", "check", bad.to_str().unwrap()]).await,
            "report inspect" => print(&it, &["report", "inspect", REPORT, "--expand"]).await,
            _ => {
                let file = it.fixture.folder.path().join(command.replace(' ', "-"));
                let more = arguments(command, file.to_str().unwrap());
                let words: Vec<&str> = command.split(' ').chain(more).collect();
                print(&it, &words).await
            }
        };
        assert_eq!(keys(&printed), keys(&example), "{command}");
    }
}

/// The arguments that a command needs; `file` does not exist.
fn arguments<'a>(command: &str, file: &'a str) -> Vec<&'a str> {
    match command {
        "contacts export" => vec![file],
        "contacts erase" | "wipe" => vec!["--yes"],
        "report create" => vec!["--symptoms", "none", "--yes"],
        "report export" => vec!["3", file],
        "report publish" => vec!["3", "--yes"],
        "report publish --cancel" => vec!["3"],
        "report delete" => vec!["3", "--yes"],
        "report import" => vec![REPORT],
        "exposures dismiss" | "exposures restore" => vec!["8-93600"],
        _ => Vec::new(),
    }
}

#[test]
fn no_command_is_forgotten() {
    let commands: Vec<_> = examples().into_keys().collect();
    let expected = [
        "clock confirm",
        "config check",
        "contacts",
        "contacts erase",
        "contacts export",
        "doctor",
        "enable",
        "exposures",
        "exposures dismiss",
        "exposures restore",
        "pause",
        "report check",
        "report create",
        "report delete",
        "report export",
        "report import",
        "report inspect",
        "report list",
        "report preview",
        "report publish",
        "report publish --cancel",
        "resume",
        "rotate",
        "self-test",
        "statistics",
        "status",
        "watch --format json",
        "watch --format waybar",
        "wipe",
    ];
    assert_eq!(commands, expected);
}

async fn print(it: &MockTcnd, words: &[&str]) -> Value {
    let output = run(it.command(&[words, &["--json"]].concat())).await;
    serde_json::from_slice(&output.stdout).unwrap()
}

/// On a machine with an adapter.
async fn print_of_doctor(it: &MockTcnd) -> Value {
    let _bluez = doctor::bluez(it, Some((doctor::FIT, Some(doctor::extended())))).await;
    let mut command = it.command(&["doctor", "--json"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", &it.fixture.address);
    serde_json::from_slice(&run(command).await.stdout).unwrap()
}

async fn first_of_watch(it: &MockTcnd, format: &str) -> Value {
    let mut command = it.command(&["watch", "--format", format]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line
    });
    let line = soon(line).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    serde_json::from_str(&line).unwrap()
}
