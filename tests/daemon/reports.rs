//! From one machine's number on the air to another's warning, and what the first one
//! disclosed on the way.

use std::collections::BTreeSet;
use std::io::Read as _;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use tcn_engine::Policy;
use tcn_engine::disclosure::Plan;
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport, UnixTime, wire,
};
use tcnd::daemon::clock;
use tcnd::daemon::{
    BUDGET, ContactsRequest, ExposureId, Import, MatchedReportsRequest, OwnReportsRequest,
    PauseRequest, Refusal, ReportRequest, Request, StoreRequest,
};
use tcnd::exposure::Carried;
use tcnd_client::proxy::ImportCounts;
use tcnd_config::Settings;

use crate::machine::{self, Machine, Tcn, common_memo, everything, short_keys};

/// A machine that reports, another that heard its number, the number, and the file.
async fn met() -> (Machine, Machine, Tcn, Vec<u8>) {
    let (reporter, other, tcn, made) = machine::met().await;
    let file = reporter.export(made).await.unwrap();
    (reporter, other, tcn, file)
}

/// The counts of an import, but for these all zero.
fn only(set: impl FnOnce(&mut ImportCounts)) -> ImportCounts {
    let mut counts = ImportCounts::default();
    set(&mut counts);
    counts
}

fn import_of(source: Box<dyn std::io::Read + Send>, label: &str) -> Import {
    Import {
        source,
        label: label.to_owned(),
        published: None,
        budget: BUDGET,
    }
}

/// Every number that can be computed from these reports, far past their ends.
fn derivable(mut file: &[u8]) -> BTreeSet<Tcn> {
    let mut numbers = BTreeSet::new();
    while !file.is_empty() {
        let (report, _) = wire::parse_first(file).unwrap();
        let len = wire::declared_len(file).unwrap();
        let mut endless = file[..len].to_vec();
        endless[66..68].copy_from_slice(&u16::MAX.to_le_bytes());
        let endless = wire::parse(&endless).unwrap();
        numbers.extend(endless.claim().temporary_contact_numbers().take(2000));
        assert!(report.claim().count() < 2000);
        file = &file[len..];
    }
    numbers
}

