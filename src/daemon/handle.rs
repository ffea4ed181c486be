//! What others may ask of the daemon, and what they may know.
//!
//! A [`Handle`] is all that the bus ever sees of the daemon: it can read the
//! [`Snapshot`], which is public, and send [`Request`]s, which the driver
//! answers one after another. [`Mailbox`] is the other end; the tests of the
//! bus sit there in the driver's place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tcn_engine::{Moment, Pause};
use tcn_protocol::UnixTime;
use tcn_protocol::memo::MemoConcern;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use super::exchange::{ExchangeRequest, Standing};
use super::log::LogRequest;
use super::others::OthersRequest;
use super::own::OwnRequest;
use crate::radio;
use crate::store::{self, Bucket, Summary};

/// All that is public of the daemon at one instant. It holds no number, no
/// key, no contact and no address: whatever is in here may reach everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Consent was given, by `Enable` or by the configuration.
    pub enabled: bool,
    /// How it came to that.
    pub consent: Consent,
    /// The one-word answer.
    pub state: State,
    /// Everything that is wrong now.
    pub problems: BTreeSet<Problem>,
    /// The mode in effect.
    pub mode: radio::Mode,
    /// Our advert is on the air, verified.
    pub advertising: bool,
    /// When the number on the air was put there; `None` if none is.
    pub airing_since: Option<UnixTime>,
    /// Discovery runs, verified.
    pub scanning: bool,
    /// The neighbourhood is made up.
    pub simulated: bool,
    /// All adapters, by name.
    pub adapters: Vec<radio::Adapter>,
    /// When the pause ends.
    pub paused: Pause,
    /// Who holds the pause.
    pub holds: Vec<Hold>,
    /// Longest life of one number on the air.
    pub rotation_interval: Duration,
    /// When all sources of reports had been gone through well.
    pub checked: Option<UnixTime>,
}

/// Who decided that broadcasting is allowed, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Nobody yet.
    Never,
    /// Somebody allowed it, by `Enable`.
    Given,
    /// Somebody took that back, by `Disable`.
    Withdrawn,
    /// The configuration, with `enabled`.
    Configured,
}

/// The daemon's state in a word. There is none for what cannot mend by itself:
/// then the process ends, see [`Fault`](super::Fault).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not ready yet.
    Starting,
    /// Broadcasting and listening, nothing wrong.
    Running,
    /// Enabled, but not all of it works; see the problems.
    Degraded,
    /// Paused by somebody.
    Paused,
    /// Not enabled, or no adapter to use.
    Idle,
}

/// One reason for a pause, as its holder gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why, at most 256 bytes.
    pub reason: String,
    /// Desktop file name of the holder, at most 256 bytes.
    pub application_id: String,
}

/// What can be wrong, as the stable tokens of the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Problem {
    /// See [`radio::Trouble`].
    Radio(radio::Trouble),
    /// The wall clock cannot be right, or nothing confirms it after it went ahead
    /// by more than the retention.
    ClockUnsynchronised,
    /// The store cannot write: no space, or no permission.
    StorageFull,
    /// A damaged database was set aside at the start.
    StorageCorrupt,
    /// More strangers' numbers than there is room for; some were dropped.
    Crowded,
    /// Reports of others were not checked for two days.
    ReportsStale,
    /// A source of reports could not be gone through.
    SyncFailed,
}

impl Problem {
    /// Its word on the bus and in the journal, see [`notices`](tcnd_client::notices).
    pub const fn token(self) -> &'static str {
        match self {
            Self::Radio(trouble) => trouble.token(),
            Self::ClockUnsynchronised => "clock-unsynchronised",
            Self::StorageFull => "storage-full",
            Self::StorageCorrupt => "storage-corrupt",
            Self::Crowded => "crowded",
            Self::ReportsStale => "reports-stale",
            Self::SyncFailed => "sync-failed",
        }
    }
}

