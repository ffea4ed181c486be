//! `tcnctl watch`: a line for each event, and no other lines.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tcn_protocol::UnixTime;
use tcnd::daemon::{ProblemDetails, State};
use tcnd_client::Problem;
use tokio::sync::mpsc;

use crate::mock_tcnd::{MockTcnd, busy, idle, soon};
use crate::{Daemon, Fixture, assert_contains};

/// A running `watch`; killed if the test ends before it.
struct Watch {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Watch {
    fn start(it: &MockTcnd, format: &str) -> Self {
        Self::of(it.command(&["watch", "--format", format]))
    }

    fn of(mut command: Command) -> Self {
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

    /// A line without its time, or a line below one.
    async fn said(&mut self) -> String {
        let line = self.line().await;
        line.get("18:30:00  ".len()..).unwrap().to_owned()
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
    let it = MockTcnd::new(idle()).await;
    let mut watch = Watch::start(&it, "json");
    assert_eq!(watch.json().await["state"], "idle");
    it.driver.change(|shown| {
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
    let it = MockTcnd::new(busy()).await;
    let mut watch = Watch::start(&it, "json");
    assert_eq!(watch.json().await["adapters"][0]["powered"], true);
    it.driver.change(|shown| shown.adapters[0].powered = false);
    assert_eq!(watch.json().await["adapters"][0]["powered"], false);
    it.driver.change(|shown| shown.adapters.clear());
    let mut last = watch.json().await;
    // It leaves in two signals; timing decides how many documents that makes.
    while last["adapters"] != serde_json::json!([]) {
        last = watch.json().await;
    }
}

#[tokio::test]
async fn a_signal_that_changes_nothing_is_not_told() {
    let mut it = MockTcnd::new(busy()).await;
    let mut watch = Watch::start(&it, "json");
    assert_eq!(watch.json().await["scanning"], true);
    it.driver.heard();
    it.repeat_itself().await;
    assert_eq!(soon(it.driver.asked.recv()).await.unwrap(), "TcnAge");
    it.driver.change(|shown| shown.scanning = false);
    assert_eq!(watch.json().await["scanning"], false);
}

#[tokio::test]
async fn text_says_the_state_and_its_problems() {
    let it = MockTcnd::new(busy()).await;
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
    let it = MockTcnd::new(idle()).await;
    let mut watch = Watch::start(&it, "waybar");
    let module = watch.json().await;
    let keys: Vec<_> = module.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["alt", "class", "text", "tooltip"]);
    assert_eq!(module["class"], "idle");
    assert_eq!(module["text"], "TCN off, 1 new exposure");
    it.leave().await;
    let module = watch.json().await;
    assert_eq!(module["class"], "absent");
    assert_eq!(module["tooltip"], "tcnd is not running.");
}

#[tokio::test]
async fn a_new_exposure_is_told_at_once_to_whoever_may_see_it() {
    let mut it = MockTcnd::new(idle()).await;
    let mut text = Watch::start(&it, "text");
    let mut json = Watch::start(&it, "json");
    let mut waybar = Watch::start(&it, "waybar");
    text.line().await;
    assert_eq!(text.said().await, "1 new exposure; see: tcnctl exposures");
    assert_eq!(text.said().await, "3 devices nearby.");
    assert_eq!(json.json().await["new_exposures"], 1);
    assert_eq!(waybar.json().await["text"], "TCN off, 1 new exposure");
    it.driver.unseen.send_replace(2);
    assert_eq!(text.said().await, "2 new exposures; see: tcnctl exposures");
    let told = json.json().await;
    assert_eq!(told["new_exposures"], 2);
    let event = serde_json::json!([{"event": "new-exposures", "count": 2}]);
    assert_eq!(told["events"], event);
    let module = waybar.json().await;
    assert_eq!(module["text"], "TCN off, 2 new exposures");
    let tooltip = module["tooltip"].as_str().unwrap();
    assert!(tooltip.contains("2 new exposures; see: tcnctl exposures"));

    it.restart(idle()).await;
    while !text.said().await.contains("idle") {}
    assert_eq!(text.said().await, "1 new exposure; see: tcnctl exposures");
    assert_eq!(text.said().await, "3 devices nearby.");
    it.driver.unseen.send_replace(3);
    assert_eq!(text.said().await, "3 new exposures; see: tcnctl exposures");
}

#[tokio::test]
async fn nobody_else_is_told_whether_there_is_an_exposure() {
    let another_user = rustix::process::geteuid().as_raw() + 1;
    let mut it = MockTcnd::with(idle(), another_user).await;
    let mut text = Watch::start(&it, "text");
    let mut json = Watch::start(&it, "json");
    assert!(text.line().await.contains("tcnd is idle"));
    let before = json.json().await;
    assert_eq!(before["new_exposures"], Value::Null);
    assert_eq!(before["nearby"], Value::Null);
    it.driver.unseen.send_replace(2);
    let status = it.json(&["status"]).await;
    assert_eq!(status["new_exposures"], Value::Null);
    assert!(!it.text(&["status"]).await.contains("xposure"));
    it.driver.change(|shown| shown.simulated = true);
    assert!(text.line().await.contains("(simulated)"));
    let after = json.json().await;
    assert_eq!(after["events"], serde_json::json!([{"event": "state"}]));
    assert_eq!(after["new_exposures"], Value::Null);
    let heard = it.driver.heard();
    assert!(heard.iter().all(|asked| asked == "TcnAge"), "{heard:?}");
}

#[tokio::test]
async fn what_happens_is_told_once() {
    let first = busy();
    let it = MockTcnd::new(first.clone()).await;
    let mut watch = Watch::start(&it, "text");
    while watch.said().await != "3 devices nearby." {}
    // A rotation's effect on an adapter is no event.
    it.driver
        .change(|shown| shown.adapters[0].instances_free = 5);
    it.driver
        .change(|shown| shown.airing_since = Some(UnixTime(1_795_001_000)));
    assert_eq!(watch.said().await, "A new number is on the air.");
    let off = Problem::AdvertiseFailed;
    it.driver.change(|shown| {
        shown.problems.insert(off, ProblemDetails::default());
    });
    let began = watch.said().await;
    assert!(
        began.starts_with("Problem: Bluetooth refuses the broadcast"),
        "{began}"
    );
    it.driver.change(|shown| {
        shown.problems.remove(&off);
    });
    let ended = watch.said().await;
    assert!(
        ended.starts_with("Problem ended: Bluetooth refuses"),
        "{ended}"
    );
    it.driver
        .change(|shown| shown.checked = Some(UnixTime(1_795_100_000)));
    assert_eq!(watch.said().await, "Reports were fetched from all sources.");
    it.driver.change(|shown| shown.state = State::Paused);
    assert!(watch.said().await.starts_with("tcnd is paused until"));
}

#[tokio::test]
async fn it_ends_with_its_reader() {
    let it = MockTcnd::new(idle()).await;
    for format in ["text", "json", "waybar"] {
        let mut command = it.command(&["watch", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let ended = tokio::task::spawn_blocking(move || {
            out.read_line(&mut String::new()).unwrap();
            drop(out);
            // The state does not change, so no write can fail.
            child.wait().unwrap()
        });
        let ended = soon(ended).await.unwrap();
        assert!(ended.success(), "{format}: {ended}");
    }
}

#[tokio::test]
async fn a_tooltip_does_not_age() {
    let it = MockTcnd::new(busy()).await;
    it.driver
        .change(|shown| shown.paused = tcnd::daemon::Pause::No);
    let mut watch = Watch::start(&it, "waybar");
    let module = watch.json().await;
    let tooltip = module["tooltip"].as_str().unwrap();
    assert_contains(tooltip, "yes, a number since 2026-11-18");
    assert!(!tooltip.contains(" old"), "{tooltip}");
}

/// With the real daemon: the moment between two numbers is never published.
#[tokio::test]
async fn a_rotation_is_no_state() {
    let fixture = Fixture::new();
    let _daemon = fixture.start();
    let mut command = Command::new(e2e::program("tcnctl"));
    command.args(["--bus", &fixture.address, "watch", "--format", "json"]);
    let mut watch = Watch::of(command);
    // Both numbers are events only if the watch began before them.
    assert_eq!(watch.json().await["advertising"], false);
    let fixture = tokio::task::spawn_blocking(move || {
        fixture.ok(&["enable"]);
        // In another second than the first rotation.
        fixture.until(|status| status["number_age"].as_u64().is_some_and(|age| age > 0));
        fixture.ok(&["rotate"]);
        fixture
    });
    let mut numbers = 0;
    while numbers < 2 {
        let seen = watch.json().await;
        let events = seen["events"].as_array().unwrap();
        let new = |event: &&Value| event["event"] == "new-number";
        numbers += events.iter().filter(new).count();
        if numbers > 0 {
            assert_eq!(seen["state"], "running", "{seen}");
            assert_eq!(seen["advertising"], true, "{seen}");
            assert_eq!(seen["scanning"], true, "{seen}");
        }
    }
    soon(fixture).await.unwrap();
}

/// Reading does not start a tcnd that was stopped.
#[tokio::test]
async fn reading_does_not_start_tcnd() {
    let fixture = Fixture::with_activation();
    let started = fixture.folder.path().join("started");
    let reads: &[&[&str]] = &[
        &["status"],
        &["doctor"],
        &["contacts"],
        &["contacts", "export", "-"],
        &["exposures"],
        &["exposures", "show", "1-300"],
        &["report", "list"],
        &["report", "preview"],
        &["self-test"],
        &["statistics"],
    ];
    for words in reads {
        let ended = fixture.tcnctl(words).status.code();
        assert!(!started.exists(), "{words:?}");
        assert!(*words == ["doctor"] || ended == Some(3), "{words:?}");
    }
    let mut command = Command::new(e2e::program("tcnctl"));
    command.args(["--bus", &fixture.address, "watch"]);
    let mut watch = Watch::of(command);
    assert_eq!(watch.said().await, "tcnd is not running.");
    let mut daemon = Daemon(fixture.tcnd().spawn().unwrap());
    assert!(watch.said().await.contains("tcnd is idle"));
    daemon.stop();
    while watch.said().await != "tcnd is not running." {}
    assert!(!started.exists(), "by watch");
    fixture.tcnctl(&["enable"]);
    assert!(started.exists(), "who acts may start it");
}

#[tokio::test]
async fn without_a_bus_it_ends_with_3() {
    let it = MockTcnd::new(idle()).await;
    let mut watch = Watch::start(&it, "text");
    watch.line().await;
    let MockTcnd { fixture, .. } = it;
    drop(fixture);
    while soon(watch.lines.recv()).await.is_some() {}
    assert_eq!(watch.child.wait().unwrap().code(), Some(3));
}
