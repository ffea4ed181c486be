//! The waiting calls, and the counts of those in progress.
//!
//! Connections are served round robin, one call each, so one that sends much waits for
//! itself. Calls with long replies are processed one by one. When the queue is full,
//! the connection with most bytes waiting loses its newest call. So a connection with
//! few calls is never refused because of another with many.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::decoder::{MethodCall, RawMessage};

/// Calls in progress at once: those that wait for polkit ([`PendingChecks`], 64 at most),
/// for a check of reports, an export or an import, and the same number again.
///
/// [`PendingChecks`]: crate::bus::bouncer
const MAX_RUNNING: usize = 128;

/// How many of them may have long replies. While dbus-daemon is busy with a flood, it
/// takes two kilobytes of replies in each turn. A client that asks for little must not
/// wait for the replies to many clients that ask for much.
const MAX_LONG_RUNNING: usize = 1;

/// The same limit for one connection.
const MAX_RUNNING_PER_CLIENT: usize = 32;

/// Calls that wait for processing, and their bytes.
const MAX_WAITING: usize = 2048;
const MAX_BYTES: usize = 4 << 20;

/// The same limit for one connection. dbus-daemon lets a connection await 128 replies.
const MAX_WAITING_PER_CLIENT: usize = 128;
const MAX_BYTES_PER_CLIENT: usize = 256 << 10;

/// File descriptors that wait; the process has 1024.
const MAX_FDS: usize = 128;

/// The same limit for one connection.
const MAX_FDS_PER_CLIENT: usize = 16;

/// File descriptors of one call. No method takes more.
const MAX_FDS_PER_CALL: usize = 1;

/// Refusals that wait to be sent. While this many wait, a refused caller gets no reply.
const MAX_REFUSED: usize = 256;

/// A call that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusedCall {
    pub(super) call: MethodCall,
    pub(super) reason: RefusalReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalReason {
    /// The call is too long, or has too many descriptors.
    Unacceptable,
    /// Too many calls wait.
    TooMany,
}

impl RefusalReason {
    /// The message for the sender.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Unacceptable => {
                "a call to tcnd may have at most 64 KiB and one file descriptor, and no descriptor while too many files of other clients do not respond; pass long data through a pipe, or try again later"
            }
            Self::TooMany => {
                "too many calls wait for their replies; read the replies, then call again"
            }
        }
    }
}

/// The queue of calls; see the module documentation.
#[derive(Debug, Default)]
pub(super) struct CallQueue {
    clients: BTreeMap<Arc<str>, ClientQueue>,
    /// Clients with waiting calls; the first is served next.
    round_robin: VecDeque<Arc<str>>,
    waiting: usize,
    bytes: usize,
    descriptors: usize,
    running: usize,
    long: usize,
    refused: VecDeque<RefusedCall>,
}

/// A connection that has calls in the queue.
#[derive(Debug, Default)]
struct ClientQueue {
    waiting: VecDeque<(MethodCall, RawMessage)>,
    bytes: usize,
    descriptors: usize,
    /// Calls in progress. A client may use a serial number twice.
    running: Vec<MethodCall>,
}

impl CallQueue {
    /// Queues a call that arrived.
    pub(super) fn enqueue(&mut self, call: MethodCall, message: RawMessage) {
        if message.descriptors.len() > MAX_FDS_PER_CALL {
            return self.refuse(call, RefusalReason::Unacceptable);
        }
        let (bytes, descriptors) = (message.bytes.len(), message.descriptors.len());
        let client = self.clients.entry(Arc::clone(&call.sender)).or_default();
        if client.waiting.len() >= MAX_WAITING_PER_CLIENT
            || client.bytes + bytes > MAX_BYTES_PER_CLIENT
            || client.descriptors + descriptors > MAX_FDS_PER_CLIENT
        {
            let sender = Arc::clone(&call.sender);
            self.refuse(call, RefusalReason::TooMany);
            return self.remove_if_idle(&sender);
        }
        if client.waiting.is_empty() {
            self.round_robin.push_back(Arc::clone(&call.sender));
        }
        client.bytes += bytes;
        client.descriptors += descriptors;
        client.waiting.push_back((call, message));
        self.waiting += 1;
        self.bytes += bytes;
        self.descriptors += descriptors;
        while self.waiting > MAX_WAITING || self.bytes > MAX_BYTES {
            self.evict(|client| client.bytes, |_| true);
        }
        while self.descriptors > MAX_FDS {
            let has_some = |message: &RawMessage| !message.descriptors.is_empty();
            self.evict(|client| client.descriptors, has_some);
        }
    }