#[tokio::test]
async fn whoever_was_near_is_warned_and_nothing_to_come_is_given_away() {
    let reporter = Machine::new(Settings::default()).await;
    let other = Machine::new(Settings::default()).await;
    let first = reporter.aired(1).await;
    let second = reporter.rotate().await;
    for (tcn, rssi) in [(first, -60), (first, -70), (second, -65)] {
        other.hears(tcn, rssi).await;
    }
    other.has_logged(3).await;

    let plan = reporter.preview().await;
    assert_eq!((plan.parts.len(), plan.numbers()), (1, 2));
    let made = reporter.report(common_memo()).await.unwrap();
    assert_eq!((made.plan.numbers(), made.concerns.len()), (2, 0));
    let third = reporter.aired(3).await;
    let fourth = reporter.rotate().await;
    let file = reporter.export(made.id).await.unwrap();
    let given_away = derivable(&file);
    assert!(given_away.contains(&first) && given_away.contains(&second));
    assert!(!given_away.contains(&third) && !given_away.contains(&fourth));

    let imported = other.import(&file).await.unwrap();
    let expected = ImportCounts {
        accepted: 1,
        new_exposures: 1,
        ..ImportCounts::default()
    };
    assert_eq!(imported, expected);
    other.unseen(1).await;
    let exposure = other.exposure().await;
    assert_eq!(exposure.exposure.signal.sightings(), 3);
    assert_eq!(exposure.exposure.signal.max, Some(-60));
    assert_eq!(exposure.exposure.carried, Carried::Direct);
    assert!(exposure.exposure.distance().is_some());
    assert_eq!(exposure.memo, common_memo());
    assert_eq!(exposure.sources, ["a friend"]);
    reporter.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_exposure_is_one_however_often_it_is_told_and_grows() {
    let (_reporter, other, tcn, file) = met().await;
    other.import(&file).await.unwrap();
    let id = other.exposures().await[0].id;
    other.unseen(1).await;

    let again = other.import(&file).await.unwrap();
    assert_eq!((again.accepted, again.duplicate), (0, 1));
    assert_eq!((again.new_exposures, again.updated), (0, 0));
    assert_eq!(again.known, 1, "nothing is new, but something is there");
    let elsewhere = other
        .import_as("a server", None, BUDGET, &file)
        .await
        .unwrap();
    assert_eq!((elsewhere.duplicate, elsewhere.updated), (1, 1));
    other.hears(tcn, -50).await;
    other.has_logged(2).await;

    let mark =
        |id, dismissed| other.stored(move |reply| StoreRequest::MarkExposure(id, dismissed, reply));
    mark(id, false).await.unwrap();
    other.unseen(0).await;
    let grown = other.exposure().await;
    assert_eq!((grown.id, grown.seen, grown.dismissed), (id, true, false));
    assert_eq!(
        (grown.exposure.signal.sightings(), grown.exposure.signal.max),
        (2, Some(-50))
    );
    assert_eq!(grown.sources, ["a friend", "a server"]);
    mark(id, true).await.unwrap();
    assert!(other.exposures().await[0].dismissed);
    let nowhere = ExposureId {
        report: id.report,
        start: UnixTime(1),
    };
    assert_eq!(mark(nowhere, false).await, Err(Refusal::NoSuchExposure));
}

#[tokio::test]
async fn what_is_no_warning() {
    let reporter = Machine::new(Settings::default()).await;
    let other = Machine::new(Settings::default()).await;
    let tcn = reporter.aired(1).await;
    let made = reporter.report(common_memo()).await.unwrap();
    let file = reporter.export(made.id).await.unwrap();
    other.hears(tcn, -60).await;
    other.has_logged(1).await;

    // The report was public before the number was heard: any radio may have sent it.
    let replayed = other
        .import_as("late", Some(UnixTime(1_700_000_000)), BUDGET, &file)
        .await;
    assert_eq!(
        replayed.unwrap(),
        only(|counts| {
            counts.accepted = 1;
            counts.heard_later = 1;
        })
    );
    let mut forged = file.clone();
    *forged.last_mut().unwrap() ^= 1;
    let forged = other.import(&forged).await.unwrap();
    assert_eq!(forged, only(|counts| counts.bad_signature = 1));
    let nothing_left = other.import_as("x", None, 1, &file).await.unwrap();
    assert_eq!(nothing_left, only(|counts| counts.too_large = 1));
    let mut cut = file.clone();
    cut.pop();
    let cut = other.import(&cut).await.unwrap();
    assert_eq!(cut, only(|counts| counts.malformed = 1));
    let empty = other.import(b"").await;
    assert!(matches!(empty, Err(Refusal::Unreadable(_))), "{empty:?}");
    assert_eq!(other.exposures().await, []);
    let own = reporter.import(&file).await.unwrap();
    assert_eq!(own, only(|counts| counts.accepted = 1));
}

#[tokio::test]
async fn a_key_makes_one_report_unless_it_never_left() {
    let machine = Machine::new(Settings::default()).await;
    machine.aired(1).await;
    let made = machine.report(common_memo()).await.unwrap();
    machine.aired(2).await;
    let second = machine.report(common_memo()).await.unwrap();
    assert_eq!(second.plan.reported, 1, "only the new key is left");
    machine
        .stored(|reply| StoreRequest::DeleteReport(made.id, reply))
        .await
        .unwrap();
    assert_eq!(machine.preview().await.reported, 1);
    machine.export(second.id).await.unwrap();
    machine
        .stored(|reply| StoreRequest::DeleteReport(second.id, reply))
        .await
        .unwrap();
    assert_eq!(machine.export(second.id).await, Err(Refusal::NoSuchReport));
    let [record] = &machine.stored(StoreRequest::OwnReports).await.unwrap()[..] else {
        panic!("the record of what left stays")
    };
    assert_eq!((record.id, record.releases.len()), (second.id, 1));
    assert_eq!(record.releases[0].how, "export-tcn");
}

#[tokio::test]
async fn a_memo_may_not_link_what_nothing_else_links() {
    let machine = Machine::new(short_keys()).await;
    machine.aired(1).await;
    machine.rotate().await;
    let rare = Memo::new(MemoType::new(77), *b"rare words").unwrap();
    assert_eq!(machine.preview().await.parts.len(), 2);
    let refused = machine.report(rare).await;
    assert!(matches!(refused, Err(Refusal::Memo(_))), "{refused:?}");
    let listed = machine.stored(StoreRequest::OwnReports).await.unwrap();
    assert_eq!(listed, [], "nothing was made");
    machine.report(common_memo()).await.unwrap();
}

#[tokio::test]
async fn a_wipe_leaves_nothing_and_the_machine_idle() {
    let reporter = Machine::new(Settings::default()).await;
    let other = Machine::new(Settings::default()).await;
    let theirs = reporter.aired(1).await;
    let ours = other.aired(1).await;
    other.hears(theirs, -60).await;
    other.has_logged(1).await;
    let made = reporter.report(common_memo()).await.unwrap();
    other
        .import(&reporter.export(made.id).await.unwrap())
        .await
        .unwrap();
    other.unseen(1).await;
    let own = other.report(common_memo()).await.unwrap();
    let own = other.export(own.id).await.unwrap();
    other.rotate().await;

    other.log(ContactsRequest::Wipe).await.unwrap();
    other.unseen(0).await;
    assert!(!other.handle.snapshot().enabled, "consent is gone too");
    assert_eq!(other.exposures().await, []);
    assert_eq!(
        other.handle.ask(Request::Rotate).await,
        Err(Refusal::OffAir),
        "nothing is on the air"
    );
    let directory = other.stop().await;
    let secrets = [
        theirs.as_bytes().as_slice(),
        ours.as_bytes(),
        &own[..64],
        b"symptom data",
        b"a friend",
        b"a note",
    ];
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}

/// Gives one report, and continues only after a message.
struct Slow(
    Vec<u8>,
    std::sync::mpsc::Receiver<()>,
    Option<tokio::sync::oneshot::Sender<()>>,
);

impl std::io::Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(reading) = self.2.take() {
            let len = self.0.len().min(buffer.len());
            buffer[..len].copy_from_slice(&self.0[..len]);
            reading.send(()).unwrap();
            return Ok(len);
        }
        let _ = self.1.recv();
        Ok(0)
    }
}

