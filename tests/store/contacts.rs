//! Contact growth goes in, totals come out.

use std::time::Duration;

use proptest::prelude::*;
use tcn_engine::{Contact, Signal, Unheard};
use tcn_protocol::UnixTime;
use tcnd::store::Bucket;
use tempfile::tempdir;

use super::{DAY, DAY_ONE, Harness, look, sighting, summary, tcn};

/// One advert: seconds after the start of its run, signal, bridged.
type Advert = (u64, Option<i16>, bool);

fn adverts() -> impl Strategy<Value = Vec<Advert>> {
    let advert = (
        0u64..2000,
        proptest::option::weighted(0.9, -100i16..-20),
        any::<bool>(),
    );
    proptest::collection::vec(advert, 1..60)
}

/// The engine's result for some adverts of one run.
fn fold(start: u64, adverts: &[Advert]) -> Contact {
    let mut signal = Signal::default();
    adverts.iter().for_each(|advert| signal.add(advert.1));
    Contact {
        tcn: tcn(1),
        start: UnixTime(start),
        end: UnixTime(start + adverts.iter().map(|a| a.0).max().unwrap()),
        unheard: Unheard::default(),
        signal,
        bridged: adverts.iter().any(|a| a.2),
    }
}

#[derive(Debug, PartialEq)]
struct Stored {
    span: i64,
    rssi_max: Option<i64>,
    sightings: Vec<u8>,
    bridged: bool,
}