/// A request the daemon did not carry out.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is on the air to rotate: not enabled, paused or no adapter.
    #[error("no number of ours is on the air now")]
    OffAir,
    /// The configuration decides about consent, and says otherwise.
    #[error("consent is set by `enabled` in the configuration; change it there, or remove it")]
    Configured,
    /// `from` is not before `to`, or the bucket is out of range.
    #[error("{0}")]
    InvalidRange(&'static str),
    /// No such cookie, or it is somebody else's.
    #[error("no pause with this cookie")]
    NotFound,
    /// Too many pauses are held.
    #[error("too many pauses are held at once; resume one first")]
    Busy,
    /// An argument is too long or out of range.
    #[error("{0}")]
    InvalidArgument(&'static str),
    /// Nothing of ours was on the air then, or all of it is reported already.
    #[error("{0}")]
    NoData(&'static str),
    /// The memo would link reports that nothing else links.
    #[error(transparent)]
    Memo(MemoConcern),
    /// No such report of ours.
    #[error("no report with this id")]
    NoSuchReport,
    /// No such exposure.
    #[error("no exposure with this id")]
    NoSuchExposure,
    /// What was to be imported could not be read, or holds no report.
    #[error("{0}")]
    Unreadable(&'static str),
    /// Somebody else does the same just now.
    #[error("{0}")]
    InUse(&'static str),
    /// The wall clock cannot be right, and what is asked depends on it.
    #[error("the wall clock is before this release was made")]
    Clock,
    /// Something else would be given away than the person was shown.
    #[error("by now something else would be given away than was shown")]
    Changed,
    /// No such source of reports.
    #[error("no source with this name")]
    NoSuchSource,
    /// No such part, or it is not on its way.
    #[error("no part with this number is on its way")]
    NoSuchPart,
    /// No source takes reports.
    #[error("no source takes reports")]
    NoServer,
    /// Every part is on its way there, or arrived.
    #[error("all of this report is on its way, or was accepted")]
    AlreadyPublished,
    /// `tcnd-sync` cannot be called from here.
    #[error("tcnd-sync cannot be called from here")]
    NoBell,
    /// An import was ended by a wipe, or with the daemon.
    #[error("the import was ended before its end: everything was wiped, or the daemon ends")]
    Stopped,
    /// The store could not answer.
    #[error("the contact log cannot be read or written now")]
    Storage,
    /// The daemon is on its way out.
    #[error("the daemon is shutting down")]
    Gone,
}

impl From<store::Error> for Refusal {
    /// Whoever asked is told that it failed; why is for the log.
    fn from(fault: store::Error) -> Self {
        tracing::warn!(%fault, "the store could not answer");
        Self::Storage
    }
}

/// Counters since the start, and the size of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Own numbers put on the air.
    pub rotations: u64,
    /// Adverts the controller took.
    pub adverts_ok: u64,
    /// Adverts it refused.
    pub adverts_failed: u64,
    /// Times discovery was started anew.
    pub scan_restarts: u64,
    /// Frames under 0xC019 that were no TCN frames.
    pub invalid_frames: u64,
    /// Sightings dropped for want of room.
    pub dropped: u64,
    /// Size of the database and its journal, in bytes.
    pub database_bytes: u64,
    /// Contacts in the log.
    pub rows: u64,
}

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

/// Where the answer to a request goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// What others may ask.
#[derive(Debug)]
pub enum Request {
    /// Give consent.
    Enable(Reply<()>),
    /// Take it back.
    Disable(Reply<()>),
    /// Leave the air for a while; answers with a cookie, never zero.
    Pause(PauseRequest, Reply<u32>),
    /// End the pause with this cookie, or all of them if zero.
    Resume(u32, Reply<()>),
    /// This bus name left the bus; its holds end.
    Left(String),
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
    Statistics(Reply<Statistics>),
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
    /// How many different numbers were heard within the last minute.
    Nearby(Reply<u32>),
    /// About the contact log as a whole.
    Log(LogRequest),
    /// About reports of our own.
    Own(OwnRequest),
    /// About reports of others.
    Others(OthersRequest),
    /// About the exchange with servers.
    Exchange(ExchangeRequest),
}

/// The public end.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    unseen: watch::Receiver<u32>,
    standing: watch::Receiver<Standing>,
}

/// The driver's end.
#[derive(Debug)]
pub struct Mailbox {
    /// Requests to answer, in order.
    pub requests: mpsc::Receiver<Request>,
    /// Where the newest snapshot is published.
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    /// Where the number of exposures not seen yet is told, after each change.
    pub unseen: watch::Sender<u32>,
    /// Where the exchange with servers stands.
    pub standing: watch::Sender<Standing>,
}

impl Handle {
    /// Requests that may wait for the driver; more than these wait at the caller.
    const DEPTH: usize = 32;

    /// A handle and the mailbox it speaks to.
    pub fn new(first: Snapshot) -> (Self, Mailbox) {
        let (requests, inbox) = mpsc::channel(Self::DEPTH);
        let (publish, snapshot) = watch::channel(Arc::new(first));
        let (count, unseen) = watch::channel(0);
        let (stand, standing) = watch::channel(Standing::default());
        let mailbox = Mailbox {
            requests: inbox,
            snapshot: publish,
            unseen: count,
            standing: stand,
        };
        let handle = Self {
            requests,
            snapshot,
            unseen,
            standing,
        };
        (handle, mailbox)
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Snapshots as they come; slow readers see only the newest.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// How many exposures nobody has seen yet, each time they change. Not for
    /// everyone: that there is one is about a person's health.
    pub fn watch_unseen(&self) -> watch::Receiver<u32> {
        self.unseen.clone()
    }

    /// Where the exchange with servers stands, each time it changes. Not for
    /// everyone.
    pub fn watch_standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Sends the request that `ask` makes and waits for its answer.
    ///
    /// # Errors
    /// What the daemon refused, or [`Refusal::Gone`] while it shuts down.
    pub async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Request) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(ask(reply))
            .await
            .map_err(|_| Refusal::Gone)?;
        answer.await.map_err(|_| Refusal::Gone)?
    }

    /// Tells the daemon what the kernel says of the wall clock.
    pub async fn synchronised(&self, asked: Moment, synchronised: bool) {
        let said = Request::Synchronised(asked, synchronised);
        // A daemon that is gone has no use for it.
        let _ = self.requests.send(said).await;
    }

    /// Tells the daemon that a bus name left the bus.
    pub async fn left(&self, name: String) {
        // A daemon that is gone holds nothing for anybody.
        let _ = self.requests.send(Request::Left(name)).await;
    }
}
