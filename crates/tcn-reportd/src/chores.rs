//! Maintenance by the keeper: it closes intervals, publishes them, removes what has
//! expired and takes uploads from the inbox.
//!
//! The keeper checks every ten seconds and does the work that is due. Failed work is
//! repeated at the next check. Nothing depends on the time of a check, since a request
//! for an interval closes and renders it at once.

use std::sync::Arc;
use std::time::Duration;

use tcn_exchange::interval::Interval;
use tokio::time::{MissedTickBehavior, interval};

use super::bucket::{Bucket, BucketError};
use super::desk::{Desk, Keeper};
use super::inbox;
use super::outage::{Outage, Severity};
use super::place;

/// The time between two checks.
const EVERY: Duration = Duration::from_secs(10);

/// Runs the maintenance for ever.
pub(super) async fn keep(
    desk: Arc<Desk>,
    keeper: Keeper,
    mirror: Option<Bucket>,
    inbox: Option<Bucket>,
) {
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
        looks.tick().await;
        if let Some(inbox) = &inbox {
            match inbox::take(inbox, &keeper.store).await {
                Ok(taken) if taken.too_large > 0 => {
                    taking.succeeded();
                    leaving.failed(&"too large", taken.too_large)
                }
                Ok(_) => {
                    leaving.succeeded();
                    taking.succeeded()
                }
                Err(fault) => taking.failed(&chain(&fault), 1),
            };
        }
        let Ok(open) = keeper.store.settle().await else {
            continue;
        };
        if done == Some(open) {
            continue;
        }
        match publish(&keeper, mirror.as_ref(), open).await {
            Ok(()) => {
                publishing.succeeded();
                done = Some(open);
                desk.metrics.published(open.previous().number());
            }
            Err(fault) => {
                publishing.failed(&chain(&fault), 1);
            }
        }
    }
}

/// Publishes every interval before `open` that is not published yet, in the own folder
/// and in the mirror. Removes intervals older than the retention.
///
/// # Errors
/// The interval that could not be published or removed. Finished work stays done.
pub(super) async fn publish(
    keeper: &Keeper,
    mirror: Option<&Bucket>,
    open: Interval,
) -> Result<(), BucketError> {
    let oldest = place::oldest(open);
    keeper.shelf.forget_before(oldest);
    for bucket in [Some(keeper.shelf.bucket()), mirror].into_iter().flatten() {
        let published = bucket.published().await?;
        let mut next = oldest;
        while next < open {
            if !published.whole.contains(&next) {
                // Rendering the interval also publishes it in the own folder.
                let edition = keeper.shelf.past(next).await?;
                if mirror.is_some_and(|mirror| std::ptr::eq(mirror, bucket)) {
                    bucket.publish(next, &edition).await?;
                }
            }
            next = next.next();
        }
        bucket.remove_before(oldest, &published).await?;
    }
    Ok(())
}

/// An error with its causes, which the operator of the server needs.
pub(super) fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
