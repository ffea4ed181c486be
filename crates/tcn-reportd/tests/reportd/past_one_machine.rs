//! Intervals in a folder or bucket, and uploads through a bucket.

use std::path::Path;
use std::sync::Arc;

use tcn_reportd::{BucketSettings, Role, ServerSettings, UPLOAD_PATHS};

use super::bucket::{Bucket, forged};
use super::child;
use super::durable::config;
use super::harness::{
    END, INTERVAL, ManualClock, NOW, TestServer, base64, report, settings, soon, sorted,
};

const NAMES: [&str; 5] = ["", ".json", ".json.gz", ".json.zst", ".tcn"];

async fn primary(
    directory: &Path,
    now: u64,
    mirror: Option<BucketSettings>,
    inbox: Option<BucketSettings>,
) -> TestServer {
    let settings = ServerSettings {
        mirror,
        inbox,
        ..settings()
    };
    TestServer::with(&settings, directory, ManualClock::at(now)).await
}

/// Waits until all intervals up to this one are published.
async fn published(server: &TestServer, number: u64) {
    let line = format!("tcn_reportd_published_interval {number}");
    wait(server, |metrics| metrics.lines().any(|found| found == line)).await;
}

async fn wait(server: &TestServer, until: impl Fn(&str) -> bool) {
    let done = async {
        loop {
            let metrics = server.get("/metrics").await;
            if until(std::str::from_utf8(&metrics.body).unwrap()) {
                return;
            }
        }
    };
    soon(done).await;
}

fn numbers(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn expected(open: u64) -> Vec<String> {
    let mut names: Vec<_> = (open - 56..open)
        .flat_map(|number| NAMES.map(|suffix| format!("{number}{suffix}")))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn fourteen_days_lie_in_the_folder_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let server = primary(directory.path(), NOW, None, None).await;
    server.upload(&report(1)).await;
    published(&server, 74_358).await;
    server.stop().await;
    let folder = directory.path().join("public/tcnreport/21600");
    assert_eq!(numbers(&folder), expected(74_359));
    let server = primary(directory.path(), NOW + 3 * INTERVAL, None, None).await;
    published(&server, 74_361).await;
    assert_eq!(numbers(&folder), expected(74_362));
    for suffix in ["", ".json", ".tcn"] {
        let name = format!("74359{suffix}");
        let served = server.get(&format!("/tcnreport/21600/{name}")).await.body;
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), served);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_kill_while_it_publishes_leaves_nothing_half_done_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("state/public/tcnreport/21600");
    let mut server = child::start(directory.path(), &config(directory.path()));
    server.kill();
    let before = numbers(&folder).len();
    assert!(
        before < 56 * NAMES.len(),
        "it was done before it was killed"
    );
    let mut again = child::start(directory.path(), &config(directory.path()));
    let complete = tokio::task::spawn_blocking(move || {
        loop {
            // A file being written has a temporary name for a moment.
            let names = numbers(&folder);
            if names.len() == 56 * NAMES.len() && !names.iter().any(|name| name.contains('#')) {
                return names;
            }
            std::thread::yield_now();
        }
    });
    let names = soon(complete).await.unwrap();
    let first: u64 = names[0].parse().unwrap();
    assert_eq!(names, expected(first + 56));
    again.terminate();
    assert!(again.wait().0.success());
}

