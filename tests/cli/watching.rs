//! `tcnctl watch`: a line for every change, and for nothing else.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;
use tcnd::daemon::State;
use tokio::sync::mpsc;

use crate::stand_in::{StandIn, busy, idle, soon};

/// A running `watch`; killed if the test ends before it.
struct Watch {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Watch {
    fn start(it: &StandIn, format: &str) -> Self {
        let mut command = it.command(&["watch", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::unbounded_channel();
        tokio::task::spawn_blocking(move || {
            for line in out.lines() {
                let _ = tell.send(line.unwrap());
            }
        });
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        soon(self.lines.recv()).await.expect("watch goes on")
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn each_change_is_one_document_and_the_daemon_may_come_and_go() {
    let it = StandIn::new(idle()).await;
    let mut watch = Watch::start(&it, "json");
    assert_eq!(watch.json().await["state"], "idle");
    it.puppet.change(|shown| {
        shown.enabled = true;
        shown.state = State::Running;
        shown.advertising = true;
    });
    let running = watch.json().await;
    assert_eq!(running["state"], "running");
    assert_eq!(running["number_age"], 61);
    it.leave().await;
    assert_eq!(watch.json().await, serde_json::json!({"state": "absent"}));
    it.come_back().await;
    assert_eq!(watch.json().await, running);
}

#[tokio::test]
async fn an_adapter_that_changes_is_a_change() {
    let it = StandIn::new(busy()).await;
    let mut watch = Watch::start(&it, "json");
    assert_eq!(watch.json().await["adapters"][0]["powered"], true);
    it.puppet.change(|shown| shown.adapters[0].powered = false);
    assert_eq!(watch.json().await["adapters"][0]["powered"], false);
    it.puppet.change(|shown| shown.adapters.clear());
    let mut last = watch.json().await;
    // It leaves in two signals; how many documents that makes is a matter of time.
    while last["adapters"] != serde_json::json!([]) {
        last = watch.json().await;
    }
}

#[tokio::test]
async fn a_signal_that_changes_nothing_is_not_told() {
    let mut it = StandIn::new(busy()).await;
    let mut watch = Watch::start(&it, "json");
    assert_eq!(watch.json().await["scanning"], true);
    it.puppet.heard();
    it.repeat_itself().await;
    assert_eq!(soon(it.puppet.asked.recv()).await.unwrap(), "TcnAge");
    it.puppet.change(|shown| shown.scanning = false);
    assert_eq!(watch.json().await["scanning"], false);
}

#[tokio::test]
async fn text_says_the_state_and_its_problems() {
    let it = StandIn::new(busy()).await;
    let mut watch = Watch::start(&it, "text");
    let line = watch.line().await;
    let (time, sentence) = line.split_at("18:30:00".len());
    assert!(
        time.chars().all(|c| c.is_ascii_digit() || c == ':'),
        "{line}"
    );
    assert_eq!(
        sentence,
        "  tcnd is running, but not all of it works. (simulated)"
    );
    let problem = watch.line().await;
    assert_eq!(
        problem.trim(),
        "Bluetooth refuses to listen; tcnd keeps trying."
    );
}

#[tokio::test]
async fn waybar_gets_what_it_understands() {
    let it = StandIn::new(idle()).await;
    let mut watch = Watch::start(&it, "waybar");
    let module = watch.json().await;
    let keys: Vec<_> = module.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["alt", "class", "text", "tooltip"]);
    assert_eq!(module["class"], "idle");
    assert_eq!(module["text"], "TCN off");
    it.leave().await;
    let module = watch.json().await;
    assert_eq!(module["class"], "absent");
    assert_eq!(module["tooltip"], "tcnd is not running.");
}

#[tokio::test]
async fn without_a_bus_it_ends_with_3() {
    let it = StandIn::new(idle()).await;
    let mut watch = Watch::start(&it, "text");
    watch.line().await;
    let StandIn { place, .. } = it;
    drop(place);
    assert_eq!(soon(watch.lines.recv()).await, None);
    assert_eq!(watch.child.wait().unwrap().code(), Some(3));
}
