//! The calls to tcnd, one function each, for [`Client`](crate::client::Client).
//!
//! The first group never makes polkit ask for a password, the second may.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use local_time::histogram::{QuarterSpan, query_spans};
use tcn_protocol::Memo;
use tcnd_client::names;
use tcnd_client::non_interactive::{NonInteractiveContactsProxy, NonInteractiveExposuresProxy};
use tcnd_client::proxy::{
    CancelPublishReply, CheckReply, ContactsProxy, CreateReply, Disclosure, ExposureInfo,
    ExposureSummary, ExposuresProxy, ImportCounts, ManagerProxy, OwnReportInfo, PrivacyProxy,
    PublishReply, ReportsProxy,
};
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedVariant, Variant};

use crate::view::encounters::Quarters;

/// The name by which tcnd, the session and other programs know this one.
pub(crate) const APPLICATION_ID: &str = "org.tcncoalition.Tcnd1.Window";

/// The seconds of a bar.
const BAR: u32 = 900;

/// What was heard, and when this computer was on the air, in a span.
pub(crate) async fn quarters(tcnd: Connection, from: u64, to: u64) -> zbus::Result<Quarters> {
    let contacts = NonInteractiveContactsProxy::new(&tcnd).await?;
    let options = HashMap::from([("from", Variant::from(from)), ("to", Variant::from(to))]);
    let summary = contacts.get_summary(options).await?;
    let mut quarters = Quarters::default();
    let span = QuarterSpan {
        from: Some(from / u64::from(BAR) * u64::from(BAR)),
        to: Some(to.next_multiple_of(u64::from(BAR))),
    };
    for (from, to) in query_spans(&summary.per_day, span) {
        quarters
            .heard
            .extend(contacts.get_histogram(from, to, BAR).await?);
    }
    // A hundred days are fewer than the 10000 quarters that one call may have.
    const SPAN: u64 = 100 * local_time::DAY;
    let mut start = from;
    while start < to {
        let end = to.min(start.saturating_add(SPAN));
        quarters
            .aired
            .extend(contacts.get_activity(start, end).await?);
        start = end;
    }
    Ok(quarters)
}

/// All exposures that are not dismissed, and how complete that is.
pub(crate) async fn exposures(
    tcnd: Connection,
) -> zbus::Result<(Vec<ExposureInfo>, ExposureSummary)> {
    let exposures = NonInteractiveExposuresProxy::new(&tcnd).await?;
    Ok((
        exposures.list(HashMap::new()).await?,
        exposures.get_summary().await?,
    ))
}

async fn manager(tcnd: &Connection) -> zbus::Result<ManagerProxy<'_>> {
    let manager = ManagerProxy::builder(tcnd);
    manager.cache_properties(CacheProperties::No).build().await
}

/// Gives or withdraws consent.
pub(crate) async fn enable(tcnd: Connection, enabled: bool) -> zbus::Result<()> {
    let manager = manager(&tcnd).await?;
    match enabled {
        true => manager.enable(HashMap::new()).await,
        false => manager.disable().await,
    }
}

/// Pauses for as many seconds; 0 is until `Resume`. Returns the cookie.
pub(crate) async fn pause(tcnd: Connection, seconds: u64) -> zbus::Result<u32> {
    let options = HashMap::from([("application_id", Variant::from(APPLICATION_ID))]);
    let manager = manager(&tcnd).await?;
    manager.pause(seconds, "from the window", options).await
}

/// Ends these pauses; 0 stands for all.
pub(crate) async fn resume(tcnd: Connection, cookies: Vec<u32>) -> zbus::Result<()> {
    let manager = manager(&tcnd).await?;
    for cookie in cookies {
        manager.resume(cookie).await?;
    }
    Ok(())
}

/// One check of the self-test: its name, whether it passed, and its detail.
pub(crate) async fn self_test(tcnd: Connection) -> zbus::Result<Vec<(String, bool, String)>> {
    let checks = manager(&tcnd).await?.self_test(HashMap::new()).await?;
    let check = |mut check: HashMap<String, OwnedVariant>| {
        let mut take = |key: &str| {
            let value = check.remove(key).map(String::try_from);
            value.and_then(Result::ok).unwrap_or_default()
        };
        (take("name"), take("result") == "passed", take("detail"))
    };
    Ok(checks.into_iter().map(check).collect())
}

/// Asks polkit for the permission to see totals, by a call that needs it.
pub(crate) async fn permit_contacts(tcnd: Connection) -> zbus::Result<()> {
    let contacts = ContactsProxy::new(&tcnd).await?;
    contacts.get_summary(HashMap::new()).await.map(drop)
}

