//! A mock of the driver behind the [`Handle`]: it records requests, and answers as the
//! test configures.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tcn_engine::disclosure::{Part, Plan};
use tcn_engine::{Contact, KeyId, Signal, Unheard};
use tcn_exchange::interval::Interval;
use tcn_protocol::memo::MemoConcern;
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
    TemporaryContactNumber, UnixTime,
};
use tcnd::daemon::{
    Cadence, CadenceReason, Check, Consent, ContactsRequest, Delivery, ExchangeRequest, ExposureId,
    Handle, Hold, KnownExposure, Mailbox, MatchedReportsRequest, Matching, OwnReportsRequest,
    Pause, ProblemDetails, Published, Refusal, Reply, Reported, Request, Snapshot, State,
    StoreRequest, SyncStatus,
};
use tcnd::exposure::{Carried, Exposure};
use tcnd::radio::{self, Mode};
use tcnd::store::{
    Bucket, Cancelled, Cursor, NewSource, OwnReport, Release, Source, SourceId, Summary, Upload,
    UploadState,
};
use tcnd_client::Problem;
use tcnd_client::proxy::{DaemonStatistics, DeliveryCounts, ImportCounts};
use tokio::sync::{mpsc, watch};

/// The driver's answer to a pause.
pub(crate) const COOKIE: u32 = 7;

pub(crate) struct MockDriver {
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) asked: mpsc::UnboundedReceiver<String>,
    /// How many exposures are unseen.
    pub(crate) unseen: watch::Sender<u32>,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

impl MockDriver {
    /// A handle, and the driver behind it.
    pub(crate) fn new(first: Snapshot) -> (Handle, Self) {
        let (handle, mailbox) = Handle::new(first);
        let Mailbox {
            mut requests,
            mut store_requests,
            snapshot,
            unseen,
            sync_status: standing,
        } = mailbox;
        let (tell, asked) = mpsc::unbounded_channel();
        let refusal: Arc<Mutex<Option<Refusal>>> = Arc::default();
        let refuse = Arc::clone(&refusal);
        let count = unseen.clone();
        // The number of unseen exposures below.
        count.send_replace(1);
        let (store_tell, store_refuse) = (tell.clone(), Arc::clone(&refusal));
        tokio::spawn(async move {
            while let Some(request) = store_requests.recv().await {
                if let StoreRequest::MarkExposure(..) | StoreRequest::RestoreExposure(..) = request
                {
                    unseen.send_replace(UNSEEN);
                }
                let asked = store_asked(&request);
                answer_store(request, store_refuse.lock().unwrap().clone());
                let _ = store_tell.send(asked);
            }
        });
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let refusal = refuse.lock().unwrap().clone();
                if let Request::MatchedReports(MatchedReportsRequest::Import(import, reply)) =
                    request
                {
                    let (label, published) = (&import.label, import.published.map(|time| time.0));
                    let asked = format!("Import {label:?} {published:?}");
                    let give = move |broken| give(reply, refusal.or(broken), imported());
                    read(asked, import.source, tell.clone(), give);
                    continue;
                }
                if let Request::Exchange(ExchangeRequest::Deliver(delivery, reply)) = request {
                    let asked = deliver_asked(&delivery);
                    let give = move |broken| give(reply, refusal.or(broken), counted());
                    read(asked, delivery.reports, tell.clone(), give);
                    continue;
                }
                if matches!(request, Request::Exchange(ExchangeRequest::TriggerSync(_))) {
                    standing.send_modify(run);
                }
                let _ = tell.send(answer(request, refusal));
            }
        });
        let driver = Self {
            snapshot,
            asked,
            unseen: count,
            refusal,
        };
        (handle, driver)
    }

    /// Refuses every request with this from now on.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap() = refusal;
    }

    /// The requests since the last call.
    pub(crate) fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }

    /// Fails if there are requests since the last call.
    #[allow(dead_code, reason = "tests/e2e shares the mock")]
    #[track_caller]
    pub(crate) fn heard_nothing(&mut self) {
        assert_eq!(self.heard(), [""; 0], "these reached the daemon");
    }

    /// Publishes a changed snapshot.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot
            .send_modify(|shown| change(Arc::make_mut(shown)));
    }
}

