//! Files that never answer, on a file system that a user serves.
//!
//! The file system is FUSE and answers every process but tcnd: neither its fstat(2) nor
//! its read(2), poll(2), write(2) or the flush of its close(2). The test runs the real
//! tcnd. If its thread waited for such a file, no client would get an answer. Mounting
//! needs root and /dev/fuse. The protocol is that of linux/fuse.h, 7.31.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;

use futures::StreamExt;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tcnd_client::names;
use tcnd_client::proxy::ReportsProxy;
use tempfile::TempDir;
use zbus::Connection;

use crate::contact_log::fd;
use crate::flood::{Daemon, Raw, honest, started};
use crate::harness::soon;
use crate::members::error_name;
use crate::system_bus::{STRANGER, SystemBus, TCND};

/// The file system. Dropping it releases every process that waits for it.
struct Stuck {
    folder: TempDir,
    /// Closed only when no process waits for it any more.
    file: Option<File>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stuck {
    fn mount(daemon: &Daemon) -> Self {
        let folder = TempDir::new().unwrap();
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.expect("these tests mount FUSE: run them as root, with /dev/fuse");
        let data = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0\0",
            device.as_raw_fd()
        );
        let data = std::ffi::CStr::from_bytes_with_nul(data.as_bytes()).unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("stuck", folder.path(), "fuse", flags, data).unwrap();
        let tcnd = daemon.id();
        let thread = std::thread::spawn(move || serve(device, tcnd));
        Self {
            folder,
            file: None,
            thread: Some(thread),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    fn open(&mut self) {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, self.path(), flags, Mode::empty()).unwrap();
        self.file = Some(File::from(file));
    }

    fn file(&self) -> BorrowedFd<'_> {
        self.file.as_ref().unwrap().as_fd()
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // Every process that waits gets the error that the connection is gone.
        let _ = unmount(self.folder.path(), UnmountFlags::FORCE);
        let _ = unmount(self.folder.path(), UnmountFlags::DETACH);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const FLUSH: u32 = 25;
const INIT: u32 = 26;

/// Answers every process except `tcnd`, until nothing is mounted.
fn serve(mut device: File, tcnd: u32) {
    let mut request = vec![0; 1 << 17];
    while let Ok(length) = device.read(&mut request) {
        let header = &request[..length.max(40)];
        let number = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        let (opcode, node, thread) = (number(4), number(16), number(32));
        if process_of(thread) == Some(tcnd) {
            continue;
        }
        let body = match opcode {
            INIT => init(),
            LOOKUP => [&entry()[..], &attributes(2)].concat(),
            GETATTR => [&[0; 16][..], &attributes(node)].concat(),
            OPEN => open(),
            _ => Vec::new(),
        };
        // ENOSYS, for requests that are not supported.
        let understood = opcode == FLUSH || !body.is_empty();
        let error = if understood { 0 } else { -38_i32 };
        let whole = u32::try_from(16 + body.len()).unwrap();
        let unique = &header[8..16];
        let head = [&whole.to_ne_bytes()[..], &error.to_ne_bytes(), unique].concat();
        let _ = device.write_all(&[head, body].concat());
    }
}

/// The process that a thread belongs to: proc(5), Tgid.
fn process_of(thread: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let (_, rest) = status.split_once("\nTgid:")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// struct fuse_init_out: version 7.31, writes of 4096 bytes.
fn init() -> Vec<u8> {
    let mut out = vec![0; 64];
    out[..4].copy_from_slice(&7_u32.to_ne_bytes());
    out[4..8].copy_from_slice(&31_u32.to_ne_bytes());
    out[20..24].copy_from_slice(&4096_u32.to_ne_bytes());
    out[24..28].copy_from_slice(&1_u32.to_ne_bytes());
    out
}

/// struct fuse_entry_out, before the attributes: node 2, never cached.
fn entry() -> Vec<u8> {
    let mut out = vec![0; 40];
    out[..8].copy_from_slice(&2_u64.to_ne_bytes());
    out
}

/// struct fuse_attr of the root, which is node 1, and of the file.
fn attributes(node: u32) -> Vec<u8> {
    let mode: u32 = if node == 1 { 0o40_755 } else { 0o100_666 };
    let mut out = vec![0; 88];
    out[..8].copy_from_slice(&u64::from(node).to_ne_bytes());
    out[8..16].copy_from_slice(&1000_u64.to_ne_bytes());
    out[60..64].copy_from_slice(&mode.to_ne_bytes());
    out[64..68].copy_from_slice(&1_u32.to_ne_bytes());
    out
}

/// struct fuse_open_out: FOPEN_DIRECT_IO, nothing is cached.
fn open() -> Vec<u8> {
    let mut out = vec![0; 16];
    out[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    out
}

/// A call with this file, from a user that does not read the reply.
fn call(bus: &SystemBus, uid: u32, interface: &str, member: &str, file: BorrowedFd<'_>) -> Raw {
    let mut raw = Raw::connect(bus, uid);
    raw.call_with_file((names::ROOT, interface, member), file);
    raw
}

/// Whether an import is possible: an empty file gets the error for one.
async fn imports(client: &Connection) -> String {
    let reports = ReportsProxy::new(client).await.unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(writer);
    error_name(soon(reports.import(fd(reader), Default::default())).await)
}

#[tokio::test]
async fn a_file_that_never_answers_stops_nobody() {
    let (bus, client, daemon) = started(TCND).await;
    let manager = honest(&client).await;
    let mut stuck = Stuck::mount(&daemon);
    stuck.open();

    // From a caller without permission, to a method that takes no file, and from a
    // caller with permission.
    for (uid, interface, member) in [
        (STRANGER, names::REPORTS, "Import"),
        (STRANGER, names::MANAGER, "Enable"),
        (STRANGER, names::MANAGER, "NoSuchMethod"),
        (TCND, names::CONTACTS, "ExportLog"),
        (TCND, names::REPORTS, "Import"),
    ] {
        let caller = call(&bus, uid, interface, member, stuck.file());
        soon(manager.state()).await.unwrap();
        drop(caller);
        soon(manager.state()).await.unwrap();
    }
    // The caller has left, and its import with it.
    free_for_imports(&client).await;
    assert_eq!(imports(&client).await, names::error::MALFORMED);
    drop(stuck);
    drop(daemon);
}

/// However many such files arrive, another client gets replies. When they are released,
/// files are accepted again.
#[tokio::test]
async fn files_that_never_answer_do_not_pile_up() {
    let (bus, client, daemon) = started(TCND).await;
    let manager = honest(&client).await;
    let mut stuck = Stuck::mount(&daemon);
    stuck.open();
    let mut callers = Vec::new();
    for _ in 0..40 {
        let caller = call(&bus, STRANGER, names::MANAGER, "Enable", stuck.file());
        soon(manager.state()).await.unwrap();
        callers.push(caller);
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap();
    assert!(threads.count() < 40, "the unit has 64 tasks");
    assert_eq!(imports(&client).await, names::error::LIMITS_EXCEEDED);
    soon(manager.state()).await.unwrap();

    drop(stuck);
    let free = async { while imports(&client).await == names::error::LIMITS_EXCEEDED {} };
    soon(free).await;
}

/// Any user may send any other a signal on the system bus, with a file in it.
#[tokio::test]
async fn a_signal_with_a_file_ends_nothing() {
    let (bus, client, mut daemon) = started(TCND).await;
    let manager = honest(&client).await;
    let null = File::open("/dev/null").unwrap();
    let mut stranger = Raw::connect(&bus, STRANGER);
    for _ in 0..3 {
        stranger.signal_with_file(null.as_fd());
        soon(manager.state()).await.unwrap();
    }
    daemon.peak();
}

/// A caller may leave right after its Import call, before its name is watched. A pipe
/// without a writer would otherwise take 30 seconds.
#[tokio::test]
async fn an_import_ends_whenever_its_caller_leaves() {
    let (bus, client, _daemon) = started(TCND).await;
    let manager = honest(&client).await;
    let (unread, _writer) = std::io::pipe().unwrap();
    for _ in 0..20 {
        let caller = call(&bus, TCND, names::REPORTS, "Import", unread.as_fd());
        soon(manager.state()).await.unwrap();
        drop(caller);
        free_for_imports(&client).await;
    }
}

/// A second call, which is refused, takes nothing from the first.
#[tokio::test]
async fn an_import_ends_with_a_caller_who_called_twice() {
    let (bus, client, _daemon) = started(TCND).await;
    let caller = bus.connect(TCND).await;
    let reports = ReportsProxy::new(&caller).await.unwrap();
    let mut progress = soon(reports.receive_import_progress()).await.unwrap();
    let (unread, mut writer) = std::io::pipe().unwrap();
    let first = {
        let reports = reports.clone();
        tokio::spawn(async move { reports.import(fd(unread), HashMap::new()).await })
    };
    writer.write_all(&[0; 100]).unwrap();
    soon(progress.next()).await.unwrap();
    assert_eq!(imports(&caller).await, names::error::BUSY);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    soon(caller.close()).await.unwrap();
    free_for_imports(&client).await;
}

async fn free_for_imports(client: &Connection) {
    let free = async { while imports(client).await == names::error::BUSY {} };
    soon(free).await;
}