    /// The next call to process, if there is one and the limits allow it.
    pub(super) fn next(&mut self) -> Option<(MethodCall, RawMessage)> {
        if self.running >= MAX_RUNNING {
            return None;
        }
        let may = |name: &Arc<str>| {
            self.clients.get(name).is_some_and(|client| {
                let has_long_reply = client
                    .waiting
                    .front()
                    .is_some_and(|(call, _)| call.has_long_reply);
                client.running.len() < MAX_RUNNING_PER_CLIENT
                    && !(has_long_reply && self.long >= MAX_LONG_RUNNING)
            })
        };
        let position = self.round_robin.iter().position(may)?;
        let name = self.round_robin.remove(position)?;
        let client = self.clients.get_mut(&name)?;
        let (call, message) = client.waiting.pop_front()?;
        client.bytes -= message.bytes.len();
        client.descriptors -= message.descriptors.len();
        client.running.push(call.clone());
        if !client.waiting.is_empty() {
            self.round_robin.push_back(name);
        }
        self.count_removed(&message);
        self.running += 1;
        self.long += usize::from(call.has_long_reply);
        Some((call, message))
    }

    /// The call that a reply answers, if it was in progress here.
    pub(super) fn answered(&mut self, sender: &str, serial: u32) -> Option<MethodCall> {
        let client = self.clients.get_mut(sender)?;
        let at = client
            .running
            .iter()
            .position(|call| call.serial.get() == serial)?;
        let call = client.running.swap_remove(at);
        self.running -= 1;
        self.long -= usize::from(call.has_long_reply);
        self.remove_if_idle(&call.sender);
        Some(call)
    }

    /// Refuses a call. The sender gets an error, unless it wants no reply.
    pub(super) fn refuse(&mut self, call: MethodCall, reason: RefusalReason) {
        if !call.no_reply && self.refused.len() < MAX_REFUSED {
            self.refused.push_back(RefusedCall { call, reason });
        }
    }

    /// The next refusal to send.
    pub(super) fn refused(&mut self) -> Option<RefusedCall> {
        self.refused.pop_front()
    }

