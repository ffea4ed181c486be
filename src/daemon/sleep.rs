//! Before the machine sleeps: off the air, and everything written.
//!
//! An advert ends with the machine anyway, but not its last moments: between the
//! freeze of our process and the controller's, and again when it wakes, the old
//! number would be there under the old address, when no process can take it down. So
//! it is taken down before, and a new one put up after. Suspend is also when
//! batteries run out, hence the log is made durable.

use tcn_engine::Input;

use super::clock;
use super::driver::Driver;
use super::refusal::Refusal;
use super::reply::Reply;
use super::reply::respond_async;

impl Driver {
    /// Leaves the air; [`Self::finish_sleep`] answers the client, and only the last
    /// one that asked.
    pub(super) async fn prepare_sleep(&mut self, reply: Reply<()>) {
        self.sleep_waiter = Some(reply);
        self.tell(clock::now(), Input::Asleep(true)).await;
    }

    /// Back on the air, with a new number and a new address. May be told twice.
    pub(super) async fn wake_up(&mut self) -> Result<(), Refusal> {
        self.sleep_waiter = None;
        self.tell(clock::now(), Input::Asleep(false)).await;
        Ok(())
    }

    /// Answers the client that waits for it as soon as nothing is on the air.
    pub(super) async fn finish_sleep(&mut self) {
        if self.sleep_waiter.is_none() || !self.engine.view(clock::now()).silent {
            return;
        }
        self.write_out().await;
        if let Some(reply) = self.sleep_waiter.take() {
            let store = self.store.clone();
            respond_async(reply, async move { Ok(store.checkpoint().await?) });
        }
    }
}
