//! Own reports and the keys they take; reports of other people and the contacts they
//! name.

use std::path::Path;

use tcn_engine::{Aired, KeyHistory, KeyId};
use tcn_exchange::help::{Help, HelpPhone, HelpUrl};
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport, UnixTime, wire,
};
use tcnd::store::{
    Cursor, MatchedTimes, NewMatch, NewPart, NewReport, NewSource, Recorded, Release, SourceId,
};

use super::{DAY, DAY_ONE, Harness, begun, born, look, reserved, retired, seed, sighting, tcn};

/// A report by each of these keys, of two numbers, the index to burn included.
pub(crate) fn own_report(keys: &[u64]) -> NewReport {
    let memo = Memo::new(MemoType::COEPI_V1, *b"private words").unwrap();
    let parts = keys.iter().map(|key| NewPart {
        key: KeyId(*key),
        numbers: 2,
        from: UnixTime(DAY_ONE),
        to: UnixTime(DAY_ONE + 900 * key),
        signed: signed(*key, &memo),
    });
    NewReport {
        created: UnixTime(DAY_ONE + 950),
        note: "a note".to_owned(),
        parts: parts.collect(),
        memo: memo.clone(),
    }
}

impl Harness {
    /// Keeps a report by each of these keys; its id, if it is kept.
    pub(crate) async fn keep(&self, keys: &[u64]) -> Option<u64> {
        let kept = self.store.keep_report(own_report(keys));
        kept.await.unwrap()
    }

    async fn release(&self, id: u64, at: u64) -> Option<Vec<SignedReport>> {
        let released = self.store.record_release(id, export(at));
        released.await.unwrap()
    }

    /// Whether there was a report to delete.
    pub(crate) async fn delete(&self, id: u64, at: u64) -> bool {
        let deleted = self.store.delete_report(id, UnixTime(at));
        deleted.await.unwrap()
    }
}

fn signed(key: u64, memo: &Memo) -> SignedReport {
    let rak = ReportAuthorizationKey::from_bytes(&seed(u8::try_from(key).unwrap()));
    let last = RatchetIndex::new(2).unwrap();
    let span = ReportSpan::of_aired(RatchetIndex::FIRST, last).unwrap();
    SignedReport::create(&rak, span, memo.clone())
}

/// Creates the keys that [`own_report`] may take here.
async fn keys_are_born(harness: &mut Harness) {
    let keys = vec![born(1, DAY_ONE), born(2, DAY_ONE)];
    harness.persist(keys).await;
}

pub(crate) fn export(at: u64) -> Release {
    Release {
        at: UnixTime(at),
        how: "export-tcn".to_owned(),
    }
}

/// Another person's report that names these contacts.
pub(crate) fn found(
    key: u64,
    contacts: Vec<(UnixTime, tcn_protocol::TemporaryContactNumber)>,
) -> NewMatch {
    let memo = Memo::new(MemoType::ITO_V1, *b"symptom data").unwrap();
    NewMatch {
        digest: signed(key, &memo).claim().digest(),
        memo,
        source: SourceId::FILES,
        label: "a friend".to_owned(),
        published: UnixTime(DAY_ONE + 3600),
        received: UnixTime(DAY_ONE + 4000),
        contacts,
    }
}

#[tokio::test]
async fn the_ledger_tells_what_each_key_had_on_the_air() {
    let (_directory, mut harness) = Harness::fresh();
    harness.persist(begun(1, DAY_ONE)).await;
    harness
        .persist(vec![
            retired(1, 1, DAY_ONE + 900),
            reserved(1, 2, DAY_ONE + 901),
        ])
        .await;
    harness.persist(begun(2, DAY_ONE + 950)).await;
    let aired = |index, first, last: Option<u64>| Aired {
        index: RatchetIndex::new(index).unwrap(),
        first: UnixTime(first),
        last: last.map(UnixTime),
    };
    let of_one = KeyHistory {
        key: KeyId(1),
        reported: false,
        numbers: vec![
            aired(1, DAY_ONE, Some(DAY_ONE + 900)),
            aired(2, DAY_ONE + 901, None),
        ],
    };
    assert_eq!(
        harness.store.history(KeyId(2)).await.unwrap(),
        std::slice::from_ref(&of_one)
    );
    assert_eq!(harness.store.history(KeyId(3)).await.unwrap().len(), 2);
    harness.keep(&[1]).await.unwrap();
    let reported = KeyHistory {
        reported: true,
        ..of_one
    };
    assert_eq!(harness.store.history(KeyId(2)).await.unwrap(), [reported]);
    let seeds = harness.store.seeds(vec![KeyId(1), KeyId(7)]).await.unwrap();
    let [(KeyId(1), found)] = &seeds[..] else {
        panic!("one of the keys exists")
    };
    assert_eq!(**found.0, seed(1));
}

