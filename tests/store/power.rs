//! Cuts the power: everything that was answered as durable is there.
//!
//! After a kill the kernel still writes its buffers; after a power cut it does not. So
//! the child runs on a disk that forgets: `power.c` is loaded into it and records what
//! each `fsync` made safe, and the test continues with those data alone. Real disks
//! keep more, in any order; their behaviour lies between this and a mere kill (`kill`).

use std::fs;
use std::path::Path;
use std::process::Command;

use tcn_engine::Pause;
use tcnd::store::Setting;
use tempfile::{TempDir, tempdir};

use super::kill::{SAVERS, audit};
use super::{DAY_ONE, Harness, begun, child, open, sighting, summary};

/// A directory, and the simulated disk below it.
struct Machine {
    directory: TempDir,
    disk: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            directory: tempdir().unwrap(),
            disk: tempdir().unwrap(),
        };
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(machine.disk.path().join("power.so"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/power.c"))
            .status()
            .expect("there is a C compiler: SQLite is built with it");
        assert!(compiled.success());
        machine
    }

    fn run(&self, role: &str) -> child::Running {
        child::start_on(role, self.directory.path(), self.disk.path())
    }

    /// The contents of the disk now, as the next start finds it. A file whose name was
    /// synced and whose content was not is empty.
    fn after_the_cut(&self) -> TempDir {
        let left = tempdir().unwrap();
        let names = fs::read_to_string(self.disk.path().join("names")).unwrap_or_default();
        for line in names.lines() {
            let (inode, name) = line.split_once(' ').unwrap();
            let content = fs::read(self.disk.path().join(inode)).unwrap_or_default();
            fs::write(left.path().join(name), content).unwrap();
        }
        left
    }
}

/// A number may be on the air as soon as its record was answered. Contacts become safe
/// with the next record, so at most the contacts since the last rotation can be lost.
#[tokio::test]
async fn a_power_cut_loses_no_record_and_no_contact_before_it() {
    for role in SAVERS {
        for rounds in [1, 2, 7, 40, 400] {
            let machine = Machine::new();
            let mut child = machine.run(role);
            let stored = child.kill_after(rounds);
            let left = machine.after_the_cut();
            audit(left.path(), stored..=stored + 1, stored..=stored + 1).await;
        }
    }
}

/// Batches between the child's two messages.
const UNSYNCED: u64 = 5;

/// The child: contacts written after the last record.
#[tokio::test]
async fn role_saves_contacts_alone() {
    let Some(directory) = child::directory() else {
        return;
    };
    let mut harness = Harness::new(&directory);
    harness.save(vec![sighting(0, DAY_ONE, DAY_ONE)]).await;
    harness.persist(begun(1, DAY_ONE)).await;
    for n in 1..=UNSYNCED {
        harness.save(vec![sighting(n, DAY_ONE, DAY_ONE)]).await;
    }
    child::say("stored", UNSYNCED);
    std::future::pending::<()>().await;
}

/// Contacts are not promised to survive this: a sync a minute would wear out a card.
/// The test also shows that this disk forgets.
#[tokio::test]
async fn a_power_cut_loses_the_contacts_since_the_last_record() {
    let machine = Machine::new();
    let mut child = machine.run("power::role_saves_contacts_alone");
    assert_eq!(child.hear("stored"), Some(UNSYNCED));
    child.kill();
    for (directory, contacts) in [
        (machine.after_the_cut().path(), 1),
        (machine.directory.path(), 1 + UNSYNCED),
    ] {
        let harness = Harness::new(directory);
        assert_eq!(harness.store.size().await.unwrap().rows, contacts);
    }
}

/// The child: contacts that are folded without a record, and contacts after that.
#[tokio::test]
async fn role_folds_contacts_alone() {
    let Some(directory) = child::directory() else {
        return;
    };
    let mut harness = Harness::new(&directory);
    for n in 1..=UNSYNCED {
        harness.save(vec![sighting(n, DAY_ONE, DAY_ONE)]).await;
    }
    harness.settle().await;
    for n in 1..=UNSYNCED {
        harness.save(vec![sighting(n, DAY_ONE, DAY_ONE)]).await;
    }
    child::say("stored", UNSYNCED);
    std::future::pending::<()>().await;
}

/// The growth is given up only when the database has it for good.
#[tokio::test]
async fn a_power_cut_loses_nothing_that_was_folded() {
    let machine = Machine::new();
    let mut child = machine.run("power::role_folds_contacts_alone");
    assert_eq!(child.hear("stored"), Some(UNSYNCED));
    child.kill();
    for (directory, sightings) in [
        (machine.after_the_cut().path(), UNSYNCED),
        (machine.directory.path(), 2 * UNSYNCED),
    ] {
        let harness = Harness::new(directory);
        assert_eq!(summary(&harness.store).await.sightings, sightings);
    }
}

/// The child: a decision, then an old contact and key forgotten.
#[tokio::test]
async fn role_decides_and_forgets() {
    let Some(directory) = child::directory() else {
        return;
    };
    let mut harness = Harness::new(&directory);
    harness.store.remember(Setting::Consent(true));
    harness.store.remember(Setting::Pause(Pause::UntilResumed));
    harness.settle().await;
    child::say("decided", 1);
    harness.persist(begun(1, DAY_ONE)).await;
    let contacts = [0, 100].map(|at| sighting(at, DAY_ONE + at, DAY_ONE + at));
    harness.save(contacts.to_vec()).await;
    harness.forget(DAY_ONE + 50).await;
    child::say("forgotten", 1);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_power_cut_undoes_no_decision_and_brings_nothing_back() {
    let machine = Machine::new();
    let mut child = machine.run("power::role_decides_and_forgets");
    child.hear("decided").unwrap();
    decisions_hold(machine.after_the_cut().path());
    child.hear("forgotten").unwrap();
    child.kill();
    let left = machine.after_the_cut();
    decisions_hold(left.path());
    let opened = open(left.path()).unwrap();
    assert_eq!(opened.resume.broadcast.len(), 0);
    let rows = opened.store.size().await.unwrap().rows;
    assert_eq!(rows, 1, "the younger contact");
}

fn decisions_hold(directory: &Path) {
    let resume = open(directory).unwrap().resume;
    assert!(resume.consent);
    assert_eq!(resume.pause, Pause::UntilResumed);
}
