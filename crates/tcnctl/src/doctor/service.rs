//! tcnd itself: whether it answers, has consent, and has no problems.

use tcnd_client::BusChoice;

use super::{Check, Verdict};
use crate::client::{Client, Purpose};
use crate::error::{CliError, Topic};
use crate::status::{CurrentProblem, Status};

/// All checks of tcnd, on its own bus.
pub(super) async fn checks(choice: &BusChoice) -> Vec<Check> {
    let client = Client::connect(choice, Purpose::Read, Topic::Control);
    let read = async { Status::read(&client.await?).await };
    match read.await {
        Ok(status) => status_checks(&status),
        Err(error) => vec![unreached(&error)],
    }
}

fn unreached(error: &CliError) -> Check {
    Check::fail("tcnd", error.to_string(), cure(error))
}

fn cure(error: &CliError) -> String {
    match error {
        // Reading needs no authorisation, so the bus itself refused.
        CliError::NotAuthorized { .. } => {
            "install tcnd's D-Bus policy again, then: systemctl reload dbus".to_owned()
        }
        CliError::NoBus { .. }
        | CliError::HungUp { .. }
        | CliError::NotRunning { .. }
        | CliError::Refused { .. }
        | CliError::NotUnderstood(_)
        | CliError::Config(_)
        | CliError::ReportFile(_)
        | CliError::File { .. }
        | CliError::NewFile { .. }
        | CliError::Memo(_)
        | CliError::Symptoms(_)
        | CliError::Note(_)
        | CliError::NotAgreed
        | CliError::NobodyToAsk
        | CliError::Output(_)
        | CliError::Runtime(_) => error.hint(),
    }
}

fn status_checks(status: &Status) -> Vec<Check> {
    let simulated = if status.simulated {
        ", in a simulated neighbourhood"
    } else {
        ""
    };
    let found = format!(
        "version {} runs{simulated}",
        printable::line(&status.version)
    );
    let mut checks = vec![Check::ok("tcnd", found), consent(status)];
    checks.extend(status.problems.iter().map(problem));
    checks
}

fn consent(status: &Status) -> Check {
    if status.enabled {
        Check::ok("consent", "is given")
    } else {
        let found = format!(
            "is not given, so nothing is broadcast: {}",
            status.refusal()
        );
        Check::warn("consent", found, status.way_to_consent())
    }
}

fn problem(current: &CurrentProblem) -> Check {
    let problem = &current.problem;
    let error = match current.detail.as_str() {
        "" => String::new(),
        detail => format!(" (error: {})", printable::line(detail)),
    };
    Check {
        name: "problem",
        verdict: Verdict::Fail,
        found: format!(
            "{}: {}{error}",
            printable::line(&problem.token),
            problem.sentence
        ),
        cure: Some(problem.cure.clone()),
    }
}