#[tokio::test]
async fn a_key_makes_one_report_and_all_or_none_is_kept() {
    let (_directory, mut harness) = Harness::fresh();
    keys_are_born(&mut harness).await;
    assert_eq!(harness.keep(&[1]).await, Some(1));
    assert_eq!(harness.keep(&[2, 1]).await, None);
    assert_eq!(harness.keep(&[2]).await, Some(2));
    let reports = harness.store.own_reports().await.unwrap();
    assert_eq!(reports.len(), 2);
    assert_eq!((reports[1].parts, reports[1].numbers), (1, 2));
    assert_eq!(
        (reports[1].from.0, reports[1].to.0),
        (DAY_ONE, DAY_ONE + 1800)
    );
    assert_eq!(reports[1].memo.as_ref().unwrap().data(), b"private words");
}

#[tokio::test]
async fn what_never_left_is_deleted_whole_and_its_keys_are_free_again() {
    let (_directory, mut harness) = Harness::fresh();
    keys_are_born(&mut harness).await;
    harness.keep(&[1]).await.unwrap();
    assert!(harness.delete(1, DAY_ONE).await);
    assert!(!harness.delete(1, DAY_ONE).await);
    assert_eq!(harness.store.own_reports().await.unwrap(), []);
    assert_eq!(harness.release(1, DAY_ONE).await, None);
    let again = harness.keep(&[1]).await;
    assert_eq!(again, Some(2), "a name is not given twice");
}

#[tokio::test]
async fn what_left_is_recorded_before_and_stays_on_record() {
    let (directory, mut harness) = Harness::fresh();
    keys_are_born(&mut harness).await;
    harness.keep(&[1, 2]).await.unwrap();
    let left = harness.release(1, DAY_ONE + 1).await.unwrap();
    let kept = own_report(&[1, 2])
        .parts
        .into_iter()
        .map(|part| part.signed);
    assert_eq!(left, kept.collect::<Vec<_>>());
    let deleted = harness.store.delete_report(1, UnixTime(DAY_ONE + 9)).await;
    assert!(deleted.unwrap());
    let [record] = &harness.store.own_reports().await.unwrap()[..] else {
        panic!("the record stays")
    };
    assert_eq!(record.releases, [export(DAY_ONE + 1)]);
    assert_eq!(
        (record.deleted, record.parts),
        (Some(UnixTime(DAY_ONE + 9)), 2)
    );
    assert_eq!((record.memo.clone(), record.note.as_str()), (None, ""));
    assert_eq!(harness.release(1, DAY_ONE + 10).await, None);
    let again = harness.store.delete_report(1, UnixTime(DAY_ONE + 11)).await;
    assert!(!again.unwrap());
    let again = harness.keep(&[2]).await;
    assert_eq!(
        again, None,
        "a key that was given away is not reported again"
    );
    harness.store.close().await;
    let signed = wire::write(&left[0]);
    expect_absent(
        directory.path(),
        &[b"private words", b"a note", &signed[64..]],
    );
}

/// None of these is in the database's file.
fn expect_absent(directory: &Path, secrets: &[&[u8]]) {
    let bytes = std::fs::read(directory.join(tcnd::store::DATABASE)).unwrap();
    for secret in secrets {
        let found = bytes.windows(secret.len()).any(|window| window == *secret);
        assert!(!found, "what was deleted is still in the file");
    }
}

