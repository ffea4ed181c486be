//! What the edge waits for by the clock, one alarm of a kind.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Try the bus, or BlueZ, again.
    Connect,
    /// Try again to read an adapter.
    ReadAdapter,
    /// Look again whether the adapter can advertise.
    AdvertisingSupport,
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
    AskKernel,
    /// Visits may go on.
    Outbound,
    /// What was read of whom is old enough to be forgotten.
    ForgetPeers,
}

type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
pub(super) struct Timers(BTreeMap<Timer, Deadline>);

impl Timers {
    /// Sets it, in place of one of the same kind.
    pub(super) fn set(&mut self, timer: Timer, after: Duration) {
        let deadline = async move {
            // Nothing comes but the deadline.
            let _ = time::timeout(after, pending::<()>()).await;
        };
        self.0.insert(timer, Box::pin(deadline));
    }

    /// Whether one of the kind is yet to ring.
    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0.contains_key(&timer)
    }

    /// The next one to ring. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Timer {
        poll_fn(|context| {
            let expired = self.0.iter_mut().find_map(|(timer, deadline)| {
                deadline.as_mut().poll(context).is_ready().then_some(*timer)
            });
            match expired {
                Some(timer) => {
                    self.0.remove(&timer);
                    Poll::Ready(timer)
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}