fn give<T>(reply: Reply<T>, refusal: Option<Refusal>, value: T) {
    let _ = reply.send(refusal.map_or(Ok(value), Err));
}

/// Reads a file of reports on a thread, as the daemon does; `give` answers.
fn read(
    asked: String,
    mut source: Box<dyn Read + Send>,
    tell: mpsc::UnboundedSender<String>,
    give: impl FnOnce(Option<Refusal>) + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = source.read_to_end(&mut bytes);
        let _ = tell.send(format!("{asked} {} bytes", bytes.len()));
        give(read.is_err().then_some(Refusal::Unreadable("it broke off")));
    });
}

fn answer(request: Request, refusal: Option<Refusal>) -> String {
    let asked = asked(&request);
    match request {
        Request::Enable(reply)
        | Request::Disable(reply)
        | Request::Resume(_, reply)
        | Request::Rotate(reply)
        | Request::ConfirmClock(reply)
        | Request::Sleep(reply)
        | Request::Wake(reply)
        | Request::Reload(reply) => give(reply, refusal, ()),
        Request::Pause(_, reply) => give(reply, refusal, COOKIE),
        Request::ClientDisconnected(_) | Request::Synchronised(..) => {}
        Request::Summary(_, _, reply) => give(reply, refusal, summary()),
        Request::Histogram(_, _, _, reply) => give(reply, refusal, bars()),
        Request::Statistics(reply) => give(reply, refusal, statistics()),
        Request::SelfTest(reply) => give(reply, refusal, checks()),
        Request::TcnAge(reply) => give(reply, refusal, Some(Duration::from_secs(61))),
        Request::Nearby(reply) => give(reply, refusal, NEAR),
        Request::Contacts(request) => answer_log(request, refusal),
        Request::OwnReports(request) => answer_own(request, refusal),
        Request::MatchedReports(MatchedReportsRequest::Exposures(reply)) => {
            give(reply, refusal, exposures())
        }
        Request::MatchedReports(MatchedReportsRequest::Import(..)) => {
            unreachable!("it is read elsewhere")
        }
        Request::Exchange(request) => answer_exchange(request, refusal),
    }
    asked
}

fn asked(request: &Request) -> String {
    match request {
        Request::Pause(pause, _) => format!(
            "Pause {}s {:?} {:?} {:?}",
            pause.duration.as_secs(),
            pause.reason,
            pause.application_id,
            pause.owner
        ),
        Request::Resume(cookie, _) => format!("Resume {cookie}"),
        Request::ClientDisconnected(name) => format!("Left {name}"),
        Request::Summary(from, to, _) => format!("Summary {} {}", from.0, to.0),
        Request::Histogram(from, to, bucket, _) => {
            format!("Histogram {} {} {}", from.0, to.0, bucket.as_secs())
        }
        Request::Enable(_) => "Enable".to_owned(),
        Request::Disable(_) => "Disable".to_owned(),
        Request::Rotate(_) => "Rotate".to_owned(),
        Request::Statistics(_) => "Statistics".to_owned(),
        Request::Reload(_) => "Reload".to_owned(),
        Request::ConfirmClock(_) => "ConfirmClock".to_owned(),
        Request::Synchronised(_, is) => format!("Synchronised {is}"),
        Request::SelfTest(_) => "SelfTest".to_owned(),
        Request::TcnAge(_) => "TcnAge".to_owned(),
        Request::Nearby(_) => "Nearby".to_owned(),
        Request::Sleep(_) => "Sleep".to_owned(),
        Request::Wake(_) => "Wake".to_owned(),
        Request::Contacts(request) => log_asked(request),
        Request::OwnReports(request) => own_asked(request),
        Request::MatchedReports(_) => "Exposures".to_owned(),
        Request::Exchange(request) => exchange_asked(request),
    }
}

