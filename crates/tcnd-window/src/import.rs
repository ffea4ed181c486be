//! Opens reports of others: they are matched against what this computer heard.

use std::path::Path;

use gtk::gio;
use gtk::prelude::*;
use tcnd_client::proxy::ImportCounts;

use crate::client::CallError;
use crate::context::Context;
use crate::view::{counted, foreign};
use crate::widgets::complain;
use crate::{calls, file_pipe};

/// Matches the reports of files, and says what became of each. Only the exposures page, which
/// hides itself, says whether this computer met a person who reported.
pub(crate) async fn open(context: &Context, files: &[gio::File]) {
    let mut results = Vec::new();
    for file in files {
        let name = file.basename().unwrap_or_default();
        let name = foreign(&name.to_string_lossy());
        let result = match file.path() {
            None => Err(CallError::other(
                "it is not on this computer; save it here first",
            )),
            Some(path) => import(context, &path).await,
        };
        results.push(match result {
            Ok(counts) => format!("{name}: {}", outcome(&counts)),
            Err(error) => format!("{name} was not opened: {error}"),
        });
    }
    complain(&context.window, "Reports of others", &results.join("\n")).await;
}

async fn import(context: &Context, path: &Path) -> Result<ImportCounts, CallError> {
    let (pipe, reading) = file_pipe::reading(path.to_owned()).map_err(CallError::other)?;
    // Exposures will name it.
    let label = printable::file_label(path);
    let imported = context
        .client
        .call(|tcnd| calls::import(tcnd, pipe, label))
        .await;
    match reading.error() {
        Some(error) => Err(error),
        None => imported,
    }
}

/// What became of the reports of a file. It is the same whether a report matched contacts or not:
/// bystanders see it.
fn outcome(counts: &ImportCounts) -> String {
    let read = counts.accepted + counts.duplicate + counts.bad_signature;
    let unread = counts.malformed + counts.too_large;
    let mut text = match read {
        0 => "no report".to_owned(),
        read => format!("{} looked at", counted(read, "report")),
    };
    if unread > 0 {
        text = format!("{text}, {} not readable", counted(unread, "item"));
    }
    format!("{text}. Whether it concerns this computer stands on the page Exposures.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bystanders_do_not_see_whether_a_report_matched() {
        let met = ImportCounts {
            accepted: 2,
            new_exposures: 1,
            ..ImportCounts::default()
        };
        let unmet = ImportCounts {
            accepted: 2,
            ..ImportCounts::default()
        };
        let forged = ImportCounts {
            accepted: 1,
            bad_signature: 1,
            ..ImportCounts::default()
        };
        let known = ImportCounts {
            duplicate: 2,
            known: 1,
            updated: 1,
            ..ImportCounts::default()
        };
        for counts in [met, forged, known] {
            assert_eq!(outcome(&counts), outcome(&unmet));
        }
        let broken = ImportCounts {
            malformed: 1,
            ..ImportCounts::default()
        };
        assert!(outcome(&broken).starts_with("no report, 1 item not readable."));
    }
}
