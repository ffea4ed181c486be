//! What a client may ask of the daemon, and what it is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use tcn_engine::disclosure::Plan;
use tcn_engine::{Contact, Moment};
use tcn_exchange::interval::Interval;
use tcn_exchange::upload_result::UploadResult;
use tcn_protocol::file::Format;
use tcn_protocol::memo::MemoConcern;
use tcn_protocol::{Memo, SignedReport, UnixTime};
use tcnd_client::proxy::{DaemonStatistics, DeliveryCounts, ImportCounts};

use super::exposures::{ExposureId, KnownExposure};
use super::import::Import;
use super::intake::Delivery;
use super::reply::Reply;
use crate::store::{Bucket, Cancelled, Cursor, NewSource, OwnReport, Summary};

/// Sources at most.
pub const MOST_SOURCES: usize = 32;

/// One finding of the daemon about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, a stable token.
    pub name: &'static str,
    /// Whether it is well.
    pub passed: bool,
    /// What was found; never a number, a key or an address.
    pub detail: String,
}

/// Why and for whom to pause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseRequest {
    /// For how long; zero means until resumed.
    pub duration: Duration,
    /// Shown to people.
    pub reason: String,
    /// Desktop file name of the asker, if it gave one.
    pub application_id: String,
    /// Unique bus name of the asker, if the pause ends when it leaves the bus.
    pub owner: Option<String>,
}

/// What others may ask.
#[derive(Debug)]
pub enum Request {
    /// Give consent.
    Enable(Reply<()>),
    /// Withdraw consent.
    Disable(Reply<()>),
    /// Leave the air for a while; answers with a cookie, never zero.
    Pause(PauseRequest, Reply<u32>),
    /// End the pause with this cookie, or all of them if zero.
    Resume(u32, Reply<()>),
    /// This bus name left the bus; its holds end.
    ClientDisconnected(String),
    /// Take a new number and address now.
    Rotate(Reply<()>),
    /// A person says that the wall clock is right.
    ConfirmClock(Reply<()>),
    /// Whether the kernel said, asked then, that the wall clock is synchronised.
    Synchronised(Moment, bool),
    /// Totals over `[from, to)`.
    Summary(UnixTime, UnixTime, Reply<Summary>),
    /// Bars over `[from, to)`.
    Histogram(UnixTime, UnixTime, Duration, Reply<Vec<Bucket>>),
    /// Counters.
    Statistics(Reply<DaemonStatistics>),
    /// Read the configuration again.
    Reload(Reply<()>),
    /// Look at everything.
    SelfTest(Reply<Vec<Check>>),
    /// How long the number on the air has been there; `None` if none is.
    TcnAge(Reply<Option<Duration>>),
    /// The machine is about to sleep; answered when nothing is on the air and
    /// all that was heard is written, durably.
    Sleep(Reply<()>),
    /// The machine is awake, or stays so.
    Wake(Reply<()>),
    /// How many different numbers were heard within this last time, a quarter of an hour
    /// at most.
    Nearby(Duration, Reply<u32>),
    /// About the contact log as a whole.
    Contacts(ContactsRequest),
    /// About own reports.
    OwnReports(OwnReportsRequest),
    /// About reports of others.
    MatchedReports(MatchedReportsRequest),
    /// About the exchange with servers.
    Exchange(ExchangeRequest),
}

/// What may be asked about the log as a whole.
#[derive(Debug)]
pub enum ContactsRequest {
    /// Contacts behind this cursor, at most this number; fewer only at the end.
    Page(Cursor, u32, Reply<Vec<Contact>>),
    /// Destroy contacts that began in `[from, to)`; answers with how many.
    Erase(UnixTime, UnixTime, Reply<u64>),
    /// Destroy everything: contacts, keys, reports, exposures, decisions.
    Wipe(Reply<()>),
}

