//! Valid reports are accepted; everything else is refused.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::harness::{END, ManualClock, NOW, TestServer, report, report_with};

/// Checks a property against one server.
async fn hold<S: Strategy + Send + 'static>(
    cases: u32,
    strategy: S,
    property: impl AsyncFn(&TestServer, S::Value) + Send + 'static,
) {
    let runtime = tokio::runtime::Handle::current();
    let server = TestServer::new(&ManualClock::at(NOW)).await;
    let held = tokio::task::spawn_blocking(move || {
        TestRunner::new(Config::with_cases(cases))
            .run(&strategy, |value| {
                runtime.block_on(property(&server, value));
                Ok(())
            })
            .unwrap();
        server
    });
    held.await.unwrap().stop().await;
}

#[tokio::test]
async fn every_memo_type_and_length_comes_back_as_it_was_sent() {
    let memos = (
        any::<u64>(),
        any::<u8>(),
        proptest::collection::vec(any::<u8>(), 0..=255),
    );
    hold(60, memos, async |server, (n, kind, memo)| {
        let sent = report_with(n, kind, &memo);
        server.upload(&sent).await;
        assert!(server.interval(74_359).await.contains(&sent));
    })
    .await;
}

#[tokio::test]
async fn no_body_but_a_report_is_taken() {
    hold(
        200,
        proptest::collection::vec(any::<u8>(), 0..1200),
        async |server, body| {
            for sent in [body.clone(), STANDARD.encode(&body).into_bytes()] {
                let expected = if sent.len() > 1024 { 413 } else { 400 };
                assert_eq!(server.post(sent).await.status, expected);
            }
            assert_eq!(server.interval(74_359).await.len(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn a_report_that_is_changed_anywhere_is_refused() {
    let changes = (any::<prop::sample::Index>(), 1..=255_u8);
    hold(150, changes, async |server, (at, change)| {
        let mut changed = report(1);
        let at = at.index(changed.len());
        changed[at] ^= change;
        let status = server.post(STANDARD.encode(&changed)).await.status.as_u16();
        assert!(
            status == 400 || status == 401,
            "byte {at} became {change}: {status}"
        );
        assert_eq!(server.interval(74_359).await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_report_in_part_or_with_more_is_refused() {
    let server = TestServer::new(&ManualClock::at(NOW)).await;
    let whole = report(1);
    for length in 0..whole.len() {
        let part = STANDARD.encode(&whole[..length]);
        assert_eq!(server.post(part).await.status, 400, "{length}");
    }
    let more = [&whole[..], &[0]].concat();
    assert_eq!(server.post(STANDARD.encode(more)).await.status, 400);
    server.upload(&whole).await;
    server.stop().await;
}

#[tokio::test]
async fn one_report_signed_or_spelt_twice_is_one_report() {
    let clock = ManualClock::at(NOW);
    let server = TestServer::new(&clock).await;
    let first = report(3);
    server.upload(&first).await;
    let unpadded = STANDARD_NO_PAD.encode(&first);
    assert_eq!(server.post(unpadded).await.status, 200);
    clock.set(END);
    server.upload(&first).await;
    assert_eq!(server.interval(74_359).await, [first]);
    assert_eq!(server.interval(74_360).await.len(), 0);
    server.stop().await;
}

/// Keys of small order, from the public table of such points. With `R` the identity and
/// `S` zero, some of them "sign" every message by laxer rules.
#[tokio::test]
async fn keys_of_small_order_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let server = TestServer::new(&ManualClock::at(NOW)).await;
    for key in [identity, [0; 32]] {
        let mut forged = report(1);
        forged[..32].copy_from_slice(&key);
        let signature = forged.len() - 64;
        forged[signature..].fill(0);
        forged[signature] = 1;
        let response = server.post(STANDARD.encode(forged)).await;
        assert_eq!(response.status, 400);
        let why = String::from_utf8(response.body.to_vec()).unwrap();
        assert!(why.contains("small order"), "{why}");
    }
    server.stop().await;
}
