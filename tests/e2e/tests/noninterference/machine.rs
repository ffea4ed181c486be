//! A complete machine: the real tcnd and the real `tcnd-sync` on a private bus, a mock
//! server, and everything visible from outside tcnd.
#![allow(
    dead_code,
    reason = "a test and a bench share this, and neither uses all of it"
)]

#[path = "../../../support/dbus_daemon.rs"]
mod dbus_daemon;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use tcn_engine::{Contact, Signal, Unheard};
use tcn_protocol::{TemporaryContactNumber, UnixTime};
use tcnd::store::{self, Seal};
use tcnd_client::names;
use tcnd_client::proxy::{ExposuresProxy, ManagerProxy};
use tempfile::TempDir;
use zbus::{Connection, MatchRule, Message, MessageStream, connection};

use dbus_daemon::DbusDaemon;

/// The deadline of anything that must happen.
const DEADLINE: Duration = Duration::from_secs(120);

/// The content of a server: the reports of each interval, byte for byte.
pub(crate) type Documents = BTreeMap<u64, Vec<Vec<u8>>>;

/// A request as received, and its time.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) raw: Vec<u8>,
    pub(crate) at: Instant,
}

/// A server that speaks CoEpi's API, with a correct clock.
pub(crate) struct Server {
    pub(crate) port: u16,
    documents: Arc<Mutex<BTreeMap<u64, Vec<u8>>>>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let documents = Arc::<Mutex<BTreeMap<u64, Vec<u8>>>>::default();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let (held, log) = (Arc::clone(&documents), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (held, log) = (Arc::clone(&held), Arc::clone(&log));
                // A client that disconnects is not a failure of the server.
                std::thread::spawn(move || serve(stream.unwrap(), &held, &log));
            }
        });
        Self {
            port,
            documents,
            seen,
        }
    }

    pub(crate) fn serve(&self, documents: &Documents) {
        let json = |reports: &Vec<Vec<u8>>| {
            let items = reports.iter().map(|report| STANDARD.encode(report));
            serde_json::to_vec(&items.collect::<Vec<_>>()).unwrap()
        };
        let documents = documents.iter().map(|(n, reports)| (*n, json(reports)));
        *self.documents.lock().unwrap() = documents.collect();
    }

    /// The requests since the last call.
    pub(crate) fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn serve(
    mut stream: TcpStream,
    documents: &Mutex<BTreeMap<u64, Vec<u8>>>,
    log: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    loop {
        let mut raw = Vec::new();
        let mut byte = [0];
        while !raw.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            raw.push(byte[0]);
        }
        let at = Instant::now();
        log.lock().unwrap().push(Request {
            raw: raw.clone(),
            at,
        });
        let text = String::from_utf8_lossy(&raw);
        let after = text.split("intervalNumber=").nth(1).unwrap_or("0");
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        let interval: u64 = digits.parse().unwrap();
        let body = documents.lock().unwrap().get(&interval).cloned();
        let body = body.unwrap_or_else(|| b"[]".to_vec());
        let date = httpdate(SystemTime::now());
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(&body)?;
    }
}

