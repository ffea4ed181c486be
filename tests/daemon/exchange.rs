//! Simulated runs of `tcnd-sync`: what is fetched is matched once and remembered, what
//! leaves is recorded first, and nothing in between is lost.

use std::io::Cursor;

use tcn_exchange::help::Help;
use tcn_exchange::interval::Interval;
use tcn_exchange::upload_result::UploadResult;
use tcn_protocol::{UnixTime, wire};
use tcnd::daemon::{
    BUDGET, Delivery, ExchangeRequest, Matching, OwnReportsRequest, PublishRequest, Published,
    Refusal, Reply, Request, StoreRequest, clock,
};
use tcnd::store::{Cancelled, NewSource, Upload, UploadState};
use tcnd_client::Problem;
use tcnd_client::proxy::DeliveryCounts;
use tcnd_config::Settings;

use crate::machine::{self, Machine, common_memo, short_keys};
use crate::soon;

fn source(name: &str) -> NewSource {
    NewSource {
        name: name.to_owned(),
        label: format!("Server {name}"),
        publish: true,
        help: Help::default(),
    }
}

/// A dry run of publishing this report everywhere, over hours.
fn look(id: u64) -> PublishRequest {
    PublishRequest {
        id,
        source: None,
        urgent: false,
        dry_run: true,
        token: None,
    }
}

impl Machine {
    async fn exchange<T>(
        &self,
        ask: impl FnOnce(Reply<T>) -> ExchangeRequest,
    ) -> Result<T, Refusal> {
        soon(self.handle.ask(|reply| Request::Exchange(ask(reply)))).await
    }

    async fn begin(&self, sources: &[&str]) -> Result<bool, Refusal> {
        let sources = sources.iter().map(|name| source(name)).collect();
        let owner = Some(":1.7".to_owned());
        self.exchange(|reply| ExchangeRequest::Begin(owner, sources, reply))
            .await
    }

    async fn end(&self) {
        self.exchange(ExchangeRequest::End).await.unwrap();
    }

    async fn pending(&self, source: &str) -> Result<Vec<Interval>, Refusal> {
        let source = source.to_owned();
        self.stored(|reply| StoreRequest::PendingIntervals(source, reply))
            .await
    }

    async fn deliver(&self, interval: Interval, bytes: &[u8]) -> Result<DeliveryCounts, Refusal> {
        self.deliver_by("one", interval, bytes).await
    }

    async fn deliver_by(
        &self,
        source: &str,
        interval: Interval,
        bytes: &[u8],
    ) -> Result<DeliveryCounts, Refusal> {
        let delivery = Delivery {
            source: source.to_owned(),
            interval,
            whole: true,
            budget: BUDGET,
            reports: Box::new(Cursor::new(bytes.to_vec())),
        };
        self.exchange(|reply| ExchangeRequest::Deliver(delivery, reply))
            .await
    }

    /// Waits until all deliveries are matched.
    async fn is_matched(&self) {
        let mut status = self.handle.watch_sync_status();
        let idle = status.wait_for(|status| status.matching == Matching::Idle);
        soon(idle).await.unwrap();
    }

    async fn take(&self, source: &str) -> Option<(u64, Vec<u8>)> {
        let source = source.to_owned();
        let taken = self.stored(|reply| StoreRequest::TakePart(source, reply));
        let taken = taken.await.unwrap();
        taken.map(|(part, signed)| (part, wire::write(&signed)))
    }

    async fn settle(&self, part: u64, result: UploadResult) -> Result<(), Refusal> {
        self.stored(|reply| StoreRequest::SettlePart(part, result, reply))
            .await
    }

    async fn record(&self, source: &str, problem: &str) -> Result<(), Refusal> {
        let (source, problem) = (source.to_owned(), problem.to_owned());
        self.stored(|reply| StoreRequest::RecordCheck(source, problem, reply))
            .await
    }

    async fn publish(&self, id: u64, urgent: bool) -> Result<usize, Refusal> {
        let asked = PublishRequest {
            urgent,
            dry_run: false,
            ..look(id)
        };
        let published = self.ask_publish(asked).await;
        published.map(|published| published.parts)
    }

    async fn ask_publish(&self, asked: PublishRequest) -> Result<Published, Refusal> {
        self.own(|reply| OwnReportsRequest::Publish(asked, reply))
            .await
    }

    async fn cancel(&self, id: u64) -> Result<Vec<Cancelled>, Refusal> {
        self.stored(|reply| StoreRequest::CancelPublish(id, None, reply))
            .await
    }

