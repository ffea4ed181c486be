//! A private bus with the policy we ship, and callers that are really others.
//!
//! The dbus-daemon gets what decides in the stock system.conf, whose default is
//! "no", and our policy with one change: root stands for the user tcnd, whom a
//! test must not create. A stranger is a busctl that gave up being root, so the
//! kernel's word on who it is decides, as in life. All that takes root.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use tcnd::bus::{self, Bouncer};
use tcnd::daemon::Snapshot;
use tempfile::TempDir;
use zbus::{Connection, connection};

use crate::puppet::Puppet;
use crate::rig::{Diary, own_uid, soon};

const POLICY: &str = include_str!("../../dbus/system.d/org.tcncoalition.Tcnd1.conf");

/// What decides in dbus's system.conf, and of polkit's and bluetoothd's
/// policies the parts that let them work.
const CONFIG: &str = r#"<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>unix:dir=@DIR@</listen>
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
  </policy>
  <policy user="root">
    <allow own="org.freedesktop.PolicyKit1"/>
    <allow send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
  <include>@DIR@/tcnd.conf</include>
</busconfig>
"#;

/// A dbus-daemon that ends with the test.
pub(crate) struct PrivateBus {
    daemon: Child,
    address: String,
    _directory: TempDir,
}

impl PrivateBus {
    pub(crate) fn start() -> Self {
        assert_eq!(
            own_uid(),
            0,
            "these tests call as other users, which only root can: run them with sudo"
        );
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let policy = POLICY.replace(r#"user="tcnd""#, r#"user="root""#);
        assert_ne!(policy, POLICY, "the policy speaks of the user tcnd");
        fs::write(path.join("tcnd.conf"), policy).unwrap();
        let config = path.join("bus.conf");
        fs::write(&config, CONFIG.replace("@DIR@", path.to_str().unwrap())).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon can be started; install the package dbus-daemon");
        // It says its address once it listens, and nothing if it cannot.
        let mut address = String::new();
        let said = daemon.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:"), "dbus-daemon took the policy");
        Self {
            daemon,
            address: address.trim().to_owned(),
            _directory: directory,
        }
    }

    /// A connection of root.
    pub(crate) async fn connect(&self) -> Connection {
        let builder = connection::Builder::address(self.address.as_str());
        soon(builder.build()).await.unwrap()
    }

    /// The daemon's bus side, with polkit behind it; and its connection.
    pub(crate) async fn serve(&self, first: Snapshot) -> (Connection, Puppet, Arc<Diary>) {
        let connection = self.connect().await;
        let bouncer = Bouncer::polkit(&connection).await.unwrap();
        let (handle, puppet) = Puppet::new(first);
        let log = Arc::new(Diary::default());
        let forward = bus::serve(connection.clone(), handle, bouncer, log.clone());
        tokio::spawn(soon(forward).await.unwrap());
        (connection, puppet, log)
    }

    /// What busctl comes to in the hands of the user nobody: what it says, or
    /// what it complains of.
    pub(crate) async fn stranger(&self, arguments: &[&str]) -> Result<String, String> {
        let mut busctl = Command::new("setpriv");
        busctl
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .args(["busctl", "--timeout=15"])
            .arg(format!("--address={}", self.address))
            .args(arguments);
        let run = tokio::task::spawn_blocking(move || busctl.output());
        let Output {
            status,
            stdout,
            stderr,
        } = soon(run).await.unwrap().unwrap();
        let said = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
        if status.success() {
            Ok(said(stdout))
        } else {
            Err(said(stderr))
        }
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
