//! What may be done on an adapter, by the mode asked for and what the kernel
//! says of its privacy.
//!
//! An advert that others can connect to, and any connection of ours, goes out
//! under the device's own address unless the kernel's privacy is on. So nothing
//! of the kind is begun before the kernel itself has said that it is; where it
//! is off, or cannot be asked, mode full is no more than a broadcast, and a
//! relay listens.
//!
//! | privacy | controller | an advert's address | so |
//! |---|---|---|---|
//! | off | any | non-resolvable, new with each | broadcast |
//! | on | extended | resolvable, new with each; the scanner's is kept | everything, at the kernel's pace |
//! | on | legacy | resolvable, kept until the kernel's timeout | at its pace, and nothing is carried |
//! | on, by the controller | any | by the controller's own clock | nothing is aired |
//!
//! Kernel: net/bluetooth/hci_sync.c, `hci_get_random_address`,
//! `hci_update_random_address_sync`.

use super::super::mgmt::Privacy;
use super::super::{Fitness, Mode, Trouble};

/// A controller's way of advertising.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Legacy,
    Extended,
}

/// Which address the kernel keeps until its timeout, whatever is registered
/// meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// None: each advert has a new one, and so has each scan that begins
    /// without an advert.
    Nothing,
    /// That under which scanning asks.
    Scanner,
    /// The only one there is.
    Everything,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// The mode in effect.
    pub(super) mode: Mode,
    /// Something of ours may go on the air.
    pub(super) can_air: bool,
    /// A change of frame gets a new address, so numbers of others can be carried.
    pub(super) can_carry: bool,
    /// What stays the same until the kernel's timeout.
    pub(super) keeps: Keeps,
    /// Why it is not all that was asked for.
    pub(super) trouble: Option<Trouble>,
}

impl Reach {
    /// Others may connect to us.
    pub(super) fn is_connectable(&self) -> bool {
        self.can_air && matches!(self.mode, Mode::Full | Mode::Relay)
    }
}

/// What can be done with the adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) fitness: Fitness,
    /// Others can connect.
    pub(super) connectable: bool,
}

/// What may be done with `asked` where the kernel says this of its privacy;
/// `None` if it could not be asked.
pub(super) fn reach(asked: Mode, privacy: Option<Privacy>, controller: Controller) -> Reach {
    let all = Reach {
        mode: asked,
        can_air: asked != Mode::Listen,
        can_carry: false,
        keeps: Keeps::Nothing,
        trouble: None,
    };
    let relays = match asked {
        Mode::Listen | Mode::Broadcast => return all,
        Mode::Full => false,
        Mode::Relay => true,
    };
    let less = |mode, trouble| Reach {
        mode,
        can_air: mode != Mode::Listen,
        trouble: Some(trouble),
        ..all
    };
    let without_connections = if relays {
        Mode::Listen
    } else {
        Mode::Broadcast
    };
    match (privacy, controller) {
        // If it is on after all, that is how addresses are kept.
        (None, _) => Reach {
            keeps: kept_by(controller),
            ..less(without_connections, Trouble::PrivacyUnknown)
        },
        (Some(Privacy::Off), _) => less(without_connections, Trouble::PrivacyOff),
        (Some(Privacy::ByController), _) => less(Mode::Listen, Trouble::AddressOutOfStep),
        (Some(Privacy::On), Controller::Extended) => Reach {
            can_carry: true,
            keeps: kept_by(controller),
            ..all
        },
        (Some(Privacy::On), Controller::Legacy) if relays => {
            less(Mode::Listen, Trouble::BridgeUnavailable)
        }
        (Some(Privacy::On), Controller::Legacy) => Reach {
            keeps: kept_by(controller),
            ..less(Mode::Full, Trouble::BridgeUnavailable)
        },
    }
}

fn kept_by(controller: Controller) -> Keeps {
    match controller {
        Controller::Legacy => Keeps::Everything,
        Controller::Extended => Keeps::Scanner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVACIES: [Option<Privacy>; 4] = [
        None,
        Some(Privacy::Off),
        Some(Privacy::On),
        Some(Privacy::ByController),
    ];
    const CONTROLLERS: [Controller; 2] = [Controller::Legacy, Controller::Extended];

    #[test]
    fn nobody_may_connect_unless_the_kernel_says_that_privacy_is_on() {
        for asked in [Mode::Listen, Mode::Broadcast, Mode::Full, Mode::Relay] {
            for privacy in PRIVACIES {
                for controller in CONTROLLERS {
                    let reach = reach(asked, privacy, controller);
                    let private = privacy == Some(Privacy::On);
                    assert!(private || !reach.is_connectable(), "{asked:?} {privacy:?}");
                    assert!(reach.is_connectable() || !reach.can_carry);
                    assert_eq!(
                        reach.mode == asked && reach.keeps != Keeps::Everything,
                        reach.trouble.is_none()
                    );
                }
            }
        }
    }

    #[test]
    fn a_broadcast_asks_nothing_of_privacy() {
        for privacy in PRIVACIES {
            for controller in CONTROLLERS {
                let reach = reach(Mode::Broadcast, privacy, controller);
                assert!(reach.can_air && reach.trouble.is_none());
            }
        }
    }

    #[test]
    fn what_is_left_of_full_and_relay() {
        let left = |asked, privacy, controller| {
            let reach = reach(asked, privacy, controller);
            (reach.mode, reach.can_air, reach.trouble)
        };
        let (off, on) = (Some(Privacy::Off), Some(Privacy::On));
        let extended = Controller::Extended;
        assert_eq!(left(Mode::Full, on, extended), (Mode::Full, true, None));
        assert_eq!(left(Mode::Relay, on, extended), (Mode::Relay, true, None));
        assert_eq!(
            left(Mode::Full, off, extended),
            (Mode::Broadcast, true, Some(Trouble::PrivacyOff))
        );
        assert_eq!(
            left(Mode::Relay, off, extended),
            (Mode::Listen, false, Some(Trouble::PrivacyOff))
        );
        assert_eq!(
            left(Mode::Full, None, extended),
            (Mode::Broadcast, true, Some(Trouble::PrivacyUnknown))
        );
        for asked in [Mode::Full, Mode::Relay] {
            assert_eq!(
                left(asked, Some(Privacy::ByController), extended),
                (Mode::Listen, false, Some(Trouble::AddressOutOfStep))
            );
        }
        assert_eq!(
            left(Mode::Full, on, Controller::Legacy),
            (Mode::Full, true, Some(Trouble::BridgeUnavailable))
        );
        assert_eq!(
            left(Mode::Relay, on, Controller::Legacy),
            (Mode::Listen, false, Some(Trouble::BridgeUnavailable))
        );
    }
}