fn log_asked(request: &ContactsRequest) -> String {
    match request {
        ContactsRequest::Page(..) => "Page".to_owned(),
        ContactsRequest::Erase(from, to, _) => format!("Erase {} {}", from.0, to.0),
        ContactsRequest::Wipe(_) => "Wipe".to_owned(),
    }
}

fn answer_log(request: ContactsRequest, refusal: Option<Refusal>) {
    match request {
        ContactsRequest::Page(place, most, reply) => {
            let behind = contacts()
                .into_iter()
                .filter(|contact| Cursor::behind(contact) > place);
            give(reply, refusal, behind.take(most as usize).collect());
        }
        ContactsRequest::Erase(_, _, reply) => give(reply, refusal, 5),
        ContactsRequest::Wipe(reply) => give(reply, refusal, ()),
    }
}

fn own_asked(request: &OwnReportsRequest) -> String {
    match request {
        OwnReportsRequest::Preview(from, to, _) => format!("Preview {} {}", from.0, to.0),
        OwnReportsRequest::Make(asked, _) => format!(
            "Make {} {} {:?} {:?} {:?} {}",
            asked.from.0,
            asked.to.0,
            asked.memo.kind(),
            asked.memo.data(),
            asked.note,
            asked.linkable,
        ),
        OwnReportsRequest::Publish(asked, _) => format!(
            "{} {} {:?} {}",
            if asked.dry_run { "Look" } else { "Publish" },
            asked.id,
            asked.source,
            asked.urgent
        ),
    }
}

fn answer_own(request: OwnReportsRequest, refusal: Option<Refusal>) {
    match request {
        OwnReportsRequest::Preview(from, _, reply) => {
            let empty = Plan::default();
            give(reply, refusal, if from.0 == 0 { empty } else { plan() });
        }
        OwnReportsRequest::Make(_, reply) => {
            let reported = Reported {
                id: 3,
                plan: plan(),
                concerns: vec![MemoConcern::Long { have: 200 }],
            };
            give(reply, refusal, reported);
        }
        OwnReportsRequest::Publish(_, reply) => give(reply, refusal, published()),
    }
}

fn store_asked(request: &StoreRequest) -> String {
    match request {
        StoreRequest::OwnReports(_) => "List".to_owned(),
        StoreRequest::Export(id, format, _) => format!("Export {id} {format:?}"),
        StoreRequest::CancelPublish(id, source, _) => format!("Cancel {id} {source:?}"),
        StoreRequest::DeleteReport(id, _) => format!("Delete {id}"),
        StoreRequest::MarkExposure(id, dismissed, _) => format!("Mark {id:?} {dismissed}"),
        StoreRequest::RestoreExposure(id, _) => format!("Restore {id:?}"),
        StoreRequest::SettlePart(part, result, _) => format!("Settle {part} {result:?}"),
    }
}

fn answer_store(request: StoreRequest, refusal: Option<Refusal>) {
    match request {
        StoreRequest::OwnReports(reply) => give(reply, refusal, own_reports()),
        StoreRequest::Export(_, _, reply) => give(reply, refusal, report_bytes()),
        StoreRequest::CancelPublish(_, _, reply) => give(reply, refusal, cancelled()),
        StoreRequest::DeleteReport(_, reply)
        | StoreRequest::MarkExposure(_, _, reply)
        | StoreRequest::RestoreExposure(_, reply)
        | StoreRequest::SettlePart(_, _, reply) => give(reply, refusal, ()),
    }
}

fn deliver_asked(delivery: &Delivery) -> String {
    format!(
        "Deliver {} {} {} {}",
        delivery.source, delivery.interval, delivery.whole, delivery.budget
    )
}

