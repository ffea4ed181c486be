//! What the daemon finds when it looks at itself: `Manager.SelfTest`.

use tcn_engine::{ClockDoubt, Pause};
use tcnd_client::Problem;

use super::clock;
use super::driver::Driver;
use super::requests::Check;

impl Driver {
    pub(super) fn self_test(&self) -> Vec<Check> {
        vec![
            self.on_air("advertising", self.status.advertising),
            self.on_air("scanning", self.status.scanning),
            self.address(),
            self.clock(),
            self.contact_log(),
            self.keys(),
        ]
    }

    fn on_air(&self, name: &'static str, is: bool) -> Check {
        let view = self.engine.view(clock::now());
        let idle = !view.consent || view.pause != Pause::No;
        let detail = match (is, idle) {
            (true, _) if name == "advertising" => "the controller has our advert",
            (true, _) => "discovery runs",
            (false, true) => "not asked to be on the air",
            (false, false) => "should be on the air, and is not",
        };
        check(name, is || idle, detail)
    }

    fn address(&self) -> Check {
        let private = !self
            .status
            .problems
            .contains_key(&Problem::AddressNotPrivate);
        let detail = if private {
            "a private address, new with every number"
        } else {
            "the adapter is discoverable, so an advert would show its real address"
        };
        check("address", private, detail)
    }

    fn clock(&self) -> Check {
        let doubt = self.engine.view(clock::now()).clock;
        let detail = match doubt {
            None => "the wall clock is plausible",
            Some(ClockDoubt::Impossible) => {
                "the wall clock is before this release; contacts wait in memory until it is set"
            }
            Some(ClockDoubt::Ahead) => {
                "the wall clock went ahead by more than the retention, and nothing confirms it; \
                 nothing is destroyed for its age until the clock is synchronised, another boot \
                 agrees, or tcnctl clock confirm"
            }
            Some(ClockDoubt::Behind) => {
                "the wall clock shows a time before one that has been; contacts are dated again \
                 when it is set"
            }
        };
        check("clock", doubt.is_none(), detail)
    }

    fn contact_log(&self) -> Check {
        let failing = self.engine.view(clock::now()).store_failing;
        let detail = match (self.corrupt, failing) {
            (true, _) => "a damaged contact log was set aside at the start",
            (false, true) => "the last batch could not be written",
            (false, false) => "the contact log takes writes",
        };
        check("store", !failing && !self.corrupt, detail)
    }

    /// Both are well: not every machine has a credential to seal with.
    fn keys(&self) -> Check {
        let detail = if self.sealed {
            "report keys are sealed by the credential tcnd.kek"
        } else {
            "report keys are stored as they are, for tcnd and root alone to read"
        };
        check("keys", true, detail)
    }
}

fn check(name: &'static str, passed: bool, detail: &str) -> Check {
    Check {
        name,
        passed,
        detail: detail.to_owned(),
    }
}
