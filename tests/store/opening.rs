//! Opening: private, alone, whole, and of a format this release knows.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tcnd::store::{DATABASE, OpenError, Seal};
use tempfile::tempdir;

use super::{DAY_ONE, Harness, look, open, sighting, summary};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A closed database with this many contacts.
async fn filled(directory: &Path, contacts: u64) {
    let mut harness = Harness::new(directory);
    let batch = (0..contacts).map(|n| sighting(n, DAY_ONE + n, DAY_ONE + n));
    harness.save(batch.collect()).await;
    harness.store.close().await;
}

#[tokio::test]
async fn files_and_directory_are_for_us_alone() {
    let above = tempdir().unwrap();
    let directory = above.path().join("state/tcnd");
    let mut harness = Harness::new(&directory);
    harness.save(vec![sighting(1, DAY_ONE, DAY_ONE)]).await;
    assert_eq!(mode(&directory), 0o700);
    let mut files = 0;
    for file in directory.read_dir().unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        files += 1;
    }
    assert!(files >= 3, "database, journal and lock are looked at");
    drop(harness);
}

#[tokio::test]
async fn our_own_files_are_made_private_again() {
    let directory = tempdir().unwrap();
    filled(directory.path(), 1).await;
    chmod(directory.path(), 0o755);
    chmod(&directory.path().join(DATABASE), 0o644);
    drop(Harness::new(directory.path()));
    assert_eq!(mode(directory.path()), 0o700);
    assert_eq!(mode(&directory.path().join(DATABASE)), 0o600);
}

#[tokio::test]
async fn a_directory_that_is_not_ours_alone_is_refused_and_left() {
    let directory = tempdir().unwrap();
    chmod(directory.path(), 0o1777);
    assert!(matches!(
        open(directory.path()),
        Err(OpenError::NotPrivate { .. })
    ));
    assert_eq!(mode(directory.path()), 0o1777);

    // Neither empty nor created by tcnd: a home directory, or /etc.
    fs::write(directory.path().join("passwd"), "").unwrap();
    chmod(directory.path(), 0o755);
    let error = open(directory.path()).unwrap_err();
    assert!(error.to_string().contains("chmod 0700"), "{error}");
    assert_eq!(mode(directory.path()), 0o755);

    let file = directory.path().join("passwd");
    assert!(matches!(open(&file), Err(OpenError::Directory { .. })));
}

#[tokio::test]
async fn a_second_owner_is_refused() {
    let (directory, harness) = Harness::fresh();
    let error = tcnd::store::open(directory.path(), Seal::default()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("--state-dir"), "{error}");
    harness.store.close().await;
    Harness::new(directory.path());
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let directory = tempdir().unwrap();
    filled(directory.path(), 3).await;
    look(directory.path())
        .pragma_update(None, "user_version", 8)
        .unwrap();
    let path = directory.path().join(DATABASE);
    let before = fs::read(&path).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 8,
                known: 7,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("newer release"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_format_that_only_the_journal_knows_is_refused_too() {
    let directory = tempdir().unwrap();
    filled(directory.path(), 3).await;
    let newer = look(directory.path());
    newer.pragma_update(None, "user_version", 8).unwrap();
    let killed = tempdir().unwrap();
    for file in [DATABASE, "tcnd.sqlite-wal", "tcnd.lock"] {
        fs::copy(directory.path().join(file), killed.path().join(file)).unwrap();
    }
    let before = fs::read(killed.path().join("tcnd.sqlite-wal")).unwrap();
    let error = open(killed.path()).unwrap_err();
    assert!(
        matches!(error, OpenError::Newer { found: 8, .. }),
        "{error}"
    );
    assert_eq!(
        fs::read(killed.path().join("tcnd.sqlite-wal")).unwrap(),
        before
    );
}

/// Opens a directory whose database was damaged: the old file is kept under another
/// name, byte for byte, and a new one works.
async fn goes_on(directory: &Path) {
    let path = directory.join(DATABASE);
    let damaged = fs::read(&path).unwrap();
    let opened = open(directory).unwrap();
    let aside = opened.quarantined.clone().expect("the damage is noticed");
    assert_eq!(fs::read(&aside).unwrap(), damaged, "nothing is lost");
    assert_eq!(mode(&aside), 0o600);
    opened.store.save(1, vec![sighting(1, DAY_ONE, DAY_ONE)]);
    let all = summary(&opened.store).await;
    assert_eq!(all.numbers, 1);
    opened.store.close().await;
    Harness::new(directory).store.close().await;
}

#[tokio::test]
async fn garbage_is_set_aside() {
    let directory = tempdir().unwrap();
    for again in 1..=3 {
        fs::write(directory.path().join(DATABASE), [0xa5; 10_000]).unwrap();
        chmod(directory.path(), 0o700);
        goes_on(directory.path()).await;
        let aside = directory.path().join(format!("{DATABASE}.damaged-{again}"));
        assert!(aside.exists(), "earlier ones are kept");
    }
}

#[tokio::test]
async fn a_file_cut_short_is_set_aside() {
    for left in [100, 5000, 2048 * 19] {
        let directory = tempdir().unwrap();
        filled(directory.path(), 2000).await;
        let file = fs::OpenOptions::new()
            .write(true)
            .open(directory.path().join(DATABASE))
            .unwrap();
        file.set_len(left).unwrap();
        goes_on(directory.path()).await;
    }
}

#[tokio::test]
async fn pages_overwritten_are_noticed() {
    let directory = tempdir().unwrap();
    filled(directory.path(), 2000).await;
    let whole = fs::read(directory.path().join(DATABASE)).unwrap();
    for page in (0..whole.len() / 2048).step_by(3) {
        let directory = tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[page * 2048..][..256].fill(0x5a);
        fs::write(directory.path().join(DATABASE), bytes).unwrap();
        goes_on(directory.path()).await;
    }
}

#[tokio::test]
async fn somebody_elses_database_is_set_aside() {
    let directory = tempdir().unwrap();
    look(directory.path())
        .execute_batch("CREATE TABLE contact (name TEXT)")
        .unwrap();
    goes_on(directory.path()).await;
}

#[tokio::test]
async fn our_database_with_other_tables_is_set_aside() {
    for change in [
        "DROP TABLE broadcast",
        "ALTER TABLE contact ADD COLUMN place TEXT",
        "CREATE TRIGGER spy AFTER INSERT ON contact BEGIN SELECT 1; END",
        "PRAGMA application_id = 1",
        "UPDATE sqlite_sequence SET seq = 'no number'",
    ] {
        let directory = tempdir().unwrap();
        filled(directory.path(), 1).await;
        let db = look(directory.path());
        db.execute(
            "INSERT INTO report_key (seed, born) VALUES (zeroblob(32), 0)",
            [],
        )
        .unwrap();
        db.execute_batch(change).unwrap();
        db.close().unwrap();
        goes_on(directory.path()).await;
    }
}
