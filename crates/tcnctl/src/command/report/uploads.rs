//! The parts of an own report that are sent to servers.

use std::fmt::Write as _;

use jiff::ZonedDateTime;
use serde_json::json;
use tcnd_client::proxy::UploadStatus;

/// `1 signed report is`, `2 signed reports are`.
pub(crate) fn parts(count: usize, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 signed report {one}"),
        count => format!("{count} signed reports {more}"),
    }
}

pub(crate) fn parts_of(count: u32, one: &str, more: &str) -> String {
    parts(usize::try_from(count).unwrap_or(usize::MAX), one, more)
}

/// A part that is to be sent, as JSON.
pub(crate) fn document(upload: &UploadStatus) -> serde_json::Value {
    json!({
        "source": upload.source,
        "state": upload.state,
        "at": upload.at,
        "due": upload.due,
        "reason": upload.reason,
    })
}

/// The progress of a report's parts, a line for each server.
pub(crate) fn progress(uploads: &[UploadStatus], now: &ZonedDateTime) -> Vec<String> {
    let mut lines = Vec::new();
    // The parts are sorted by source.
    for parts in uploads.chunk_by(|a, b| a.source == b.source) {
        let mut line = format!("published to {}:", printable::line(&parts[0].source));
        let count = |state: &str| parts.iter().filter(|part| part.state == state).count();
        let mut states: Vec<&str> = parts.iter().map(|part| part.state.as_str()).collect();
        states.sort_unstable();
        states.dedup();
        let counts: Vec<_> = states
            .iter()
            .map(|state| format!("{} {state}", count(state)))
            .collect();
        let _ = write!(line, " {}", printable::line(counts.join(", ")));
        if let Some(next) = parts.iter().filter_map(|part| part.due).min() {
            let _ = write!(
                line,
                "; the next one {} or later",
                local_time::show(next, now)
            );
        }
        if let Some(said) = parts.iter().find(|part| !part.reason.is_empty()) {
            let _ = write!(line, "; last: {}", printable::line(&said.reason));
        }
        lines.push(line);
    }
    lines
}
