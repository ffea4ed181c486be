//! The object manager: lists the adapters, with all their properties.
//!
//! zbus has one too, but it lists the bare node above the adapters as an object
//! without interfaces, which no client expects. Its signals, InterfacesAdded and
//! InterfacesRemoved, come from zbus all the same: it looks for this interface
//! by name. Source: D-Bus specification, "org.freedesktop.DBus.ObjectManager".

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tcnd_client::names;
use tokio::sync::watch;
use zbus::names::InterfaceName;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, Variant, interface};

use super::adapter;
use crate::radio;

/// The adapters that have an object, by path.
#[derive(Clone, Debug, Default)]
pub(super) struct AdapterObjects(Arc<Mutex<BTreeMap<String, watch::Sender<radio::Adapter>>>>);

impl AdapterObjects {
    /// Nothing panics while it holds this lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<radio::Adapter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct ObjectManagerInterface {
    pub(super) adapters: AdapterObjects,
}

type Interfaces = HashMap<&'static str, HashMap<&'static str, Variant<'static>>>;

#[interface(name = "org.freedesktop.DBus.ObjectManager")]
impl ObjectManagerInterface {
    /// All adapters, with their interfaces and the properties of these.
    #[zbus(out_args("objects"))]
    fn get_managed_objects(&self) -> HashMap<ObjectPath<'static>, Interfaces> {
        let adapters = self.adapters.lock();
        let objects = adapters.iter().filter_map(|(path, published)| {
            let path = ObjectPath::try_from(path.clone()).ok()?;
            let properties = adapter::properties(&published.borrow())
                .into_iter()
                .collect();
            Some((path, HashMap::from([(names::ADAPTER, properties)])))
        });
        objects.collect()
    }

    /// An adapter has come.
    #[zbus(signal)]
    async fn interfaces_added(
        emitter: &SignalEmitter<'_>,
        object: ObjectPath<'_>,
        interfaces: HashMap<InterfaceName<'_>, HashMap<&str, Variant<'_>>>,
    ) -> zbus::Result<()>;

    /// An adapter has gone.
    #[zbus(signal)]
    async fn interfaces_removed(
        emitter: &SignalEmitter<'_>,
        object: ObjectPath<'_>,
        interfaces: Vec<InterfaceName<'_>>,
    ) -> zbus::Result<()>;
}
