//! What is allowed on an adapter, by the configured mode and the kernel's privacy.
//!
//! A connectable advert, and any outbound connection, uses the device's own address unless
//! the kernel's privacy is on. So neither is started before the kernel itself has said that
//! it is. Where it is off, or the kernel cannot be asked, mode full is only a broadcast, and
//! a relay only listens.
//!
//! A broadcast has the same addresses, so it follows the same rules. In mode broadcast the
//! kernel is not asked; bluetoothd's configuration decides instead.
//!
//! | privacy | controller | an advert's address | so |
//! |---|---|---|---|
//! | off | any | non-resolvable, new with each | broadcast |
//! | on | extended | resolvable, new with each; the scanner's is kept | everything, at the kernel's pace |
//! | on | legacy | resolvable, kept until the kernel's timeout | at its pace, and nothing is carried |
//! | on, by the controller | extended | one for all, by the controller's own timer | everything, with a pause between two numbers |
//! | on, by the controller | legacy | the host's: no peer is named that has an entry on the resolving list | as where the host makes it |
//!
//! Where the controller makes the addresses and their lifetime is not certain, full and
//! relay air nothing: setting them up includes making it known. A broadcast uses the
//! kernel's default, which only root changes.
//!
//! Kernel: net/bluetooth/hci_sync.c, `hci_get_random_address`,
//! `hci_setup_ext_adv_instance_sync`, `hci_update_random_address_sync`.

use bluez_mgmt::Privacy;
use tcn_engine::RadioCapabilities;
use tcnd_client::Problem;

use super::super::Mode;
use super::off_air::AddressTimer;

/// The advertising commands that a controller supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Legacy,
    Extended,
}

/// Which address is kept until its timeout, whatever is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressPersistence {
    /// None: each advert has a new one, and so has each scan that starts without an advert.
    Nothing,
    /// The address of scan requests.
    Scanner,
    /// The only address.
    Everything,
    /// The address of all adverts, which the controller changes by this timer.
    Adverts(AddressTimer),
}

/// How the privacy setting is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The kernel says so.
    Kernel(Privacy),
    /// The kernel was not asked, or did not answer; this is bluetoothd's configuration.
    Configured(Privacy),
}

impl Evidence {
    /// The setting.
    pub(super) fn privacy(self) -> Privacy {
        match self {
            Self::Kernel(privacy) | Self::Configured(privacy) => privacy,
        }
    }

    /// The setting, if the kernel says it.
    fn of_the_kernel(self) -> Option<Privacy> {
        match self {
            Self::Kernel(privacy) => Some(privacy),
            Self::Configured(_) => None,
        }
    }
}

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capability {
    /// The mode in effect.
    pub(super) mode: Mode,
    /// Our frames may go on the air.
    pub(super) can_air: bool,
    /// Numbers of others can be carried: a change of the frame gets a new address, or all
    /// frames between two changes of the address belong to one number of this machine.
    pub(super) can_carry: bool,
    /// Which address is kept until its timeout.
    pub(super) persistence: AddressPersistence,
    /// Why it is less than the configured mode.
    pub(super) problem: Option<Problem>,
}

impl Capability {
    /// Peers may connect.
    pub(super) fn is_connectable(&self) -> bool {
        self.can_air && matches!(self.mode, Mode::Full | Mode::Relay)
    }
}

/// What can be done with the adapter now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) capabilities: RadioCapabilities,
    /// Peers can connect.
    pub(super) connectable: bool,
}