#[tokio::test]
async fn a_bucket_has_what_the_server_serves_and_headers_to_serve_it_by() {
    let directory = tempfile::tempdir().unwrap();
    let (bucket, place) = Bucket::serve().await;
    let reports: Vec<_> = (0..20).map(report).collect();
    let server = primary(directory.path(), NOW, None, None).await;
    for report in &reports {
        server.upload(report).await;
    }
    server.stop().await;
    bucket.put("public/tcnreport/21600/74000.tcn", "old".into());
    bucket.put("public/other", "not ours".into());
    let server = primary(directory.path(), END, Some(place("public")), None).await;
    published(&server, 74_359).await;
    let objects = bucket.objects();
    let mut names: Vec<_> = expected(74_360)
        .iter()
        .map(|name| format!("public/tcnreport/21600/{name}"))
        .collect();
    names.insert(0, "public/other".into());
    assert_eq!(objects.keys().cloned().collect::<Vec<_>>(), names);
    for (suffix, kind, encoding) in [
        ("", "application/json", ""),
        (".json", "application/json", ""),
        (".json.gz", "application/json", "gzip"),
        (".json.zst", "application/json", "zstd"),
        (".tcn", "application/octet-stream", ""),
    ] {
        let object = &objects[&format!("public/tcnreport/21600/74359{suffix}")];
        let header = |name: &str| object.headers.get(name).map_or("", |v| v.to_str().unwrap());
        assert_eq!(header("content-type"), kind, "{suffix}");
        assert_eq!(header("content-encoding"), encoding, "{suffix}");
        assert_eq!(
            header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        if encoding.is_empty() {
            let served = server.get(&format!("/tcnreport/21600/74359{suffix}")).await;
            assert_eq!(object.content, served.body);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_mirror_that_fails_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let (bucket, place) = Bucket::serve().await;
    let server = primary(directory.path(), END, Some(forged(place("public"))), None).await;
    server.upload(&report(1)).await;
    assert_eq!(server.get("/tcnreport/21600/74359").await.status, 200);
    server.stop().await;
    assert!(
        bucket.objects().is_empty(),
        "the bucket took an upload with a wrong signature"
    );
    let server = primary(directory.path(), END, Some(place("public")), None).await;
    published(&server, 74_359).await;
    assert_eq!(bucket.objects().len(), 56 * NAMES.len());
    server.stop().await;
}

#[tokio::test]
async fn front_ends_keep_nothing_and_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (bucket, place) = Bucket::serve().await;
    let frontend = ServerSettings {
        role: Role::Frontend,
        inbox: Some(place("inbox-of-ours")),
        ..settings()
    };
    let nothing = directory.path().join("nothing");
    let mut fronts = Vec::new();
    for _ in 0..3 {
        fronts.push(TestServer::with(&frontend, &nothing, ManualClock::at(NOW)).await);
    }
    let reports: Vec<_> = (0..30).map(report).collect();
    for (report, frontend) in reports.iter().zip(fronts.iter().cycle()) {
        frontend.upload(report).await;
    }
    // Two front ends that get the same report do not know of each other.
    fronts[0].upload(&reports[1]).await;
    assert_eq!(fronts[0].get(UPLOAD_PATHS[0]).await.status, 405);
    assert_eq!(fronts[0].post("no").await.status, 400);
    bucket.set_down(true);
    let refused = fronts[0].post(base64(&report(99))).await;
    assert_eq!(refused.status, 503);
    assert_eq!(fronts[0].get("/health").await.status, 503);
    bucket.set_down(false);
    fronts[0].upload(&report(30)).await;
    assert_eq!(fronts[0].get("/health").await.status, 200);
    for frontend in fronts {
        frontend.stop().await;
    }
    assert!(!nothing.exists(), "a front end has written to its disk");
    let left = bucket.objects();
    // A foreign object does no harm.
    bucket.put("inbox-of-ours/inbox/stranger", "junk".into());
    for run in 0..2 {
        let server = primary(directory.path(), NOW, None, Some(place("inbox-of-ours"))).await;
        let taken = async {
            while !bucket.objects().is_empty() {
                server.get("/health").await;
            }
        };
        soon(taken).await;
        let found = server.interval(74_359).await;
        assert_eq!(
            sorted(found),
            sorted((0..31).map(report).collect()),
            "run {run}"
        );
        server.stop().await;
        // As if the primary server had died before it removed them.
        for (name, object) in &left {
            bucket.put(name, object.content.clone());
        }
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for (url, option, cure) in [
        ("nonsense", None, "file:///FOLDER"),
        ("ftp://host/x", None, "s3://BUCKET"),
        ("s3://bucket/x", Some("aws_regoin"), "aws_region"),
    ] {
        let options = option.map(|name: &str| (name.to_owned(), String::new()));
        let place = BucketSettings {
            url: url.into(),
            options: options.into_iter().collect(),
        };
        let settings = ServerSettings {
            mirror: Some(place),
            ..settings()
        };
        let clock = Arc::new(ManualClock::at(NOW));
        let started = tcn_reportd::Server::bind(&settings, directory.path(), clock).await;
        let error = started.err().unwrap().to_string();
        assert!(error.contains(cure), "{error}");
    }
}