    async fn uploads(&self) -> Vec<Upload> {
        let reports = self.stored(StoreRequest::OwnReports).await.unwrap();
        reports
            .into_iter()
            .flat_map(|report| report.uploads)
            .collect()
    }

    /// Whether `tcnd-sync` was triggered; resets the trigger.
    fn rang(&self) -> bool {
        std::fs::remove_file(self.directory.path().join("bell")).is_ok()
    }

    /// Waits until the public state meets the condition.
    async fn shows(&self, is: impl Fn(bool, Option<UnixTime>) -> bool) {
        let mut snapshots = self.handle.watch();
        let shown = snapshots.wait_for(|shown| {
            is(
                shown.problems.contains_key(&Problem::SyncFailed),
                shown.checked,
            )
        });
        soon(shown).await.unwrap();
    }
}

#[tokio::test]
async fn a_published_report_warns_the_other_and_is_remembered() {
    let (reporter, other, _, made) = machine::met().await;
    assert_eq!(reporter.publish(made, true).await, Err(Refusal::NoServer));
    reporter.begin(&["one"]).await.unwrap();
    assert!(!reporter.rang());
    assert_eq!(reporter.publish(made, true).await, Ok(1));
    assert!(reporter.rang());
    let (part, report) = reporter.take("one").await.unwrap();
    assert_eq!(reporter.uploads().await[0].state, UploadState::Sent);
    assert_eq!(reporter.take("one").await, None);
    reporter.settle(part, UploadResult::Accepted).await.unwrap();
    let settled = reporter.settle(part, UploadResult::Accepted).await;
    assert_eq!(settled, Err(Refusal::NoSuchPart));
    assert_eq!(reporter.uploads().await[0].state, UploadState::Accepted);
    let again = reporter.publish(made, false).await;
    assert_eq!(again, Err(Refusal::AlreadyPublished));
    let again = reporter.publish(made, true).await;
    assert_eq!(again, Err(Refusal::AlreadyPublished));
    assert!(!reporter.rang(), "there is nothing to send");
    reporter.end().await;

    other.begin(&["one"]).await.unwrap();
    let pending = other.pending("one").await.unwrap();
    let current = *pending.last().unwrap();
    assert_eq!(current, Interval::of(clock::now().wall));
    assert_eq!(pending.len(), 57);
    let counted = other.deliver(current, &report).await.unwrap();
    assert_eq!((counted.accepted, counted.duplicate), (1, 0));
    // The current interval is requested again, those that are over are not.
    other.deliver(pending[0], b"").await.unwrap();
    other.deliver(pending[7], b"").await.unwrap();
    let left = other.pending("one").await.unwrap();
    assert_eq!(left.len(), 55);
    assert_eq!(left.last(), Some(&current));
    assert!(!left.contains(&pending[0]) && !left.contains(&pending[7]));
    assert_eq!(other.exposures().await, [], "nothing is matched in a run");
    other.end().await;
    let exposure = other.exposure().await;
    assert_eq!(exposure.sources, ["Server one"]);
    other.is_matched().await;
    let status = other.handle.watch_sync_status().borrow().clone();
    assert_eq!((status.begun, status.ended), (1, 1));
    assert_eq!((status.reports, status.new_exposures), (1, 1));
    reporter.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn what_is_not_whole_is_asked_for_again() {
    let machine = Machine::new(Settings::default()).await;
    machine.begin(&["one"]).await.unwrap();
    let pending = machine.pending("one").await.unwrap();
    let broken = machine
        .deliver(pending[0], b"no report at all")
        .await
        .unwrap();
    assert_eq!(broken.malformed, 1);
    assert_eq!(machine.pending("one").await.unwrap(), pending);

    let wrong = |interval| machine.deliver(interval, b"");
    let refused = |answer| matches!(answer, Err(Refusal::InvalidRange(_)));
    assert!(refused(wrong(pending[0].previous()).await));
    assert!(refused(wrong(pending.last().unwrap().next()).await));
    let unknown = machine.pending("two").await;
    assert_eq!(unknown, Err(Refusal::NoSuchSource));
    machine.stop().await;
}

#[tokio::test]
async fn parts_leave_over_hours_unless_a_person_says_otherwise() {
    let machine = Machine::new(Settings::default()).await;
    machine.aired(1).await;
    let made = machine.report(common_memo()).await.unwrap();
    machine.begin(&["one", "two"]).await.unwrap();
    let before = clock::now().wall;
    assert_eq!(machine.publish(made.id, false).await, Ok(2));
    assert!(
        !machine.rang(),
        "no observer can see that there is a report"
    );
    let uploads = machine.uploads().await;
    for upload in &uploads {
        let due = upload.due.unwrap();
        assert!(
            before <= due && due.0 <= before.0 + 6 * 3600 + 60,
            "{due:?}"
        );
        assert_eq!(upload.state, UploadState::Queued);
    }
    let sources: Vec<_> = uploads.iter().map(|upload| &upload.source).collect();
    assert_eq!(sources, ["one", "two"]);
    machine.stop().await;
}

#[tokio::test]
async fn a_failure_waits_and_a_refusal_says_why() {
    let machine = Machine::new(Settings::default()).await;
    machine.aired(1).await;
    let made = machine.report(common_memo()).await.unwrap();
    machine.begin(&["one", "two"]).await.unwrap();
    machine.publish(made.id, true).await.unwrap();
    let (part, _) = machine.take("one").await.unwrap();
    let failed = UploadResult::failed("unreachable", None);
    machine.settle(part, failed).await.unwrap();
    assert_eq!(machine.take("one").await, None, "it waits");
    let (part, _) = machine.take("two").await.unwrap();
    let refused = UploadResult::Refused {
        reason: "the signature does not hold".to_owned(),
    };
    machine.settle(part, refused).await.unwrap();
    let uploads = machine.uploads().await;
    assert_eq!(uploads[0].reason, "unreachable");
    assert!(uploads[0].due.unwrap() > clock::now().wall);
    assert_eq!(uploads[1].reason, "the signature does not hold");
    assert_eq!(
        (uploads[1].state, uploads[1].due),
        (UploadState::Refused, None)
    );
    machine.stop().await;
}

#[tokio::test]
async fn a_run_is_told_that_a_person_asked_for_it_once() {
    let machine = Machine::new(Settings::default()).await;
    assert_eq!(machine.begin(&["one"]).await, Ok(false));
    machine.end().await;
    machine
        .exchange(ExchangeRequest::TriggerSync)
        .await
        .unwrap();
    assert!(machine.rang());
    assert_eq!(machine.begin(&["one"]).await, Ok(true));
    machine.end().await;
    assert_eq!(machine.begin(&["one"]).await, Ok(false));
    machine.stop().await;
}

#[tokio::test]
async fn one_run_at_a_time_and_one_that_dies_is_over() {
    let machine = Machine::new(Settings::default()).await;
    machine.begin(&["one"]).await.unwrap();
    let second = machine.begin(&["one"]).await;
    assert!(matches!(second, Err(Refusal::InUse(_))));
    machine.handle.client_disconnected(":1.8".to_owned()).await;
    assert!(machine.begin(&["one"]).await.is_err());
    machine.handle.client_disconnected(":1.7".to_owned()).await;
    machine.begin(&["one"]).await.unwrap();
    let ended = machine.handle.watch_sync_status().borrow().ended;
    assert_eq!(ended, 1);
    machine.stop().await;
}

#[tokio::test]
async fn a_source_that_fails_twice_is_a_problem_until_it_works() {
    let machine = Machine::new(Settings::default()).await;
    machine.begin(&["one", "two"]).await.unwrap();
    machine.record("one", "").await.unwrap();
    machine.record("two", "unreachable").await.unwrap();
    machine
        .shows(|failed, checked| !failed && checked.is_none())
        .await;
    machine.record("two", "unreachable").await.unwrap();
    machine.shows(|failed, _| failed).await;
    machine.record("two", "").await.unwrap();
    machine
        .shows(|failed, checked| !failed && checked.is_some())
        .await;
    let unknown = machine.record("three", "").await;
    assert_eq!(unknown, Err(Refusal::NoSuchSource));
    machine.stop().await;
}

/// A machine that met another, and the other's report.
async fn met() -> (Machine, Vec<u8>) {
    let (reporter, other, _, made) = machine::met().await;
    let report = reporter.export(made).await.unwrap();
    reporter.stop().await;
    (other, report)
}

/// A hostile source serves a copy of an honest report in an interval that ended before
/// the contact, in each order, with the honest signature and with a bad one.
#[tokio::test]
async fn a_second_source_takes_nothing_away() {
    for bad in [false, true] {
        for first in ["two", "one"] {
            let (machine, report) = met().await;
            let mut copy = report.clone();
            *copy.last_mut().unwrap() ^= u8::from(bad);
            machine.begin(&["one", "two"]).await.unwrap();
            let pending = machine.pending("one").await.unwrap();
            for name in [first, if first == "one" { "two" } else { "one" }] {
                let (interval, bytes) = match name {
                    "one" => (pending[56], &report),
                    _ => (pending[10], &copy),
                };
                machine.deliver_by(name, interval, bytes).await.unwrap();
            }
            machine.end().await;
            let exposure = machine.exposure().await;
            assert_eq!(exposure.published, pending[56].end());
            // In another run, too.
            machine.begin(&["one", "two"]).await.unwrap();
            machine.deliver_by("two", pending[11], &copy).await.unwrap();
            machine.end().await;
            assert_eq!(machine.exposures().await.len(), 1);
            machine.stop().await;
        }
    }
}

#[tokio::test]
async fn what_was_delivered_is_matched_after_a_restart() {
    let (machine, report) = met().await;
    machine.begin(&["one"]).await.unwrap();
    let current = *machine.pending("one").await.unwrap().last().unwrap();
    machine.deliver(current, &report).await.unwrap();
    assert_eq!(machine.exposures().await, [], "the run is not over");
    let directory = machine.stop().await;
    let again = Machine::at(directory, Settings::default()).await;
    assert_eq!(again.exposures().await.len(), 1);
    again.stop().await;
}

#[tokio::test]
async fn a_run_that_begins_stops_the_matching_and_its_end_goes_on() {
    let (machine, report) = met().await;
    machine.begin(&["one"]).await.unwrap();
    let current = *machine.pending("one").await.unwrap().last().unwrap();
    machine.deliver(current, &report).await.unwrap();
    machine.end().await;
    machine.begin(&["one"]).await.unwrap();
    let matching = machine.handle.watch_sync_status().borrow().matching;
    assert_ne!(matching, Matching::Working, "nothing is matched in a run");
    machine.end().await;
    machine.is_matched().await;
    assert_eq!(machine.exposures().await.len(), 1);
    machine.stop().await;
}

/// A report whose last number comes before its first names no number.
#[tokio::test]
async fn reports_that_name_nobody_leave_nothing() {
    let (machine, report) = met().await;
    let mut empty = report;
    empty[66..68].fill(0);
    machine.begin(&["one"]).await.unwrap();
    let interval = machine.pending("one").await.unwrap()[50];
    let counted = machine.deliver(interval, &empty.repeat(100)).await.unwrap();
    assert_eq!(counted.accepted, 100);
    let path = machine.directory.path().to_owned();
    let db = rusqlite::Connection::open(path.join(tcnd::store::DATABASE)).unwrap();
    for table in ["seen_report", "delivery", "matched_report"] {
        let count = format!("SELECT count(*) FROM {table}");
        let rows = db.query_row(&count, [], |row| row.get(0));
        assert_eq!(rows, Ok(0), "{table}");
    }
    let names = std::fs::read_dir(path).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name());
    assert!(!names.any(|name| name.to_string_lossy().contains("delivery")));
    machine.end().await;
    machine.stop().await;
}

