//! Whether anything may be on the air: consent, and pauses. Of consent counts
//! what the configuration says, and where it says nothing, what was last decided
//! on the bus.

use tcn_engine::{Input, Moment, Pause};

use super::clock;
use super::driver::Driver;
use crate::store::Setting;

impl Driver {
    /// What the configuration says of consent counts; if it says nothing, what
    /// was last asked over the bus.
    pub(super) fn has_consent(&self) -> bool {
        let decided = self.settings.consent.or(self.consent);
        decided.unwrap_or(false)
    }

    /// Back to the state after installation: no decision is known, no file is damaged.
    pub(super) fn reset_decisions(&mut self) {
        self.consent = None;
        self.saved_pause = Pause::No;
        self.corrupt = false;
    }

    /// Consent given or taken over the bus outlives a restart.
    pub(super) async fn consent_changed(&mut self, consent: bool) {
        self.consent = Some(consent);
        self.store.remember(Setting::Consent(consent));
        let has_consent = self.has_consent();
        self.tell(clock::now(), Input::Consent(has_consent)).await;
    }

    /// Tells the engine of the sum of all holds, and the store of what must
    /// outlive a restart.
    pub(super) async fn pause_changed(&mut self, now: Moment) {
        let lasting = self.holds.lasting();
        if lasting != self.saved_pause {
            self.saved_pause = lasting;
            self.store.remember(Setting::Pause(lasting));
        }
        let sum = self.holds.sum();
        if sum != self.engine.view(now).pause {
            self.tell(now, Input::Paused(sum)).await;
        }
    }
}