fn exchange_asked(request: &ExchangeRequest) -> String {
    match request {
        ExchangeRequest::Begin(owner, sources, _) => {
            format!("Begin {} {sources:?}", owner.is_some())
        }
        ExchangeRequest::Pending(source, _) => format!("Pending {source}"),
        ExchangeRequest::Take(source, _) => format!("Take {source}"),
        ExchangeRequest::Record(source, problem, _) => format!("Record {source} {problem:?}"),
        ExchangeRequest::End(_) => "End".to_owned(),
        ExchangeRequest::TriggerSync(_) => "Ring".to_owned(),
        ExchangeRequest::Deliver(..) => unreachable!("it is read elsewhere"),
    }
}

fn answer_exchange(request: ExchangeRequest, refusal: Option<Refusal>) {
    match request {
        ExchangeRequest::Begin(_, _, reply) => give(reply, refusal, true),
        ExchangeRequest::Record(_, _, reply)
        | ExchangeRequest::End(reply)
        | ExchangeRequest::TriggerSync(reply) => give(reply, refusal, ()),
        ExchangeRequest::Pending(_, reply) => {
            let intervals = [74_358, 74_359].map(|n| Interval::new(n).unwrap());
            give(reply, refusal, intervals.to_vec());
        }
        ExchangeRequest::Take(source, reply) => {
            let none = source == "dry";
            give(reply, refusal, (!none).then(|| (7, signed_report())));
        }
        ExchangeRequest::Deliver(..) => unreachable!("it is read elsewhere"),
    }
}

/// A run of tcnd-sync that found an exposure while one server was down.
fn run(standing: &mut SyncStatus) {
    let source = |name: &str, failures| Source {
        id: SourceId::FILES,
        configured: NewSource {
            name: name.to_owned(),
            label: format!("Server {name}"),
            publish: true,
        },
        checked: Some(UnixTime(1_795_000_000)),
        failures,
        problem: if failures > 0 { "unreachable" } else { "" }.to_owned(),
    };
    *standing = SyncStatus {
        sources: vec![source("one", 0), source("two", 3)],
        begun: standing.begun + 1,
        ended: standing.ended + 1,
        reports: 12,
        new_exposures: 1,
        matching: Matching::Idle,
    };
}

fn published() -> Published {
    Published {
        parts: 2,
        hurried: 1,
        labels: vec!["Server one".to_owned()],
        last: UnixTime(1_795_021_600),
        token: 0xabc,
    }
}

fn cancelled() -> Vec<Cancelled> {
    let of = |source: &str, cancelled, left| Cancelled {
        source: source.to_owned(),
        cancelled,
        left,
    };
    vec![of("one", 1, 2), of("two", 3, 0)]
}

/// A report that is signed, and verifies.
pub(crate) fn signed_report() -> SignedReport {
    let rak = ReportAuthorizationKey::from_bytes(&[0x19; 32]);
    let index = |index| RatchetIndex::new(index).unwrap();
    let span = ReportSpan::of_aired(index(2), index(4)).unwrap();
    SignedReport::create(&rak, span, memo())
}

/// More than three pages, and more than a pipe holds. Ordered by quarters, but not by
/// time within one; every number occurs in three of them.
pub(crate) fn contacts() -> Vec<Contact> {
    (0..3600_u32).map(contact).collect()
}

fn contact(n: u32) -> Contact {
    let mut number = [0; 16];
    number[..4].copy_from_slice(&(n % 1200).to_be_bytes());
    let start = 900 * u64::from(n / 10) + u64::from(n % 10 * 370 % 900);
    let silent = n % 7 == 3;
    Contact {
        tcn: TemporaryContactNumber::from_bytes(number),
        start: UnixTime(start),
        end: UnixTime(start + 60),
        unheard: match silent {
            true => Unheard {
                before: 20,
                after: 21,
            },
            false => Unheard::default(),
        },
        signal: if silent {
            Signal {
                unmeasured: 10,
                ..Signal::default()
            }
        } else {
            Signal {
                max: Some(-50),
                sum: -600,
                attenuation: [1, 2, 3, 4],
                unmeasured: 0,
            }
        },
        bridged: silent,
    }
}

