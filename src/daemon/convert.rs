//! Conversions of the radio's events to sightings of the engine, and of the engine's
//! log events to log lines.

use tcn_engine::{LogEvent, Sighting};
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

/// A frame heard.
pub(super) fn sighting(frame: Frame, rssi: Option<i16>) -> Sighting {
    Sighting {
        tcn: frame.tcn,
        bridged: frame.is_bridged(),
        rssi,
    }
}

/// A number that its owner wrote to this machine. It is not a bridged one, even if other
/// devices bridge it.
pub(super) fn written_sighting(tcn: TemporaryContactNumber, rssi: Option<i16>) -> Sighting {
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
