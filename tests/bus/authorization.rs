//! The questions to polkit, and the effects of its answers.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tcnd_client::names;
use tcnd_client::proxy::ManagerProxy;
use tcnd_client::watch::Watch;
use tokio::task::JoinSet;
use zbus::Connection;

use crate::contract::served;
use crate::harness::soon;
use crate::members::{call, error_name, set_log};
use crate::mock_driver::{adapter, busy, idle};
use crate::polkit::{self, Polkit, Verdict};
use crate::system_bus::{OTHERS, ROOT, STRANGER, SYNC, Served, SystemBus};

async fn scene(verdict: Verdict) -> (SystemBus, Polkit, Served, Connection) {
    let (bus, polkit, served) = polkit::scene(verdict).await;
    let stranger = bus.connect(STRANGER).await;
    (bus, polkit, served, stranger)
}

/// Each member asks for its action, with the caller's bus name as the subject, and no
/// person is asked unless the caller allows it.
#[tokio::test]
async fn each_member_asks_for_its_action() {
    // The bus lets this user send everything.
    let (bus, polkit, served_here) = polkit::scene(Verdict::Yes).await;
    let stranger = bus.connect(SYNC).await;
    served_here.driver.change(|now| *now = busy());
    let name = stranger.unique_name().unwrap().to_string();
    let mut asked = BTreeMap::new();
    for (interface, members) in served(&stranger).await {
        for (member, shape) in members.iter().filter(|(_, shape)| shape.kind == "method") {
            let signature = shape.signature();
            let answer = soon(call(&stranger, &interface, member, &signature)).await;
            answer.expect("polkit said yes");
            let [(kind, subject, action, flags)] = &polkit.questions()[..] else {
                panic!("{member} asks one question");
            };
            assert_eq!(
                (kind.as_str(), subject, *flags),
                ("system-bus-name", &name, 0)
            );
            let short = interface.rsplit('.').next().unwrap();
            asked.insert(format!("{short}.{member}"), action.clone());
        }
    }
    for property in ["LogLevel", "LogTarget"] {
        let value = if property == "LogLevel" {
            "info"
        } else {
            "journal"
        };
        set_log(&stranger, property, value.into()).await.unwrap();
        let [(_, subject, action, 0)] = &polkit.questions()[..] else {
            panic!("{property} asks one question");
        };
        assert_eq!(subject, &name);
        asked.insert(format!("LogControl1.{property}"), action.clone());
    }
    let asked: Vec<_> = asked
        .iter()
        .map(|(on, action)| {
            let action = action.strip_prefix("org.tcncoalition.tcnd1.").unwrap();
            (on.as_str(), action)
        })
        .collect();
    assert_eq!(asked, ACTIONS);
    drop(bus);
}

const ACTIONS: [(&str, &str); 43] = [
    ("Contacts.CountNearby", "contacts-read"),
    ("Contacts.Erase", "erase"),
    ("Contacts.ExportLog", "contacts-export"),
    ("Contacts.GetActivity", "contacts-read"),
    ("Contacts.GetHistogram", "contacts-read"),
    ("Contacts.GetPresence", "presence-read"),
    ("Contacts.GetStatistics", "contacts-read"),
    ("Contacts.GetSummary", "contacts-read"),
    ("Exchange.Begin", "exchange"),
    ("Exchange.Deliver", "exchange"),
    ("Exchange.End", "exchange"),
    ("Exchange.Pending", "exchange"),
    ("Exchange.Record", "exchange"),
    ("Exchange.SettlePart", "exchange"),
    ("Exchange.TakePart", "exchange"),
    ("Exposures.Dismiss", "exposures-read"),
    ("Exposures.Get", "exposures-read"),
    ("Exposures.GetSummary", "exposures-read"),
    ("Exposures.List", "exposures-read"),
    ("Exposures.MarkSeen", "exposures-read"),
    ("Exposures.Restore", "exposures-read"),
    ("Exposures.Subscribe", "exposures-read"),
    ("Exposures.Unsubscribe", "exposures-read"),
    ("LogControl1.LogLevel", "reload"),
    ("LogControl1.LogTarget", "reload"),
    ("Manager.ConfirmClock", "erase"),
    ("Manager.Disable", "control"),
    ("Manager.Enable", "control"),
    ("Manager.Pause", "control"),
    ("Manager.Reload", "reload"),
    ("Manager.Resume", "control"),
    ("Manager.Rotate", "control"),
    ("Manager.SelfTest", "control"),
    ("Privacy.WipeAll", "erase"),
    ("Reports.CancelPublish", "report-create"),
    ("Reports.Check", "report-import"),
    ("Reports.Create", "report-create"),
    ("Reports.Delete", "report-create"),
    ("Reports.Export", "report-publish"),
    ("Reports.Import", "report-import"),
    ("Reports.List", "report-create"),
    ("Reports.Preview", "report-create"),
    ("Reports.Publish", "report-publish"),
];

