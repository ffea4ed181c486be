//! `tcnctl self-test`: the results of tcnd's checks of itself.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;
use zbus::OwnedVariant;

use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

/// The document of `self-test --json`.
#[derive(Debug, Serialize)]
struct SelfTestDocument {
    passed: bool,
    checks: Vec<SelfTestCheck>,
}

#[derive(Debug, Serialize)]
struct SelfTestCheck {
    name: String,
    result: String,
    detail: String,
}

/// Exit status 0 if every check passed.
pub(crate) async fn self_test(client: &Client) -> Result<CommandOutput, CliError> {
    let manager = client.manager().await?;
    let checks = client.map_err(manager.self_test(HashMap::new()).await)?;
    let checks: Vec<_> = checks.into_iter().map(SelfTestCheck::new).collect();
    let passed = checks.iter().all(|check| check.result == "passed");
    let document = SelfTestDocument { passed, checks };
    Ok(client
        .output(&document, SelfTestDocument::render)
        .failed_unless(passed))
}

impl SelfTestCheck {
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

impl SelfTestDocument {
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
            "All tests passed."
        } else {
            "A test failed. To find the cause: tcnctl doctor"
        });
        text
    }
}