#[tokio::test]
async fn an_import_does_not_write_behind_a_wipe() {
    let (_reporter, other, _, file) = met().await;
    let (go_on, told) = std::sync::mpsc::channel();
    let (reading, is_reading) = tokio::sync::oneshot::channel();
    let import = import_of(Box::new(Slow(file.clone(), told, Some(reading))), "slow");
    let story = async {
        is_reading.await.unwrap();
        let again = other.import(&file).await;
        assert!(matches!(again, Err(Refusal::InUse(_))), "one at a time");
        other.log(ContactsRequest::Wipe).await.unwrap();
        // The receiver is gone if the reader noticed the wipe between two reads.
        let _ = go_on.send(());
    };
    let imported = other.others(|reply| MatchedReportsRequest::Import(import, reply));
    let (imported, ()) = tokio::join!(imported, story);
    assert_eq!(imported, Err(Refusal::Stopped));
    let again = other.import(&file).await.unwrap();
    assert_eq!(again.accepted, 1, "nothing was remembered");
    other.stop().await;
}

/// Sends a message when it is first read.
struct Told(
    std::io::Cursor<Vec<u8>>,
    Option<tokio::sync::oneshot::Sender<()>>,
);

impl std::io::Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(reading) = self.1.take() {
            reading.send(()).unwrap();
        }
        self.0.read(buffer)
    }
}

/// As many of the longest reports as one source may have examined: minutes of work, of
/// which one slice is seconds. They need not be valid.
fn long_work() -> Vec<u8> {
    let rak = ReportAuthorizationKey::from_bytes(&[7; 32]);
    let index = |index| RatchetIndex::new(index).unwrap();
    let span = ReportSpan::of_aired(index(1), index(60_000)).unwrap();
    let memo = Memo::new(MemoType::COEPI_V1, Vec::new()).unwrap();
    wire::write(&SignedReport::create(&rak, span, memo)).repeat(8000)
}

#[tokio::test]
async fn an_import_that_nobody_waits_for_ends_within_its_slice() {
    let (_reporter, other, _, file) = met().await;
    let (reading, is_reading) = tokio::sync::oneshot::channel();
    let import = import_of(
        Box::new(Told(std::io::Cursor::new(long_work()), Some(reading))),
        "long",
    );
    {
        let imported = other.others(|reply| MatchedReportsRequest::Import(import, reply));
        tokio::select! {
            ended = imported => panic!("{ended:?}"),
            reading = is_reading => reading.unwrap(),
        }
    }
    let again = async {
        loop {
            let again = other.import(&file).await;
            if !matches!(again, Err(Refusal::InUse(_))) {
                return again;
            }
        }
    };
    let again = crate::soon(again).await.unwrap();
    assert_eq!(again.new_exposures, 1, "{again:?}");
}

