//! What the radio uses besides the D-Bus interface of BlueZ: the kernel, and a way to
//! connect to peers.

use std::sync::Arc;

use bluez_mgmt::{MgmtError, Privacy};
use futures::future::BoxFuture;

use super::central::{Btleplug, Central};

/// What the radio uses besides the D-Bus interface of BlueZ.
#[derive(Clone)]
pub struct Platform {
    /// Answers questions about privacy and addresses.
    pub kernel: Arc<dyn Kernel>,
    /// Connects to peers.
    pub central: Arc<dyn Central>,
}

impl Platform {
    /// The real kernel, and connections by BlueZ.
    pub(super) fn real() -> Self {
        Self {
            kernel: Arc::new(Mgmt),
            central: Arc::new(Btleplug::default()),
        }
    }
}

/// Says whether the privacy of a controller is on, and how its addresses change.
pub trait Kernel: Send + Sync {
    /// As [`bluez_mgmt::privacy`].
    fn privacy<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<Privacy, MgmtError>>;

    /// As [`bluez_mgmt::configured::privacy`].
    fn configured_privacy(&self) -> Privacy;

    /// As [`tcnd_rpa_timeout::known`].
    fn addresses(&self, adapter: &str) -> Option<tcnd_rpa_timeout::Known>;
}

/// The real kernel.
struct Mgmt;

impl Kernel for Mgmt {
    fn privacy<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<Privacy, MgmtError>> {
        Box::pin(bluez_mgmt::privacy(adapter))
    }

    fn configured_privacy(&self) -> Privacy {
        bluez_mgmt::configured::privacy()
    }

    fn addresses(&self, adapter: &str) -> Option<tcnd_rpa_timeout::Known> {
        tcnd_rpa_timeout::known(adapter)
    }
}
