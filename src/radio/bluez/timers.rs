//! The timers of the BlueZ task, one of each kind.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Try again to connect to the bus or to BlueZ.
    Connect,
    /// Try again to read an adapter.
    ReadAdapter,
    /// Read again whether the adapter can advertise.
    AdvertisingSupport,
    /// Try discovery again.
    Scan,
    /// Try the advert again.
    Advert,
    /// The advert may be registered again because of connections.
    Refresh,
    /// Restart discovery.
    Restart,
    /// Try the GATT server again.
    Serve,
    /// The address may have changed.
    Address,
    /// Ask the kernel again how the controller changes its addresses.
    AskKernel,
    /// The next outbound connection is allowed.
    Outbound,
    /// Numbers read from peers are old enough to be forgotten.
    ForgetPeers,
}

type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
pub(super) struct Timers(BTreeMap<Timer, Deadline>);

impl Timers {
    /// Sets a timer, in place of one of the same kind.
    pub(super) fn set(&mut self, timer: Timer, after: Duration) {
        let deadline = async move {
            // Only the timeout can end this.
            let _ = time::timeout(after, pending::<()>()).await;
        };
        self.0.insert(timer, Box::pin(deadline));
    }

    /// Whether a timer of this kind is set and has not expired.
    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0.contains_key(&timer)
    }

    /// The next timer to expire. May be dropped while it waits.
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
