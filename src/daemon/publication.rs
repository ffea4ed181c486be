//! Own reports on their way to servers: queued, hurried, cancelled.
//!
//! A client can see first what would happen, by the same computation that is used
//! when it happens. It then names what it was shown, and anything else is refused.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::seq::SliceRandom;
use tcn_engine::KeyId;
use tcn_exchange::upload_schedule;
use tcn_protocol::UnixTime;

use super::driver::Driver;
use super::refusal::Refusal;
use super::reply::Later;
use super::requests::{PublishRequest, Published};
use super::{clock, rng};
use crate::store::{NewUpload, Sendable, Source, Store};

impl Driver {
    /// Queues the parts of a report for the sources that take reports: one by
    /// one over hours, or at once if the person wants it so.
    pub(super) fn publish(&mut self, asked: PublishRequest) -> Later<Published> {
        let now = clock::plausible()?.wall;
        let mut sources = self.exchange.sync_status().borrow().sources.clone();
        sources.retain(|source| {
            let source = &source.configured;
            let wanted = asked.source.as_ref();
            source.publish && wanted.is_none_or(|wanted| source.name == *wanted)
        });
        if sources.is_empty() {
            return Err(Refusal::NoServer);
        }
        let store = self.store.clone();
        let sync_trigger = (asked.urgent && !asked.dry_run).then(|| self.exchange.ask());
        Ok(Box::pin(async move {
            let published = publish(&store, &asked, sources, now).await?;
            if let Some(sync_trigger) = sync_trigger {
                // Where tcnd-sync cannot be started, the next run sends it.
                let _ = sync_trigger.trigger();
            }
            Ok(published)
        }))
    }
}

async fn publish(
    store: &Store,
    asked: &PublishRequest,
    mut sources: Vec<Source>,
    now: UnixTime,
) -> Result<Published, Refusal> {
    let parts = store.parts(asked.id).await?;
    if parts.is_empty() {
        return Err(Refusal::NoSuchReport);
    }
    let names = sources.iter().map(|source| source.configured.name.clone());
    let sendable = store.sendable(asked.id, names.collect(), now).await?;
    let will = |sendable: &Sendable| {
        let hurried = if asked.urgent { sendable.waiting } else { 0 };
        (sendable.new, hurried)
    };
    let outcome: Vec<(usize, usize)> = sendable.iter().map(will).collect();
    let mut affected = outcome.iter().map(|(new, hurried)| new + hurried > 0);
    sources.retain(|_| affected.next().unwrap_or(false));
    if sources.is_empty() {
        return Err(Refusal::AlreadyPublished);
    }
    let token = fingerprint(asked, &sources, &outcome);
    if asked.token.is_some_and(|shown| shown != token) {
        return Err(Refusal::Changed);
    }
    let uploads = uploads(asked.urgent, parts, &sources, now);
    let last = uploads.iter().map(|upload| upload.due).max();
    if !asked.dry_run && store.queue(asked.id, uploads, now).await? == 0 {
        return Err(Refusal::AlreadyPublished);
    }
    let labels = sources.into_iter().map(|source| source.configured.label);
    Ok(Published {
        parts: outcome.iter().map(|(new, hurried)| new + hurried).sum(),
        hurried: outcome.iter().map(|(_, hurried)| hurried).sum(),
        labels: labels.collect(),
        last: last.unwrap_or(now),
        token,
    })
}

/// Every part for every source, each source with an order and times of its own.
fn uploads(
    urgent: bool,
    mut parts: Vec<KeyId>,
    sources: &[Source],
    now: UnixTime,
) -> Vec<NewUpload> {
    let mut uploads = Vec::with_capacity(parts.len() * sources.len());
    for source in sources {
        let mut rng = rng::system();
        parts.shuffle(&mut rng);
        let times = match urgent {
            true => vec![now; parts.len()],
            false => upload_schedule::schedule(parts.len(), now, &mut rng),
        };
        let with_time = parts.iter().zip(times);
        uploads.extend(with_time.map(|(key, due)| NewUpload {
            key: *key,
            source: source.configured.name.clone(),
            due,
            urgent,
        }));
    }
    uploads
}

fn fingerprint(asked: &PublishRequest, sources: &[Source], outcome: &[(usize, usize)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (asked.id, asked.urgent).hash(&mut hasher);
    for source in sources {
        source.configured.name.hash(&mut hasher);
    }
    outcome.hash(&mut hasher);
    hasher.finish()
}
