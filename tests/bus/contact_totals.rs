//! The contact log as a client gets it: as sums, by whole quarters of an hour, within
//! limits.

use tcnd_client::names;
use tcnd_client::proxy::{ContactSummary, ContactsProxy};

use crate::harness::{serving, soon};
use crate::members::{error_name, none, options};
use crate::mock_driver::{self, NEAR, idle};

#[tokio::test]
async fn contacts_in_sums() {
    let (mut harness, contacts) = serving::<ContactsProxy<'_>>(idle()).await;
    let summary = soon(contacts.get_summary(none())).await.unwrap();
    assert_eq!(
        summary,
        ContactSummary {
            numbers: 3,
            sightings: u32::MAX,
            oldest: Some(7200),
            per_day: vec![(86_400, 3, 9)],
            attenuation: vec![(55, 1), (63, 2), (73, 3), (255, 4)],
        }
    );
    let bars = soon(contacts.get_histogram(0, 7200, 3600)).await.unwrap();
    assert_eq!(bars, [(86_400, 3, 9)]);
    let statistics = soon(contacts.get_statistics()).await.unwrap();
    assert_eq!(statistics, mock_driver::statistics());
    let end = i64::MAX.unsigned_abs() / 900 * 900;
    assert_eq!(
        harness.driver.heard(),
        [
            &format!("Summary 0 {end}"),
            "Histogram 0 7200 3600",
            "Statistics",
        ]
    );
}

#[tokio::test]
async fn time_on_the_air_and_who_is_there() {
    let (mut harness, contacts) = serving::<ContactsProxy<'_>>(idle()).await;
    let quarters = soon(contacts.get_activity(901, 1799)).await.unwrap();
    assert_eq!(quarters, [(900, 61)]);
    let presence = soon(contacts.get_presence(none())).await.unwrap();
    assert_eq!(presence, "few", "of {NEAR} numbers");
    assert_eq!(soon(contacts.count_nearby()).await.unwrap(), NEAR);
    let asked = ["Activity 900 1800", "Nearby 900", "Nearby 60"];
    assert_eq!(harness.driver.heard(), asked);

    let most = 10_000 * 900;
    soon(contacts.get_activity(0, most)).await.unwrap();
    for (from, to) in [(0, most + 1), (900, 900), (901, 900)] {
        let answer = soon(contacts.get_activity(from, to)).await;
        assert_eq!(
            error_name(answer),
            names::error::INVALID_RANGE,
            "{from}..{to}"
        );
    }
    let odd = options([("within", 60_u64.into())]);
    let answer = soon(contacts.get_presence(odd)).await;
    assert_eq!(error_name(answer), names::error::INVALID_ARGS);
}

/// Spans are widened to whole quarters. Two that differ by a second get the same
/// answer, so no client can find out a time by subtracting.
#[tokio::test]
async fn nothing_finer_than_a_quarter_of_an_hour() {
    let (mut harness, contacts) = serving::<ContactsProxy<'_>>(idle()).await;
    for (from, to) in [(4500, 5400), (4501, 5400), (5399, 5400), (4500, 4501)] {
        let span = options([("from", from.into()), ("to", to.into())]);
        soon(contacts.get_summary(span)).await.unwrap();
        soon(contacts.get_histogram(from, to, 900)).await.unwrap();
        let asked = ["Summary 4500 5400", "Histogram 4500 5400 900"];
        assert_eq!(harness.driver.heard(), asked, "{from}..{to}");
    }
}

#[tokio::test]
async fn histograms_out_of_range() {
    let (mut harness, contacts) = serving::<ContactsProxy<'_>>(idle()).await;
    const QUARTERS: u64 = 900;
    for (from, to, bucket) in [
        (1, 1, 900),
        (2, 1, 900),
        (0, 7200, 0),
        (0, 7200, 899),
        (0, 7200, 901),
        (0, 7200, 3599),
        (0, 10_001 * QUARTERS, 900),
        (0, u64::MAX, u32::MAX / 900 * 900),
    ] {
        let answer = soon(contacts.get_histogram(from, to, bucket)).await;
        let name = error_name(answer);
        assert_eq!(name, names::error::INVALID_RANGE, "{from}..{to}/{bucket}");
    }
    let reversed = options([("from", 2_u64.into()), ("to", 1_u64.into())]);
    let answer = soon(contacts.get_summary(reversed)).await;
    assert_eq!(error_name(answer), names::error::INVALID_RANGE);
    harness.driver.heard_nothing();

    soon(contacts.get_histogram(0, 10_000 * QUARTERS, 900))
        .await
        .unwrap();
    soon(contacts.get_histogram(u64::MAX - 1, u64::MAX, 900))
        .await
        .unwrap();
    let end = i64::MAX.unsigned_abs() / QUARTERS * QUARTERS;
    assert_eq!(
        harness.driver.heard(),
        [
            "Histogram 0 9000000 900".to_owned(),
            format!("Histogram {} {end} 900", end - QUARTERS),
        ]
    );
}
