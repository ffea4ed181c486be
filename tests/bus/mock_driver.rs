//! A mock of the driver behind the [`Handle`]: it records requests, and answers as the
//! test configures.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tcn_engine::disclosure::{Part, Plan};
use tcn_engine::{Contact, KeyId, Signal, Unheard};
use tcn_exchange::help::{Help, HelpUrl};
use tcn_exchange::interval::Interval;
use tcn_protocol::memo::coepi::{Day, SymptomMemo, Symptoms};
use tcn_protocol::memo::{MemoConcern, Symptom};
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
    TemporaryContactNumber, UnixTime,
};
use tcnd::daemon::{
    Cadence, CadenceReason, Check, Consent, ContactsRequest, ExchangeRequest, ExposureId, Handle,
    Hold, KnownExposure, Mailbox, MatchedReportsRequest, Matching, OwnReportsRequest, Pause,
    ProblemDetails, Published, Refusal, Reply, Reported, Request, Snapshot, State, StoreRequest,
    SyncStatus,
};
use tcnd::exposure::{Carried, Exposure};
use tcnd::radio::{self, Mode};
use tcnd::store::{
    Bucket, Cancelled, Cursor, NewSource, OwnReport, Release, Source, SourceHelp, SourceId,
    Summary, Upload, UploadState,
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
            sync_status,
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
                let refusal = store_refuse.lock().unwrap().clone();
                let _ = store_tell.send(answer_store(request, refusal));
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
                    let answer = move |broken| send_reply(reply, refusal.or(broken), imported());
                    read(asked, import.source, tell.clone(), answer);
                    continue;
                }
                if let Request::Exchange(ExchangeRequest::Deliver(delivery, reply)) = request {
                    let (source, whole) = (&delivery.source, delivery.whole);
                    let (interval, budget) = (delivery.interval, delivery.budget);
                    let asked = format!("Deliver {source} {interval} {whole} {budget}");
                    let answer = move |broken| send_reply(reply, refusal.or(broken), counted());
                    read(asked, delivery.reports, tell.clone(), answer);
                    continue;
                }
                if matches!(request, Request::Exchange(ExchangeRequest::TriggerSync(_))) {
                    sync_status.send_modify(run);
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

fn send_reply<T>(reply: Reply<T>, refusal: Option<Refusal>, value: T) {
    let _ = reply.send(refusal.map_or(Ok(value), Err));
}

/// Reads a file of reports on a thread, as the daemon does; `answer` sends the reply.
fn read(
    asked: String,
    mut source: Box<dyn Read + Send>,
    tell: mpsc::UnboundedSender<String>,
    answer: impl FnOnce(Option<Refusal>) + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = source.read_to_end(&mut bytes);
        let _ = tell.send(format!("{asked} {} bytes", bytes.len()));
        answer(read.is_err().then_some(Refusal::Unreadable("it broke off")));
    });
}

/// Answers a request, and returns what was asked.
fn answered<T>(
    asked: impl Into<String>,
    reply: Reply<T>,
    refusal: Option<Refusal>,
    value: T,
) -> String {
    send_reply(reply, refusal, value);
    asked.into()
}

fn answer(request: Request, refusal: Option<Refusal>) -> String {
    match request {
        Request::Enable(reply) => answered("Enable", reply, refusal, ()),
        Request::Disable(reply) => answered("Disable", reply, refusal, ()),
        Request::Pause(pause, reply) => {
            let seconds = pause.duration.as_secs();
            let (reason, id, owner) = (pause.reason, pause.application_id, pause.owner);
            let asked = format!("Pause {seconds}s {reason:?} {id:?} {owner:?}");
            answered(asked, reply, refusal, COOKIE)
        }
        Request::Resume(cookie, reply) => answered(format!("Resume {cookie}"), reply, refusal, ()),
        Request::ClientDisconnected(name) => format!("ClientDisconnected {name}"),
        Request::Rotate(reply) => answered("Rotate", reply, refusal, ()),
        Request::ConfirmClock(reply) => answered("ConfirmClock", reply, refusal, ()),
        Request::Synchronised(_, is) => format!("Synchronised {is}"),
        Request::Summary(from, to, reply) => {
            let asked = format!("Summary {} {}", from.0, to.0);
            answered(asked, reply, refusal, summary())
        }
        Request::Histogram(from, to, bucket, reply) => {
            let asked = format!("Histogram {} {} {}", from.0, to.0, bucket.as_secs());
            answered(asked, reply, refusal, bars())
        }
        Request::Statistics(reply) => answered("Statistics", reply, refusal, statistics()),
        Request::Reload(reply) => answered("Reload", reply, refusal, ()),
        Request::SelfTest(reply) => answered("SelfTest", reply, refusal, checks()),
        Request::TcnAge(reply) => answered("TcnAge", reply, refusal, Some(Duration::from_secs(61))),
        Request::Nearby(within, reply) => {
            let asked = format!("Nearby {}", within.as_secs());
            answered(asked, reply, refusal, NEAR)
        }
        Request::Sleep(reply) => answered("Sleep", reply, refusal, ()),
        Request::Wake(reply) => answered("Wake", reply, refusal, ()),
        Request::Contacts(request) => answer_log(request, refusal),
        Request::OwnReports(request) => answer_own(request, refusal),
        Request::MatchedReports(MatchedReportsRequest::Exposures(reply)) => {
            answered("Exposures", reply, refusal, exposures())
        }
        Request::MatchedReports(MatchedReportsRequest::Import(..)) => {
            unreachable!("it is read elsewhere")
        }
        Request::Exchange(request) => answer_exchange(request, refusal),
    }
}

