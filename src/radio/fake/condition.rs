//! The condition of a simulated adapter.

/// The condition of a simulated adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    #[default]
    Working,
    /// Powered off.
    Off,
    /// Blocked by rfkill.
    Blocked,
    /// Unplugged.
    Missing,
    /// The Bluetooth service is gone.
    ServiceMissing,
    /// It was made discoverable.
    Discoverable,
    /// It takes no adverts for now. The ordered frame is aired once it works again, as the
    /// real radio tries again.
    Refusing,
}
