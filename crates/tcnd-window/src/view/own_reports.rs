//! The reports of this computer, and how far each has got.

use jiff::ZonedDateTime;
use local_time::{show, show_span};
use tcnd_client::proxy::{OwnReportInfo, UploadStatus};

use super::{TextRow, counted, foreign};

/// One report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnReportView {
    pub(crate) id: String,
    pub(crate) title: String,
    /// What it gives away.
    pub(crate) subtitle: String,
    /// Where it went, and how far its parts have got.
    pub(crate) details: Vec<TextRow>,
    /// It is only the record of what left.
    pub(crate) deleted: bool,
    /// Some parts have not left yet.
    pub(crate) can_cancel: bool,
}

impl OwnReportView {
    pub(crate) fn new(report: &OwnReportInfo, now: &ZonedDateTime) -> Self {
        let waits = |part: &UploadStatus| part.state == "queued";
        let mut details: Vec<_> = report
            .departures
            .iter()
            .map(|(at, how)| TextRow::new(departure(how), show(*at, now)))
            .collect();
        details.extend(uploads(&report.uploads, now));
        if details.is_empty() {
            details.push(TextRow::new("It has not left this computer", ""));
        }
        let made = format!("Report {} of {}", report.id, show(report.created, now));
        Self {
            id: report.id.clone(),
            title: match report.deleted {
                None => made,
                Some(at) => format!("{made}, deleted {}", show(at, now)),
            },
            subtitle: format!(
                "{}, {}",
                counted(report.numbers, "number"),
                show_span(report.from, report.to, now)
            ),
            details,
            deleted: report.deleted.is_some(),
            can_cancel: report.uploads.iter().any(waits),
        }
    }
}

/// How a report left.
fn departure(token: &str) -> String {
    match token.split_once('-') {
        Some(("export", _)) => "Saved to a file".to_owned(),
        Some(("publish", server)) => format!("Sent to {}", foreign(server)),
        _ => foreign(token),
    }
}

/// The progress for each server.
fn uploads(parts: &[UploadStatus], now: &ZonedDateTime) -> Vec<TextRow> {
    let server = |parts: &[UploadStatus]| {
        let count = |state: &str| parts.iter().filter(|part| part.state == state).count();
        let mut states: Vec<_> = parts.iter().map(|part| part.state.as_str()).collect();
        states.sort_unstable();
        states.dedup();
        let counts = states
            .iter()
            .map(|state| format!("{} {}", count(state), foreign(state)));
        let mut text = counts.collect::<Vec<_>>().join(", ");
        if let Some(next) = parts.iter().filter_map(|part| part.due).min() {
            text = format!("{text}; the next one {} or later", show(next, now));
        }
        if let Some(said) = parts.iter().find(|part| !part.reason.is_empty()) {
            text = format!("{text}; last: {}", foreign(&said.reason));
        }
        TextRow::new(format!("Parts for {}", foreign(&parts[0].source)), text)
    };
    parts
        .chunk_by(|a, b| a.source == b.source)
        .map(server)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> ZonedDateTime {
        "2026-11-28T18:00:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    #[test]
    fn a_report_shows_its_parts_by_server() {
        let part = |source: &str, state: &str, due| UploadStatus {
            source: source.to_owned(),
            state: state.to_owned(),
            due,
            reason: "\u{1b}no".to_owned(),
            ..UploadStatus::default()
        };
        let report = OwnReportInfo {
            id: "1".to_owned(),
            created: 1_795_881_600,
            numbers: 1,
            from: 1_795_798_800,
            to: 1_795_885_200,
            uploads: vec![
                part("a", "accepted", None),
                part("a", "queued", Some(1_795_888_800)),
                part("b", "refused", None),
            ],
            departures: vec![(1_795_881_600, "export-tcn".to_owned())],
            ..OwnReportInfo::default()
        };
        let view = OwnReportView::new(&report, &now());
        assert_eq!(view.title, "Report 1 of 17:00");
        assert!(view.can_cancel && !view.deleted);
        let details: Vec<_> = view
            .details
            .iter()
            .map(|row| (row.title.as_str(), row.subtitle.as_str()))
            .collect();
        assert_eq!(
            details,
            [
                ("Saved to a file", "17:00"),
                (
                    "Parts for a",
                    "1 accepted, 1 queued; the next one 19:00 or later; last:  no"
                ),
                ("Parts for b", "1 refused; last:  no"),
            ]
        );
        let fresh = OwnReportView::new(
            &OwnReportInfo {
                uploads: vec![],
                departures: vec![],
                ..report
            },
            &now(),
        );
        assert_eq!(fresh.details[0].title, "It has not left this computer");
        assert!(!fresh.can_cancel);
    }
}