/// What is allowed in the configured mode `asked`. `evidence` is `None` before the kernel or
/// the configuration was read. `timer` is that of the controller, if it is known.
pub(super) fn capability(
    asked: Mode,
    evidence: Option<Evidence>,
    timer: Option<AddressTimer>,
    controller: Controller,
) -> Capability {
    let all = Capability {
        mode: asked,
        can_air: asked != Mode::Listen,
        can_carry: false,
        persistence: AddressPersistence::Nothing,
        problem: None,
    };
    let relays = match asked {
        Mode::Listen => return all,
        Mode::Broadcast => {
            let privacy = evidence.map_or(Privacy::ByController, Evidence::privacy);
            let persistence = kept_by(privacy, timer, controller);
            return Capability { persistence, ..all };
        }
        Mode::Full => false,
        Mode::Relay => true,
    };
    let less = |mode, problem| Capability {
        mode,
        can_air: mode != Mode::Listen,
        problem: Some(problem),
        ..all
    };
    let without_connections = if relays {
        Mode::Listen
    } else {
        Mode::Broadcast
    };
    match (evidence.and_then(Evidence::of_the_kernel), controller) {
        // If it is on after all, that is how addresses are kept.
        (None, _) => Capability {
            persistence: kept_by(suspected(evidence), timer, controller),
            ..less(without_connections, Problem::PrivacyUnknown)
        },
        (Some(Privacy::Off), _) => less(without_connections, Problem::PrivacyOff),
        (Some(Privacy::ByController), Controller::Extended) => match timer {
            Some(timer) => Capability {
                can_carry: true,
                persistence: AddressPersistence::Adverts(timer),
                ..all
            },
            None => less(Mode::Listen, Problem::AddressOutOfStep),
        },
        (Some(Privacy::On), Controller::Extended) => Capability {
            can_carry: true,
            persistence: AddressPersistence::Scanner,
            ..all
        },
        (Some(Privacy::On | Privacy::ByController), Controller::Legacy) if relays => {
            less(Mode::Listen, Problem::BridgeUnavailable)
        }
        (Some(Privacy::On | Privacy::ByController), Controller::Legacy) => Capability {
            persistence: AddressPersistence::Everything,
            ..less(Mode::Full, Problem::BridgeUnavailable)
        },
    }
}

/// The setting that is assumed where the kernel does not say it, and others were to
/// connect: privacy is part of what that takes.
fn suspected(evidence: Option<Evidence>) -> Privacy {
    match evidence.map(Evidence::privacy) {
        Some(Privacy::ByController) => Privacy::ByController,
        Some(Privacy::Off | Privacy::On) | None => Privacy::On,
    }
}

