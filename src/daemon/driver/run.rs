//! The loop itself: wait for one thing, and do what follows from it.

use tcn_engine::{Input, ListenConditions};
use tokio::sync::{mpsc, watch};

use super::{Driver, Error, Signal};
use crate::daemon::clock::{self, Jumps};
use crate::daemon::journal;
use crate::{radio, store};

impl Driver {
    /// Does what comes, until it is told to stop.
    pub(super) async fn run(
        &mut self,
        events: &mut mpsc::Receiver<radio::Event>,
        stored: &mut mpsc::Receiver<store::Event>,
        signals: &mut mpsc::Receiver<Signal>,
        conditions: &mut watch::Receiver<ListenConditions>,
        jumps: &Jumps,
    ) -> Result<(), Error> {
        conditions.mark_changed();
        let mut slept = clock::slept();
        loop {
            self.finish_sleep().await;
            self.settle()?;
            tokio::select! {
                event = events.recv() => self.radio_event(event.ok_or(Error::RadioGone)?).await,
                event = stored.recv() => self.store_event(event.ok_or(Error::StoreGone)?).await?,
                Some(request) = self.requests.recv() => self.answer(request).await,
                rang = self.alarm.rang() => {
                    rang.map_err(Error::Timer)?;
                    self.time_passed().await;
                }
                jumped = jumps.jumped() => {
                    jumped.map_err(Error::Timer)?;
                    let asleep = std::mem::replace(&mut slept, clock::slept());
                    self.clock_jumped(slept > asleep).await;
                }
                // When their source is gone, they stay as they are.
                Ok(()) = conditions.changed() => {
                    let now = *conditions.borrow_and_update();
                    self.tell(clock::now(), Input::ListenConditions(now)).await;
                }
                // What it says is published with the rest.
                () = self.exchange.changed() => {}
                signal = signals.recv() => match signal {
                    Some(Signal::Reload) => self.reload().await.unwrap_or_else(|fault| {
                        journal::config_rejected(&fault);
                    }),
                    Some(Signal::Stop) | None => return Ok(()),
                },
            }
        }
    }
}