/// An interval that was marked while the clock was ahead is requested again.
#[tokio::test]
async fn what_a_clock_that_was_ahead_had_marked_is_asked_for_again() {
    let machine = Machine::new(Settings::default()).await;
    machine.begin(&["one"]).await.unwrap();
    let pending = machine.pending("one").await.unwrap();
    machine.deliver(pending[3], b"").await.unwrap();
    assert_eq!(machine.pending("one").await.unwrap().len(), 56);
    let path = machine.directory.path().join(tcnd::store::DATABASE);
    let db = rusqlite::Connection::open(path).unwrap();
    let future = i64::try_from(pending[56].next().number()).unwrap();
    db.execute("INSERT INTO delivered VALUES (?1, 'one')", [future])
        .unwrap();
    assert_eq!(machine.pending("one").await.unwrap(), pending);
    let left = db.query_row("SELECT count(*) FROM delivered", [], |row| row.get(0));
    assert_eq!(left, Ok(0));
    machine.end().await;
    machine.stop().await;
}

#[tokio::test]
async fn what_is_queued_can_be_hurried_and_called_back() {
    let machine = Machine::new(short_keys()).await;
    machine.aired(1).await;
    machine.rotate().await;
    let made = machine.report(common_memo()).await.unwrap();
    assert_eq!(made.plan.parts.len(), 2);
    machine.begin(&["one"]).await.unwrap();
    assert_eq!(machine.publish(made.id, false).await, Ok(2));
    let again = machine.publish(made.id, false).await;
    assert_eq!(again, Err(Refusal::AlreadyPublished));
    assert!(!machine.rang());

    let now = PublishRequest {
        urgent: true,
        ..look(made.id)
    };
    let would = machine.ask_publish(now.clone()).await.unwrap();
    assert_eq!((would.parts, would.hurried), (2, 2));
    assert_eq!(would.labels, ["Server one"]);
    assert!(!machine.rang(), "nothing happened yet");
    assert_eq!(machine.publish(made.id, true).await, Ok(2));
    assert!(machine.rang());
    let (part, _) = machine.take("one").await.unwrap();
    machine.settle(part, UploadResult::Accepted).await.unwrap();
    let (under_way, _) = machine.take("one").await.expect("at once too");
    let failed = UploadResult::failed("unreachable", None);
    machine.settle(under_way, failed).await.unwrap();
    assert_eq!(machine.take("one").await, None, "it waits");
    assert_eq!(machine.publish(made.id, true).await, Ok(1), "hurried again");
    let (under_way, _) = machine.take("one").await.unwrap();

    let expected = Cancelled {
        source: "one".to_owned(),
        cancelled: 0,
        left: 2,
    };
    assert_eq!(machine.cancel(made.id).await.unwrap(), [expected]);
    let states = |uploads: Vec<Upload>| -> Vec<_> {
        let mut states: Vec<_> = uploads.iter().map(|upload| upload.state).collect();
        states.sort_by_key(|state| format!("{state:?}"));
        states
    };
    let cancelled = [UploadState::Accepted, UploadState::Cancelled];
    assert_eq!(states(machine.uploads().await), cancelled);
    // It was already on its way, and its outcome is kept.
    let failed = UploadResult::failed("unreachable", None);
    machine.settle(under_way, failed).await.unwrap();
    assert_eq!(states(machine.uploads().await), cancelled);
    assert_eq!(machine.take("one").await, None);
    assert_eq!(
        machine.publish(made.id, true).await,
        Ok(1),
        "the upload starts again"
    );
    machine.stop().await;
}