/// What stays the same under this setting. A controller's timer that is not known
/// has the kernel's default.
fn kept_by(
    privacy: Privacy,
    timer: Option<AddressTimer>,
    controller: Controller,
) -> AddressPersistence {
    match (privacy, controller) {
        (Privacy::Off, _) => AddressPersistence::Nothing,
        (Privacy::On | Privacy::ByController, Controller::Legacy) => AddressPersistence::Everything,
        (Privacy::On, Controller::Extended) => AddressPersistence::Scanner,
        (Privacy::ByController, Controller::Extended) => {
            AddressPersistence::Adverts(timer.unwrap_or(AddressTimer::KERNEL_DEFAULT))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EVIDENCE: [Option<Evidence>; 7] = [
        None,
        Some(Evidence::Kernel(Privacy::Off)),
        Some(Evidence::Kernel(Privacy::On)),
        Some(Evidence::Kernel(Privacy::ByController)),
        Some(Evidence::Configured(Privacy::Off)),
        Some(Evidence::Configured(Privacy::On)),
        Some(Evidence::Configured(Privacy::ByController)),
    ];
    const CONTROLLERS: [Controller; 2] = [Controller::Legacy, Controller::Extended];
    const TIMER: AddressTimer = AddressTimer {
        timeout: Duration::from_secs(60),
        certain_from: Duration::ZERO,
    };

    #[test]
    fn nobody_may_connect_unless_the_kernel_says_that_privacy_is_on() {
        for asked in [Mode::Listen, Mode::Broadcast, Mode::Full, Mode::Relay] {
            for (evidence, timer) in EVIDENCE.map(|of| [(of, None), (of, Some(TIMER))]).concat() {
                for controller in CONTROLLERS {
                    let capability = capability(asked, evidence, timer, controller);
                    let private = matches!(
                        evidence,
                        Some(Evidence::Kernel(Privacy::On | Privacy::ByController))
                    );
                    assert!(
                        private || !capability.is_connectable(),
                        "{asked:?} {evidence:?}"
                    );
                    assert!(capability.is_connectable() || !capability.can_carry);
                    let carries = asked != Mode::Full
                        || capability.persistence != AddressPersistence::Everything;
                    assert_eq!(
                        capability.mode == asked && carries,
                        capability.problem.is_none()
                    );
                }
            }
        }
    }

    #[test]
    fn no_privacy_setting_keeps_a_broadcast_off_the_air_for_ever() {
        for evidence in EVIDENCE {
            for controller in CONTROLLERS {
                let capability = capability(Mode::Broadcast, evidence, None, controller);
                assert!(capability.can_air && capability.problem.is_none());
            }
        }
    }

    /// With privacy on, its adverts have the same addresses as any other advert.
    #[test]
    fn a_broadcast_heeds_what_keeps_its_address() {
        let persistence = |privacy, timer, controller| {
            let evidence = Some(Evidence::Configured(privacy));
            capability(Mode::Broadcast, evidence, timer, controller).persistence
        };
        for controller in CONTROLLERS {
            assert_eq!(
                persistence(Privacy::Off, None, controller),
                AddressPersistence::Nothing
            );
        }
        for privacy in [Privacy::On, Privacy::ByController] {
            assert_eq!(
                persistence(privacy, None, Controller::Legacy),
                AddressPersistence::Everything
            );
        }
        let extended = Controller::Extended;
        assert_eq!(
            persistence(Privacy::On, None, extended),
            AddressPersistence::Scanner
        );
        assert_eq!(
            persistence(Privacy::ByController, None, extended),
            AddressPersistence::Adverts(AddressTimer::KERNEL_DEFAULT)
        );
        assert_eq!(
            persistence(Privacy::ByController, Some(TIMER), extended),
            AddressPersistence::Adverts(TIMER)
        );
    }

    /// Full without the kernel's answer is a broadcast, and no less careful than one.
    #[test]
    fn what_full_falls_back_to_is_taken_for_private() {
        let persistence = |privacy, controller| {
            let evidence = Some(Evidence::Configured(privacy));
            capability(Mode::Full, evidence, None, controller).persistence
        };
        for privacy in [Privacy::Off, Privacy::On] {
            assert_eq!(
                persistence(privacy, Controller::Extended),
                AddressPersistence::Scanner
            );
            assert_eq!(
                persistence(privacy, Controller::Legacy),
                AddressPersistence::Everything
            );
        }
        assert_eq!(
            persistence(Privacy::ByController, Controller::Extended),
            AddressPersistence::Adverts(AddressTimer::KERNEL_DEFAULT)
        );
    }

    fn left(
        asked: Mode,
        privacy: Option<Privacy>,
        controller: Controller,
    ) -> (Mode, bool, Option<Problem>) {
        let capability = capability(asked, privacy.map(Evidence::Kernel), None, controller);
        (capability.mode, capability.can_air, capability.problem)
    }

    #[test]
    fn what_is_left_of_full_and_relay() {
        let (off, on) = (Some(Privacy::Off), Some(Privacy::On));
        let extended = Controller::Extended;
        assert_eq!(left(Mode::Full, on, extended), (Mode::Full, true, None));
        assert_eq!(left(Mode::Relay, on, extended), (Mode::Relay, true, None));
        assert_eq!(
            left(Mode::Full, off, extended),
            (Mode::Broadcast, true, Some(Problem::PrivacyOff))
        );
        assert_eq!(
            left(Mode::Relay, off, extended),
            (Mode::Listen, false, Some(Problem::PrivacyOff))
        );
        assert_eq!(
            left(Mode::Full, None, extended),
            (Mode::Broadcast, true, Some(Problem::PrivacyUnknown))
        );
        for privacy in [on, Some(Privacy::ByController)] {
            assert_eq!(
                left(Mode::Full, privacy, Controller::Legacy),
                (Mode::Full, true, Some(Problem::BridgeUnavailable))
            );
            assert_eq!(
                left(Mode::Relay, privacy, Controller::Legacy),
                (Mode::Listen, false, Some(Problem::BridgeUnavailable))
            );
        }
    }

    /// A broadcast would have the controller's address as well.
    #[test]
    fn where_the_controller_makes_addresses_its_timer_has_to_be_known() {
        let by_controller = Some(Privacy::ByController);
        for asked in [Mode::Full, Mode::Relay] {
            assert_eq!(
                left(asked, by_controller, Controller::Extended),
                (Mode::Listen, false, Some(Problem::AddressOutOfStep))
            );
            let all = Capability {
                mode: asked,
                can_air: true,
                can_carry: true,
                persistence: AddressPersistence::Adverts(TIMER),
                problem: None,
            };
            let known = capability(
                asked,
                by_controller.map(Evidence::Kernel),
                Some(TIMER),
                Controller::Extended,
            );
            assert_eq!(known, all);
        }
    }
}
