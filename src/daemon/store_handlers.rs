//! Handlers of the requests that the store alone answers.
//!
//! They neither wait for the driver nor hold it up. Each is a task that asks the store a
//! few times, so two of them may take turns. Each of these questions is a transaction of
//! its own.

use std::sync::Arc;

use rand::seq::SliceRandom;
use tcn_exchange::interval::Interval;
use tcn_exchange::{backfill, upload_schedule};
use tcn_protocol::file::{self, Format};
use tcn_protocol::{SignedReport, UnixTime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::exposures::{self, ExposureId, Unseen};
use super::refusal::Refusal;
use super::reply::respond_async;
use super::requests::StoreRequest;
use super::sync_status::SyncStatus;
use super::{clock, rng, sync_status};
use crate::store::{Cancelled, Release, Store};

/// Answers requests, until what it returns is dropped.
pub(super) fn start(
    mut requests: mpsc::Receiver<StoreRequest>,
    store: &Store,
    unseen: &Arc<Unseen>,
    sync_status: Arc<watch::Sender<SyncStatus>>,
) -> JoinSet<()> {
    let (store, unseen) = (store.clone(), Arc::clone(unseen));
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Some(request) = requests.recv().await {
            let (unseen, sync_status) = (Arc::clone(&unseen), Arc::clone(&sync_status));
            answer(request, store.clone(), unseen, sync_status);
        }
    });
    task
}

fn answer(
    request: StoreRequest,
    store: Store,
    unseen: Arc<Unseen>,
    sync_status: Arc<watch::Sender<SyncStatus>>,
) {
    match request {
        StoreRequest::OwnReports(reply) => {
            respond_async(reply, async move { Ok(store.own_reports().await?) });
        }
        StoreRequest::Export(id, format, reply) => {
            respond_async(reply, async move { export(&store, id, format).await });
        }
        StoreRequest::CancelPublish(id, source, reply) => {
            respond_async(reply, async move { cancel(&store, id, source).await });
        }
        StoreRequest::DeleteReport(id, reply) => respond_async(reply, async move {
            let deleted = store.delete_report(id, clock::now().wall).await?;
            deleted.then_some(()).ok_or(Refusal::NoSuchReport)
        }),
        StoreRequest::MarkExposure(id, dismissed, reply) => respond_async(reply, async move {
            let span = span(&store, id).await?;
            store.mark_exposure(id.report, span, dismissed).await?;
            Ok(exposures::recount(&store, &unseen).await?)
        }),
        StoreRequest::RestoreExposure(id, reply) => respond_async(reply, async move {
            let span = span(&store, id).await?;
            store.restore_exposure(id.report, span).await?;
            Ok(exposures::recount(&store, &unseen).await?)
        }),
        StoreRequest::PendingIntervals(source, reply) => respond_async(reply, async move {
            sync_status.borrow().source(&source)?;
            pending_intervals(&store, source).await
        }),
        StoreRequest::TakePart(source, reply) => respond_async(reply, async move {
            let publish = sync_status.borrow().source(&source)?.configured.publish;
            match publish {
                true => take_part(&store, source).await,
                false => Ok(None),
            }
        }),
        StoreRequest::RecordCheck(source, problem, reply) => respond_async(reply, async move {
            let known = store.record_run(source, problem, clock::now().wall).await?;
            sync_status::refresh(&store, &sync_status).await?;
            known.then_some(()).ok_or(Refusal::NoSuchSource)
        }),
        StoreRequest::SettlePart(part, result, reply) => respond_async(reply, async move {
            let wait =
                |tries, asked| upload_schedule::RETRY.after(tries, asked, &mut rng::system());
            let now = clock::now().wall;
            let settled = store.settle_upload(part, result, now, wait).await?;
            settled.then_some(()).ok_or(Refusal::NoSuchPart)
        }),
    }
}

async fn export(store: &Store, id: u64, format: Format) -> Result<Vec<u8>, Refusal> {
    let release = Release {
        at: clock::now().wall,
        how: format!("export-{}", name(format)),
    };
    let signed = store.record_release(id, release).await?;
    let mut signed = signed.ok_or(Refusal::NoSuchReport)?;
    // The order would tell which part came before which.
    signed.shuffle(&mut rng::system());
    Ok(file::write(format, &signed))
}

async fn cancel(store: &Store, id: u64, source: Option<String>) -> Result<Vec<Cancelled>, Refusal> {
    if store.parts(id).await?.is_empty() {
        return Err(Refusal::NoSuchReport);
    }
    Ok(store.cancel_uploads(id, source).await?)
}

async fn pending_intervals(store: &Store, source: String) -> Result<Vec<Interval>, Refusal> {
    let now = clock::now().wall;
    let mut delivered = store.delivered(source).await?;
    if delivered.iter().any(|interval| interval.end() > now) {
        // The clock was ahead: no source can have delivered that whole.
        store.forget_delivered().await?;
        delivered.clear();
    }
    Ok(backfill::pending(&delivered, now))
}

async fn take_part(store: &Store, source: String) -> Result<Option<(u64, SignedReport)>, Refusal> {
    let now = clock::now().wall;
    let again = now.after(upload_schedule::RESULT_TIMEOUT);
    let next = now.after(upload_schedule::gap(&mut rng::system()));
    let due = store.take_upload(source, now, again, next).await?;
    Ok(due.map(|due| (due.id, due.signed)))
}

async fn span(store: &Store, id: ExposureId) -> Result<(UnixTime, UnixTime), Refusal> {
    exposures::span(store, id)
        .await?
        .ok_or(Refusal::NoSuchExposure)
}

const fn name(format: Format) -> &'static str {
    match format {
        Format::Tcn => "tcn",
        Format::Base64 => "base64",
        Format::Json => "json",
    }
}
