//! The waiting calls, and the counts of those in progress.
//!
//! Connections are served round robin, one call each, so one that sends much waits for
//! itself. Calls with long replies are processed one by one. When the queue is full,
//! the connection with most bytes waiting loses its newest call. So a connection with
//! few calls is never refused because of another with many.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::frame::{Call, Frame};

/// Calls in progress at once: those that wait for polkit ([`Questions`], 64 at most),
/// for a check of reports, an export or an import, and the same number again.
///
/// [`Questions`]: crate::bus::bouncer
const MOST_WORKING: usize = 128;

/// The number of those that may have long replies. While dbus-daemon is busy with a
/// flood, it takes two kilobytes of replies a turn. A client that asks for little must
/// not wait for the replies to many clients that ask for much.
const MOST_LONG: usize = 1;

/// The same limit for one connection.
const MOST_WORKING_OF_ONE: usize = 32;

/// Calls that wait for processing, and their bytes.
const MOST_WAITING: usize = 2048;
const MOST_BYTES: usize = 4 << 20;

/// The same limit for one connection. dbus-daemon lets a connection await 128 replies.
const MOST_WAITING_OF_ONE: usize = 128;
const MOST_BYTES_OF_ONE: usize = 256 << 10;

/// File descriptors that wait; the process has 1024.
const MOST_DESCRIPTORS: usize = 128;

/// The same limit for one connection.
const MOST_DESCRIPTORS_OF_ONE: usize = 16;

/// File descriptors of one call. No method takes more.
const MOST_DESCRIPTORS_OF_CALL: usize = 1;

/// Refusals that wait to be sent. While this many wait, a refused caller gets no reply.
const MOST_REFUSED: usize = 256;

/// A call that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) call: Call,
    pub(super) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The call is too long, or has too many descriptors.
    Unfit,
    /// Too many calls wait.
    Many,
}

impl Why {
    /// The message for the sender.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Unfit => {
                "a call to tcnd takes 64 KiB and one file descriptor at most, and none while too many files of others do not answer; give long data by a pipe, or try again later"
            }
            Self::Many => {
                "too many calls wait for their answers; read the answers, then call again"
            }
        }
    }
}

/// The queue of calls; see the module documentation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    peers: BTreeMap<Arc<str>, Peer>,
    /// Peers with waiting calls; the first is served next.
    turns: VecDeque<Arc<str>>,
    waiting: usize,
    bytes: usize,
    descriptors: usize,
    working: usize,
    long: usize,
    refused: VecDeque<Refused>,
}

/// A connection that has calls in the queue.
#[derive(Debug, Default)]
struct Peer {
    waiting: VecDeque<(Call, Frame)>,
    bytes: usize,
    descriptors: usize,
    /// Calls in progress. A peer may use a serial number twice.
    working: Vec<Call>,
}

impl Queue {
    /// Queues a call that arrived.
    pub(super) fn arrive(&mut self, call: Call, frame: Frame) {
        if frame.descriptors.len() > MOST_DESCRIPTORS_OF_CALL {
            return self.refuse(call, Why::Unfit);
        }
        let (bytes, descriptors) = (frame.bytes.len(), frame.descriptors.len());
        let peer = self.peers.entry(Arc::clone(&call.sender)).or_default();
        if peer.waiting.len() >= MOST_WAITING_OF_ONE
            || peer.bytes + bytes > MOST_BYTES_OF_ONE
            || peer.descriptors + descriptors > MOST_DESCRIPTORS_OF_ONE
        {
            let sender = Arc::clone(&call.sender);
            self.refuse(call, Why::Many);
            return self.forget_if_idle(&sender);
        }
        if peer.waiting.is_empty() {
            self.turns.push_back(Arc::clone(&call.sender));
        }
        peer.bytes += bytes;
        peer.descriptors += descriptors;
        peer.waiting.push_back((call, frame));
        self.waiting += 1;
        self.bytes += bytes;
        self.descriptors += descriptors;
        while self.waiting > MOST_WAITING || self.bytes > MOST_BYTES {
            self.push_out(|peer| peer.bytes, |_| true);
        }
        while self.descriptors > MOST_DESCRIPTORS {
            let has_some = |frame: &Frame| !frame.descriptors.is_empty();
            self.push_out(|peer| peer.descriptors, has_some);
        }
    }