/// A reader that fails.
struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::TimedOut.into())
    }
}

#[tokio::test]
async fn what_was_found_before_a_source_broke_off_is_told() {
    let (_reporter, other, _, file) = met().await;
    let import = import_of(Box::new(std::io::Cursor::new(file).chain(Broken)), "half");
    let imported = other.others(|reply| MatchedReportsRequest::Import(import, reply));
    let imported = imported.await;
    assert!(
        matches!(imported, Err(Refusal::Unreadable(_))),
        "{imported:?}"
    );
    other.unseen(1).await;
}

#[tokio::test]
async fn what_is_erased_does_not_come_back_with_the_next_sighting() {
    let machine = Machine::new(Settings::default()).await;
    let tcn = Tcn::from_bytes([9; 16]);
    machine.hears(tcn, -60).await;
    machine.has_logged(1).await;
    let everything = |reply| ContactsRequest::Erase(UnixTime(0), UnixTime(u64::MAX / 2), reply);
    assert_eq!(machine.log(everything).await.unwrap(), 1);
    let erased = clock::now().wall;
    while clock::now().wall == erased {
        tokio::task::yield_now().await;
    }
    machine.hears(tcn, -60).await;
    machine.has_logged(1).await;
    let page = |reply| ContactsRequest::Page(tcnd::store::Cursor::since(UnixTime(0)), 10, reply);
    let [contact] = &machine.log(page).await.unwrap()[..] else {
        panic!("one contact")
    };
    assert!(contact.start > erased, "it is a new one");
}

#[tokio::test]
async fn a_report_is_no_newer_when_it_comes_again() {
    let reporter = Machine::new(Settings::default()).await;
    let other = Machine::new(Settings::default()).await;
    let tcn = reporter.aired(1).await;
    let made = reporter.report(common_memo()).await.unwrap();
    let file = reporter.export(made.id).await.unwrap();
    assert_eq!(other.import(&file).await.unwrap().new_exposures, 0);
    let public = clock::now().wall;
    while clock::now().wall == public {
        tokio::task::yield_now().await;
    }
    other.hears(tcn, -60).await;
    other.has_logged(1).await;
    let again = other.import(&file).await.unwrap();
    assert_eq!((again.duplicate, again.new_exposures), (1, 0), "a replay");
}

#[tokio::test]
async fn more_than_was_shown_is_not_given_away() {
    let machine = Machine::new(Settings::default()).await;
    machine.aired(1).await;
    let shown = machine.preview().await.numbers();
    machine.rotate().await;
    let asked = |shown| ReportRequest {
        shown: Some(shown),
        ..everything()
    };
    let make = |shown| machine.own(move |reply| OwnReportsRequest::Make(asked(shown), reply));
    assert_eq!(make(shown).await, Err(Refusal::Changed));
    assert_eq!(make(shown + 1).await.unwrap().plan.numbers(), shown + 1);
}

#[tokio::test]
async fn a_report_is_public_when_it_is_here() {
    let (_reporter, other, _, file) = met().await;
    let never = Some(UnixTime(u64::MAX));
    other.import_as("x", never, BUDGET, &file).await.unwrap();
    let exposure = other.exposure().await;
    assert!(
        exposure.published <= clock::now().wall,
        "or a replay counts"
    );
}

/// A request to carry out exactly this plan.
fn as_shown(plan: &Plan) -> ReportRequest {
    ReportRequest {
        token: Some(plan.fingerprint()),
        ..everything()
    }
}

/// Numbers in the store's record, broadcast or not.
fn in_the_ledger(machine: &Machine) -> i64 {
    let database = machine.directory.path().join(tcnd::store::DATABASE);
    let database = rusqlite::Connection::open(database).unwrap();
    let count = "SELECT count(*) FROM broadcast";
    database.query_row(count, [], |row| row.get(0)).unwrap()
}