/// The only row after these batches were saved, one after another and with a restart
/// somewhere between, and its signal sum.
fn saved(batches: &[Contact], restart: usize) -> (Stored, i64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let directory = tempdir().unwrap();
    let restart = restart % (batches.len() + 1);
    for part in [&batches[..restart], &batches[restart..]] {
        runtime.block_on(async {
            let mut harness = Harness::new(directory.path());
            for growth in part {
                harness.save(vec![*growth]).await;
            }
            harness.store.close().await;
        });
    }
    let db = look(directory.path());
    let row = "SELECT span, rssi_max, sightings, bridged, rssi_sum FROM contact";
    db.query_row(row, [], |row| {
        let stored = Stored {
            span: row.get(0)?,
            rssi_max: row.get(1)?,
            sightings: row.get(2)?,
            bridged: row.get(3)?,
        };
        Ok((stored, row.get(4)?))
    })
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// However the sightings of a run are divided into batches, the row is the same.
    #[test]
    fn any_portions_make_the_same_row(
        adverts in adverts(),
        offset in 0u64..900,
        cuts in proptest::collection::vec(0usize..60, 0..6),
        restart: usize,
    ) {
        let start = DAY_ONE + offset;
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % adverts.len()).collect();
        cuts.extend([0, adverts.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let portions: Vec<_> = cuts.windows(2).map(|cut| fold(start, &adverts[cut[0]..cut[1]])).collect();
        prop_assert_eq!(saved(&[fold(start, &adverts)], 0), saved(&portions, restart));
    }
}

#[tokio::test]
async fn a_number_heard_again_in_its_quarter_is_one_contact() {
    let (directory, mut harness) = Harness::fresh();
    harness
        .save(vec![sighting(1, DAY_ONE + 500, DAY_ONE + 600)])
        .await;
    harness
        .save(vec![sighting(1, DAY_ONE + 100, DAY_ONE + 110)])
        .await;
    harness
        .save(vec![sighting(1, DAY_ONE + 900, DAY_ONE + 910)])
        .await;
    harness.store.close().await;
    let db = look(directory.path());
    let mut query = db
        .prepare("SELECT quarter * 900 + (span & 1023), span >> 10 FROM contact")
        .unwrap();
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let rows: Vec<(i64, i64)> = rows.map(Result::unwrap).collect();
    let day_one = i64::try_from(DAY_ONE).unwrap();
    assert_eq!(rows, [(day_one + 100, 500), (day_one + 900, 10)]);
}

#[tokio::test]
async fn totals_count_what_began_in_their_range() {
    let (_directory, mut harness) = Harness::fresh();
    let nearest = Contact {
        signal: Signal {
            max: Some(-50),
            sum: -150,
            attenuation: [3, 0, 0, 0],
            unmeasured: 2,
        },
        ..sighting(4, DAY_ONE + DAY, DAY_ONE + DAY + 60)
    };
    harness
        .save(vec![
            sighting(1, DAY_ONE + 3599, DAY_ONE + DAY),
            sighting(2, DAY_ONE + 3600, DAY_ONE + 3700),
            sighting(3, DAY_ONE + 3601, DAY_ONE + 3601),
            nearest,
        ])
        .await;
    let day = |n: u64, numbers, sightings| Bucket {
        start: UnixTime(DAY_ONE + n),
        numbers,
        sightings,
    };

    let all = summary(&harness.store).await;
    assert_eq!((all.numbers, all.sightings), (4, 8));
    assert_eq!(
        all.oldest,
        Some(UnixTime(DAY_ONE + 2700)),
        "rounded down to the quarter of an hour"
    );
    assert_eq!(all.per_day, [day(0, 3, 3), day(DAY, 1, 5)]);
    assert_eq!(all.attenuation, [3, 3, 0, 0]);

    let (from, to) = (UnixTime(DAY_ONE + 3600), UnixTime(DAY_ONE + DAY));
    let some = harness.store.summary(from, to).await.unwrap();
    assert_eq!((some.numbers, some.sightings), (2, 2));
    let bars = harness.store.histogram(
        UnixTime(DAY_ONE),
        UnixTime(u64::MAX),
        Duration::from_secs(3600),
    );
    assert_eq!(
        bars.await.unwrap(),
        [day(0, 1, 1), day(3600, 2, 2), day(DAY, 1, 5)]
    );
    // Bars begin where the range begins, not at the clock's hours.
    let off = UnixTime(DAY_ONE + 3000);
    let bars = harness
        .store
        .histogram(off, UnixTime(DAY_ONE + DAY), Duration::from_secs(3600));
    assert_eq!(bars.await.unwrap(), [day(3000, 3, 3)]);
    let none = harness.store.summary(to, from).await.unwrap();
    assert_eq!((none.numbers, none.oldest), (0, None));
}

#[tokio::test]
async fn a_day_ends_at_midnight_utc() {
    let (_directory, mut harness) = Harness::fresh();
    let (last, first) = (DAY_ONE + DAY - 1, DAY_ONE + DAY);
    harness
        .save(vec![sighting(1, last, first), sighting(2, first, first)])
        .await;
    let all = summary(&harness.store).await;
    let day = |start| Bucket {
        start: UnixTime(start),
        numbers: 1,
        sightings: 1,
    };
    assert_eq!(all.per_day, [day(DAY_ONE), day(DAY_ONE + DAY)]);
}

#[tokio::test]
async fn the_ends_of_the_ranges_are_kept() {
    let (_directory, mut harness) = Harness::fresh();
    let unmeasured = Contact {
        signal: Signal {
            unmeasured: u32::MAX,
            ..Signal::default()
        },
        ..sighting(1, DAY_ONE, DAY_ONE)
    };
    harness.save(vec![unmeasured]).await;
    harness.save(vec![unmeasured]).await;
    // A clock that is wildly wrong, in either direction.
    harness
        .save(vec![
            sighting(2, 0, u64::MAX),
            sighting(3, u64::MAX, u64::MAX),
        ])
        .await;
    harness.save(vec![sighting(2, 0, 5)]).await;
    let all = summary(&harness.store).await;
    assert!(all.numbers >= 2);
    assert_eq!(
        all.sightings,
        u64::from(u32::MAX) + all.numbers,
        "counts stop at their end"
    );
}