#[tokio::test]
async fn a_report_is_known_again_on_any_day() {
    let (_directory, mut harness) = Harness::fresh();
    let digest = |key| found(key, Vec::new()).digest;
    // Each examined report is public since the moment it is examined.
    let remember = |keys: &[u64], at| {
        let digests = keys.iter().map(|key| digest(*key)).collect();
        harness
            .store
            .remember_reports(SourceId::FILES, digests, UnixTime(at), UnixTime(at))
    };
    let some = |at| Some(UnixTime(at));
    let (third, fourth) = (DAY_ONE + 3 * DAY, DAY_ONE + 4 * DAY);
    assert_eq!(
        remember(&[1, 2, 1], DAY_ONE).await.unwrap(),
        [None, None, some(DAY_ONE)]
    );
    assert_eq!(
        remember(&[2, 3], third).await.unwrap(),
        [some(DAY_ONE), None]
    );
    assert_eq!(
        remember(&[3, 1], fourth).await.unwrap(),
        [some(third), some(DAY_ONE)],
        "on whichever of several days"
    );
    harness.store.forget(UnixTime(DAY_ONE + DAY));
    assert_eq!(
        remember(&[1, 3], fourth).await.unwrap(),
        [None, some(third)]
    );
    harness.settle().await;
}

#[tokio::test]
async fn no_more_than_a_few_reports_may_name_one_contact() {
    let (_directory, mut harness) = Harness::fresh();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE + 60)]).await;
    let named = |key| found(key, vec![(UnixTime(DAY_ONE), tcn(1))]);
    let recorded = harness.store.record_matches((1..=9).map(named).collect());
    let mut expected = vec![Recorded::New; 8];
    expected.push(Recorded::OverQuota);
    assert_eq!(recorded.await.unwrap(), expected);
    let again = harness.store.record_matches(vec![named(8), named(9)]);
    assert_eq!(
        again.await.unwrap(),
        [Recorded::Known, Recorded::OverQuota],
        "one that is there stays"
    );
    assert_eq!(harness.store.matched_reports().await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_match_grows_with_its_contacts_and_its_sources() {
    let (_directory, mut harness) = Harness::fresh();
    harness
        .save(vec![
            sighting(1, DAY_ONE, DAY_ONE + 60),
            sighting(2, DAY_ONE, DAY_ONE + 60),
        ])
        .await;
    let named = || found(1, vec![(UnixTime(DAY_ONE), tcn(1))]);
    assert_eq!(
        harness.store.record_matches(vec![named()]).await.unwrap(),
        [Recorded::New]
    );
    assert_eq!(
        harness.store.record_matches(vec![named()]).await.unwrap(),
        [Recorded::Known]
    );
    let elsewhere = NewMatch {
        label: "a server".to_owned(),
        published: UnixTime(DAY_ONE + 3000),
        ..named()
    };
    assert_eq!(
        harness.store.record_matches(vec![elsewhere]).await.unwrap(),
        [Recorded::Updated]
    );
    // The same run continues, and the number is heard again in another quarter.
    for (growth, matched) in [
        (sighting(2, DAY_ONE, DAY_ONE + 90), false),
        (sighting(1, DAY_ONE, DAY_ONE + 600), true),
        (sighting(1, DAY_ONE + 1800, DAY_ONE + 1900), true),
    ] {
        assert_eq!(harness.save(vec![growth]).await, matched);
    }
    let [report] = &harness.store.matched_reports().await.unwrap()[..] else {
        panic!("one report")
    };
    assert_eq!(report.sources, ["a friend", "a server"]);
    assert_eq!(
        report.published,
        UnixTime(DAY_ONE + 3000),
        "of one source the earliest counts"
    );
    let spans: Vec<_> = report
        .contacts
        .iter()
        .map(|c| (c.start.0, c.end.0))
        .collect();
    assert_eq!(
        spans,
        [(DAY_ONE, DAY_ONE + 600), (DAY_ONE + 1800, DAY_ONE + 1900)]
    );
    assert_eq!(report.contacts[0].signal.sightings(), 2);
}

#[tokio::test]
async fn one_report_and_the_times_of_all_are_read_alone() {
    let (_directory, mut harness) = Harness::fresh();
    let heard = [1, 2].map(|n| sighting(n, DAY_ONE, DAY_ONE + 60 * n));
    harness.save(heard.to_vec()).await;
    let named = [1, 2].map(|n| found(n, vec![(UnixTime(DAY_ONE), tcn(n))]));
    harness.store.record_matches(named.into()).await.unwrap();
    let all = harness.store.matched_reports().await.unwrap();
    for report in &all {
        let alone = harness.store.matched_report(report.id).await.unwrap();
        assert_eq!(alone.as_ref(), Some(report));
    }
    assert_eq!(harness.store.matched_report(99).await.unwrap(), None);
    let times = all.iter().map(|report| MatchedTimes {
        published: report.published,
        contacts: report.contacts.iter().map(|c| (c.start, c.end)).collect(),
        seen: Vec::new(),
    });
    let times: Vec<_> = times.collect();
    assert_eq!(times.len(), 2);
    assert_eq!(harness.store.matched_times().await.unwrap(), times);
}

#[tokio::test]
async fn marks_outlive_the_first_contact_and_go_with_the_last() {
    let (directory, mut harness) = Harness::fresh();
    let (first, second) = (UnixTime(DAY_ONE), UnixTime(DAY_ONE + 900));
    let contacts = [(first, 1), (second, 2)];
    let growth = contacts.map(|(start, n)| sighting(n, start.0, start.0 + 60));
    harness.save(growth.to_vec()).await;
    let mark = |dismissed| harness.store.mark_exposure(1, (first, second), dismissed);
    assert!(!mark(false).await.unwrap());
    let named = contacts.map(|(start, n)| (start, tcn(n))).to_vec();
    harness
        .store
        .record_matches(vec![found(1, named)])
        .await
        .unwrap();
    for dismissed in [false, true, false] {
        assert!(mark(dismissed).await.unwrap());
    }
    let erase = |from, to| harness.store.erase(from, to);
    assert_eq!(erase(first, second).await.unwrap(), 1);
    let reports = harness.store.matched_reports().await.unwrap();
    assert_eq!(
        (&reports[0].seen[..], &reports[0].dismissed[..]),
        (&[second][..], &[second][..])
    );
    assert_eq!(
        erase(second, second.after(super::DEADLINE)).await.unwrap(),
        1
    );
    assert_eq!(harness.store.matched_reports().await.unwrap(), []);
    harness.settle().await;
    let db = look(directory.path());
    for table in ["matched_report", "matched_contact", "report_source"] {
        let rows = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        });
        assert_eq!(rows, Ok(0), "{table}");
    }
}

