//! Exposures as they are now, and how many are not seen.
//!
//! [`crate::exposure`] computes them from the log on each request, so no second copy has
//! to be kept up to date. Only the count of unseen exposures is published without a
//! request, and the bus sends it only to subscribers.

use tcn_protocol::{Memo, UnixTime};

use crate::exposure::{Exposure, Rule, exposures, spans};
use crate::store::{self, MatchedReport, SourceHelp, Store};

/// Which exposure: stays the same while it grows, and until its first contact is
/// destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExposureId {
    /// The local name of the report.
    pub report: u64,
    /// Its first second.
    pub start: UnixTime,
}

/// An exposure with what is known of the report behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownExposure {
    /// Which.
    pub id: ExposureId,
    /// What happened.
    pub exposure: Exposure,
    /// What the report says besides its numbers.
    pub memo: Memo,
    /// Where the report came from.
    pub sources: Vec<String>,
    /// Where those of the sources that say so have help.
    pub help: Vec<SourceHelp>,
    /// By when the report was public.
    pub published: UnixTime,
    /// When it came here.
    pub received: UnixTime,
    /// The person has seen it.
    pub seen: bool,
    /// The person does not want to see it again.
    pub dismissed: bool,
}

/// All exposures, in order of their reports and of time.
pub(super) fn known(reports: &[MatchedReport]) -> impl Iterator<Item = KnownExposure> {
    reports.iter().flat_map(|report| {
        let contacts = report.contacts.iter().copied();
        let found = exposures(Rule::STANDARD, contacts, report.published);
        found.into_iter().map(|exposure| KnownExposure {
            id: ExposureId {
                report: report.id,
                start: exposure.start,
            },
            exposure,
            memo: report.memo.clone(),
            sources: report.sources.clone(),
            help: report.help.clone(),
            published: report.published,
            received: report.received,
            seen: is_of(&exposure, &report.seen),
            dismissed: is_of(&exposure, &report.dismissed),
        })
    })
}

/// Whether one of these contacts, by their starts, is of this exposure.
fn is_of(exposure: &Exposure, starts: &[UnixTime]) -> bool {
    has_any((exposure.start, exposure.end), starts)
}

fn has_any((start, end): (UnixTime, UnixTime), starts: &[UnixTime]) -> bool {
    starts.iter().any(|of| (start..=end).contains(of))
}

/// The first and last second of an exposure; `None` if there is no such exposure.
pub(super) async fn span(
    store: &Store,
    id: ExposureId,
) -> Result<Option<(UnixTime, UnixTime)>, store::Error> {
    let report = store.matched_report(id.report).await?;
    let exposure = known(report.as_slice()).find(|exposure| exposure.id == id);
    Ok(exposure.map(|found| (found.exposure.start, found.exposure.end)))
}

/// Where the count goes.
pub(super) type Unseen = tokio::sync::watch::Sender<u32>;

/// Tells how many exposures are not seen, even if that is the same number
/// as before: what they are may have changed under it.
pub(super) async fn recount(store: &Store, unseen: &Unseen) -> Result<(), store::Error> {
    unseen.send_replace(count(store).await?);
    Ok(())
}

/// Tells how many exposures are not seen, if that is another number than
/// before: contacts grow every minute.
pub(super) async fn recount_grown(store: &Store, unseen: &Unseen) -> Result<(), store::Error> {
    let count = count(store).await?;
    unseen.send_if_modified(|old| std::mem::replace(old, count) != count);
    Ok(())
}

async fn count(store: &Store) -> Result<u32, store::Error> {
    let reports = store.matched_times().await?;
    let unseen = reports.into_iter().map(|report| {
        let spans = spans(Rule::STANDARD, report.contacts, report.published);
        let unseen = spans.iter().filter(|span| !has_any(**span, &report.seen));
        unseen.count()
    });
    Ok(u32::try_from(unseen.sum::<usize>()).unwrap_or(u32::MAX))
}
