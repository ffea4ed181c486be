//! A private bus with the policy of the package, where callers are really other users.
//!
//! The dbus-daemon gets the default of the stock system.conf, which is "no", and our
//! policy file with one change: its users are written as numbers that every machine
//! has, because a test must not create users. Kernel credentials decide the user of a
//! connection: one thread gives up its user id, connects, and hands the socket over.
//! That needs root, and so do these tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use tcnd::bus::{self, Bouncer, ServerConnection};
use tcnd::daemon::Snapshot;
use tempfile::TempDir;
use zbus::{Connection, connection};

use crate::dbus_daemon::DbusDaemon;
use crate::harness::{LogRecorder, own_uid, service};
use crate::mock_driver::MockDriver;

const POLICY: &str = include_str!("../../dbus/system.d/org.tcncoalition.Tcnd1.conf");

/// Stands for the user tcnd: `daemon` or `bin`, on any system.
pub(crate) const TCND: u32 = 1;
/// Stands for the user tcnd-sync: `games`, of Debian.
pub(crate) const SYNC: u32 = 5;
/// An unrelated user.
pub(crate) const STRANGER: u32 = 65_534;
pub(crate) const ROOT: u32 = 0;
/// Other users. The system must know them: dbus-daemon admits no unknown user. These
/// four are on every Debian (base-passwd).
pub(crate) const OTHERS: [u32; 4] = [2, 3, 4, 6];

/// The parts of the stock system.conf that decide, and the parts of the policies of
/// polkit, logind and bluetoothd that concern us.
const CONFIG: &str = r#"<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>unix:path=@SOCKET@</listen>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.PolicyKit1"/>
    <allow send_destination="org.freedesktop.login1"/>
  </policy>
  <policy user="root">
    <allow own="org.freedesktop.PolicyKit1"/>
    <allow own="org.freedesktop.login1"/>
    <allow send_interface="org.bluez.LEAdvertisement1"/>
    <allow send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
  <includedir>system.d</includedir>
</busconfig>
"#;

pub(crate) struct SystemBus {
    pub(crate) daemon: DbusDaemon,
    directory: TempDir,
}

impl SystemBus {
    /// A bus with the policy of the package.
    pub(crate) fn new() -> Self {
        assert!(
            own_uid() == ROOT,
            "these tests are other users for a while, which only root can be: run them with sudo"
        );
        let directory = TempDir::new().unwrap();
        open_to_all(directory.path());
        let policies = directory.path().join("system.d");
        fs::create_dir(&policies).unwrap();
        let mut ours = POLICY.to_owned();
        for (name, uid) in [("tcnd", TCND), ("tcnd-sync", SYNC)] {
            let named = format!(r#"user="{name}""#);
            assert!(ours.contains(&named), "the policy speaks of {name}");
            ours = ours.replace(&named, &format!(r#"user="{uid}""#));
        }
        fs::write(policies.join("ours.conf"), ours).unwrap();
        let config = directory.path().join("bus.conf");
        let socket = directory.path().join("socket");
        fs::write(
            &config,
            CONFIG.replace("@SOCKET@", socket.to_str().unwrap()),
        )
        .unwrap();
        Self {
            daemon: DbusDaemon::start(&format!("--config-file={}", config.display())),
            directory,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// A connection of this user.
    pub(crate) async fn connect(&self, uid: u32) -> Connection {
        let stream = connect_as(uid, self.socket());
        connection::Builder::unix_stream(stream)
            .user_id(uid)
            .build()
            .await
            .unwrap()
    }

    /// A connection of this user to serve on, of the same type as tcnd's.
    pub(crate) async fn attach(&self, uid: u32) -> ServerConnection {
        let stream = connect_as(uid, self.socket());
        ServerConnection::on_stream(stream, Some(uid))
            .await
            .unwrap()
    }

    /// The daemon's bus side, served by the user that stands for tcnd.
    pub(crate) async fn serve(&self, first: Snapshot) -> Served {
        let server = self.attach(TCND).await;
        let bouncer = Bouncer::polkit(server.connection()).await.unwrap();
        self.serve_with(server, first, bouncer).await
    }

    pub(crate) async fn serve_with(
        &self,
        server: ServerConnection,
        first: Snapshot,
        bouncer: Bouncer,
    ) -> Served {
        let connection = server.connection().clone();
        let (handle, driver) = MockDriver::new(first);
        let log = Arc::new(LogRecorder::default());
        let state = TempDir::new().unwrap();
        let service = service(handle, bouncer, log.clone(), &state);
        let forward = bus::serve(server, service).await.unwrap();
        tokio::spawn(forward);
        Served {
            _state: state,
            connection,
            driver,
            log,
        }
    }
}

pub(crate) struct Served {
    _state: TempDir,
    pub(crate) connection: Connection,
    pub(crate) driver: MockDriver,
    pub(crate) log: Arc<LogRecorder>,
}

fn open_to_all(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn connect_as(uid: u32, socket: PathBuf) -> UnixStream {
    as_user(uid, move || UnixStream::connect(socket).unwrap())
}

/// Runs `work` on a thread of this user. The credentials are those of the thread that
/// connects, and changing them does not affect other threads: set*id(2), "C
/// library/kernel differences". Only root can become another user.
pub(crate) fn as_user<T: Send + 'static>(uid: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = move || {
        if uid != own_uid() {
            let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(group, group, group).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
        }
        work()
    };
    std::thread::spawn(work).join().unwrap()
}
