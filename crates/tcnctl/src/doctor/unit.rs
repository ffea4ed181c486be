//! A unit of a service, as systemd reports it.
//!
//! systemd: org.freedesktop.systemd1(5). A request for a unit by its path loads it.
//! Everything is only read.

use zbus::fdo::PropertiesProxy;
use zbus::names::InterfaceName;
use zbus::{Connection, OwnedVariant};

const SYSTEMD: &str = "org.freedesktop.systemd1";

/// A unit that systemd has loaded.
pub(crate) struct Unit<'a>(PropertiesProxy<'a>);

impl Unit<'_> {
    /// The unit at this path; `None` without systemd, and without the unit.
    pub(crate) async fn loaded(system: &Connection, path: &'static str) -> Option<Self> {
        let properties = PropertiesProxy::builder(system)
            .destination(SYSTEMD)
            .path(path)
            .build();
        let unit = Self(properties.await.ok()?);
        let state = unit.get("org.freedesktop.systemd1.Unit", "LoadState");
        let state = String::try_from(state.await?).ok()?;
        (state == "loaded").then_some(unit)
    }

    /// A setting of its section `[Service]`, or systemd's default.
    pub(crate) async fn service<T: TryFrom<OwnedVariant>>(&self, key: &str) -> Option<T> {
        let value = self.get("org.freedesktop.systemd1.Service", key).await?;
        T::try_from(value).ok()
    }

    async fn get(&self, interface: &'static str, name: &str) -> Option<OwnedVariant> {
        let interface =
            InterfaceName::from_static_str(interface).expect("the literal is an interface");
        self.0.get(interface, name).await.ok()
    }
}

/// A mock systemd: one unit, in this state, with this `[Service]`.
#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::net::UnixStream;

    use zbus::object_server::Interface;
    use zbus::{Guid, connection, interface};

    use super::*;

    struct UnitState(&'static str);

    #[interface(name = "org.freedesktop.systemd1.Unit")]
    impl UnitState {
        #[zbus(property)]
        fn load_state(&self) -> &str {
            self.0
        }
    }

    /// Its end of a bus, which must be kept, and the client's end.
    pub(crate) async fn systemd(
        path: &'static str,
        state: &'static str,
        service: impl Interface,
    ) -> (Connection, Connection) {
        let (here, there) = UnixStream::pair().unwrap();
        let systemd = connection::Builder::unix_stream(here)
            .server(Guid::generate())
            .p2p()
            .serve_at(path, UnitState(state))
            .serve_at(path, service)
            .build();
        let asker = connection::Builder::unix_stream(there).p2p().build();
        tokio::try_join!(systemd, asker).unwrap()
    }
}
