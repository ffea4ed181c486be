//! After a wipe no file of the directory holds a byte of the earlier data.

use std::fs;
use std::path::Path;

use tcn_protocol::{UnixTime, wire};
use tcnd::store::{DATABASE, Setting};
use tempfile::tempdir;

use super::reports::{export, found, own_report};
use super::{DAY_ONE, Harness, begun, dump, look, open, seed, sighting, tcn};

pub(super) fn holds(directory: &Path, secret: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(secret.len()).any(|window| window == secret)
    })
}

/// A little of everything, and every secret in it.
async fn fill(harness: &mut Harness, directory: &Path) -> Vec<Vec<u8>> {
    let contacts = (1..500).map(|n| sighting(n, DAY_ONE + n, DAY_ONE + n + 9));
    harness.save(contacts.collect()).await;
    harness.persist(begun(1, DAY_ONE)).await;
    let store = &harness.store;
    store.remember(Setting::Consent(true));
    store.keep_report(own_report(&[1])).await.unwrap().unwrap();
    store
        .record_release(1, export(DAY_ONE))
        .await
        .unwrap()
        .unwrap();
    let named = vec![(UnixTime(DAY_ONE + 1), tcn(1))];
    store.record_matches(vec![found(2, named)]).await.unwrap();
    fs::write(directory.join(format!("{DATABASE}.damaged-1")), seed(9)).unwrap();
    let mut secrets: Vec<_> = (1..500).map(|n| tcn(n).as_bytes().to_vec()).collect();
    let words = [
        &b"private words"[..],
        b"a note",
        b"symptom data",
        b"a friend",
    ];
    secrets.extend(words.map(<[u8]>::to_vec));
    let signed = wire::write(&own_report(&[1]).parts[0].signed);
    secrets.extend([seed(1).to_vec(), seed(9).to_vec(), signed]);
    secrets
}

#[tokio::test]
async fn no_file_holds_anything_and_the_store_goes_on() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    let mut harness = Harness::new(path);
    let secrets = fill(&mut harness, path).await;
    fs::write(path.join("foreign-file"), b"not ours").unwrap();
    for secret in &secrets {
        assert!(
            holds(path, secret),
            "a secret that was never there proves nothing"
        );
    }

    harness.store.wipe().await.unwrap();
    for secret in &secrets {
        let text = String::from_utf8_lossy(secret);
        assert!(!holds(path, secret), "{text:?} is still there");
    }
    assert!(holds(path, b"not ours"), "a file that is not ours stays");
    assert_eq!(dump(&look(path)), "");

    harness.save(vec![sighting(7, DAY_ONE, DAY_ONE + 9)]).await;
    harness.store.close().await;
    let opened = open(path).unwrap();
    assert!(!opened.resume.consent);
    assert_eq!(opened.store.size().await.unwrap().rows, 1);
}
