//! A user who floods: many connections that call and never read.
//!
//! This is the real tcnd on a private bus with the policy of the package, run by the user that
//! stands for tcnd; the flood comes from an unrelated user. tcnd must stay within a
//! quarter of the memory that its unit allows (`MemoryMax=256M`), and must answer other
//! clients.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use futures::StreamExt;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tcnd_client::names;
use tcnd_client::proxy::ManagerProxy;
use tempfile::TempDir;
use zbus::fdo::DBusProxy;
use zbus::message::{Flags, Message};
use zbus::proxy::CacheProperties;
use zbus::{Connection, Fd, Variant};

use crate::harness::soon;
use crate::members::error_name;
use crate::mock_driver::busy;
use crate::system_bus::{OTHERS, STRANGER, SystemBus, TCND, connect_as};

/// The most memory that the process may have at its peak, in KiB.
const MAX_MEMORY: u64 = 64 << 10;

/// Connections of the flood.
const CONNECTIONS: usize = 48;

/// The real tcnd; it ends with the test.
pub(crate) struct Daemon {
    process: Child,
    /// Its state, and the program.
    _folders: [TempDir; 2],
}

impl Daemon {
    fn start(bus: &SystemBus) -> Self {
        let state = TempDir::new().unwrap();
        std::os::unix::fs::chown(state.path(), Some(TCND), Some(TCND)).unwrap();
        let (folder, program) = reachable();
        let process = Command::new(program)
            .args(["--radio", "fake", "--bus", &bus.daemon.address])
            .arg("--state-dir")
            .arg(state.path())
            .stderr(Stdio::null())
            .uid(TCND)
            .gid(TCND)
            .spawn()
            .unwrap();
        Self {
            process,
            _folders: [state, folder],
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The most memory that it ever had resident, in KiB: proc(5), VmHWM.
    pub(crate) fn peak(&mut self) -> u64 {
        let ended = self.process.try_wait().unwrap();
        assert_eq!(ended, None, "it is still there");
        let status = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(status).unwrap();
        let (_, peak) = status.split_once("VmHWM:").unwrap();
        peak.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// The program, in a folder where its user can reach it: the clone may be in one of root
/// alone.
fn reachable() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (built, here) = (env!("CARGO_BIN_EXE_tcnd"), folder.path().join("tcnd"));
    // Another file system may be for temporary files.
    let linked = fs::hard_link(built, &here).or_else(|_| fs::copy(built, &here).map(drop));
    linked.unwrap();
    (folder, here)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The kinds of calls that any client can send: path, interface, member.
const KINDS: [(&str, &str, &str); 9] = [
    (
        names::ROOT,
        "org.freedesktop.DBus.Introspectable",
        "Introspect",
    ),
    (names::ROOT, "org.freedesktop.DBus.Peer", "Ping"),
    (
        names::ROOT,
        "org.freedesktop.DBus.ObjectManager",
        "GetManagedObjects",
    ),
    (names::ROOT, "org.freedesktop.DBus.Properties", "GetAll"),
    (names::ROOT, "org.freedesktop.DBus.Properties", "Get"),
    (names::ROOT, names::MANAGER, "Enable"),
    (names::ROOT, names::MANAGER, "NoSuchMethod"),
    ("/no/such/object", names::MANAGER, "Enable"),
    (names::ROOT, names::REPORTS, "Import"),
];

/// Bytes of a call that is longer than any method accepts.
const LONG_ARGUMENT: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Plain,
    /// No reply is wanted.
    Silent,
    /// Longer than any method accepts.
    Long,
    /// With a file.
    File,
}

/// A hand-written connection that never reads a reply.
pub(crate) struct Raw(UnixStream);

impl Raw {
    pub(crate) fn connect(bus: &SystemBus, uid: u32) -> Self {
        let mut stream = connect_as(uid, bus.socket());
        let hexadecimal = |digit| format!("{digit:02x}");
        let user: String = uid.to_string().bytes().map(hexadecimal).collect();
        let hello = Message::method_call("/org/freedesktop/DBus", "Hello")
            .destination("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .build(&())
            .unwrap();
        let lines = format!("\0AUTH EXTERNAL {user}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
        stream.write_all(lines.as_bytes()).unwrap();
        stream.write_all(hello.data()).unwrap();
        // The bus accepts the connection when the reply to Hello starts to arrive.
        let mut lines = 0;
        while lines < 2 {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            lines += usize::from(byte[0] == b'\n');
        }
        stream.read_exact(&mut [0]).unwrap();
        Self(stream)
    }

    /// Calls with this file and no options. It is not closed here, not even a
    /// duplicate of it.
    pub(crate) fn call_with_file(
        &mut self,
        (path, interface, member): (&str, &str, &str),
        file: BorrowedFd<'_>,
    ) {
        let null = File::open("/dev/null").unwrap();
        let options = HashMap::<&str, Variant<'_>>::new();
        let call = Message::method_call(path, member)
            .destination(names::BUS)
            .interface(interface)
            .build(&(Fd::from(null.as_fd()), options))
            .unwrap();
        let written = send(&self.0, call.data(), Some(file)).unwrap();
        assert_eq!(written, call.data().len());
    }

    /// Sends tcnd a signal with this file.
    pub(crate) fn signal_with_file(&mut self, file: BorrowedFd<'_>) {
        let signal = Message::signal("/", "org.example.Any", "Told")
            .destination(names::BUS)
            .build(&(Fd::from(file),))
            .unwrap();
        let written = send(&self.0, signal.data(), Some(file)).unwrap();
        assert_eq!(written, signal.data().len());
    }
}

fn send(to: &UnixStream, bytes: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = file.into_iter().collect();
    if !files.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&files)));
    }
    let part = [io::IoSlice::new(bytes)];
    Ok(sendmsg(to, &part, &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// One connection of the flood. It never reads.
struct NonReader {
    stream: UnixStream,
    message: Vec<u8>,
    file: Option<OwnedFd>,
    /// How much of the message is not written yet.
    rest: usize,
    serial: u32,
}

impl NonReader {
    fn connect(bus: &SystemBus, kind: (&str, &str, &str), manner: Manner) -> Self {
        let Raw(stream) = Raw::connect(bus, STRANGER);
        stream.set_nonblocking(true).unwrap();
        let (path, interface, member) = kind;
        let flags = match manner {
            Manner::Silent => Flags::NO_REPLY_EXPECTED,
            Manner::Plain | Manner::Long | Manner::File => Flags::empty(),
        };
        let call = Message::method_call(path, member)
            .destination(names::BUS)
            .interface(interface)
            .with_flags(flags)
            .serial(NonZeroU32::MIN);
        let file = OwnedFd::from(File::open("/dev/null").unwrap());
        let call = match (manner, member) {
            (Manner::Long, _) => call.build(&(vec![0_u8; LONG_ARGUMENT],)),
            (Manner::File, _) => call.build(&(Fd::from(file.as_fd()),)),
            (_, "GetAll") => call.build(&(names::MANAGER,)),
            (_, "Get") => call.build(&(names::MANAGER, "CurrentTcnAge")),
            (_, _) => call.build(&()),
        };
        let message = call.unwrap().data().to_vec();
        Self {
            stream,
            rest: message.len(),
            message,
            file: (manner == Manner::File).then_some(file),
            serial: 1,
        }
    }

    /// Writes what fits. Returns whether that completed a call.
    fn send(&mut self) -> io::Result<bool> {
        let done = self.message.len() - self.rest;
        if done == 0 {
            self.serial += 1;
            // Bytes 8 to 11 of a message are its serial number.
            self.message[8..12].copy_from_slice(&self.serial.to_ne_bytes());
        }
        let file = self.file.as_ref().filter(|_| done == 0);
        let file = file.map(AsFd::as_fd);
        self.rest -= send(&self.stream, &self.message[done..], file)?;
        if self.rest > 0 {
            return Ok(false);
        }
        self.rest = self.message.len();
        Ok(true)
    }
}

/// Calls that each connection of a flood sends at a time. dbus-daemon lets a
/// connection await 128 answers.
const BURST: usize = 100;

/// The same for calls that are long, or have a file. dbus-daemon refuses all calls to a
/// connection for which 127 MB or 64 files wait.
const SHORT_BURST: usize = 4;

/// Every connection sends a burst, or as much of it as the bus takes. Returns how many
/// calls were sent in total.
fn burst(connections: &mut [NonReader]) -> usize {
    let mut sent = 0;
    for client in connections {
        let is_heavy = client.file.is_some() || client.message.len() >= LONG_ARGUMENT;
        let mut left = if is_heavy { SHORT_BURST } else { BURST };
        while left > 0 {
            match client.send() {
                Ok(whole) => {
                    sent += usize::from(whole);
                    left -= usize::from(whole);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("the bus threw it out: {error}"),
            }
        }
    }
    sent
}

/// Floods in bursts until this many calls were sent. After each burst, another client
/// gets a reply.
async fn flood(client: &Connection, connections: &mut [NonReader], calls: usize) {
    let manager = honest(client).await;
    let mut sent = 0;
    while sent < calls {
        sent += burst(connections);
        soon(manager.state()).await.unwrap();
    }
}

pub(crate) async fn honest(client: &Connection) -> ManagerProxy<'_> {
    ManagerProxy::builder(client)
        .cache_properties(CacheProperties::No)
        .build()
        .await
        .unwrap()
}

/// A daemon on a bus, and a client of this user.
pub(crate) async fn started(uid: u32) -> (SystemBus, Connection, Daemon) {
    let bus = SystemBus::new();
    let client = bus.connect(uid).await;
    let proxy = DBusProxy::new(&client).await.unwrap();
    let tcnd = &[(0, names::BUS)];
    let owners = proxy.receive_name_owner_changed_with_args(tcnd).await;
    let daemon = Daemon::start(&bus);
    soon(owners.unwrap().next()).await.unwrap();
    (bus, client, daemon)
}

/// The replies, of 32 KiB each, are three times the memory that the process may have.
#[tokio::test]
async fn connections_that_never_read_take_neither_memory_nor_turns() {
    let (bus, client, mut daemon) = started(OTHERS[0]).await;
    for kind in [0, 3] {
        let connect = |_| NonReader::connect(&bus, KINDS[kind], Manner::Plain);
        let mut connections: Vec<_> = (0..CONNECTIONS).map(connect).collect();
        flood(&client, &mut connections, 2 * CONNECTIONS * BURST).await;
    }
    let peak = daemon.peak();
    assert!(peak < MAX_MEMORY, "{peak} KiB");
}

/// Every kind of call, in every manner, at once.
#[tokio::test]
async fn no_kind_of_call_is_free() {
    let (bus, client, mut daemon) = started(OTHERS[0]).await;
    let manners = [Manner::Plain, Manner::Silent, Manner::Long, Manner::File];
    let mut connections = Vec::new();
    for kind in KINDS {
        for manner in manners {
            connections.push(NonReader::connect(&bus, kind, manner));
        }
    }
    flood(&client, &mut connections, 10_000).await;
    let peak = daemon.peak();
    assert!(peak < MAX_MEMORY, "{peak} KiB");
}

/// A caller that reads gets the refusals.
#[tokio::test]
async fn what_is_too_long_is_refused_by_name() {
    let (_bus, client, _daemon) = started(OTHERS[0]).await;
    let (to, path) = (Some(names::BUS), names::ROOT);
    let long = (vec![0_u8; 1 << 20],);
    let call = client.call_method(to, path, Some(names::MANAGER), "Enable", &long);
    assert_eq!(error_name(soon(call).await), names::error::LIMITS_EXCEEDED);
    let (one, two) = io::pipe().unwrap();
    let files = (Fd::from(one.as_fd()), Fd::from(two.as_fd()));
    let call = client.call_method(to, path, Some(names::REPORTS), "Import", &files);
    assert_eq!(error_name(soon(call).await), names::error::LIMITS_EXCEEDED);
    let manager = honest(&client).await;
    soon(manager.state()).await.unwrap();
}

/// A caller that sends a hundred calls before it reads gets a reply to each.
#[tokio::test]
async fn every_call_of_one_who_reads_is_answered() {
    let bus = SystemBus::new();
    let _served = bus.serve(busy()).await;
    let client = bus.connect(OTHERS[0]).await;
    let calls = (0..100).map(|_| {
        let interface = Some("org.freedesktop.DBus.Introspectable");
        client.call_method(Some(names::BUS), names::ROOT, interface, "Introspect", &())
    });
    let answers = soon(futures::future::join_all(calls)).await;
    assert!(answers.iter().all(Result::is_ok));
}