    /// The next call to process, if there is one and the limits allow it.
    pub(super) fn next(&mut self) -> Option<(Call, Frame)> {
        if self.working >= MOST_WORKING {
            return None;
        }
        let may = |name: &Arc<str>| {
            self.peers.get(name).is_some_and(|peer| {
                let is_long = peer.waiting.front().is_some_and(|(call, _)| call.is_long);
                peer.working.len() < MOST_WORKING_OF_ONE && !(is_long && self.long >= MOST_LONG)
            })
        };
        let turn = self.turns.iter().position(may)?;
        let name = self.turns.remove(turn)?;
        let peer = self.peers.get_mut(&name)?;
        let (call, frame) = peer.waiting.pop_front()?;
        peer.bytes -= frame.bytes.len();
        peer.descriptors -= frame.descriptors.len();
        peer.working.push(call.clone());
        if !peer.waiting.is_empty() {
            self.turns.push_back(name);
        }
        self.left(&frame);
        self.working += 1;
        self.long += usize::from(call.is_long);
        Some((call, frame))
    }

    /// The call that a reply answers, if it was in progress here.
    pub(super) fn answered(&mut self, sender: &str, serial: u32) -> Option<Call> {
        let peer = self.peers.get_mut(sender)?;
        let at = peer
            .working
            .iter()
            .position(|call| call.serial.get() == serial)?;
        let call = peer.working.swap_remove(at);
        self.working -= 1;
        self.long -= usize::from(call.is_long);
        self.forget_if_idle(&call.sender);
        Some(call)
    }

    /// Refuses a call. The sender gets an error, unless it wants no reply.
    pub(super) fn refuse(&mut self, call: Call, why: Why) {
        if !call.silent && self.refused.len() < MOST_REFUSED {
            self.refused.push_back(Refused { call, why });
        }
    }

    /// The next refusal to send.
    pub(super) fn refused(&mut self) -> Option<Refused> {
        self.refused.pop_front()
    }

