//! A whole daemon except for its radio, which the test provides, and which obeys at
//! once.

use std::io::Cursor;
use std::time::Duration;

use tcn_engine::disclosure::Plan;
use tcn_engine::{Policy, RadioCapabilities};
use tcn_protocol::beacon::Frame;
use tcn_protocol::file::Format;
use tcn_protocol::{Memo, MemoType, TemporaryContactNumber, UnixTime};
use tcnd::daemon::{
    self, BUDGET, ContactsRequest, Error, Handle, Import, KnownExposure, MatchedReportsRequest,
    OwnReportsRequest, Refusal, Reply, ReportRequest, Reported, Request, Signal, StoreRequest,
};
use tcnd::radio::{Event, Order};
use tcnd_client::proxy::ImportCounts;
use tcnd_config::Settings;
use tempfile::{TempDir, tempdir};
use tokio::sync::{mpsc, watch};

use super::{Harness, soon};

pub(crate) type Tcn = TemporaryContactNumber;

pub(crate) struct Machine {
    pub(crate) directory: TempDir,
    pub(crate) handle: Handle,
    air: mpsc::Sender<Event>,
    aired: watch::Receiver<Vec<Tcn>>,
    signals: mpsc::Sender<Signal>,
    driver: tokio::task::JoinHandle<Result<daemon::Ended, Error>>,
}

impl Machine {
    /// One that broadcasts and listens.
    pub(crate) async fn new(settings: Settings) -> Self {
        Self::at(tempdir().unwrap(), settings).await
    }

    /// A machine that continues with the state in this directory.
    pub(crate) async fn at(directory: TempDir, settings: Settings) -> Self {
        let (harness, driver) = Harness::at(directory, settings);
        let (tell, aired) = watch::channel(Vec::new());
        tokio::spawn(obey(harness.orders, harness.radio.clone(), tell));
        let driver = tokio::spawn(driver);
        let machine = Self {
            directory: harness.directory,
            handle: harness.handle,
            air: harness.radio,
            aired,
            signals: harness.signals,
            driver,
        };
        machine.air.send(Event::Up(able())).await.unwrap();
        machine.handle.ask(Request::Enable).await.unwrap();
        machine
    }

    /// The `n`th number this machine has aired, from 1, as soon as it has.
    pub(crate) async fn aired(&self, n: usize) -> Tcn {
        let mut aired = self.aired.clone();
        let there = soon(aired.wait_for(|aired| aired.len() >= n))
            .await
            .unwrap();
        there[n - 1]
    }

    /// Makes the machine broadcast its next number.
    pub(crate) async fn rotate(&self) -> Tcn {
        let n = self.aired.borrow().len();
        // The request can come before the daemon knows that the number is on the air.
        while self.handle.ask(Request::Rotate).await == Err(Refusal::OffAir) {
            tokio::task::yield_now().await;
        }
        self.aired(n + 1).await
    }

    pub(crate) async fn hears(&self, tcn: Tcn, rssi: i16) {
        let frame = Frame::own(tcn);
        let rssi = Some(rssi);
        self.air.send(Event::Heard { frame, rssi }).await.unwrap();
    }

