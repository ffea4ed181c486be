//! Uploads parts that are due, each separately.
//!
//! tcnd decides which part is due and when, and records it as sent before this program
//! gets it. Nothing is kept between two parts that would link them: no connection, no
//! session, no order of our own.
//!
//! Only tcnd learns the outcome of a part, and shows it only to users who may see
//! reports. The journal, the exit status and the problems of a source are visible to
//! others too, and do not mention it: a part that was due reveals that a person is ill.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tcn_exchange::source::{Source, SourceLocation};
use tcn_exchange::upload_result::UploadResult;

use super::error::SyncError;
use super::problem::Problem;
use super::tcnd::TcndClient;
use super::{clock, folder, http};

/// Parts that one run takes for a source; more than fourteen days have.
const MAX_PARTS: usize = 256;

/// Uploads the parts that are due at this source, until one fails.
pub(super) async fn upload_due_parts(tcnd: &TcndClient, source: &Source) -> Result<(), SyncError> {
    for _ in 0..MAX_PARTS {
        let due = tcnd.take_part(&source.name).await?;
        let (Some(part), Some(report)) = (due.part, due.report) else {
            break;
        };
        let result = send(source, &report).await;
        let result = result.unwrap_or_else(|problem| UploadResult::failed(problem.token(), None));
        tcnd.settle(part, &result).await?;
        if matches!(result, UploadResult::Failed { .. }) {
            break;
        }
    }
    Ok(())
}

async fn send(source: &Source, report: &[u8]) -> Result<UploadResult, Problem> {
    match &source.location {
        SourceLocation::CoepiV4(server) => {
            let body = STANDARD.encode(report);
            Box::pin(http::post_report(server.url(), body, source.limits.timeout)).await
        }
        SourceLocation::Folder(path) => {
            let put = folder::put(path, report, &mut clock::rng());
            put.map(|()| UploadResult::Accepted)
                .map_err(|_| Problem::Unreadable)
        }
        // The configuration publishes to no mirror.
        SourceLocation::Mirror(_) => Err(Problem::Refused(None)),
    }
}