#[tokio::test]
async fn retention_ends_reports_of_both_kinds() {
    let (_directory, mut harness) = Harness::fresh();
    keys_are_born(&mut harness).await;
    harness
        .save(vec![sighting(1, DAY_ONE, DAY_ONE + 60 * DAY)])
        .await;
    harness.keep(&[1]).await.unwrap();
    harness.release(1, DAY_ONE).await.unwrap();
    harness
        .store
        .record_matches(vec![found(1, vec![(UnixTime(DAY_ONE), tcn(1))])])
        .await
        .unwrap();
    harness.store.forget(UnixTime(DAY_ONE + 950));
    assert_eq!(harness.store.own_reports().await.unwrap().len(), 1);
    assert_eq!(harness.store.matched_reports().await.unwrap().len(), 1);
    harness.store.forget(UnixTime(DAY_ONE + 4001));
    assert_eq!(harness.store.own_reports().await.unwrap(), []);
    assert_eq!(harness.store.matched_reports().await.unwrap(), []);
    assert_eq!(harness.store.matched_times().await.unwrap(), []);
    assert!(harness.settle().await, "exposures may have changed");
}

#[tokio::test]
async fn the_log_is_read_in_pages_and_erased_by_time() {
    let (_directory, mut harness) = Harness::fresh();
    let all: Vec<_> = (0..25)
        .map(|n| sighting(n, DAY_ONE + 400 * n, DAY_ONE + 400 * n + 30))
        .collect();
    harness.save(all.clone()).await;
    let (mut place, mut read) = (Cursor::since(UnixTime(0)), Vec::new());
    loop {
        let page = harness.store.contacts(place, 4).await.unwrap();
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { break };
        place = Cursor::behind(last);
        read.extend(page);
    }
    let key = |contact: &tcn_engine::Contact| (contact.start.0 / 900, contact.tcn);
    assert!(read.is_sorted_by_key(key));
    read.sort_by_key(|contact| contact.start);
    assert_eq!(read, all);
    let (from, to) = (UnixTime(DAY_ONE + 400), UnixTime(DAY_ONE + 1600));
    assert_eq!(harness.store.erase(from, to).await.unwrap(), 3);
    let left = harness
        .store
        .contacts(Cursor::since(UnixTime(0)), 100)
        .await
        .unwrap();
    assert!(left.iter().all(|c| c.start < from || c.start >= to) && left.len() == 22);
    harness.settle().await;
}

