//! What the bus serves, and why it cannot.

use std::sync::Arc;
use std::time::Duration;

use tcnd_client::names;
use thiserror::Error;

use super::bouncer::Bouncer;
use super::log_control::Log;
use crate::daemon::Handle;
use crate::store::ExportDir;

/// The parts of the daemon that the bus serves.
pub struct Service {
    /// The daemon that answers.
    pub handle: Handle,
    /// Decides which caller may call which member.
    pub bouncer: Bouncer,
    /// What `LogControl1` controls.
    pub log: Arc<dyn Log>,
    /// Where exports that need a file are built.
    pub export_dir: ExportDir,
    /// How long a caller's descriptor may accept nothing, or provide nothing; see
    /// [`FD_TIMEOUT`](super::FD_TIMEOUT).
    pub fd_timeout: Duration,
}

/// The bus cannot be served, now or any longer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another program owns the name.
    #[error(
        "another program owns {name} on this bus; stop it (systemctl stop tcnd), or choose another bus with --bus",
        name = names::BUS
    )]
    NameTaken,
    /// The bus policy does not let tcnd own the name.
    #[error(
        "the bus does not let this user own {name}; install the policy file of tcnd, run systemctl reload dbus, and run tcnd as the user tcnd, or use --bus session",
        name = names::BUS
    )]
    NameRefused(#[source] zbus::Error),
    /// The bus closed the connection.
    #[error("the message bus closed the connection; start tcnd again when the bus is back")]
    Closed,
    /// Another failure between tcnd and the bus.
    #[error("the connection to the message bus failed; see systemctl status dbus")]
    Bus(#[from] zbus::Error),
}
