//! Only root can read the daemon's memory, and the memory reaches no disk.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Daemon;

const UNIT: &str = include_str!("../../../../systemd/system/tcnd.service");

/// The user who may read a process's memory, by the owner of that file in /proc: its
/// user, or root if it is not dumpable, see proc(5).
fn reader_of(process: &Daemon) -> u32 {
    let files = Path::new("/proc").join(process.0.id().to_string());
    fs::metadata(files.join("mem")).unwrap().uid()
}

#[test]
fn the_daemon_cannot_be_read_or_dumped_by_its_own_user() {
    const UNPRIVILEGED: u32 = 65534;
    let fixture = TempDir::new().unwrap();
    let root = fs::metadata(fixture.path()).unwrap().uid() == 0;
    let user = if root {
        UNPRIVILEGED
    } else {
        fs::metadata(fixture.path()).unwrap().uid()
    };
    let readable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(fixture.path(), readable).unwrap();
    // Where that user can access it.
    let program = fixture.path().join("tcnd");
    let built = e2e::program("tcnd");
    fs::hard_link(&built, &program)
        .or_else(|_| fs::copy(built, &program).map(drop))
        .unwrap();
    let state = fixture.path().join("state");
    fs::create_dir(&state).unwrap();
    let socket = fixture.path().join("bus");
    // A bus that accepts the daemon's connection and never answers.
    let bus = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let config = fixture.path().join("empty.toml");
    fs::write(&config, "").unwrap();
    let mut command = Command::new(program);
    command.args(["--radio", "fake", "--bus"]);
    command.arg(format!("unix:path={}", socket.display()));
    command.arg("--state-dir").arg(&state);
    command.arg("--config").arg(config).stderr(Stdio::null());
    let mut other = Command::new("sleep");
    other.arg("1000");
    if root {
        chown(&state, Some(user), Some(user)).unwrap();
        command.uid(user).gid(user);
        other.uid(user).gid(user);
    }
    let other = Daemon(other.spawn().unwrap());
    let daemon = Daemon(command.spawn().unwrap());
    let _called = bus.accept().unwrap();
    assert_eq!(reader_of(&other), user, "a process as others are");
    assert_eq!(reader_of(&daemon), 0);
}

#[test]
fn the_unit_keeps_memory_off_the_disk() {
    for line in ["MemorySwapMax=0", "LimitCORE=0"] {
        assert!(UNIT.lines().any(|set| set == line), "{line}");
    }
}
