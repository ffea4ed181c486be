//! The driver's loop from outside: a real store, and the test in the place of radio and
//! bus.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod exchange;
mod machine;
mod reports;
mod sleep;

use std::future::Future;
use std::time::Duration;

use tcn_engine::{ListenConditions, RadioCapabilities};
use tcn_protocol::beacon::Frame;
use tcn_protocol::{TemporaryContactNumber, UnixTime};
use tcnd::daemon::{self, Ended, Error, Handle, Parts, Refusal, Request, Signal};
use tcnd::radio::{Event, Order, Radio};
use tcnd::store::{self, DATABASE};
use tcnd_config::Settings;
use tempfile::{TempDir, tempdir};
use tokio::sync::{mpsc, watch};

/// Waits for an event that must happen.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), event)
        .await
        .expect("it happens within thirty seconds")
}

/// Everything that a driver is connected to.
struct Harness {
    directory: TempDir,
    radio: mpsc::Sender<Event>,
    orders: mpsc::Receiver<Order>,
    signals: mpsc::Sender<Signal>,
    conditions: watch::Sender<ListenConditions>,
    handle: Handle,
}

impl Harness {
    fn new(consent: Option<bool>) -> (Self, impl Future<Output = Result<Ended, Error>>) {
        let settings = Settings {
            consent,
            ..Settings::default()
        };
        Self::at(tempdir().unwrap(), settings)
    }

    /// A driver that continues with the state in this directory.
    fn at(
        directory: TempDir,
        settings: Settings,
    ) -> (Self, impl Future<Output = Result<Ended, Error>>) {
        let (handle, mailbox) = Handle::new(daemon::starting(&settings));
        let (orders, ordered) = mpsc::channel(8);
        let (radio, events) = mpsc::channel(64);
        let (signals, told) = mpsc::channel(1);
        let (conditions, seen) = watch::channel(ListenConditions::default());
        let driver = daemon::drive(Parts {
            radio: Radio { orders, events },
            opened: store::open(directory.path(), store::Seal::default()).unwrap(),
            mailbox,
            signals: told,
            settings,
            reread: Box::new(|| Ok(Settings::default())),
            conditions: seen,
            sync_trigger: Some(directory.path().join("bell")),
            boot_id: None,
        });
        let harness = Self {
            directory,
            radio,
            orders: ordered,
            signals,
            conditions,
            handle,
        };
        (harness, driver)
    }

    /// A radio that can listen comes up, and may be able to broadcast too.
    async fn up(&self, can_air: bool) {
        let able = RadioCapabilities {
            can_air,
            can_listen: true,
            ..RadioCapabilities::default()
        };
        self.radio.send(Event::Up(able)).await.unwrap();
    }

    async fn hear(&self, tcn: TemporaryContactNumber) {
        let frame = Frame::own(tcn);
        let heard = Event::Heard { frame, rssi: None };
        self.radio.send(heard).await.unwrap();
    }

    async fn logged(&self) -> Result<u64, Refusal> {
        let (from, to) = (UnixTime(0), UnixTime(u64::MAX));
        let ask = |reply| Request::Summary(from, to, reply);
        self.handle.ask(ask).await.map(|summary| summary.sightings)
    }
}

/// Damage persists while the file is open, so the daemon ends. The next start detects
/// the damage for which it ended; otherwise it would end forever.
#[tokio::test]
async fn a_database_that_is_damaged_while_in_use_ends_the_daemon() {
    for damage in ["sightings = x'ffffffffffffffff'", "rssi_max = 1000000"] {
        let (harness, driver) = Harness::new(Some(true));
        let tcn = TemporaryContactNumber::from_bytes([7; 16]);
        let story = async {
            harness.up(false).await;
            harness.hear(tcn).await;
            // Sightings and requests have no order among them.
            while harness.logged().await != Ok(1) {}
            let db = rusqlite::Connection::open(harness.directory.path().join(DATABASE)).unwrap();
            let update = format!("UPDATE contact SET {damage}");
            assert_eq!(db.execute(&update, []).unwrap(), 1);
            harness.hear(tcn).await;
            // Sightings are written out before an answer, which folds them into the
            // damaged row.
            loop {
                let _ = harness.logged().await;
            }
        };
        let ended = tokio::select! {
            ended = soon(Box::pin(driver)) => ended,
            () = story => unreachable!("it asks for ever"),
        };
        assert!(matches!(ended, Err(Error::StoreDamaged(_))), "{ended:?}");
        let aside = soon(reopened(&harness)).await.quarantined;
        assert!(aside.is_some(), "{damage}: the next start does not find it");
    }
}

/// The store releases the lock when its last request is answered.
async fn reopened(harness: &Harness) -> store::Opened {
    loop {
        match store::open(harness.directory.path(), store::Seal::default()) {
            Err(store::OpenError::Locked { .. }) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

/// Each refusal gives its own true reason, and not that of another.
#[tokio::test]
async fn refusals_name_their_reason() {
    for (configured, asked) in [(true, false), (false, true)] {
        let (harness, driver) = Harness::new(Some(configured));
        let story = async {
            let ask = |reply| {
                if asked {
                    Request::Enable(reply)
                } else {
                    Request::Disable(reply)
                }
            };
            assert_eq!(harness.handle.ask(ask).await, Err(Refusal::Configured));
            let said = Refusal::Configured.to_string();
            assert!(
                said.contains("`enabled`") && !said.contains("on the air"),
                "{said}"
            );
            let rotated = harness.handle.ask(Request::Rotate).await;
            assert_eq!(rotated, Err(Refusal::OffAir));
            harness.signals.send(Signal::Stop).await.unwrap();
        };
        let both = Box::pin(async { tokio::join!(driver, story) });
        let (ended, ()) = soon(both).await;
        assert_eq!(ended.unwrap(), Ended::Stopped);
    }
}