#[tokio::test]
async fn what_is_destroyed_meanwhile_is_not_written_back() {
    let (directory, mut harness) = Harness::fresh();
    let contacts = vec![
        sighting(1, DAY_ONE, DAY_ONE + 60),
        sighting(2, DAY_ONE + 1800, DAY_ONE + 1860),
    ];
    harness.save(contacts).await;
    harness.persist(begun(1, DAY_ONE)).await;
    let named = || {
        let both = [(DAY_ONE, 1), (DAY_ONE + 1800, 2)];
        found(1, both.map(|(at, n)| (UnixTime(at), tcn(n))).to_vec())
    };
    let rows = |table| {
        look(directory.path())
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get::<_, u32>(0)
            })
            .unwrap()
    };

    let erase = harness
        .store
        .erase(UnixTime(DAY_ONE), UnixTime(DAY_ONE + 1));
    assert_eq!(erase.await.unwrap(), 1);
    let recorded = harness.store.record_matches(vec![named()]).await.unwrap();
    assert_eq!(recorded, [Recorded::New], "one contact is left");
    assert_eq!(rows("matched_contact"), 1);

    harness.store.wipe().await.unwrap();
    let recorded = harness.store.record_matches(vec![named()]).await.unwrap();
    assert_eq!(recorded, [Recorded::ContactsGone]);
    assert_eq!(rows("matched_report"), 0);
    let kept = harness.keep(&[1]).await;
    assert_eq!(kept, None);
    assert_eq!(rows("own_report"), 0);
}

/// Two sources deliver one report, each up to twice, in every order. What counts is the
/// earliest time of each source, and of those the latest. So neither source removes
/// what the other adds, and the order has no effect.
#[tokio::test]
async fn no_source_takes_away_what_another_gives() {
    let tellings = [1, 2, 3].map(|n| DAY_ONE + 3000 * n);
    let mut stories = 0;
    for (a, b) in pairs(&tellings) {
        for (c, d) in pairs(&tellings) {
            for order in orders() {
                let told = [(1, a), (1, b), (2, c), (2, d)];
                let expected = a.min(b).max(c.min(d));
                let (_directory, mut harness) = Harness::fresh();
                let both = ["one", "two"].map(|name| super::exchange::source(name, true));
                harness.store.set_sources(both.to_vec()).await.unwrap();
                let sources = harness.store.sources().await.unwrap();
                harness.save(vec![sighting(1, DAY_ONE, DAY_ONE + 60)]).await;
                for at in order {
                    let (source, published) = told[at];
                    let told = NewMatch {
                        source: sources[source - 1].id,
                        label: format!("Server {source}"),
                        published: UnixTime(published),
                        ..found(1, vec![(UnixTime(DAY_ONE), tcn(1))])
                    };
                    harness.store.record_matches(vec![told]).await.unwrap();
                }
                let [report] = &harness.store.matched_reports().await.unwrap()[..] else {
                    panic!("one report")
                };
                assert_eq!(report.published.0, expected, "{told:?} in {order:?}");
                assert_eq!(report.sources, ["Server 1", "Server 2"]);
                harness.store.close().await;
                stories += 1;
            }
        }
    }
    assert_eq!(stories, 36 * 6);
}

fn help(url: &str, phone: &str) -> Help {
    Help {
        url: HelpUrl::new(url).ok(),
        phone: HelpPhone::new(phone).ok(),
    }
}

/// The label and the help of each source of the one report.
async fn helped(harness: &Harness) -> Vec<(String, Help)> {
    let [report] = &harness.store.matched_reports().await.unwrap()[..] else {
        panic!("one report")
    };
    let told = report.help.iter();
    told.map(|told| (told.label.clone(), told.help.clone()))
        .collect()
}