    /// The peer with the most waiting by this measure loses its newest call that
    /// counts.
    fn push_out(&mut self, has: impl Fn(&Peer) -> usize, is_some: impl Fn(&Frame) -> bool) {
        let greediest = self.peers.iter().max_by_key(|(_, peer)| has(peer));
        let Some(name) = greediest.map(|(name, _)| Arc::clone(name)) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&name) else {
            return;
        };
        let newest = peer.waiting.iter().rposition(|(_, frame)| is_some(frame));
        let Some((call, frame)) = newest.and_then(|at| peer.waiting.remove(at)) else {
            return;
        };
        peer.bytes -= frame.bytes.len();
        peer.descriptors -= frame.descriptors.len();
        if peer.waiting.is_empty() {
            self.turns.retain(|turn| *turn != name);
        }
        self.left(&frame);
        self.refuse(call, Why::Many);
        self.forget_if_idle(&name);
    }

    fn left(&mut self, frame: &Frame) {
        self.waiting -= 1;
        self.bytes -= frame.bytes.len();
        self.descriptors -= frame.descriptors.len();
    }

    fn forget_if_idle(&mut self, name: &str) {
        if let Some(peer) = self.peers.get(name)
            && peer.waiting.is_empty()
            && peer.working.is_empty()
        {
            self.peers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn arrive(queue: &mut Queue, sender: &str, serial: u32, bytes: usize) {
        let call = Call {
            sender: sender.into(),
            serial: NonZeroU32::new(serial).unwrap(),
            silent: false,
            is_long: false,
        };
        // The name is in the frame, so that a test can see whose it is.
        let mut bytes = vec![0; bytes];
        bytes[..sender.len()].copy_from_slice(sender.as_bytes());
        let descriptors = Vec::new();
        queue.arrive(call, Frame { bytes, descriptors });
    }

    fn arrive_long(queue: &mut Queue, sender: &str, serial: u32) {
        let call = Call {
            sender: sender.into(),
            serial: NonZeroU32::new(serial).unwrap(),
            silent: false,
            is_long: true,
        };
        let (bytes, descriptors) = (sender.as_bytes().to_vec(), Vec::new());
        queue.arrive(call, Frame { bytes, descriptors });
    }

    fn next(queue: &mut Queue) -> Option<String> {
        let (_, frame) = queue.next()?;
        let name = String::from_utf8(frame.bytes).unwrap();
        Some(name.trim_end_matches('\0').to_owned())
    }

    fn refused(queue: &mut Queue) -> Vec<(String, u32)> {
        std::iter::from_fn(|| queue.refused())
            .map(|refused| (refused.call.sender.to_string(), refused.call.serial.get()))
            .collect()
    }

    #[test]
    fn connections_are_served_in_turn() {
        let mut queue = Queue::default();
        for serial in 1..=5 {
            arrive(&mut queue, "a", serial, 200);
        }
        arrive(&mut queue, "b", 1, 200);
        arrive(&mut queue, "c", 1, 200);
        let served: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
        assert_eq!(served, ["a", "b", "c", "a", "a", "a", "a"]);
    }

    #[test]
    fn who_asks_for_little_waits_one_round_at_most() {
        let mut queue = Queue::default();
        let mut served_before = Vec::new();
        for n in 0..40 {
            for serial in 1..=20 {
                arrive(&mut queue, &format!("greedy{n:02}"), serial, 200);
            }
        }
        for serial in 1..=10 {
            arrive(&mut queue, "modest", serial, 200);
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
                    let serial = queue.peers[&*done].working[0].serial.get();
                    queue.answered(&done, serial).unwrap();
                }
            }
            queue.answered("modest", serial).unwrap();
        }
    }

    #[test]
    fn long_answers_are_made_one_by_one_and_nobody_else_waits_for_them() {
        let mut queue = Queue::default();
        for name in ["a", "b"] {
            for serial in 1..=2 {
                arrive_long(&mut queue, name, serial);
            }
        }
        arrive(&mut queue, "c", 1, 200);
        let served: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
        assert_eq!(served, ["a", "c"]);
        for (done, then) in [("a", "b"), ("b", "a"), ("a", "b")] {
            let serial = queue.peers[done].working[0].serial.get();
            queue.answered(done, serial).unwrap();
            assert_eq!(next(&mut queue).as_deref(), Some(then));
            assert_eq!(next(&mut queue), None);
        }
    }

    #[test]
    fn one_connection_takes_its_share_and_no_more() {
        let mut queue = Queue::default();
        for serial in 1..=100 {
            arrive(&mut queue, "a", serial, 200);
        }
        let served = std::iter::from_fn(|| next(&mut queue)).count();
        assert_eq!(served, MOST_WORKING_OF_ONE);
        arrive(&mut queue, "b", 1, 200);
        assert_eq!(next(&mut queue).as_deref(), Some("b"));
        assert_eq!(queue.answered("a", 7).unwrap().serial.get(), 7);
        assert_eq!(next(&mut queue).as_deref(), Some("a"));
        assert_eq!(next(&mut queue), None);
        assert_eq!(queue.answered("a", 7), None, "it was answered");
        assert_eq!(queue.answered("z", 1), None, "no call of ours");
    }

    #[test]
    fn all_together_take_no_more_than_there_is() {
        let mut queue = Queue::default();
        let names: Vec<_> = (0..1000).map(|n| format!(":1.{n}")).collect();
        for name in &names {
            for serial in 1..=50 {
                arrive(&mut queue, name, serial, 200);
            }
        }
        assert_eq!(queue.waiting, MOST_WAITING);
        assert_eq!(queue.refused.len(), MOST_REFUSED);
        assert_eq!(
            std::iter::from_fn(|| next(&mut queue)).count(),
            MOST_WORKING
        );
        assert!(queue.peers.len() <= MOST_WAITING + MOST_WORKING);
    }

    #[test]
    fn who_has_little_is_not_refused_for_who_has_much() {
        let mut queue = Queue::default();
        for n in 0..40 {
            let greedy = format!("greedy{n}");
            for serial in 1..=10 {
                arrive(&mut queue, &greedy, serial, 60_000);
            }
        }
        assert!(queue.bytes <= MOST_BYTES);
        refused(&mut queue);
        arrive(&mut queue, "modest", 1, 200);
        assert!(!refused(&mut queue).iter().any(|(name, _)| name == "modest"));
        let served: Vec<_> = std::iter::from_fn(|| next(&mut queue)).take(41).collect();
        assert!(served.contains(&"modest".to_owned()), "within one round");
    }

    #[test]
    fn nothing_is_kept_of_who_is_done() {
        let mut queue = Queue::default();
        for serial in (1..).take(MOST_WAITING_OF_ONE + 5) {
            arrive(&mut queue, "a", serial, 200);
        }
        assert_eq!(refused(&mut queue).len(), 5);
        let mut done = 0;
        while next(&mut queue).is_some() {
            done += 1;
            queue.answered("a", done).unwrap();
        }
        assert!(queue.peers.is_empty() && queue.turns.is_empty());
        let counts = (queue.waiting, queue.bytes, queue.descriptors, queue.working);
        assert_eq!(counts, (0, 0, 0, 0));
    }
}
