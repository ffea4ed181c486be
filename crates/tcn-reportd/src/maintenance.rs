//! Maintenance by the primary server: it closes intervals, publishes them, removes what
//! has expired and takes uploads from the inbox.
//!
//! The primary server checks every ten seconds and does the work that is due. Failed
//! work is repeated at the next check. Nothing depends on the time of a check, since a
//! request for an interval closes and renders it at once.

use std::sync::Arc;
use std::time::Duration;

use tcn_exchange::interval::Interval;
use tcnd_logging::error_chain;
use tokio::time::{MissedTickBehavior, interval};

use super::bucket::{Bucket, BucketError};
use super::inbox;
use super::outage::{Outage, Severity};
use super::phase;
use super::state::{Primary, ServerState};

/// The time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Runs the maintenance for ever.
pub(super) async fn run(
    state: Arc<ServerState>,
    primary: Primary,
    mirror: Option<Bucket>,
    inbox: Option<Bucket>,
) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (taking, leaving, publishing) = (
        Outage::new(
            Severity::Warning,
            "the inbox cannot be read; it is tried again",
            "the inbox is read again",
        ),
        Outage::new(
            Severity::Warning,
            "objects in the inbox are larger than a front end leaves; they are left there",
            "every object in the inbox is of a size that a front end leaves",
        ),
        Outage::new(
            Severity::Warning,
            "intervals cannot be published; it is tried again",
            "intervals are published again",
        ),
    );
    let mut done = None;
    loop {
        ticks.tick().await;
        if let Some(inbox) = &inbox {
            match inbox::take(inbox, &primary.store).await {
                Ok(taken) if taken.too_large > 0 => {
                    taking.succeeded();
                    leaving.failed(&"too large", taken.too_large)
                }
                Ok(_) => {
                    leaving.succeeded();
                    taking.succeeded()
                }
                Err(error) => taking.failed(&error_chain(&error), 1),
            };
        }
        let Ok(open) = primary.store.open_interval().await else {
            continue;
        };
        if done == Some(open) {
            continue;
        }
        match publish(&primary, mirror.as_ref(), open).await {
            Ok(()) => {
                publishing.succeeded();
                done = Some(open);
                state.metrics.published(open.previous().number());
            }
            Err(error) => {
                publishing.failed(&error_chain(&error), 1);
            }
        }
    }
}

/// Publishes every interval before `open` that is not published yet, in the server's
/// own folder and in the mirror. Removes intervals older than the retention.
///
/// # Errors
/// The interval that could not be published or removed. Finished work stays done.
pub(super) async fn publish(
    primary: &Primary,
    mirror: Option<&Bucket>,
    open: Interval,
) -> Result<(), BucketError> {
    let oldest = phase::oldest(open);
    primary.intervals.forget_before(oldest);
    for bucket in [Some(primary.intervals.bucket()), mirror]
        .into_iter()
        .flatten()
    {
        let published = bucket.published().await?;
        let mut next = oldest;
        while next < open {
            if !published.whole.contains(&next) {
                // Rendering the interval also publishes it in the server's own folder.
                let rendered = primary.intervals.past(next).await?;
                if mirror.is_some_and(|mirror| std::ptr::eq(mirror, bucket)) {
                    bucket.publish(next, &rendered).await?;
                }
            }
            next = next.next();
        }
        bucket.remove_before(oldest, &published).await?;
    }
    Ok(())
}
