//! Conversions of the radio's types to the engine's, and of the engine's notes to
//! log lines. The two do not know each other.

use tcn_engine::{LogEvent, RadioCapabilities, Sighting};
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

use crate::radio;

/// What a radio can do now.
pub(super) fn capabilities(capabilities: radio::Capabilities) -> RadioCapabilities {
    let radio::Capabilities {
        can_air,
        can_carry,
        can_listen,
        address_lifetime,
    } = capabilities;
    RadioCapabilities {
        can_air,
        can_carry,
        can_listen,
        address_lifetime,
    }
}

/// A frame heard.
pub(super) fn sighting(frame: Frame, rssi: Option<i16>) -> Sighting {
    Sighting {
        tcn: frame.tcn,
        bridged: frame.is_bridged(),
        rssi,
    }
}

/// A number that its owner wrote to us: not a bridged one, even if others bridge it.
pub(super) fn told(tcn: TemporaryContactNumber, rssi: Option<i16>) -> Sighting {
    sighting(Frame::own(tcn), rssi)
}

/// A line in the log.
pub(super) fn log(event: LogEvent) {
    match event {
        LogEvent::Rotated => tracing::debug!("a new number is on the air"),
        LogEvent::NewKey => tracing::debug!("a new report key is in use"),
        LogEvent::ClockJumped(seconds) => tracing::info!(seconds, "the wall clock jumped"),
        LogEvent::Unexpected(what) => tracing::warn!(what, "the radio said something unexpected"),
    }
}