/// As long as a source is configured, what it says now counts; after that, what it said
/// when it brought the report. Files, and sources that say nothing, are not listed.
#[tokio::test]
async fn the_help_of_each_source_is_kept_as_long_as_its_label() {
    let (_directory, mut harness) = Harness::fresh();
    let page = help("https://a.example.org/help", "");
    let both = help("https://b.example.org/help", "116 117");
    let named = |name: &str, help: &Help| NewSource {
        help: help.clone(),
        ..super::exchange::source(name, true)
    };
    let all = [("one", &page), ("two", &Help::default()), ("three", &both)];
    let all = all.map(|(name, help)| named(name, help));
    harness.store.set_sources(all.to_vec()).await.unwrap();
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE + 60)]).await;
    let mut told = vec![found(1, vec![(UnixTime(DAY_ONE), tcn(1))])];
    for source in harness.store.sources().await.unwrap() {
        told.push(NewMatch {
            source: source.id,
            label: source.configured.label,
            ..found(1, vec![(UnixTime(DAY_ONE), tcn(1))])
        });
    }
    harness.store.record_matches(told).await.unwrap();
    let (one, three) = ("Server one".to_owned(), "Server three".to_owned());
    let expected = [(one.clone(), page), (three.clone(), both.clone())];
    assert_eq!(helped(&harness).await, expected);

    let now = help("", "112");
    let kept = vec![named("one", &now)];
    harness.store.set_sources(kept).await.unwrap();
    let expected = [(one, now), (three.clone(), both.clone())];
    assert_eq!(helped(&harness).await, expected);

    let kept = vec![named("one", &Help::default())];
    harness.store.set_sources(kept).await.unwrap();
    assert_eq!(helped(&harness).await, [(three, both)]);
    harness.settle().await;
}

/// Pairs of two, the first no later.
fn pairs(times: &[u64; 3]) -> Vec<(u64, u64)> {
    let all = times
        .iter()
        .flat_map(|a| times.iter().map(move |b| (*a, *b)));
    all.filter(|(a, b)| a <= b).collect()
}

/// Orders of four deliveries that differ for the two sources, each of which sometimes
/// gives the later time before the earlier one.
fn orders() -> [[usize; 4]; 6] {
    [
        [0, 1, 2, 3],
        [1, 0, 3, 2],
        [2, 0, 3, 1],
        [3, 2, 1, 0],
        [1, 2, 0, 3],
        [2, 3, 0, 1],
    ]
}

/// Each source has a limit of its own, so the reports of another always fit.
#[tokio::test]
async fn a_source_that_names_all_it_may_leaves_room_for_others() {
    let (_directory, mut harness) = Harness::fresh();
    let both = ["one", "two"].map(|name| super::exchange::source(name, true));
    harness.store.set_sources(both.to_vec()).await.unwrap();
    let sources = harness.store.sources().await.unwrap();
    let contacts: Vec<_> = (0..3000)
        .map(|n| sighting(n, DAY_ONE, DAY_ONE + 60))
        .collect();
    harness.save(contacts).await;
    let by = |source: usize, key: u64, numbers: std::ops::Range<u64>| NewMatch {
        source: sources[source].id,
        label: String::new(),
        ..found(key, numbers.map(|n| (UnixTime(DAY_ONE), tcn(n))).collect())
    };
    // Eight reports may name a contact; these fill a third of 65,536.
    let flood: Vec<_> = (1..=9).map(|key| by(0, key, 0..3000)).collect();
    let recorded = harness.store.record_matches(flood).await.unwrap();
    assert_eq!(recorded[8], Recorded::OverQuota, "{recorded:?}");
    let honest = harness.store.record_matches(vec![by(1, 20, 0..20)]).await;
    assert_eq!(honest.unwrap(), [Recorded::New]);
    // Its growth is named as well.
    harness
        .save(vec![sighting(3, DAY_ONE + 900, DAY_ONE + 960)])
        .await;
    let reports = harness.store.matched_reports().await.unwrap();
    let honest = reports.last().unwrap();
    assert_eq!(honest.contacts.len(), 21);
    harness.settle().await;
}