/// Between two numbers the next one is recorded already, and is not on the air. A
/// report ends its key, so that number is never broadcast.
#[tokio::test]
async fn a_number_that_waits_to_be_aired_is_neither_shown_nor_given_away() {
    let machine = Machine::new(Settings::default()).await;
    machine.aired(1).await;
    while machine.handle.ask(Request::Rotate).await == Err(Refusal::OffAir) {
        tokio::task::yield_now().await;
    }
    while in_the_ledger(&machine) < 2 {
        tokio::task::yield_now().await;
    }
    let shown = machine.preview().await;
    let made = machine
        .own(|reply| OwnReportsRequest::Make(as_shown(&shown), reply))
        .await;
    match made {
        // The silence may have ended between the two requests.
        Err(Refusal::Changed) => {}
        made => assert_eq!(made.unwrap().plan.numbers(), shown.numbers()),
    }
    machine.stop().await;
}

/// An event that happens to a machine, or nothing.
async fn something(machine: &Machine, rng: &mut ChaCha8Rng) {
    match rng.next_u64() % 4 {
        0 => {
            machine.rotate().await;
        }
        1 => {
            // It may be between two numbers.
            let _ = machine.handle.ask(Request::Rotate).await;
        }
        2 => {
            let pause = |reply| Request::Pause(PauseRequest::default(), reply);
            machine.handle.ask(pause).await.unwrap();
            let resume = |reply| Request::Resume(0, reply);
            machine.handle.ask(resume).await.unwrap();
        }
        _ => tokio::task::yield_now().await,
    }
}

/// The report equals what was shown before the event, or no report is made. Returns how
/// many reports were made.
async fn random_history(seed: u64) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let machine = Machine::new(short_keys()).await;
    machine.aired(1).await;
    let mut made_so_far = 0;
    for _ in 0..8 {
        let shown = machine.preview().await;
        something(&machine, &mut rng).await;
        let make = |reply| OwnReportsRequest::Make(as_shown(&shown), reply);
        let made = match machine.own(make).await {
            Ok(made) => made,
            Err(Refusal::Changed | Refusal::NoData(_)) => continue,
            Err(refusal) => panic!("{refusal:?}"),
        };
        made_so_far += 1;
        let parts = |plan: &Plan| -> Vec<_> {
            let parts = plan.parts.iter();
            parts.map(|p| (p.key, p.span, p.numbers, p.from)).collect()
        };
        assert_eq!(parts(&made.plan), parts(&shown), "{seed}");
        let listed = machine.stored(StoreRequest::OwnReports).await.unwrap();
        let listed = listed.last().unwrap();
        let expected = (shown.numbers(), Some(shown.named()));
        assert_eq!((listed.numbers, listed.named), expected, "{seed}");
        let file = machine.export(made.id).await.unwrap();
        assert_eq!(named_in(&file), shown.named(), "{seed}");
    }
    machine.stop().await;
    made_so_far
}

#[tokio::test]
async fn what_is_made_is_what_was_shown_over_random_histories() {
    let made = futures::future::join_all((0..16).map(random_history)).await;
    assert!(made.iter().sum::<usize>() >= 16, "{made:?}");
}

/// Numbers that a file names, as a reader that inspects it counts them.
fn named_in(mut file: &[u8]) -> u64 {
    let mut named = 0;
    while !file.is_empty() {
        let (report, _) = wire::parse_first(file).unwrap();
        named += u64::from(report.claim().count());
        file = &file[wire::declared_len(file).unwrap()..];
    }
    named
}

#[tokio::test]
async fn what_was_aired_before_it_was_a_relay_can_still_be_reported() {
    let machine = Machine::new(Settings::default()).await;
    let tcn = machine.aired(1).await;
    let directory = machine.stop().await;
    let relay = Settings {
        policy: Policy {
            relay: true,
            ..Policy::default()
        },
        ..Settings::default()
    };
    let relay = Machine::at(directory, relay).await;
    let vacant = relay.aired(1).await;
    assert_eq!(vacant, Tcn::VACANT);
    assert_eq!(relay.preview().await.numbers(), 1);
    let made = relay.report(common_memo()).await.unwrap();
    let file = relay.export(made.id).await.unwrap();
    assert!(derivable(&file).contains(&tcn));
    assert_eq!(relay.preview().await.numbers(), 0, "it adds nothing");
    relay.stop().await;
}