/// What may be asked about own reports.
#[derive(Debug)]
pub enum OwnReportsRequest {
    /// What a report over `[from, to)` would disclose.
    Preview(UnixTime, UnixTime, Reply<Plan>),
    /// How long numbers of this machine were on the air in `[from, to)`, by quarter of an
    /// hour.
    Activity(UnixTime, UnixTime, Reply<BTreeMap<UnixTime, Duration>>),
    /// Make one.
    Make(ReportRequest, Reply<Reported>),
    /// Send one to servers.
    Publish(PublishRequest, Reply<Published>),
}

/// What may be asked about reports of others.
#[derive(Debug)]
pub enum MatchedReportsRequest {
    /// Match reports with the contacts.
    Import(Import, Reply<ImportCounts>),
    /// The exposures that follow from the reports that matched.
    Exposures(Reply<Vec<KnownExposure>>),
}

/// What may be asked about the exchange with servers.
#[derive(Debug)]
pub enum ExchangeRequest {
    /// A run of `tcnd-sync`, by this name on the bus, with these sources; answers
    /// whether a person asked for it.
    Begin(Option<String>, Vec<NewSource>, Reply<bool>),
    /// What a source delivered for an interval.
    Deliver(Delivery, Reply<DeliveryCounts>),
    /// The run is over.
    End(Reply<()>),
    /// A person wants a run now.
    TriggerSync(Reply<()>),
}

/// What the store alone answers. These requests do not pass the driver.
#[derive(Debug)]
pub enum StoreRequest {
    /// All own reports, and those that were deleted after they had left.
    OwnReports(Reply<Vec<OwnReport>>),
    /// The bytes of an own report in this format; recorded as having left, before.
    Export(u64, Format, Reply<Vec<u8>>),
    /// Send no more of an own report to the source of this name, or to any; what has left
    /// stays.
    CancelPublish(u64, Option<String>, Reply<Vec<Cancelled>>),
    /// Delete an own report.
    DeleteReport(u64, Reply<()>),
    /// This exposure was seen; and dismissed, if so.
    MarkExposure(ExposureId, bool, Reply<()>),
    /// This exposure is not dismissed any more.
    RestoreExposure(ExposureId, Reply<()>),
    /// The intervals that a source has not delivered whole.
    PendingIntervals(String, Reply<Vec<Interval>>),
    /// The next part that is due for a source.
    TakePart(String, Reply<Option<(u64, SignedReport)>>),
    /// The result of the upload of a part.
    SettlePart(u64, UploadResult, Reply<()>),
    /// The result of the last check of a source: a token, empty if it succeeded.
    RecordCheck(String, String, Reply<()>),
}

/// A report that a client wants to make.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    /// The first second of the time to report.
    pub from: UnixTime,
    /// The second after the last.
    pub to: UnixTime,
    /// What it shall say besides its numbers.
    pub memo: Memo,
    /// A note of the person, at most [`printable::MAX_TEXT`] bytes. It never leaves the
    /// machine.
    pub note: String,
    /// The person knows that the memo links the parts, and wants it.
    pub linkable: bool,
    /// How many numbers the person was shown; `None` if that does not matter.
    pub shown: Option<u64>,
    /// The fingerprint of the plan that the person was shown; `None` if that does
    /// not matter.
    pub token: Option<u64>,
}

/// A report that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Its local name.
    pub id: u64,
    /// What it discloses.
    pub plan: Plan,
    /// Concerns about its memo.
    pub concerns: Vec<MemoConcern>,
}

/// A report that a client wants to send to servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// Its local name.
    pub id: u64,
    /// To the source of this name only; else to all that take reports.
    pub source: Option<String>,
    /// All parts at once, those too that are queued already; else over hours.
    pub urgent: bool,
    /// Only say what would happen.
    pub dry_run: bool,
    /// The token of what the person was shown; `None` if that does not matter.
    pub token: Option<u64>,
}

/// What was queued for servers, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Parts that were queued or hurried, each counted once for every source.
    pub parts: usize,
    /// Those of them that were queued already, and are to leave at once now.
    pub hurried: usize,
    /// The sources they go to, by label.
    pub labels: Vec<String>,
    /// When the last of them may leave, at the earliest.
    pub last: UnixTime,
    /// Tells this from every other outcome, until something leaves.
    pub token: u64,
}
