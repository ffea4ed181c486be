//! The steps of the BlueZ task, and what their results say.

use tcn_protocol::beacon::Frame;

/// One thing to do, whose result is then reported to the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// Read the kind of controller and its privacy.
    Inspect,
    /// Register the GATT service.
    Serve,
    StartScan,
    StopScan,
    Register(Frame),
    /// Wait until the dropped advert is gone.
    ConfirmGone,
    /// Check whether the advert is still there.
    Verify,
    /// Disconnect strangers: all of them before a new epoch, otherwise those that have been
    /// connected for too long.
    DisconnectStrangers,
    /// Replace the connection to BlueZ, with everything that belongs to it.
    Renew,
}

/// Our advert, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum AdvertState {
    #[default]
    Absent,
    Airing(Frame),
    /// Dropped or uncertain. It must be seen gone before anything else is aired.
    Leaving,
}

/// Why discovery started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ScanStart {
    /// For the first time in this epoch.
    First,
    /// After a pause that was ordered.
    Resumed,
    /// Because it ended by itself, or may have stopped to hear.
    Restarted,
}

/// How a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Registration {
    Done,
    /// Refused: it was never on the air.
    Refused,
    /// It is not known whether it was on the air.
    Uncertain,
}

/// What the last order asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Desired {
    #[default]
    Rest,
    Listen,
    Air(Frame),
}