fn answer_log(request: ContactsRequest, refusal: Option<Refusal>) -> String {
    match request {
        ContactsRequest::Page(place, most, reply) => {
            let behind = contacts()
                .into_iter()
                .filter(|contact| Cursor::behind(contact) > place);
            let page = behind.take(most as usize).collect();
            answered("Page", reply, refusal, page)
        }
        ContactsRequest::Erase(from, to, reply) => {
            answered(format!("Erase {} {}", from.0, to.0), reply, refusal, 5)
        }
        ContactsRequest::Wipe(reply) => answered("Wipe", reply, refusal, ()),
    }
}

fn answer_own(request: OwnReportsRequest, refusal: Option<Refusal>) -> String {
    match request {
        OwnReportsRequest::Preview(from, to, reply) => {
            let empty = Plan::default();
            let plan = if from.0 == 0 { empty } else { plan() };
            let asked = format!("Preview {} {}", from.0, to.0);
            answered(asked, reply, refusal, plan)
        }
        OwnReportsRequest::Activity(from, to, reply) => {
            let asked = format!("Activity {} {}", from.0, to.0);
            let quarter = (UnixTime(900), Duration::from_secs(61));
            answered(asked, reply, refusal, [quarter].into())
        }
        OwnReportsRequest::Make(report, reply) => {
            let (from, to, memo) = (report.from.0, report.to.0, report.memo);
            let (kind, data) = (memo.kind(), memo.data());
            let (note, linkable) = (report.note, report.linkable);
            let asked = format!("Make {from} {to} {kind:?} {data:?} {note:?} {linkable}");
            let reported = Reported {
                id: 3,
                plan: plan(),
                concerns: vec![MemoConcern::Long { have: 200 }],
            };
            answered(asked, reply, refusal, reported)
        }
        OwnReportsRequest::Publish(report, reply) => {
            let verb = if report.dry_run { "Look" } else { "Publish" };
            let (id, source, urgent) = (report.id, report.source, report.urgent);
            let asked = format!("{verb} {id} {source:?} {urgent}");
            answered(asked, reply, refusal, published())
        }
    }
}

fn answer_store(request: StoreRequest, refusal: Option<Refusal>) -> String {
    match request {
        StoreRequest::OwnReports(reply) => answered("List", reply, refusal, own_reports()),
        StoreRequest::Export(id, format, reply) => {
            let asked = format!("Export {id} {format:?}");
            answered(asked, reply, refusal, report_bytes())
        }
        StoreRequest::CancelPublish(id, source, reply) => {
            let asked = format!("Cancel {id} {source:?}");
            answered(asked, reply, refusal, cancelled())
        }
        StoreRequest::DeleteReport(id, reply) => {
            answered(format!("Delete {id}"), reply, refusal, ())
        }
        StoreRequest::MarkExposure(id, dismissed, reply) => {
            answered(format!("Mark {id:?} {dismissed}"), reply, refusal, ())
        }
        StoreRequest::RestoreExposure(id, reply) => {
            answered(format!("Restore {id:?}"), reply, refusal, ())
        }
        StoreRequest::PendingIntervals(source, reply) => {
            let intervals = [74_358, 74_359].map(|n| Interval::new(n).unwrap());
            let asked = format!("Pending {source}");
            answered(asked, reply, refusal, intervals.to_vec())
        }
        StoreRequest::TakePart(source, reply) => {
            let upload = (source != "dry").then(|| (7, signed_report()));
            answered(format!("Take {source}"), reply, refusal, upload)
        }
        StoreRequest::RecordCheck(source, problem, reply) => {
            answered(format!("Record {source} {problem:?}"), reply, refusal, ())
        }
        StoreRequest::SettlePart(part, result, reply) => {
            answered(format!("Settle {part} {result:?}"), reply, refusal, ())
        }
    }
}

fn answer_exchange(request: ExchangeRequest, refusal: Option<Refusal>) -> String {
    match request {
        ExchangeRequest::Begin(owner, sources, reply) => {
            let asked = format!("Begin {} {sources:?}", owner.is_some());
            answered(asked, reply, refusal, true)
        }
        ExchangeRequest::End(reply) => answered("End", reply, refusal, ()),
        ExchangeRequest::TriggerSync(reply) => answered("Ring", reply, refusal, ()),
        ExchangeRequest::Deliver(..) => unreachable!("it is read elsewhere"),
    }
}

/// A run of tcnd-sync that found an exposure while one server was down.
fn run(status: &mut SyncStatus) {
    let source = |name: &str, failures| Source {
        id: SourceId::FILES,
        configured: NewSource {
            name: name.to_owned(),
            label: format!("Server {name}"),
            publish: true,
            help: Help::default(),
        },
        checked: Some(UnixTime(1_795_000_000)),
        failures,
        problem: if failures > 0 { "unreachable" } else { "" }.to_owned(),
    };
    *status = SyncStatus {
        sources: vec![source("one", 0), source("two", 3)],
        begun: status.begun + 1,
        ended: status.ended + 1,
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
        help: vec![SourceHelp {
            label: "Server one".to_owned(),
            help: Help {
                url: Some(HelpUrl::new("https://a.example.org/help").unwrap()),
                phone: None,
            },
        }],
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
    let felt = Symptoms::new(&[Symptom::DryCough, Symptom::Other]).unwrap();
    bridged.memo = SymptomMemo::new(Day::of(200_000), Some(Day::of(86_400)), felt).to_memo();
    bridged.help.clear();
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
        retention: Duration::from_secs(14 * 86_400),
        report_sources: 0,
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
            cookie: COOKIE,
            until: Pause::Until(UnixTime(1_800_000_000)),
            reason: "in a meeting".to_owned(),
            application_id: "org.example.LogRecorder".to_owned(),
        }],
        rotation_interval: Duration::from_secs(600),
        retention: Duration::from_secs(86_400),
        report_sources: 2,
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
