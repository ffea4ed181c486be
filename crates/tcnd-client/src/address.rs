//! The choice of the bus: the option `--bus` of every program of tcnd.
//!
//! The system bus is for normal use: the radio belongs to the machine, not to a login
//! session. The session bus and an address are for demos and tests, which have no polkit.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use zbus::{Address, Connection, connection};

/// The value of `--bus`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BusChoice {
    /// The system message bus.
    #[default]
    System,
    /// The message bus of the login session.
    Session,
    /// A bus at this D-Bus address, `unix:path=/run/user/1000/bus`.
    Address(String),
}

/// The value of `--bus` is none of the three.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "no such bus; give system, session or a D-Bus address such as unix:path=/run/dbus/system_bus_socket"
)]
pub struct UnknownBus;

impl FromStr for BusChoice {
    type Err = UnknownBus;

    fn from_str(text: &str) -> Result<Self, UnknownBus> {
        match text {
            "system" => Ok(Self::System),
            "session" => Ok(Self::Session),
            address => match Address::from_str(address) {
                Ok(_) => Ok(Self::Address(address.to_owned())),
                Err(_) => Err(UnknownBus),
            },
        }
    }
}

impl fmt::Display for BusChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::Session => "session",
            Self::Address(address) => address,
        })
    }
}

/// The bus cannot be reached.
#[derive(Debug, Error)]
#[error("cannot connect to the {bus} bus; {}", self.cure())]
pub struct Unreachable {
    bus: BusChoice,
    #[source]
    source: zbus::Error,
}

impl Unreachable {
    /// The error for `bus`, with its cause.
    pub fn new(bus: &BusChoice, source: zbus::Error) -> Self {
        Self {
            bus: bus.clone(),
            source,
        }
    }

    fn cure(&self) -> &'static str {
        match self.bus {
            BusChoice::System => "check that dbus runs (systemctl status dbus.socket)",
            BusChoice::Session => "run this in a login session, or under dbus-run-session",
            BusChoice::Address(_) => "check the address given with --bus",
        }
    }
}

/// Connects to `bus`.
///
/// # Errors
/// When there is no bus to connect to, or it refuses the connection.
pub async fn connect(bus: &BusChoice) -> Result<Connection, Unreachable> {
    let builder = match bus {
        BusChoice::System => connection::Builder::system(),
        BusChoice::Session => connection::Builder::session(),
        BusChoice::Address(address) => connection::Builder::address(address.as_str()),
    };
    let built = builder.build().await;
    built.map_err(|source| Unreachable::new(bus, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_reads_back_what_it_shows() {
        for text in ["system", "session", "unix:path=/tmp/b"] {
            assert_eq!(text.parse::<BusChoice>().unwrap().to_string(), text);
        }
        for text in ["", "System", "sesion", "/run/dbus/system_bus_socket"] {
            assert_eq!(text.parse::<BusChoice>(), Err(UnknownBus), "{text}");
        }
    }
}