    /// Waits until this many sightings are in the log.
    pub(crate) async fn has_logged(&self, sightings: u64) {
        let everything = |reply| Request::Summary(UnixTime(0), UnixTime(u64::MAX), reply);
        // Sightings and requests have no order among them.
        while self.handle.ask(everything).await.unwrap().sightings < sightings {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn own<T>(
        &self,
        ask: impl FnOnce(Reply<T>) -> OwnReportsRequest,
    ) -> Result<T, Refusal> {
        soon(self.handle.ask(|reply| Request::OwnReports(ask(reply)))).await
    }

    pub(crate) async fn stored<T>(
        &self,
        ask: impl FnOnce(Reply<T>) -> StoreRequest,
    ) -> Result<T, Refusal> {
        soon(self.handle.ask_store(ask)).await
    }

    pub(crate) async fn others<T>(
        &self,
        ask: impl FnOnce(Reply<T>) -> MatchedReportsRequest,
    ) -> Result<T, Refusal> {
        soon(self.handle.ask(|reply| Request::MatchedReports(ask(reply)))).await
    }

    pub(crate) async fn log<T>(
        &self,
        ask: impl FnOnce(Reply<T>) -> ContactsRequest,
    ) -> Result<T, Refusal> {
        soon(self.handle.ask(|reply| Request::Contacts(ask(reply)))).await
    }

    pub(crate) async fn preview(&self) -> Plan {
        self.own(|reply| OwnReportsRequest::Preview(UnixTime(0), UnixTime(u64::MAX), reply))
            .await
            .unwrap()
    }

    /// Reports everything.
    pub(crate) async fn report(&self, memo: Memo) -> Result<Reported, Refusal> {
        let asked = ReportRequest {
            memo,
            note: "a note".to_owned(),
            ..everything()
        };
        self.own(|reply| OwnReportsRequest::Make(asked, reply))
            .await
    }

    pub(crate) async fn export(&self, id: u64) -> Result<Vec<u8>, Refusal> {
        self.stored(|reply| StoreRequest::Export(id, Format::Tcn, reply))
            .await
    }

    pub(crate) async fn import(&self, bytes: &[u8]) -> Result<ImportCounts, Refusal> {
        self.import_as("a friend", None, BUDGET, bytes).await
    }

    pub(crate) async fn import_as(
        &self,
        label: &str,
        published: Option<UnixTime>,
        budget: u64,
        bytes: &[u8],
    ) -> Result<ImportCounts, Refusal> {
        let import = Import {
            source: Box::new(Cursor::new(bytes.to_vec())),
            label: label.to_owned(),
            published,
            budget,
        };
        self.others(|reply| MatchedReportsRequest::Import(import, reply))
            .await
    }

    pub(crate) async fn exposures(&self) -> Vec<KnownExposure> {
        self.others(MatchedReportsRequest::Exposures).await.unwrap()
    }

    /// The only exposure.
    pub(crate) async fn exposure(&self) -> KnownExposure {
        let exposures = self.exposures().await;
        let [exposure] = &exposures[..] else {
            panic!("one exposure: {exposures:?}")
        };
        exposure.clone()
    }

    pub(crate) async fn unseen(&self, count: u32) {
        let mut unseen = self.handle.watch_unseen();
        soon(unseen.wait_for(|unseen| *unseen == count))
            .await
            .unwrap();
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.signals.send(Signal::Stop).await.unwrap();
        soon(self.driver).await.unwrap().unwrap();
        self.directory
    }
}

/// A machine that reports, another that heard its number, the number, and the id of the
/// report.
pub(crate) async fn met() -> (Machine, Machine, Tcn, u64) {
    let reporter = Machine::new(Settings::default()).await;
    let other = Machine::new(Settings::default()).await;
    let tcn = reporter.aired(1).await;
    other.hears(tcn, -60).await;
    other.has_logged(1).await;
    let made = reporter.report(common_memo()).await.unwrap();
    (reporter, other, tcn, made.id)
}

/// Settings with one number per key.
pub(crate) fn short_keys() -> Settings {
    let policy = Policy::default();
    Settings {
        policy: Policy {
            key_life: policy.period + Duration::from_secs(2),
            ..policy
        },
        ..Settings::default()
    }
}

/// A request to report everything.
pub(crate) fn everything() -> ReportRequest {
    ReportRequest {
        from: UnixTime(0),
        to: UnixTime(u64::MAX),
        memo: common_memo(),
        note: String::new(),
        linkable: false,
        shown: None,
        token: None,
    }
}

/// A memo that every report of its type carries.
pub(crate) fn common_memo() -> Memo {
    Memo::new(MemoType::ITO_V1, *b"symptom data").unwrap()
}

/// A radio that can do everything.
fn able() -> RadioCapabilities {
    RadioCapabilities {
        can_air: true,
        can_carry: true,
        can_listen: true,
        ..RadioCapabilities::default()
    }
}

async fn obey(
    mut orders: mpsc::Receiver<Order>,
    air: mpsc::Sender<Event>,
    aired: watch::Sender<Vec<Tcn>>,
) {
    while let Some(order) = orders.recv().await {
        let event = match order {
            Order::Air(frame) => {
                aired.send_modify(|aired| aired.push(frame.tcn));
                Event::Aired(frame)
            }
            Order::Swap(frame) => Event::Aired(frame),
            Order::Rest => Event::Rested,
            Order::Listen | Order::StopDiscovery | Order::StartDiscovery => continue,
        };
        if air.send(event).await.is_err() {
            return;
        }
    }
}