pub(crate) fn plan() -> Plan {
    let index = |index| RatchetIndex::new(index).unwrap();
    let part = |key, from, to| Part {
        key: KeyId(key),
        span: ReportSpan::of_aired(index(2), index(4)).unwrap(),
        numbers: 3,
        from: UnixTime(from),
        to: UnixTime(to),
        on_air: false,
    };
    Plan {
        parts: vec![part(1, 1000, 2000), part(2, 2100, 3000)],
        gaps: vec![(UnixTime(3000), UnixTime(4000))],
        reported: 1,
    }
}

/// One that is kept, and one that was deleted after it had left.
pub(crate) fn own_reports() -> Vec<OwnReport> {
    let report = |id| OwnReport {
        id,
        created: UnixTime(5000),
        deleted: None,
        memo_type: MemoType::COVID_WATCH_V1,
        memo: Some(memo()),
        note: "for the doctor".to_owned(),
        parts: 2,
        numbers: 6,
        named: Some(8),
        from: UnixTime(1000),
        to: UnixTime(3000),
        releases: Vec::new(),
        uploads: Vec::new(),
    };
    let deleted = OwnReport {
        deleted: Some(UnixTime(9000)),
        memo: None,
        named: None,
        note: String::new(),
        releases: vec![Release {
            at: UnixTime(6000),
            how: "export-tcn".to_owned(),
        }],
        ..report(4)
    };
    let upload = |state, due: Option<u64>, reason: &str| Upload {
        source: "one".to_owned(),
        state,
        at: UnixTime(6100),
        due: due.map(UnixTime),
        reason: reason.to_owned(),
    };
    let published = OwnReport {
        uploads: vec![
            upload(UploadState::Accepted, None, ""),
            upload(UploadState::Queued, Some(7000), ""),
            upload(UploadState::Sent, Some(6500), "unreachable"),
            upload(UploadState::Refused, None, "too large"),
        ],
        releases: vec![Release {
            at: UnixTime(6100),
            how: "publish-one".to_owned(),
        }],
        ..report(5)
    };
    vec![report(3), deleted, published]
}

fn memo() -> Memo {
    Memo::new(MemoType::COVID_WATCH_V1, [1, 2, 3]).unwrap()
}

/// More than a pipe holds.
pub(crate) fn report_bytes() -> Vec<u8> {
    (0..200_000_u32).map(|n| (n % 251) as u8).collect()
}

pub(crate) fn imported() -> ImportCounts {
    ImportCounts {
        accepted: 1,
        duplicate: 2,
        bad_signature: 3,
        malformed: 4,
        too_large: 5,
        new_exposures: 6,
        updated: 7,
        known: 8,
        heard_later: 9,
    }
}

pub(crate) fn counted() -> DeliveryCounts {
    DeliveryCounts {
        accepted: 1,
        duplicate: 2,
        malformed: 4,
        too_large: 5,
    }
}

/// How many exposures are unseen after one was marked.
pub(crate) const UNSEEN: u32 = 9;

/// How many are near.
pub(crate) const NEAR: u32 = 3;

