//! The daemon's state in the tokens of the contract.
//!
//! Each enumeration has one stable lower-case token per value. Every match names every
//! variant, so that no new variant can reach the bus without a token.

use std::collections::BTreeMap;
use std::collections::HashMap;

use tcnd_client::names;
use zbus::{OwnedObjectPath, Variant};

use crate::daemon::{
    Cadence, CadenceReason, Consent, Hold, Pause, ProblemDetails, Snapshot, State,
};
use crate::radio::{Adapter, AddressKind};
use tcnd_client::Problem;

pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Degraded => "degraded",
        State::Paused => "paused",
        State::Idle => "idle",
    }
}

pub(super) fn consent(consent: Consent) -> &'static str {
    match consent {
        Consent::Never => "never",
        Consent::Given => "given",
        Consent::Withdrawn => "withdrawn",
        Consent::Configured => "configured",
    }
}

/// When the number on the air was put there, in seconds since 1970; 0 if none is.
pub(super) fn airing_since(snapshot: &Snapshot) -> u64 {
    snapshot.airing_since.map_or(0, |at| at.0)
}

pub(super) fn problems(problems: &BTreeMap<Problem, ProblemDetails>) -> Vec<&'static str> {
    problems.keys().copied().map(Problem::token).collect()
}

/// Each problem with its detail and since when it lasts, in seconds since 1970.
pub(super) fn problem_details(
    problems: &BTreeMap<Problem, ProblemDetails>,
) -> Vec<(&'static str, String, u64)> {
    let entry = |(problem, details): (&Problem, &ProblemDetails)| {
        let detail = printable::clean(&details.detail);
        (problem.token(), detail, details.since.0)
    };
    problems.iter().map(entry).collect()
}

pub(super) fn address(kind: AddressKind) -> &'static str {
    match kind {
        AddressKind::NonResolvable => "nrpa",
        AddressKind::Resolvable => "rpa",
        AddressKind::Public => "public",
        AddressKind::Unknown => "unknown",
    }
}

pub(super) fn scan_mode(snapshot: &Snapshot) -> &'static str {
    match snapshot.cadence.0 {
        _ if !snapshot.scanning => "off",
        Cadence::Continuous => "active",
        Cadence::Windows => "windows",
        Cadence::ShortWindows => "short-windows",
    }
}

pub(super) fn scan_mode_reason(snapshot: &Snapshot) -> &'static str {
    match snapshot.cadence.1 {
        _ if !snapshot.scanning => "",
        CadenceReason::Configured => "configured",
        CadenceReason::Mains => "mains",
        CadenceReason::Battery => "battery",
        CadenceReason::PowerSaver => "power-saver",
        CadenceReason::Audio => "audio",
        CadenceReason::Device => "device",
    }
}

/// Seconds since 1970; 0 is "not paused", the greatest number "until resumed".
pub(super) fn paused_until(pause: Pause) -> u64 {
    match pause {
        Pause::No => 0,
        Pause::Until(end) => end.0,
        Pause::UntilResumed => u64::MAX,
    }
}

/// The day all sources of reports had been checked successfully, in seconds since 1970;
/// 0 is never.
pub(super) fn checked(snapshot: &Snapshot) -> u64 {
    snapshot.checked.map_or(0, |at| at.day_start().0)
}

/// How many numbers are nearby, in a word.
pub(super) fn presence(numbers: u32) -> &'static str {
    match numbers {
        0 => "none",
        1..=5 => "few",
        6..=20 => "some",
        _ => "many",
    }
}

/// How many sources of reports there are.
pub(super) fn report_sources(snapshot: &Snapshot) -> u32 {
    u32::try_from(snapshot.report_sources).unwrap_or(u32::MAX)
}

pub(super) fn holds(holds: &[Hold]) -> Vec<HashMap<String, Variant<'static>>> {
    let words = |hold: &Hold| {
        HashMap::from([
            ("reason".to_owned(), Variant::from(hold.reason.clone())),
            (
                "application_id".to_owned(),
                Variant::from(hold.application_id.clone()),
            ),
            ("cookie".to_owned(), Variant::from(hold.cookie)),
            ("until".to_owned(), Variant::from(paused_until(hold.until))),
        ])
    };
    holds.iter().map(words).collect()
}

/// The object of the adapter in use, `/` if none is.
pub(super) fn selected(adapters: &[Adapter]) -> OwnedObjectPath {
    adapters
        .iter()
        .find(|adapter| adapter.selected)
        .and_then(|adapter| names::adapter_path(&adapter.name))
        .and_then(|path| OwnedObjectPath::try_from(path).ok())
        .unwrap_or_default()
}

pub(super) fn last_problem(adapter: &Adapter) -> &'static str {
    adapter.last_problem.map_or("", Problem::token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_is_a_word() {
        let words = [0, 1, 5, 6, 20, 21, u32::MAX].map(presence);
        assert_eq!(
            words,
            ["none", "few", "few", "some", "some", "many", "many"]
        );
    }
}
