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
    /// The kernel's name of the adapter, such as hci0.
    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> String {
        self.latest.borrow().name.clone()
    }

    /// Whether the adapter is switched on. tcnd never switches it on.
    #[zbus(property)]
    fn powered(&self) -> bool {
        self.latest.borrow().powered
    }

    /// Whether tcnd uses this adapter.
    #[zbus(property)]
    fn selected(&self) -> bool {
        self.latest.borrow().selected
    }

    /// Whether the adapter can broadcast. If not, it can only listen for other devices.
    #[zbus(property)]
    fn can_advertise(&self) -> bool {
        self.latest.borrow().can_advertise
    }

    /// The kind of device address under which numbers are broadcast: nrpa, a
    /// non-resolvable private address, which changes with every number; rpa, a
    /// resolvable private address, made by the kernel's privacy; public, the adapter's
    /// own address, under which tcnd broadcasts nothing; unknown. Clients must tolerate
    /// other tokens.
    #[zbus(property)]
    fn private_address(&self) -> &'static str {
        tokens::address(self.latest.borrow().address)
    }

    /// How many advertising instances are not in use by other programs.
    #[zbus(property)]
    fn adv_instances_free(&self) -> u8 {
        self.latest.borrow().instances_free
    }

    /// How often the daemon lost this adapter and used it again, since the daemon
    /// started.
    #[zbus(property)]
    fn recovery_count(&self) -> u32 {
        self.latest.borrow().recoveries
    }

    /// The last problem with this adapter, a token of Manager.Problems; empty if there
    /// was none.
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