/// One heard directly, and a dismissed one heard through a bridge.
pub(crate) fn exposures() -> Vec<KnownExposure> {
    let direct = KnownExposure {
        id: ExposureId {
            report: 8,
            start: UnixTime(86_400 + 7301),
        },
        exposure: Exposure {
            start: UnixTime(86_400 + 7301),
            end: UnixTime(86_400 + 9001),
            least: Duration::from_secs(901),
            most: Duration::from_secs(901),
            signal: Signal {
                max: Some(-57),
                sum: -670,
                attenuation: [1, 2, 3, 4],
                unmeasured: 2,
            },
            carried: Carried::Direct,
        },
        memo: memo(),
        sources: vec!["file".to_owned()],
        published: UnixTime(200_000),
        received: UnixTime(200_100),
        seen: false,
        dismissed: false,
    };
    let mut bridged = direct.clone();
    bridged.id.report = 11;
    bridged.exposure.signal.max = None;
    bridged.exposure.carried = Carried::Bridged;
    bridged.exposure.most = Duration::from_secs(1201);
    (bridged.seen, bridged.dismissed) = (true, true);
    vec![direct, bridged]
}

pub(crate) fn summary() -> Summary {
    Summary {
        numbers: 3,
        sightings: u64::MAX,
        oldest: Some(UnixTime(7200)),
        per_day: bars(),
        attenuation: [1, 2, 3, 4],
    }
}

pub(crate) fn bars() -> Vec<Bucket> {
    vec![Bucket {
        start: UnixTime(86_400),
        numbers: 3,
        sightings: 9,
    }]
}

pub(crate) fn statistics() -> DaemonStatistics {
    DaemonStatistics {
        rotations: 1,
        advert_ok: 2,
        advert_fail: 3,
        scan_restarts: 4,
        invalid_frames: 5,
        dropped: 6,
        db_bytes: 7,
        rows: 8,
    }
}

pub(crate) fn checks() -> Vec<Check> {
    vec![
        Check {
            name: "advert-alive",
            passed: true,
            detail: "on hci0".to_owned(),
        },
        Check {
            name: "clock",
            passed: false,
            detail: "before this release was made".to_owned(),
        },
    ]
}

/// A daemon that just started.
pub(crate) fn idle() -> Snapshot {
    Snapshot {
        enabled: false,
        consent: Consent::Never,
        airing_since: None,
        state: State::Idle,
        problems: BTreeMap::new(),
        mode: Mode::Broadcast,
        advertising: false,
        scanning: false,
        cadence: (Cadence::Continuous, CadenceReason::Mains),
        simulated: false,
        adapters: Vec::new(),
        paused: Pause::No,
        holds: Vec::new(),
        rotation_interval: Duration::from_secs(900),
        checked: None,
    }
}

/// A daemon with a visible value everywhere: no property has its default.
pub(crate) fn busy() -> Snapshot {
    Snapshot {
        enabled: true,
        consent: Consent::Given,
        airing_since: Some(UnixTime(1_795_000_100)),
        state: State::Degraded,
        problems: [
            (
                Problem::ScanFailed,
                ProblemDetails {
                    detail: "starting discovery: org.bluez.Error.NotReady".to_owned(),
                    since: UnixTime(1_795_000_000),
                },
            ),
            (
                Problem::Crowded,
                ProblemDetails {
                    detail: String::new(),
                    since: UnixTime(1_795_000_060),
                },
            ),
        ]
        .into(),
        mode: Mode::Full,
        advertising: true,
        scanning: true,
        cadence: (Cadence::Windows, CadenceReason::Battery),
        simulated: true,
        adapters: vec![adapter("hci0")],
        paused: Pause::Until(UnixTime(1_800_000_000)),
        holds: vec![Hold {
            reason: "in a meeting".to_owned(),
            application_id: "org.example.LogRecorder".to_owned(),
        }],
        rotation_interval: Duration::from_secs(600),
        checked: Some(UnixTime(1_795_000_000)),
    }
}

pub(crate) fn adapter(name: &str) -> radio::Adapter {
    radio::Adapter {
        name: name.to_owned(),
        powered: true,
        selected: true,
        can_advertise: true,
        address: radio::AddressKind::NonResolvable,
        instances_free: 4,
        recoveries: 2,
        last_problem: Some(Problem::AdapterOff),
    }
}