#[tokio::test]
async fn what_is_called_back_in_time_never_leaves() {
    let machine = Machine::new(Settings::default()).await;
    machine.aired(1).await;
    let made = machine.report(common_memo()).await.unwrap();
    machine.begin(&["one", "two"]).await.unwrap();
    assert_eq!(machine.cancel(made.id).await, Ok(vec![]));
    assert_eq!(
        machine.cancel(made.id + 1).await,
        Err(Refusal::NoSuchReport)
    );
    assert_eq!(machine.publish(made.id, true).await, Ok(2));
    let cancelled = machine.cancel(made.id).await.unwrap();
    let counts: Vec<_> = cancelled.iter().map(|of| (of.cancelled, of.left)).collect();
    assert_eq!(counts, [(1, 0), (1, 0)]);
    assert_eq!(machine.take("one").await, None);
    assert_eq!(machine.uploads().await, []);
    let reports = machine.stored(StoreRequest::OwnReports).await.unwrap();
    assert_eq!(reports[0].releases, [], "it never left");
    machine.stop().await;
}

#[tokio::test]
async fn what_was_shown_is_what_is_published_or_nothing() {
    let machine = Machine::new(Settings::default()).await;
    machine.aired(1).await;
    let made = machine.report(common_memo()).await.unwrap();
    let none = machine.ask_publish(look(made.id)).await;
    assert_eq!(none, Err(Refusal::NoServer));
    machine.begin(&["one"]).await.unwrap();
    let absent = machine.ask_publish(look(made.id + 1)).await;
    assert_eq!(absent, Err(Refusal::NoSuchReport));
    let shown = machine.ask_publish(look(made.id)).await.unwrap();
    assert_eq!(machine.uploads().await, [], "a look queues nothing");
    machine.end().await;
    // Another server is added while the person decides.
    machine.begin(&["one", "two"]).await.unwrap();
    let act = |token| PublishRequest {
        dry_run: false,
        token: Some(token),
        ..look(made.id)
    };
    let published = machine.ask_publish(act(shown.token)).await;
    assert_eq!(published, Err(Refusal::Changed));
    assert_eq!(machine.uploads().await, []);
    let shown = machine.ask_publish(look(made.id)).await.unwrap();
    let published = machine.ask_publish(act(shown.token)).await.unwrap();
    assert_eq!(
        (shown.parts, shown.labels),
        (published.parts, published.labels)
    );
    let over = machine.ask_publish(look(made.id)).await;
    assert_eq!(over, Err(Refusal::AlreadyPublished));
    machine.stop().await;
}