/// The proxies say that a person may be asked, and polkit gets that flag.
#[tokio::test]
async fn a_person_is_asked_if_the_caller_says_so() {
    let (_town, polkit, _served, stranger) = scene(Verdict::Yes).await;
    let manager = ManagerProxy::new(&stranger).await.unwrap();
    soon(manager.rotate()).await.unwrap();
    let flags: Vec<_> = polkit
        .questions()
        .iter()
        .map(|question| question.3)
        .collect();
    assert_eq!(flags, [1]);
}

/// A program that watches runs unasked, so no prompt may come of it.
#[tokio::test]
async fn who_watches_is_asked_for_no_password() {
    let (_bus, polkit, _served, stranger) = scene(Verdict::No).await;
    let mut watch = Watch::new(stranger).await.unwrap();
    let seen = soon(watch.look()).await.unwrap().unwrap();
    assert!(seen.exposures_refused && seen.new_exposures.is_none());
    let asked = polkit.questions();
    let flags: Vec<_> = asked.iter().map(|question| question.3).collect();
    assert_eq!(flags, [0, 0], "{asked:?}");
}

/// Any answer other than yes means no, and the error says how to get a yes.
#[tokio::test]
async fn what_is_not_yes_is_no() {
    let (_town, polkit, mut served, stranger) = scene(Verdict::Yes).await;
    let manager = ManagerProxy::new(&stranger).await.unwrap();
    for (verdict, cure) in [
        (Verdict::No, "group tcnd"),
        (Verdict::Challenge, "pkttyagent"),
        (Verdict::Dismissed, "call again"),
        (Verdict::Unregistered, "pkaction"),
    ] {
        polkit.answer(verdict);
        let answer = soon(manager.rotate()).await;
        assert!(format!("{answer:?}").contains(cure), "{answer:?}");
        assert_eq!(error_name(answer), names::error::NOT_AUTHORIZED);
    }
    served.driver.heard_nothing();
}

#[tokio::test]
async fn without_polkit_it_is_no() {
    let bus = SystemBus::new();
    let mut served = bus.serve(idle()).await;
    for uid in [STRANGER, ROOT] {
        let client = bus.connect(uid).await;
        let manager = ManagerProxy::new(&client).await.unwrap();
        let answer = soon(manager.rotate()).await;
        assert!(format!("{answer:?}").contains("systemctl status polkit"));
        assert_eq!(error_name(answer), names::error::NOT_AUTHORIZED);
    }
    served.driver.heard_nothing();
}

/// One person hesitates at the password prompt while the clients of all others
/// continue: properties are read, changes are signalled, adapters come.
#[tokio::test]
async fn a_person_who_thinks_freezes_nobody() {
    let (bus, polkit, mut served, stranger) = scene(Verdict::Think).await;
    let thinker = bus.connect(STRANGER).await;
    let manager = ManagerProxy::new(&thinker).await.unwrap();
    let pause = manager.pause(60, "why", HashMap::new());
    let others = async {
        soon(polkit.asked()).await;
        served.driver.change(|now| {
            now.enabled = true;
            now.adapters = vec![adapter("hci0")];
        });
        let reader = ManagerProxy::new(&stranger).await.unwrap();
        let quick = Duration::from_secs(2);
        let age = tokio::time::timeout(quick, reader.current_tcn_age()).await;
        assert_eq!(age.expect("at once").unwrap(), 61);
        let mut enabled = reader.receive_enabled_changed().await;
        let told = futures::StreamExt::next(&mut enabled);
        tokio::time::timeout(quick, told).await.expect("at once");
        let asked = served.driver.heard();
        assert!(
            asked.iter().all(|asked| asked == "TcnAge"),
            "the pause still waits"
        );
        polkit.decide();
    };
    let (pause, ()) = tokio::join!(soon(pause), others);
    pause.unwrap();
    assert_eq!(served.driver.heard().len(), 1, "now it is paused");
}