/// The time in the format of `Date` (RFC 9110, section 5.6.7).
fn httpdate(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A contact of ten minutes.
pub(crate) fn contact(tcn: TemporaryContactNumber, start: u64) -> Contact {
    Contact {
        tcn,
        start: UnixTime(start),
        end: UnixTime(start + 600),
        unheard: Unheard::default(),
        signal: Signal {
            max: Some(-60),
            sum: -600,
            attenuation: [10, 0, 0, 0],
            unmeasured: 0,
        },
        bridged: false,
    }
}

/// A machine that met these contacts.
pub(crate) struct Machine {
    bus: DbusDaemon,
    folder: TempDir,
    tcnd: Child,
}

impl Machine {
    pub(crate) async fn new(contacts: Vec<Contact>) -> Self {
        let folder = TempDir::new().unwrap();
        let state = folder.path().join("state");
        fill(&state, contacts).await;
        fs::create_dir(folder.path().join("sync")).unwrap();
        fs::write(folder.path().join("tcnd.toml"), "enabled = false\n").unwrap();
        let bus = DbusDaemon::start("--session");
        let tcnd = Command::new(e2e::program("tcnd"))
            .args(["--radio", "fake", "--bus", &bus.address, "--config"])
            .arg(folder.path().join("tcnd.toml"))
            .arg("--state-dir")
            .arg(&state)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let machine = Self { bus, folder, tcnd };
        machine.is_ready().await;
        machine
    }

    /// Waits until tcnd owns its name and its adapter is on the bus.
    async fn is_ready(&self) {
        let bus = self.connect().await;
        let dbus = zbus::fdo::DBusProxy::new(&bus).await.unwrap();
        let mut changed = dbus.receive_name_owner_changed().await.unwrap();
        let objects = zbus::fdo::ObjectManagerProxy::new(&bus, names::BUS, names::ROOT);
        let objects = objects.await.unwrap();
        let mut added = objects.receive_interfaces_added().await.unwrap();
        let name = zbus::names::BusName::try_from(names::BUS).unwrap();
        let there = async {
            while !dbus.name_has_owner(name.clone()).await.unwrap() {
                let _ = changed.next().await;
            }
            while !objects
                .get_managed_objects()
                .await
                .unwrap()
                .keys()
                .any(|path| path.as_str().contains("fake"))
            {
                let _ = added.next().await;
            }
        };
        tokio::time::timeout(DEADLINE, there).await.unwrap();
    }

    pub(crate) async fn connect(&self) -> Connection {
        let address = self.bus.address.as_str();
        let built = connection::Builder::address(address).build();
        built.await.unwrap()
    }

    /// Records everything that crosses the bus from now on.
    pub(crate) async fn watch(&self) -> Watch {
        let bus = self.connect().await;
        let stream = MessageStream::from(&bus);
        let monitor = zbus::fdo::MonitoringProxy::new(&bus).await.unwrap();
        let all: &[MatchRule<'_>] = &[];
        monitor.become_monitor(all, 0).await.unwrap();
        Watch { stream }
    }

    /// One run of `tcnd-sync` with this source, for a user who waits.
    pub(crate) async fn sync(&self, server: &Server, more: &str) {
        let sources = self.folder.path().join("sources.toml");
        let port = server.port;
        let text = format!(
            "[[source]]\nname = \"eve\"\nkind = \"coepi-v4\"\n\
             url = \"http://127.0.0.1:{port}/v4/tcnreport/0.4.0\"\n{more}\n"
        );
        fs::write(&sources, text).unwrap();
        let mut command = Command::new(e2e::program("tcnd-sync"));
        command
            .args(["--now", "--bus", &self.bus.address, "--sources"])
            .arg(sources)
            .arg("--state-dir")
            .arg(self.folder.path().join("sync"))
            .stderr(Stdio::piped());
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
        let ended = tokio::time::timeout(DEADLINE, ended).await.unwrap();
        let log = String::from_utf8_lossy(&ended.unwrap().stderr).into_owned();
        assert!(!log.contains("panicked"), "{log}");
    }

    /// The files that `tcnd-sync` keeps. The end of a back-off is random, so that
    /// number is cut out.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(self.folder.path().join("sync"))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().to_string_lossy().into_owned();
                let text = fs::read(entry.path()).unwrap();
                (name, without_until(&String::from_utf8_lossy(&text)))
            })
            .collect();
        files.sort();
        files
    }

    /// The number of exposures, once everything is matched.
    pub(crate) async fn exposures(&self) -> usize {
        let bus = self.connect().await;
        let exposures = ExposuresProxy::new(&bus).await.unwrap();
        let list = exposures.list(std::collections::HashMap::new());
        let list = tokio::time::timeout(DEADLINE, list).await.unwrap();
        list.unwrap().len()
    }

    /// State that every user of the machine can read.
    pub(crate) async fn public(&self) -> Vec<String> {
        let bus = self.connect().await;
        let manager = ManagerProxy::new(&bus).await.unwrap();
        vec![
            manager.state().await.unwrap(),
            format!("{:?}", manager.problems().await.unwrap()),
        ]
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.tcnd.kill();
        let _ = self.tcnd.wait();
    }
}

fn without_until(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(text) else {
        return text.to_owned();
    };
    for source in value
        .as_object_mut()
        .into_iter()
        .flat_map(|all| all.values_mut())
    {
        source.as_object_mut().map(|source| source.remove("until"));
    }
    value.to_string()
}

async fn fill(state: &Path, contacts: Vec<Contact>) {
    let mut opened = store::open(state, Seal::default()).unwrap();
    for (seq, batch) in (0..).zip(contacts.chunks(1000)) {
        opened.store.save(seq, batch.to_vec());
        let stored = opened.events.recv().await.unwrap();
        assert!(matches!(stored, store::Event::Stored { .. }), "{stored:?}");
    }
    opened.store.close().await;
}

/// A record of the messages on a bus.
pub(crate) struct Watch {
    stream: MessageStream,
}

impl Watch {
    /// All messages up to this call of `marker`, a line each: the part that a program
    /// of another user, or `tcnd-sync`, can see. Times, serial numbers and connection
    /// names are left out: they differ between any two runs.
    pub(crate) async fn until(&mut self, marker: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let next = tokio::time::timeout(DEADLINE, self.stream.next()).await;
            let message = next.unwrap().unwrap().unwrap();
            let header = message.header();
            let member = header.member().map(ToString::to_string);
            if member.as_deref() == Some(marker) {
                return lines;
            }
            lines.extend(line(&message));
        }
    }
}

/// `None` for messages between other programs and the bus itself.
fn line(message: &Message) -> Option<String> {
    let header = message.header();
    let text = |part: Option<String>| part.unwrap_or_default();
    let interface = text(header.interface().map(ToString::to_string));
    let sender = text(header.sender().map(ToString::to_string));
    let destination = text(header.destination().map(ToString::to_string));
    if [&sender, &destination].contains(&&"org.freedesktop.DBus".to_owned()) {
        return None;
    }
    let member = text(header.member().map(ToString::to_string));
    let error = text(header.error_name().map(ToString::to_string));
    let path = text(header.path().map(ToString::to_string));
    let kind = message.message_type();
    let body = message.body();
    // Properties contain the time of the last run.
    let bytes = if interface == "org.freedesktop.DBus.Properties" {
        Vec::new()
    } else {
        body.data().to_vec()
    };
    let signature = body.signature().to_string();
    let whom = if destination.is_empty() { "all" } else { "one" };
    Some(format!(
        "{kind:?} to {whom} {path} {interface} {member} {error} {signature} {bytes:?}"
    ))
}
