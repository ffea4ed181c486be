//! What people decided: consent and pauses, kept until they are written.
//!
//! A decision that cannot be written, because the disk is full for instance, is
//! tried again before whatever is written next. Otherwise consent that was
//! withdrawn would come back with a restart.

use super::ledger;
use super::thread::{Durable, Owner, Setting};

impl Owner {
    /// Keeps a decision, durably. The last of each kind counts.
    pub(super) fn remember(&mut self, setting: Setting) -> rusqlite::Result<()> {
        let kind = std::mem::discriminant(&setting);
        self.decided
            .retain(|known| std::mem::discriminant(known) != kind);
        self.decided.push(setting);
        self.write_decisions()
    }

    /// Writes the decisions that could not be written when they came.
    pub(super) fn write_decisions(&mut self) -> rusqlite::Result<()> {
        if self.decided.is_empty() {
            return Ok(());
        }
        let decided = self.decided.clone();
        self.transact(Durable::PowerLoss, |t| {
            decided
                .iter()
                .try_for_each(|setting| ledger::remember(t, *setting))
        })?;
        self.decided.clear();
        Ok(())
    }
}