/// A setter waits inside zbus, where it would block every reader as soon as an adapter
/// comes. So it does not wait long.
#[tokio::test]
async fn a_setter_does_not_wait_for_polkit_long() {
    let (_town, polkit, served, stranger) = scene(Verdict::Think).await;
    let set = set_log(&stranger, "LogLevel", "debug".into());
    let others = async {
        soon(polkit.asked()).await;
        served
            .driver
            .change(|now| now.adapters = vec![adapter("hci0")]);
        let reader = ManagerProxy::new(&stranger).await.unwrap();
        let deadline = Duration::from_secs(5);
        let read = tokio::time::timeout(deadline, reader.state()).await;
        read.expect("within five seconds").unwrap();
    };
    let (set, ()) = tokio::join!(set, others);
    assert_eq!(error_name(set), names::error::NOT_AUTHORIZED);
    assert_eq!(served.log.read(), [""; 0]);
}

/// How many questions a user can have open, on any number of connections.
const OF_ONE: usize = 16;

/// Opens this many questions of a user, each on its own connection, and waits until
/// polkit has them all.
async fn crowd(
    bus: &SystemBus,
    polkit: &Polkit,
    uid: u32,
    size: usize,
) -> JoinSet<zbus::Result<()>> {
    let already = polkit.count();
    let mut crowd = JoinSet::new();
    for _ in 0..size {
        let client = bus.connect(uid).await;
        crowd.spawn(async move { ManagerProxy::new(&client).await?.rotate().await });
    }
    while polkit.count() < already + size {
        soon(polkit.asked()).await;
    }
    crowd
}

/// Lets all of them be answered with yes.
async fn answer(polkit: &Polkit, crowd: JoinSet<zbus::Result<()>>) {
    for _ in 0..crowd.len() {
        polkit.decide();
        soon(polkit.answered()).await;
    }
    for answer in soon(crowd.join_all()).await {
        answer.unwrap();
    }
}

/// One user can make the daemon keep this many questions, and still cannot keep other
/// users from asking.
#[tokio::test]
async fn one_user_cannot_lock_others_out() {
    let (bus, polkit, mut served, stranger) = scene(Verdict::Think).await;
    let manager = ManagerProxy::new(&stranger).await.unwrap();
    let mut waiting = crowd(&bus, &polkit, STRANGER, OF_ONE).await;
    let refused = soon(manager.rotate()).await;
    assert_eq!(error_name(refused), names::error::BUSY);
    let other = bus.connect(OTHERS[0]).await;
    waiting.spawn(async move { ManagerProxy::new(&other).await?.rotate().await });
    while polkit.count() <= OF_ONE {
        soon(polkit.asked()).await;
    }
    answer(&polkit, waiting).await;
    assert_eq!(served.driver.heard().len(), OF_ONE + 1);
    polkit.answer(Verdict::Yes);
    soon(manager.rotate()).await.expect("there is room again");
}

/// All users together can make it keep this many.
#[tokio::test]
async fn questions_are_bounded() {
    let (bus, polkit, _served, stranger) = scene(Verdict::Think).await;
    let mut crowds = Vec::new();
    for uid in OTHERS {
        crowds.push(crowd(&bus, &polkit, uid, OF_ONE).await);
    }
    let manager = ManagerProxy::new(&stranger).await.unwrap();
    let refused = soon(manager.rotate()).await;
    assert_eq!(error_name(refused), names::error::BUSY);
    for crowd in crowds {
        answer(&polkit, crowd).await;
    }
    polkit.answer(Verdict::Yes);
    soon(manager.rotate()).await.expect("there is room again");
}
