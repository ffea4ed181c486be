//! What the edge waits for by the clock, one alarm of a kind.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// Try the bus, or BlueZ, again.
    Connect,
    /// Try again to read an adapter.
    Survey,
    /// Look again whether the adapter can advertise.
    Mute,
    /// Try discovery again.
    Scan,
    /// Try the advert again.
    Advert,
    /// The advert may be registered anew again.
    Refresh,
    /// Start discovery anew.
    Restart,
    /// Try the GATT server again.
    Serve,
    /// The address may have changed.
    Address,
    /// Ask again by what the controller makes its addresses.
    Ask,
    /// Visits may go on.
    Visit,
    /// What was read of whom is old enough to be forgotten.
    Forget,
}

type Ring = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
pub(super) struct Alarms(BTreeMap<Alarm, Ring>);

impl Alarms {
    /// Sets it, in place of one of the same kind.
    pub(super) fn set(&mut self, alarm: Alarm, after: Duration) {
        let ring = async move {
            // Nothing comes but the deadline.
            let _ = time::timeout(after, pending::<()>()).await;
        };
        self.0.insert(alarm, Box::pin(ring));
    }

    /// Whether one of the kind is yet to ring.
    pub(super) fn is_set(&self, alarm: Alarm) -> bool {
        self.0.contains_key(&alarm)
    }

    /// The next one to ring. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Alarm {
        poll_fn(|context| {
            let rung = self
                .0
                .iter_mut()
                .find_map(|(alarm, ring)| ring.as_mut().poll(context).is_ready().then_some(*alarm));
            match rung {
                Some(alarm) => {
                    self.0.remove(&alarm);
                    Poll::Ready(alarm)
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}
