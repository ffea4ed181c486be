//! `self-test` and `statistics`: the results of tcnd's checks of itself, and its
//! counters.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;
use tcnd_client::proxy;
use zbus::OwnedVariant;

use super::answer::Answer;
use super::client::Client;
use super::error::CliError;

/// The document of `self-test --json`.
#[derive(Debug, Serialize)]
struct SelfTest {
    passed: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    result: String,
    detail: String,
}

/// The document of `statistics --json`: counters since the start of tcnd.
#[derive(Debug, Serialize)]
struct Statistics {
    rotations: u64,
    advert_ok: u64,
    advert_fail: u64,
    scan_restarts: u64,
    invalid_frames: u64,
    dropped: u64,
    rows: u64,
    db_bytes: u64,
}

/// Exit status 0 if every check passed.
pub(super) async fn self_test(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let manager = client.manager().await?;
    let checks = client.told(manager.self_test(HashMap::new()).await)?;
    let checks: Vec<_> = checks.into_iter().map(Check::new).collect();
    let passed = checks.iter().all(|check| check.result == "passed");
    let document = SelfTest { passed, checks };
    Ok(Answer::new(json, &document, SelfTest::render).failed_unless(passed))
}

pub(super) async fn statistics(client: &Client, json: bool) -> Result<Answer, CliError> {
    let _agent = client.ready_for_questions().await;
    let contacts = client.contacts().await?;
    let counted = client.told(contacts.get_statistics().await)?;
    Ok(Answer::new(
        json,
        &Statistics::new(&counted),
        Statistics::render,
    ))
}

impl Check {
    fn new(mut of: HashMap<String, OwnedVariant>) -> Self {
        let mut take = |key: &str| {
            let value = of.remove(key).map(String::try_from);
            value.and_then(Result::ok).unwrap_or_default()
        };
        Self {
            name: take("name"),
            result: take("result"),
            detail: take("detail"),
        }
    }
}

impl SelfTest {
    fn render(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let mark = match check.result.as_str() {
                "passed" => "ok",
                "failed" => "FAIL",
                _ => "-",
            };
            let (name, detail) = (
                printable::clean(&check.name),
                printable::line(&check.detail),
            );
            let _ = writeln!(text, "{mark:<5} {name:<14} {detail}");
        }
        text.push_str(if self.passed {
            "tcnd finds nothing wrong with itself."
        } else {
            "Something is wrong: see what failed. What helps: tcnctl doctor"
        });
        text
    }
}

impl Statistics {
    fn new(of: &proxy::DaemonStatistics) -> Self {
        Self {
            rotations: of.rotations,
            advert_ok: of.advert_ok,
            advert_fail: of.advert_fail,
            scan_restarts: of.scan_restarts,
            invalid_frames: of.invalid_frames,
            dropped: of.dropped,
            rows: of.rows,
            db_bytes: of.db_bytes,
        }
    }

    fn render(&self) -> String {
        let counts = [
            ("own numbers put on the air", self.rotations),
            ("adverts the controller took", self.advert_ok),
            ("adverts it refused", self.advert_fail),
            ("times listening was started anew", self.scan_restarts),
            ("frames that were no numbers", self.invalid_frames),
            ("sightings dropped for want of room", self.dropped),
            ("contacts in the log", self.rows),
            ("bytes of the log on disk", self.db_bytes),
        ];
        let mut text = "Since tcnd was started, and of its log:\n".to_owned();
        for (what, count) in counts {
            let _ = writeln!(text, "  {count:>12}  {what}");
        }
        text
    }
}
