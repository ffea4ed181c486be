//! Uploads: what is due goes out, each part by itself.
//!
//! tcnd says what is due and when, and has written down that it left before we
//! get it. Between two parts nothing is kept that would join them: neither a
//! connection, nor a session, nor an order of ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::problem::Problem;
use super::service::Tcnd;
use super::{Fault, clock, folder, http};
use crate::exchange::settlement::Settlement;
use crate::exchange::source::{Place, Source};

/// Parts that one run takes for a source; more than fourteen days have.
const MOST_PARTS: usize = 256;

/// Uploads what is due at this source; the problem that ended it, if one did.
pub(super) async fn push(tcnd: &Tcnd, source: &Source) -> Result<Option<Problem>, Fault> {
    let mut settled = (0u32, 0u32);
    for _ in 0..MOST_PARTS {
        let due = tcnd.take_part(&source.name).await?;
        let (Some(part), Some(report)) = (due.part, due.report) else {
            break;
        };
        let (settlement, problem) = match send(source, &report).await {
            Ok(Settlement::Failed { retry_after }) => (
                Settlement::Failed { retry_after },
                Some(Problem::Refused(retry_after)),
            ),
            Ok(settlement) => (settlement, None),
            Err(problem) => (Settlement::Failed { retry_after: None }, Some(problem)),
        };
        tcnd.settle(part, &settlement, problem).await?;
        match settlement {
            Settlement::Accepted => settled.0 += 1,
            Settlement::Refused { .. } => settled.1 += 1,
            Settlement::Failed { .. } => return Ok(problem),
        }
    }
    let (accepted, refused) = settled;
    if accepted + refused > 0 {
        // At a level that the journal does not keep: that there is a report says that
        // somebody is ill.
        tracing::debug!(source = %source.name, accepted, refused, "parts uploaded");
    }
    Ok(None)
}

async fn send(source: &Source, report: &[u8]) -> Result<Settlement, Problem> {
    match &source.place {
        Place::CoepiV4(server) => {
            let body = STANDARD.encode(report);
            Box::pin(http::upload(server.url(), body, source.limits.timeout)).await
        }
        Place::Folder(path) => {
            let put = folder::put(path, report, &mut clock::chance());
            put.map(|()| Settlement::Accepted)
                .map_err(|_| Problem::Unreadable)
        }
        // The configuration publishes to no mirror.
        Place::Mirror(_) => Err(Problem::Refused(None)),
    }
}
