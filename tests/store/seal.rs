//! Report keys in the database, with and without the system's credential.

use std::fs;
use std::path::Path;

use tcn_engine::KeyId;
use tcnd::store::{DATABASE, OpenError, Opened, Seal, Setting};
use tempfile::tempdir;

use super::wipe::holds;
use super::{DAY_ONE, Harness, born, look, reserved, seed};

/// The seal of a credential of these bytes.
fn seal(bytes: &[u8]) -> Result<Seal, OpenError> {
    let directory = tempdir().unwrap();
    let file = directory.path().join("tcnd.kek");
    fs::write(&file, bytes).unwrap();
    Seal::of_credential(&file)
}

fn sealed_by(byte: u8) -> Seal {
    seal(&[byte; 32]).unwrap()
}

fn open(directory: &Path, seal: &Seal) -> Result<Opened, OpenError> {
    loop {
        match tcnd::store::open(directory, seal.clone()) {
            // See the other `open`.
            Err(OpenError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

/// Two keys and a number of each, and the stored records of them.
async fn fill(directory: &Path, seal: &Seal) {
    let mut harness = Harness::of(open(directory, seal).unwrap());
    let records = [1, 2].map(|key| [born(key, DAY_ONE), reserved(key, 1, DAY_ONE)]);
    harness
        .persist(records.into_iter().flatten().collect())
        .await;
    harness.store.close().await;
}

/// Opens the store, and checks that the keys are the stored ones.
async fn has_them(directory: &Path, seal: &Seal) {
    let opened = open(directory, seal).unwrap();
    assert_eq!(opened.sealed, seal.seals());
    let keys: Vec<_> = opened
        .resume
        .broadcast
        .iter()
        .map(|b| (b.key, **b.seed.0))
        .collect();
    assert_eq!(keys, [1u8, 2].map(|n| (KeyId(n.into()), seed(n))));
    let seeds = opened.store.seeds(vec![KeyId(2)]).await.unwrap();
    assert_eq!(**seeds[0].1.0, seed(2));
    opened.store.close().await;
}

fn bytes(directory: &Path) -> Vec<u8> {
    fs::read(directory.join(DATABASE)).unwrap()
}

#[tokio::test]
async fn sealed_keys_are_in_no_file_and_come_back() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    fill(path, &sealed_by(1)).await;
    assert!(!holds(path, &seed(1)) && !holds(path, &seed(2)));
    has_them(path, &sealed_by(1)).await;
}

/// After the credential is added, no earlier key is left in the files.
#[tokio::test]
async fn keys_of_before_the_credential_are_sealed_when_it_comes() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    fill(path, &Seal::default()).await;
    assert!(holds(path, &seed(1)) && holds(path, &seed(2)));
    has_them(path, &Seal::default()).await;
    has_them(path, &sealed_by(1)).await;
    assert!(!holds(path, &seed(1)) && !holds(path, &seed(2)));
    has_them(path, &sealed_by(1)).await;
}

#[tokio::test]
async fn without_the_right_credential_the_file_stays_as_it_is() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    fill(path, &sealed_by(1)).await;
    let before = bytes(path);
    for wrong in [Seal::default(), sealed_by(2)] {
        let error = open(path, &wrong).unwrap_err();
        assert!(matches!(error, OpenError::Sealed { .. }), "{error:?}");
        assert!(
            error.to_string().contains("/etc/credstore.encrypted"),
            "{error}"
        );
        assert_eq!(bytes(path), before);
        assert_eq!(
            fs::read_dir(path).unwrap().count(),
            3,
            "something was set aside"
        );
    }
    has_them(path, &sealed_by(1)).await;
}

/// A sealed key is valid only in its own place.
#[tokio::test]
async fn keys_that_changed_places_are_not_taken() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    fill(path, &sealed_by(1)).await;
    let db = look(path);
    let swap = "UPDATE report_key SET seed = (SELECT seed FROM report_key AS o WHERE o.id != report_key.id)";
    assert_eq!(db.execute(swap, []).unwrap(), 2);
    drop(db);
    assert!(matches!(
        open(path, &sealed_by(1)),
        Err(OpenError::Sealed { .. })
    ));
}

#[tokio::test]
async fn what_is_no_key_is_damage() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    fill(path, &sealed_by(1)).await;
    look(path)
        .execute("UPDATE report_key SET seed = x'00'", [])
        .unwrap();
    assert!(open(path, &sealed_by(1)).unwrap().quarantined.is_some());
}

#[tokio::test]
async fn keys_are_sealed_after_a_wipe_too() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    fill(path, &sealed_by(1)).await;
    let harness = Harness::of(open(path, &sealed_by(1)).unwrap());
    harness.store.wipe().await.unwrap();
    harness.store.remember(Setting::Consent(true));
    harness.store.close().await;
    fill(path, &sealed_by(1)).await;
    assert!(!holds(path, &seed(1)) && !holds(path, &seed(2)));
    has_them(path, &sealed_by(1)).await;
}

/// Equal keys have different seals, and `Debug` shows nothing of either.
#[tokio::test]
async fn a_seal_gives_nothing_away() {
    let stored = async || {
        let directory = tempdir().unwrap();
        fill(directory.path(), &sealed_by(1)).await;
        let one = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
        look(directory.path())
            .query_row("SELECT seed FROM report_key WHERE id = 1", [], one)
            .unwrap()
    };
    let (first, second) = (stored().await, stored().await);
    assert_eq!((first.len(), second.len()), (72, 72));
    assert_ne!(first, second);
    assert_eq!(format!("{:?}", sealed_by(1)), "Seal([REDACTED])");
    assert_eq!(format!("{:?}", Seal::default()), "Seal(none)");
}

#[test]
fn a_credential_is_32_bytes_or_absent() {
    for length in [0, 31, 33, 4096] {
        let error = seal(&vec![7; length]).unwrap_err();
        assert!(matches!(error, OpenError::CredentialLength), "{length}");
        assert!(error.to_string().contains("head -c 32"), "{error}");
    }
    assert!(seal(&[7; 32]).unwrap().seals());
    let directory = tempdir().unwrap();
    assert!(
        !Seal::of_credential(&directory.path().join("none"))
            .unwrap()
            .seals()
    );
    let unreadable = Seal::of_credential(directory.path()).unwrap_err();
    assert!(
        matches!(unreadable, OpenError::Credential(_)),
        "{unreadable}"
    );
}
