//! The page of a kiosk: the real tcnd-kiosk, with the bus side of tcnd.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use tcnd::daemon::State;

use crate::mock_tcnd::{MockTcnd, busy, run};
use crate::{Fixture, assert_contains, text};

const HEARD: &str = "Devices heard in the last 15 minutes";

/// tcnd-kiosk at noon in UTC, with this bus and this page.
fn kiosk(address: &str, page: &Path) -> Command {
    let mut command = Command::new(e2e::program("tcnd-kiosk"));
    command.args(["--bus", address, "--output"]).arg(page);
    command.env("TZ", "UTC").env_remove("RUNTIME_DIRECTORY");
    command
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A value of a page.
fn value<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<dt>{name}</dt><dd>"))?;
    rest.split_once("</dd>").map(|it| it.0)
}

#[tokio::test]
async fn the_page_says_what_tcnd_says() {
    let it = MockTcnd::new(busy()).await;
    let file = it.fixture.folder.path().join("index.html");
    let written = run(kiosk(&it.fixture.address, &file)).await;
    assert_eq!(code(&written), Some(0), "{written:?}");
    assert_eq!(
        (text(&written.stdout), text(&written.stderr)),
        Default::default()
    );
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&page, "State"), Some("not all of it works"));
    assert!(value(&page, HEARD).is_some());
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644);

    it.driver.change(|now| now.state = State::Paused);
    run(kiosk(&it.fixture.address, &file)).await;
    let page = fs::read_to_string(&file).unwrap();
    assert_contains(value(&page, "State").unwrap(), "paused");
    assert_eq!(value(&page, HEARD), None);

    it.leave().await;
    let written = run(kiosk(&it.fixture.address, &file)).await;
    assert_eq!(code(&written), Some(0), "{written:?}");
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&page, "State"), Some("not running"));
}

#[tokio::test]
async fn of_contacts_and_exposures_it_asks_for_presence_alone() {
    let mut it = MockTcnd::new(busy()).await;
    let file = it.fixture.folder.path().join("index.html");
    run(kiosk(&it.fixture.address, &file)).await;
    let asked: Vec<_> = std::iter::from_fn(|| it.driver.asked.try_recv().ok()).collect();
    // A property, and the presence.
    assert_eq!(asked, ["TcnAge", "Nearby 900"]);
}

#[tokio::test]
async fn a_user_who_may_not_know_presence_gets_the_rest() {
    let it = MockTcnd::with(busy(), rustix::process::geteuid().as_raw() + 1).await;
    let file = it.fixture.folder.path().join("index.html");
    let written = run(kiosk(&it.fixture.address, &file)).await;
    assert_eq!(code(&written), Some(1));
    assert_contains(&text(&written.stderr), "50-tcnd-kiosk-page.rules");
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&page, "State"), Some("not all of it works"));
    assert_eq!(value(&page, HEARD), Some("not known"));
}

#[test]
fn it_never_starts_tcnd() {
    let fixture = Fixture::with_activation();
    let file = fixture.folder.path().join("index.html");
    let written = kiosk(&fixture.address, &file).output().unwrap();
    assert_eq!(code(&written), Some(0), "{written:?}");
    assert!(!fixture.folder.path().join("started").exists());
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&page, "State"), Some("not running"));
}

#[test]
fn without_a_bus_or_with_wrong_settings_there_is_a_page_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.html");
    let nowhere = format!("unix:path={}", folder.path().join("none").display());
    let written = kiosk(&nowhere, &file).output().unwrap();
    assert_eq!(code(&written), Some(3), "{written:?}");
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&page, "State"), Some("not known"));
    fs::remove_file(&file).unwrap();

    let settings = folder.path().join("kiosk.toml");
    fs::write(&settings, "question = \"x\"").unwrap();
    let mut wrong = kiosk(&nowhere, &file);
    let wrong = wrong.arg("--config").arg(&settings).output().unwrap();
    assert_eq!(code(&wrong), Some(2));
    assert_contains(&text(&wrong.stderr), "kiosk.toml:1:");
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&page, "State"), Some("not known"));
}

/// A bus that takes the connection and says nothing does not keep the page from being written.
#[test]
fn a_bus_that_hangs_is_named_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.html");
    let socket = folder.path().join("bus");
    let _silent = UnixListener::bind(&socket).unwrap();
    let address = format!("unix:path={}", socket.display());
    let written = kiosk(&address, &file).output().unwrap();
    assert_eq!(code(&written), Some(1), "{written:?}");
    assert_contains(&text(&written.stderr), "does not answer");
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&page, "State"), Some("does not answer"));
}

#[test]
fn a_page_that_cannot_be_written_is_named() {
    let written = kiosk(
        "unix:path=/nonexistent",
        Path::new("/nonexistent/index.html"),
    );
    let written = { written }.output().unwrap();
    assert_eq!(code(&written), Some(1));
    assert_contains(
        &text(&written.stderr),
        "/nonexistent/index.html cannot be written",
    );
}

#[test]
fn by_hand_the_page_goes_to_the_standard_output_or_the_runtime_directory() {
    let fixture = Fixture::new();
    let _daemon = fixture.start();
    let folder = tempfile::tempdir().unwrap();
    let kiosk = |directory: Option<&Path>| {
        let mut command = Command::new(e2e::program("tcnd-kiosk"));
        command.args(["--bus", &fixture.address]);
        command.env_remove("RUNTIME_DIRECTORY");
        if let Some(directory) = directory {
            command.env("RUNTIME_DIRECTORY", directory);
        }
        command.output().unwrap()
    };
    let printed = kiosk(None);
    assert_eq!(
        value(&text(&printed.stdout), "State"),
        Some("off"),
        "{printed:?}"
    );
    let nowhere = Command::new(e2e::program("tcnd-kiosk"))
        .args(["--bus", "unix:path=/nonexistent"])
        .env_remove("RUNTIME_DIRECTORY")
        .output();
    let page = text(&nowhere.unwrap().stdout);
    assert_eq!(
        value(&page, "State"),
        Some("not known"),
        "it is printed all the same"
    );
    assert!(kiosk(Some(folder.path())).stdout.is_empty());
    let page = fs::read_to_string(folder.path().join("index.html")).unwrap();
    assert_contains(&page, "This is a simulation");
}
