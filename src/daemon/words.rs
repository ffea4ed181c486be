//! The radio's words in the engine's, and the engine's in the log's. The rooms
//! do not know each other.

use tcn_engine::{Fitness, Note, Sighting};
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;

use crate::radio;

/// What a radio is good for.
pub(super) fn fitness(fitness: radio::Fitness) -> Fitness {
    let radio::Fitness {
        can_air,
        can_carry,
        can_listen,
        hold,
    } = fitness;
    Fitness {
        can_air,
        can_carry,
        can_listen,
        hold,
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

/// A number that its owner told: theirs, whoever may carry it on.
pub(super) fn told(tcn: TemporaryContactNumber, rssi: Option<i16>) -> Sighting {
    sighting(Frame::own(tcn), rssi)
}

/// A line in the log.
pub(super) fn log(note: Note) {
    match note {
        Note::Rotated => tracing::debug!("a new number is on the air"),
        Note::NewKey => tracing::debug!("a new report key is in use"),
        Note::ClockJumped(seconds) => tracing::info!(seconds, "the wall clock jumped"),
        Note::Unexpected(what) => tracing::warn!(what, "the radio said something unexpected"),
    }
}