    /// Removes a waiting call. The client with the highest value of `measure` loses its
    /// newest call for which `counts` is true.
    fn evict(
        &mut self,
        measure: impl Fn(&ClientQueue) -> usize,
        counts: impl Fn(&RawMessage) -> bool,
    ) {
        let greediest = self
            .clients
            .iter()
            .max_by_key(|(_, client)| measure(client));
        let Some(name) = greediest.map(|(name, _)| Arc::clone(name)) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&name) else {
            return;
        };
        let newest = client
            .waiting
            .iter()
            .rposition(|(_, message)| counts(message));
        let Some((call, message)) = newest.and_then(|at| client.waiting.remove(at)) else {
            return;
        };
        client.bytes -= message.bytes.len();
        client.descriptors -= message.descriptors.len();
        if client.waiting.is_empty() {
            self.round_robin.retain(|position| *position != name);
        }
        self.count_removed(&message);
        self.refuse(call, RefusalReason::TooMany);
        self.remove_if_idle(&name);
    }

    fn count_removed(&mut self, message: &RawMessage) {
        self.waiting -= 1;
        self.bytes -= message.bytes.len();
        self.descriptors -= message.descriptors.len();
    }

    fn remove_if_idle(&mut self, name: &str) {
        if let Some(client) = self.clients.get(name)
            && client.waiting.is_empty()
            && client.running.is_empty()
        {
            self.clients.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn enqueue(queue: &mut CallQueue, sender: &str, serial: u32, bytes: usize) {
        let call = MethodCall {
            sender: sender.into(),
            serial: NonZeroU32::new(serial).unwrap(),
            no_reply: false,
            has_long_reply: false,
        };
        // The name is in the message, so that a test can see whose it is.
        let mut bytes = vec![0; bytes];
        bytes[..sender.len()].copy_from_slice(sender.as_bytes());
        let descriptors = Vec::new();
        queue.enqueue(call, RawMessage { bytes, descriptors });
    }

    fn arrive_long(queue: &mut CallQueue, sender: &str, serial: u32) {
        let call = MethodCall {
            sender: sender.into(),
            serial: NonZeroU32::new(serial).unwrap(),
            no_reply: false,
            has_long_reply: true,
        };
        let (bytes, descriptors) = (sender.as_bytes().to_vec(), Vec::new());
        queue.enqueue(call, RawMessage { bytes, descriptors });
    }

    fn next(queue: &mut CallQueue) -> Option<String> {
        let (_, message) = queue.next()?;
        let name = String::from_utf8(message.bytes).unwrap();
        Some(name.trim_end_matches('\0').to_owned())
    }

    fn refused(queue: &mut CallQueue) -> Vec<(String, u32)> {
        std::iter::from_fn(|| queue.refused())
            .map(|refused| (refused.call.sender.to_string(), refused.call.serial.get()))
            .collect()
    }

    #[test]
    fn connections_are_served_in_turn() {
        let mut queue = CallQueue::default();
        for serial in 1..=5 {
            enqueue(&mut queue, "a", serial, 200);
        }
        enqueue(&mut queue, "b", 1, 200);
        enqueue(&mut queue, "c", 1, 200);
        let served: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
        assert_eq!(served, ["a", "b", "c", "a", "a", "a", "a"]);
    }

    #[test]
    fn who_asks_for_little_waits_one_round_at_most() {
        let mut queue = CallQueue::default();
        let mut served_before = Vec::new();
        for n in 0..40 {
            for serial in 1..=20 {
                enqueue(&mut queue, &format!("greedy{n:02}"), serial, 200);
            }
        }
        for serial in 1..=10 {
            enqueue(&mut queue, "modest", serial, 200);
            let mut round = 0;
            loop {
                let served = next(&mut queue).unwrap();
                if served == "modest" {
                    break;
                }
                round += 1;
                assert!(round <= 40, "{serial}");
                served_before.push(served);
                if served_before.len() > 100 {
                    let done = served_before.remove(0);
                    let serial = queue.clients[&*done].running[0].serial.get();
                    queue.answered(&done, serial).unwrap();
                }
            }
            queue.answered("modest", serial).unwrap();
        }
    }

    #[test]
    fn long_answers_are_made_one_by_one_and_nobody_else_waits_for_them() {
        let mut queue = CallQueue::default();
        for name in ["a", "b"] {
            for serial in 1..=2 {
                arrive_long(&mut queue, name, serial);
            }
        }
        enqueue(&mut queue, "c", 1, 200);
        let served: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
        assert_eq!(served, ["a", "c"]);
        for (done, then) in [("a", "b"), ("b", "a"), ("a", "b")] {
            let serial = queue.clients[done].running[0].serial.get();
            queue.answered(done, serial).unwrap();
            assert_eq!(next(&mut queue).as_deref(), Some(then));
            assert_eq!(next(&mut queue), None);
        }
    }

    #[test]
    fn one_connection_takes_its_share_and_no_more() {
        let mut queue = CallQueue::default();
        for serial in 1..=100 {
            enqueue(&mut queue, "a", serial, 200);
        }
        let served = std::iter::from_fn(|| next(&mut queue)).count();
        assert_eq!(served, MAX_RUNNING_PER_CLIENT);
        enqueue(&mut queue, "b", 1, 200);
        assert_eq!(next(&mut queue).as_deref(), Some("b"));
        assert_eq!(queue.answered("a", 7).unwrap().serial.get(), 7);
        assert_eq!(next(&mut queue).as_deref(), Some("a"));
        assert_eq!(next(&mut queue), None);
        assert_eq!(queue.answered("a", 7), None, "it was answered");
        assert_eq!(queue.answered("z", 1), None, "not a call in progress");
    }

    #[test]
    fn all_together_take_no_more_than_there_is() {
        let mut queue = CallQueue::default();
        let names: Vec<_> = (0..1000).map(|n| format!(":1.{n}")).collect();
        for name in &names {
            for serial in 1..=50 {
                enqueue(&mut queue, name, serial, 200);
            }
        }
        assert_eq!(queue.waiting, MAX_WAITING);
        assert_eq!(queue.refused.len(), MAX_REFUSED);
        assert_eq!(std::iter::from_fn(|| next(&mut queue)).count(), MAX_RUNNING);
        assert!(queue.clients.len() <= MAX_WAITING + MAX_RUNNING);
    }

    #[test]
    fn who_has_little_is_not_refused_for_who_has_much() {
        let mut queue = CallQueue::default();
        for n in 0..40 {
            let greedy = format!("greedy{n}");
            for serial in 1..=10 {
                enqueue(&mut queue, &greedy, serial, 60_000);
            }
        }
        assert!(queue.bytes <= MAX_BYTES);
        refused(&mut queue);
        enqueue(&mut queue, "modest", 1, 200);
        assert!(!refused(&mut queue).iter().any(|(name, _)| name == "modest"));
        let served: Vec<_> = std::iter::from_fn(|| next(&mut queue)).take(41).collect();
        assert!(served.contains(&"modest".to_owned()), "within one round");
    }

    #[test]
    fn nothing_is_kept_of_who_is_done() {
        let mut queue = CallQueue::default();
        for serial in (1..).take(MAX_WAITING_PER_CLIENT + 5) {
            enqueue(&mut queue, "a", serial, 200);
        }
        assert_eq!(refused(&mut queue).len(), 5);
        let mut done = 0;
        while next(&mut queue).is_some() {
            done += 1;
            queue.answered("a", done).unwrap();
        }
        assert!(queue.clients.is_empty() && queue.round_robin.is_empty());
        let counts = (queue.waiting, queue.bytes, queue.descriptors, queue.running);
        assert_eq!(counts, (0, 0, 0, 0));
    }
}
