//! `Adapter`: one Bluetooth controller, as far as every program may see it.
//!
//! There is no hardware address here: it would identify the machine and its person to
//! every program on it. The object comes and goes with the adapter, announced by the
//! object manager at the root.

use tokio::sync::watch;
use zbus::{Variant, interface};

use super::tokens;
use crate::radio;

/// Shows the latest state it receives.
pub(super) struct AdapterInterface {
    pub(super) latest: watch::Receiver<radio::Adapter>,
}

#[interface(name = "org.tcncoalition.Tcnd1.Adapter", introspection_docs = true)]
impl AdapterInterface {
    /// The kernel's name for it, like hci0.
    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> String {
        self.latest.borrow().name.clone()
    }

    /// Whether it is switched on. tcnd never does that by itself.
    #[zbus(property)]
    fn powered(&self) -> bool {
        self.latest.borrow().powered
    }

    /// Whether it is the one in use.
    #[zbus(property)]
    fn selected(&self) -> bool {
        self.latest.borrow().selected
    }

    /// Whether it can broadcast; without, others can only be listened for.
    #[zbus(property)]
    fn can_advertise(&self) -> bool {
        self.latest.borrow().can_advertise
    }

    /// The kind of device address numbers are broadcast under: nrpa, a
    /// non-resolvable private address, new with every number; rpa, a resolvable
    /// one, as the kernel's privacy makes them; public, its own address, under
    /// which nothing is broadcast; unknown. Clients must tolerate other words.
    #[zbus(property)]
    fn private_address(&self) -> &'static str {
        tokens::address(self.latest.borrow().address)
    }

    /// Advertising instances that other programs have left.
    #[zbus(property)]
    fn adv_instances_free(&self) -> u8 {
        self.latest.borrow().instances_free
    }

    /// How often it was lost and taken up again since the daemon started.
    #[zbus(property)]
    fn recovery_count(&self) -> u32 {
        self.latest.borrow().recoveries
    }

    /// The last thing that went wrong with it, a token as in
    /// Manager.Problems; empty if nothing did.
    #[zbus(property)]
    fn last_problem(&self) -> &'static str {
        tokens::last_problem(&self.latest.borrow())
    }
}

/// All properties, with their values in `adapter`.
pub(super) fn properties(adapter: &radio::Adapter) -> Vec<(&'static str, Variant<'static>)> {
    let name = ("Name", adapter.name.clone().into());
    announced(adapter).into_iter().chain([name]).collect()
}

/// The properties that are signalled, with their values in `adapter`.
pub(super) fn announced(adapter: &radio::Adapter) -> [(&'static str, Variant<'static>); 7] {
    [
        ("Powered", adapter.powered.into()),
        ("Selected", adapter.selected.into()),
        ("CanAdvertise", adapter.can_advertise.into()),
        ("PrivateAddress", tokens::address(adapter.address).into()),
        ("AdvInstancesFree", adapter.instances_free.into()),
        ("RecoveryCount", adapter.recoveries.into()),
        ("LastProblem", tokens::last_problem(adapter).into()),
    ]
}
