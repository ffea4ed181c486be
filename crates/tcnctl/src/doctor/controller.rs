//! What the checks of an adapter must know about its controller.

use bluez_mgmt::{MgmtError, Privacy};
use serde::Serialize;

/// The advertising of a controller: Bluetooth 5.0 or later, or older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ControllerKind {
    Extended,
    Legacy,
}

/// The kernel's reply about the privacy of a controller.
pub(crate) type PrivacyResult = Result<Privacy, MgmtError>;
