//! Runs of `tcnd-sync`, played: what is fetched is matched once and remembered,
//! what leaves is recorded first, and nothing in between is lost.

use std::io::Cursor;

use tcnd::config::Settings;
use tcnd::daemon::{
    BUDGET, Delivery, ExchangeRequest, Import, Imported, OwnRequest, Problem, Refusal, Reply,
    Request, Settlement, clock,
};
use tcnd::engine::UnixTime;
use tcnd::exchange::interval::Interval;
use tcnd::protocol::wire;
use tcnd::store::{NewSource, Upload, UploadState};

use crate::machine::{Machine, common_memo};
use crate::soon;

fn source(name: &str) -> NewSource {
    NewSource {
        name: name.to_owned(),
        label: format!("Server {name}"),
        publish: true,
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
        self.exchange(|reply| ExchangeRequest::Pending(source, reply))
            .await
    }

    async fn deliver(&self, interval: Interval, bytes: &[u8]) -> Result<Imported, Refusal> {
        let import = Import {
            source: Box::new(Cursor::new(bytes.to_vec())),
            label: String::new(),
            published: None,
            budget: BUDGET,
            may_be_empty: true,
        };
        let delivery = Delivery {
            source: "one".to_owned(),
            interval,
            whole: true,
            import,
        };
        self.exchange(|reply| ExchangeRequest::Deliver(delivery, reply))
            .await
    }

    async fn take(&self, source: &str) -> Option<(u64, Vec<u8>)> {
        let source = source.to_owned();
        let taken = self.exchange(|reply| ExchangeRequest::Take(source, reply));
        let taken = taken.await.unwrap();
        taken.map(|(part, signed)| (part, wire::write(&signed)))
    }

    async fn settle(&self, part: u64, settlement: Settlement) -> Result<(), Refusal> {
        self.exchange(|reply| ExchangeRequest::Settle(part, settlement, reply))
            .await
    }

    async fn record(&self, source: &str, problem: &str) -> Result<(), Refusal> {
        let (source, problem) = (source.to_owned(), problem.to_owned());
        self.exchange(|reply| ExchangeRequest::Record(source, problem, reply))
            .await
    }

    async fn publish(&self, id: u64, urgent: bool) -> Result<usize, Refusal> {
        let publish = |reply| OwnRequest::Publish(id, None, urgent, reply);
        self.own(publish).await.map(|published| published.parts)
    }

    async fn uploads(&self) -> Vec<Upload> {
        let reports = self.own(OwnRequest::List).await.unwrap();
        reports
            .into_iter()
            .flat_map(|report| report.uploads)
            .collect()
    }

    /// Whether `tcnd-sync` was called; it is not any more.
    fn rang(&self) -> bool {
        std::fs::remove_file(self.directory.path().join("bell")).is_ok()
    }

    /// Waits until the public state says so.
    async fn shows(&self, is: impl Fn(bool, Option<UnixTime>) -> bool) {
        let mut snapshots = self.handle.watch();
        let shown = snapshots
            .wait_for(|shown| is(shown.problems.contains(&Problem::SyncFailed), shown.checked));
        soon(shown).await.unwrap();
    }
}

#[tokio::test]
async fn a_published_report_warns_the_other_and_is_remembered() {
    let reporter = Machine::new(Settings::default()).await;
    let other = Machine::new(Settings::default()).await;
    let tcn = reporter.aired(1).await;
    other.hears(tcn, -60).await;
    other.has_logged(1).await;
    let made = reporter.report(common_memo()).await.unwrap();
    assert_eq!(
        reporter.publish(made.id, true).await,
        Err(Refusal::NoServer)
    );
    reporter.begin(&["one"]).await.unwrap();
    assert!(!reporter.rang());
    assert_eq!(reporter.publish(made.id, true).await, Ok(1));
    assert!(reporter.rang());
    let (part, report) = reporter.take("one").await.unwrap();
    assert_eq!(reporter.uploads().await[0].state, UploadState::Sent);
    assert_eq!(reporter.take("one").await, None);
    reporter.settle(part, Settlement::Accepted).await.unwrap();
    let settled = reporter.settle(part, Settlement::Accepted).await;
    assert_eq!(settled, Err(Refusal::NoSuchPart));
    assert_eq!(reporter.uploads().await[0].state, UploadState::Accepted);
    let again = reporter.publish(made.id, false).await;
    assert_eq!(again, Err(Refusal::AlreadyPublished));
    let again = reporter.publish(made.id, true).await;
    assert_eq!(again, Err(Refusal::AlreadyPublished));
    assert!(!reporter.rang(), "there is nothing to send");
    reporter.end().await;

    other.begin(&["one"]).await.unwrap();
    let pending = other.pending("one").await.unwrap();
    let current = *pending.last().unwrap();
    assert_eq!(current, Interval::of(clock::now().wall));
    assert_eq!(pending.len(), 57);
    let imported = other.deliver(current, &report).await.unwrap();
    assert_eq!((imported.accepted, imported.new_exposures), (1, 1));
    let [exposure] = &other.exposures().await[..] else {
        panic!("one exposure")
    };
    assert_eq!(exposure.sources, ["Server one"]);
    assert!(exposure.published <= clock::now().wall);
    // The current one is asked for again, those that are over are not.
    other.deliver(pending[0], b"").await.unwrap();
    other.deliver(pending[7], &report).await.unwrap();
    let left = other.pending("one").await.unwrap();
    assert_eq!(left.len(), 55);
    assert_eq!(left.last(), Some(&current));
    assert!(!left.contains(&pending[0]) && !left.contains(&pending[7]));
    other.end().await;
    let standing = other.handle.watch_standing().borrow().clone();
    assert_eq!((standing.begun, standing.ended), (1, 1));
    assert_eq!((standing.reports, standing.new_exposures), (1, 1));
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
    assert!(!machine.rang(), "nobody can see that there is a report");
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
    let failed = Settlement::Failed("unreachable".to_owned(), None);
    machine.settle(part, failed).await.unwrap();
    assert_eq!(machine.take("one").await, None, "it waits");
    let (part, _) = machine.take("two").await.unwrap();
    let refused = Settlement::Refused("the signature does not hold".to_owned());
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
    machine.exchange(ExchangeRequest::Ring).await.unwrap();
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
    machine.handle.left(":1.8".to_owned()).await;
    assert!(machine.begin(&["one"]).await.is_err());
    machine.handle.left(":1.7".to_owned()).await;
    machine.begin(&["one"]).await.unwrap();
    let ended = machine.handle.watch_standing().borrow().ended;
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
