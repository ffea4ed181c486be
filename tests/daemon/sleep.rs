//! The machine sleeps, and the daemon prepares for it.

use std::future::Future;

use rusqlite::OpenFlags;
use tcn_protocol::TemporaryContactNumber;
use tcnd::daemon::{Ended, Error, Refusal, Request, Signal};
use tcnd::radio::{Event, Order};
use tcnd::store::DATABASE;
use tcnd_config::Settings;

use super::machine::Machine;
use super::{Harness, soon};

/// The daemon leaves the air, writes everything to the file itself, and comes back
/// under another number.
#[tokio::test]
async fn it_sleeps_in_silence_and_wakes_with_another_number() {
    let machine = Machine::new(Settings::default()).await;
    let first = machine.aired(1).await;
    machine
        .hears(TemporaryContactNumber::from_bytes([7; 16]), -60)
        .await;
    machine.has_logged(1).await;
    for _ in 0..2 {
        soon(machine.handle.ask(Request::Sleep)).await.unwrap();
    }
    let database = machine.directory.path().join(DATABASE);
    let journal = database.with_extension("sqlite-wal");
    assert_eq!(journal.metadata().unwrap().len(), 0, "all is in the file");
    let reader =
        rusqlite::Connection::open_with_flags(&database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let rows: u32 = reader
        .query_row("SELECT count(*) FROM contact", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1);
    drop(reader);
    let asked = machine.handle.ask(Request::Rotate).await;
    assert_eq!(asked, Err(Refusal::OffAir));
    for _ in 0..2 {
        soon(machine.handle.ask(Request::Wake)).await.unwrap();
    }
    assert_ne!(machine.aired(2).await, first);
    machine.stop().await;
}

/// Runs a story beside a driver, which the story stops.
async fn tell(driver: impl Future<Output = Result<Ended, Error>>, story: impl Future<Output = ()>) {
    let both = Box::pin(async { tokio::join!(driver, story) });
    let (ended, ()) = soon(both).await;
    assert_eq!(ended.unwrap(), Ended::Stopped);
}

/// As soon as conditions ask for windows, discovery pauses, and goes on.
#[tokio::test]
async fn discovery_pauses_where_sound_is_streamed() {
    let (mut harness, driver) = Harness::new(Some(true));
    let story = async {
        harness.up(false).await;
        assert_eq!(harness.orders.recv().await, Some(Order::Listen));
        harness.radio.send(Event::DiscoveryStarted).await.unwrap();
        harness.conditions.send_modify(|now| now.audio = true);
        assert_eq!(harness.orders.recv().await, Some(Order::StopDiscovery));
        harness.conditions.send_modify(|now| now.audio = false);
        assert_eq!(harness.orders.recv().await, Some(Order::StartDiscovery));
        harness.radio.send(Event::Down).await.unwrap();
        harness.signals.send(Signal::Stop).await.unwrap();
    };
    tell(driver, story).await;
}

/// logind gets no permission to continue while the advert is still there.
#[tokio::test]
async fn the_answer_waits_for_the_radio() {
    let (mut harness, driver) = Harness::new(Some(true));
    let story = async {
        harness.up(true).await;
        let Some(Order::Air(frame)) = harness.orders.recv().await else {
            panic!("something else than a number was ordered");
        };
        harness.radio.send(Event::Aired(frame)).await.unwrap();
        let (asked, handle) = (harness.handle.clone(), harness.handle.clone());
        let answer = tokio::spawn(async move { asked.ask(Request::Sleep).await });
        let Some(Order::Rest) = harness.orders.recv().await else {
            panic!("it does not leave the air");
        };
        // The reply to a later request comes after all earlier requests.
        handle.ask(Request::TcnAge).await.unwrap();
        assert!(!answer.is_finished(), "the advert is there yet");
        harness.radio.send(Event::Rested).await.unwrap();
        answer.await.unwrap().unwrap();
        harness.signals.send(Signal::Stop).await.unwrap();
    };
    tell(driver, story).await;
}

/// A sleep that was cancelled has no effect.
#[tokio::test]
async fn who_waits_is_let_go_when_the_machine_stays_awake() {
    let (mut harness, driver) = Harness::new(Some(true));
    let story = async {
        harness.up(false).await;
        assert!(matches!(harness.orders.recv().await, Some(Order::Listen)));
        let asked = harness.handle.clone();
        let answer = tokio::spawn(async move { asked.ask(Request::Sleep).await });
        assert!(matches!(harness.orders.recv().await, Some(Order::Rest)));
        harness.handle.ask(Request::Wake).await.unwrap();
        assert_eq!(answer.await.unwrap(), Err(Refusal::Gone));
        harness.radio.send(Event::Rested).await.unwrap();
        assert!(matches!(harness.orders.recv().await, Some(Order::Listen)));
        harness.radio.send(Event::Down).await.unwrap();
        harness.signals.send(Signal::Stop).await.unwrap();
    };
    tell(driver, story).await;
}