/// Asks polkit for the permission to see exposures, and subscribes to their changes.
pub(crate) async fn permit_exposures(tcnd: Connection) -> zbus::Result<()> {
    ExposuresProxy::new(&tcnd).await?.subscribe().await
}

/// The reports of this computer.
pub(crate) async fn own_reports(tcnd: Connection) -> zbus::Result<Vec<OwnReportInfo>> {
    ReportsProxy::new(&tcnd).await?.list().await
}

/// Marks an exposure as seen; a dismissed one is not listed any more.
pub(crate) async fn mark_seen(tcnd: Connection, id: String, dismiss: bool) -> zbus::Result<()> {
    let exposures = ExposuresProxy::new(&tcnd).await?;
    match dismiss {
        true => exposures.dismiss(&id).await,
        false => exposures.mark_seen(&id).await,
    }
}

/// Checks all sources of reports.
pub(crate) async fn check(tcnd: Connection) -> zbus::Result<CheckReply> {
    ReportsProxy::new(&tcnd).await?.check(HashMap::new()).await
}

/// Matches the reports that can be read from a pipe.
pub(crate) async fn import(
    tcnd: Connection,
    pipe: OwnedFd,
    label: String,
) -> zbus::Result<ImportCounts> {
    let options = HashMap::from([("source", Variant::from(label))]);
    let reports = ReportsProxy::new(&tcnd).await?;
    reports.import(pipe.into(), options).await
}

/// What a report would give away.
pub(crate) async fn preview(tcnd: Connection, from: u64, to: u64) -> zbus::Result<Disclosure> {
    ReportsProxy::new(&tcnd).await?.preview(from, to).await
}

/// What a person agreed to, and for when.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Identifies the preview that the person saw.
    pub(crate) token: String,
}

/// Makes the report to which a person agreed; its id.
pub(crate) async fn create(
    tcnd: Connection,
    memo: Memo,
    agreement: Agreement,
) -> zbus::Result<(String, CreateReply)> {
    let Agreement { from, to, token } = agreement;
    let options = HashMap::from([
        ("consent", Variant::from(true)),
        ("token", Variant::from(token)),
    ]);
    let reports = ReportsProxy::new(&tcnd).await?;
    let kind = memo.kind().get();
    reports.create(kind, memo.data(), from, to, options).await
}

/// Writes a report to a pipe.
pub(crate) async fn export(tcnd: Connection, id: String, pipe: OwnedFd) -> zbus::Result<u64> {
    let reports = ReportsProxy::new(&tcnd).await?;
    reports.export(&id, pipe.into(), HashMap::new()).await
}

/// What publishing a report would do.
pub(crate) async fn preview_publish(tcnd: Connection, id: String) -> zbus::Result<PublishReply> {
    let options = HashMap::from([("dry_run", Variant::from(true))]);
    ReportsProxy::new(&tcnd).await?.publish(&id, options).await
}

/// Publishes a report as it was previewed.
pub(crate) async fn publish(
    tcnd: Connection,
    id: String,
    token: String,
) -> zbus::Result<PublishReply> {
    let options = HashMap::from([
        ("consent", Variant::from(true)),
        ("token", Variant::from(token)),
    ]);
    ReportsProxy::new(&tcnd).await?.publish(&id, options).await
}

/// Cancels the parts that have not left.
pub(crate) async fn cancel_publish(
    tcnd: Connection,
    id: String,
) -> zbus::Result<CancelPublishReply> {
    let reports = ReportsProxy::new(&tcnd).await?;
    reports.cancel_publish(&id, HashMap::new()).await
}

/// Deletes a report of this computer.
pub(crate) async fn delete_report(tcnd: Connection, id: String) -> zbus::Result<()> {
    ReportsProxy::new(&tcnd).await?.delete(&id).await
}

/// Writes the contact log to a pipe, with masks in the place of numbers.
pub(crate) async fn export_contacts(tcnd: Connection, pipe: OwnedFd) -> zbus::Result<u64> {
    let contacts = ContactsProxy::new(&tcnd).await?;
    contacts.export_log(pipe.into(), HashMap::new()).await
}

/// Destroys the contacts of a span; their number.
pub(crate) async fn erase_contacts(tcnd: Connection, from: u64, to: u64) -> zbus::Result<u64> {
    ContactsProxy::new(&tcnd).await?.erase(from, to).await
}

/// Destroys all that tcnd has.
pub(crate) async fn wipe(tcnd: Connection) -> zbus::Result<()> {
    let privacy = PrivacyProxy::new(&tcnd).await?;
    privacy.wipe_all(names::WIPE_PHRASE, HashMap::new()).await
}
