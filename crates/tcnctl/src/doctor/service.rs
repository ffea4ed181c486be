//! tcnd itself: whether it answers, has consent, and has no problems.

use tcnd_client::BusChoice;

use super::check::{CheckVerdict, DoctorCheck};
use crate::client::{Client, Purpose};
use crate::command::status::{CurrentProblem, Status};
use crate::error::CliError;

/// All checks of tcnd, on its own bus.
pub(crate) async fn checks(choice: &BusChoice) -> Vec<DoctorCheck> {
    // It prints nothing.
    let client = Client::connect(choice, Purpose::Read, false);
    let read = async { Status::read(&client.await?).await };
    match read.await {
        Ok(status) => status_checks(&status),
        Err(error) => vec![unreached(&error)],
    }
}

fn unreached(error: &CliError) -> DoctorCheck {
    DoctorCheck::fail("tcnd", error.to_string(), cure(error))
}

fn cure(error: &CliError) -> String {
    if let CliError::NotAuthorized { .. } = error {
        // Reading needs no authorisation, so the bus itself refused.
        return "install tcnd's D-Bus policy again, then: systemctl reload dbus".to_owned();
    }
    error.hint()
}

fn status_checks(status: &Status) -> Vec<DoctorCheck> {
    let simulated = if status.simulated {
        ", with simulated devices nearby"
    } else {
        ""
    };
    let found = format!(
        "version {} runs{simulated}",
        printable::line(&status.version)
    );
    let mut checks = vec![DoctorCheck::ok("tcnd", found), consent(status)];
    checks.extend(status.problems.iter().map(problem));
    checks
}

fn consent(status: &Status) -> DoctorCheck {
    if status.enabled {
        DoctorCheck::ok("consent", "is given")
    } else {
        let found = format!(
            "is not given, so nothing is broadcast: {}",
            status.no_consent_reason()
        );
        DoctorCheck::warn("consent", found, status.how_to_consent())
    }
}

fn problem(current: &CurrentProblem) -> DoctorCheck {
    let problem = &current.problem;
    let error = match current.detail.as_str() {
        "" => String::new(),
        detail => format!(" (error: {})", printable::line(detail)),
    };
    DoctorCheck {
        name: "problem",
        verdict: CheckVerdict::Fail,
        found: format!(
            "{}: {}{error}",
            printable::line(&problem.token),
            problem.sentence
        ),
        cure: Some(problem.cure.clone()),
    }
}
