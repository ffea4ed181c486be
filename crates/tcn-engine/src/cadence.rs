//! How much to listen, by the configuration and by conditions.
//!
//! The lengths were chosen by simulation: with windows of 5 s in 28 s, or 2 s in 15 s, each
//! contact of a minute is heard at least twice (`tests/simulation`). Short windows disturb
//! sound and the devices that share the adapter for a shorter time each.

use std::time::Duration;

/// How much to listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// All the time on mains power while nothing else uses the adapter, else in windows.
    #[default]
    Auto,
    /// All the time.
    Always,
    /// In windows.
    Windows,
}

/// What bears on how much to listen. The default is what is assumed of a machine that says
/// nothing: mains power, and no other use of the adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenConditions {
    /// The machine runs on battery.
    pub on_battery: bool,
    /// The power profile in use saves power.
    pub power_saver: bool,
    /// Sound is streamed over Bluetooth.
    pub audio: bool,
    /// A paired device shares an adapter: it is connected, or it is an LE device, which may
    /// connect at any time.
    pub device: bool,
}

/// How discovery runs while tcnd listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// All the time.
    Continuous,
    /// 5 s, then a pause of 18 s to 23 s.
    Windows,
    /// 2 s, then a pause of 11 s to 13 s: each window disturbs others for a shorter time.
    ShortWindows,
}

/// Why discovery runs in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CadenceReason {
    /// The configuration says so.
    Configured,
    /// The machine has mains power, and nothing else is known to use the adapter.
    Mains,
    /// The machine runs on battery.
    Battery,
    /// The power profile in use saves power.
    PowerSaver,
    /// Sound is streamed over Bluetooth.
    Audio,
    /// A device of the owner uses the adapter, or may at any time.
    Device,
}

impl Cadence {
    /// How long discovery runs at a time; `None` if it does not pause.
    pub const fn window(self) -> Option<Duration> {
        match self {
            Self::Continuous => None,
            Self::Windows => Some(Duration::from_secs(5)),
            Self::ShortWindows => Some(Duration::from_secs(2)),
        }
    }

    /// The longest pause between two windows. No device is unheard for longer, but for the time
    /// that the controller takes to start.
    pub const fn longest_pause(self) -> Duration {
        match self {
            Self::Continuous => Duration::ZERO,
            Self::Windows => Duration::from_secs(23),
            Self::ShortWindows => Duration::from_secs(13),
        }
    }

    /// By how much a pause may be shorter than the longest.
    pub const fn pause_jitter(self) -> Duration {
        match self {
            Self::Continuous => Duration::ZERO,
            Self::Windows => Duration::from_secs(5),
            Self::ShortWindows => Duration::from_secs(2),
        }
    }
}

impl Listen {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Always, Self::Windows];

    /// The choice as it is written in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Windows => "windows",
        }
    }

    /// How discovery runs under these conditions, and why.
    pub const fn cadence(self, conditions: ListenConditions) -> (Cadence, CadenceReason) {
        let ListenConditions {
            on_battery,
            power_saver,
            audio,
            device,
        } = conditions;
        match self {
            Self::Always => (Cadence::Continuous, CadenceReason::Configured),
            _ if audio => (Cadence::ShortWindows, CadenceReason::Audio),
            _ if device => (Cadence::ShortWindows, CadenceReason::Device),
            Self::Windows => (Cadence::Windows, CadenceReason::Configured),
            Self::Auto if on_battery => (Cadence::Windows, CadenceReason::Battery),
            Self::Auto if power_saver => (Cadence::Windows, CadenceReason::PowerSaver),
            Self::Auto => (Cadence::Continuous, CadenceReason::Mains),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_decide_unless_the_configuration_does() {
        let none = ListenConditions::default();
        let battery = ListenConditions {
            on_battery: true,
            ..none
        };
        let saver = ListenConditions {
            power_saver: true,
            ..none
        };
        let audio = ListenConditions {
            audio: true,
            ..battery
        };
        let device = ListenConditions {
            device: true,
            ..none
        };
        use {Cadence as C, CadenceReason as R};
        for (listen, conditions, expected) in [
            (Listen::Auto, none, (C::Continuous, R::Mains)),
            (Listen::Auto, battery, (C::Windows, R::Battery)),
            (Listen::Auto, saver, (C::Windows, R::PowerSaver)),
            (Listen::Auto, audio, (C::ShortWindows, R::Audio)),
            (Listen::Auto, device, (C::ShortWindows, R::Device)),
            (Listen::Windows, none, (C::Windows, R::Configured)),
            (Listen::Windows, audio, (C::ShortWindows, R::Audio)),
            (Listen::Always, audio, (C::Continuous, R::Configured)),
        ] {
            assert_eq!(
                listen.cadence(conditions),
                expected,
                "{listen:?} {conditions:?}"
            );
        }
    }
}
