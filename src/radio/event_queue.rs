//! Events of a radio that wait until the daemon takes them.
//!
//! A radio must never block because the daemon is slow: while it waited for room it would
//! neither leave the air nor notice that the adapter became discoverable. So events wait
//! here, in order, and are delivered when there is room. Of several statuses in a row only
//! the last is kept. Frames heard do not come this way: each is offered once and dropped
//! when the daemon is behind, see [`super::Radio`].

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::{Event, Status};

/// How many orders wait for a radio.
pub(super) const ORDER_CAPACITY: usize = 16;
/// How many events wait for the daemon; mostly frames heard. Signals of devices come 200 ms
/// at a time: 400 of a flood of 2000 adverts a second, and as many again while the daemon
/// is busy.
pub(super) const EVENT_CAPACITY: usize = 1024;

/// Events that wait for the daemon.
#[derive(Debug)]
pub(super) struct EventQueue {
    events: mpsc::Sender<Event>,
    waiting: VecDeque<Event>,
    status: Option<Status>,
}

impl EventQueue {
    /// From this many waiting events on, no order should be taken. Each order causes a few
    /// events, so this bounds the queue.
    const FULL: usize = 64;

    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self {
            events,
            waiting: VecDeque::new(),
            status: None,
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.waiting.push_back(event);
    }

    /// Queues the status, if it differs from the last one.
    pub(super) fn push_status(&mut self, status: Status) {
        if self.status.as_ref() == Some(&status) {
            return;
        }
        if matches!(self.waiting.back(), Some(Event::Status(_))) {
            self.waiting.pop_back();
        }
        self.status = Some(status.clone());
        self.waiting.push_back(Event::Status(status));
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= Self::FULL
    }

    /// Delivers one event. Waits for ever if there is none. Nothing is lost when the future is
    /// dropped. Returns false if the daemon has dropped its end.
    pub(super) async fn deliver(&mut self) -> bool {
        if self.waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        let Ok(room) = self.events.reserve().await else {
            return false;
        };
        if let Some(event) = self.waiting.pop_front() {
            room.send(event);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(adverts_ok: u64) -> Status {
        Status {
            adverts_ok,
            ..Status::default()
        }
    }

    #[tokio::test]
    async fn only_the_last_of_several_statuses_in_a_row_is_told() {
        let (events, mut delivered) = mpsc::channel(8);
        let mut event_queue = EventQueue::new(events);
        event_queue.push_status(status(1));
        event_queue.push_status(status(2));
        event_queue.push(Event::Down);
        event_queue.push_status(status(2));
        event_queue.push_status(status(3));
        for _ in 0..3 {
            assert!(event_queue.deliver().await);
        }
        assert!(matches!(delivered.recv().await, Some(Event::Status(s)) if s == status(2)));
        assert!(matches!(delivered.recv().await, Some(Event::Down)));
        assert!(matches!(delivered.recv().await, Some(Event::Status(s)) if s == status(3)));
    }

    #[tokio::test]
    async fn nobody_listening_is_told_to_the_radio() {
        let (events, delivered) = mpsc::channel(8);
        drop(delivered);
        let mut event_queue = EventQueue::new(events);
        event_queue.push(Event::Down);
        assert!(!event_queue.deliver().await);
    }
}
