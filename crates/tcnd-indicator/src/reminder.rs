//! What to notify of, and when. Pure: time is an argument.
//!
//! Notifications appear on screens that others see, and on lock screens. So their texts are
//! harmless: none says that there is an exposure, and none has a number. There is one
//! notification of each kind at most: a new one replaces the old one, and none is repeated
//! within a day unless there is more to tell.

use std::collections::BTreeMap;

use crate::clock::DAY;
use tcnd_client::state::TcndState;

/// How long tcnd must be stopped before there is a notification, in seconds.
const STOPPED_FOR: u64 = 15 * 60;

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// There are exposures that were not seen.
    NewExposures,
    /// tcnd should be at work and is not.
    Stopped,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Show(Subject),
    Close(Subject),
}

/// Decides on notifications.
#[derive(Debug, Default)]
pub(crate) struct Reminder {
    open: Vec<Subject>,
    new_exposures: NewExposures,
    stopped: Stopped,
    /// The person may look at the exposures in the window now.
    exposures_shown: bool,
    /// When it looked last.
    looked: u64,
}

#[derive(Debug, Default)]
struct NewExposures {
    /// How many exposures the last notification was about.
    notified: u32,
    /// When to notify again, in seconds since 1970; `None` before the first time.
    again: Option<u64>,
}

#[derive(Debug, Default)]
struct Stopped {
    /// The problems, and since when tcnd is stopped by them.
    now: Option<(String, u64)>,
    /// When there was a notification about each cause.
    notified: BTreeMap<String, u64>,
}

impl Reminder {
    /// Whether the person may look at the exposures in the window now.
    pub(crate) fn set_exposures_shown(&mut self, shown: bool) {
        self.exposures_shown = shown;
    }

    /// What follows from the state of tcnd at this time, in seconds since 1970.
    pub(crate) fn look(&mut self, tcnd: Option<&TcndState>, now: u64) -> Vec<Order> {
        self.looked = now;
        let mut orders = Vec::new();
        // While tcnd is away, or does not say, open notifications stay.
        if let Some(unseen) = tcnd.and_then(|tcnd| tcnd.unseen) {
            let is_open = self.is_open(Subject::NewExposures);
            let is_due = self.new_exposures.is_due(unseen, now, is_open);
            // What the person looks at now counts as told.
            let tells = unseen > 0 && !self.exposures_shown;
            self.set(Subject::NewExposures, tells.then_some(is_due), &mut orders);
        }
        if let Some(tcnd) = tcnd {
            let is_due = self.stopped.is_due(tcnd, now);
            self.set(Subject::Stopped, is_due, &mut orders);
        }
        orders
    }

    /// When to look again, though nothing changed, in seconds since 1970. What was due at the
    /// last look and could not be shown waits for a change.
    pub(crate) fn next_look(&self) -> Option<u64> {
        let again = self
            .new_exposures
            .again
            .filter(|_| self.new_exposures.notified > 0);
        let stopped = self.stopped.now.as_ref().map(|(cause, since)| {
            let notified = self.stopped.notified.get(cause);
            notified.map_or(since + STOPPED_FOR, |notified| {
                (notified + DAY).max(since + STOPPED_FOR)
            })
        });
        let times = again.into_iter().chain(stopped);
        times.filter(|time| *time > self.looked).min()
    }

    /// The notification is gone: closed by the person, by the server, or with the server.
    pub(crate) fn closed(&mut self, subject: Subject) {
        self.open.retain(|open| *open != subject);
    }

    /// The person wants to be notified tomorrow.
    pub(crate) fn later(&mut self, subject: Subject, now: u64) {
        self.closed(subject);
        if subject == Subject::NewExposures {
            self.new_exposures.again = Some(now + DAY);
            // More exposures are no reason to notify sooner.
            self.new_exposures.notified = u32::MAX;
        }
    }

    /// The server of notifications is new, and shows nothing.
    pub(crate) fn restarted(&mut self) {
        for subject in std::mem::take(&mut self.open) {
            match subject {
                Subject::NewExposures => self.new_exposures = NewExposures::default(),
                Subject::Stopped => {
                    if let Some((cause, _)) = &self.stopped.now {
                        self.stopped.notified.remove(cause);
                    }
                }
            }
        }
    }

    fn is_open(&self, subject: Subject) -> bool {
        self.open.contains(&subject)
    }

    /// `due`: whether to show it now; `None` if there is nothing to tell any more.
    fn set(&mut self, subject: Subject, due: Option<bool>, orders: &mut Vec<Order>) {
        match due {
            Some(true) => {
                self.closed(subject);
                self.open.push(subject);
                orders.push(Order::Show(subject));
            }
            Some(false) => {}
            None if self.is_open(subject) => {
                self.closed(subject);
                orders.push(Order::Close(subject));
            }
            None => {}
        }
    }
}

impl NewExposures {
    fn is_due(&mut self, unseen: u32, now: u64, is_open: bool) -> bool {
        if unseen == 0 {
            *self = Self::default();
            return false;
        }
        let more = unseen > self.notified && !is_open;
        let again = self.again.is_some_and(|again| now >= again);
        let is_due = more || again;
        if is_due {
            self.again = Some(now + DAY);
        }
        if is_due || self.notified != u32::MAX {
            self.notified = unseen;
        }
        is_due
    }
}

impl Stopped {
    fn is_due(&mut self, tcnd: &TcndState, now: u64) -> Option<bool> {
        if !tcnd.is_stopped() {
            self.now = None;
            return None;
        }
        let cause = format!("{} {}", tcnd.state, tcnd.problems.join(" "));
        let since = match &self.now {
            Some((_, since)) => *since,
            None => now,
        };
        self.now = Some((cause.clone(), since));
        self.notified.retain(|_, notified| now < *notified + DAY);
        if now < since + STOPPED_FOR || self.notified.contains_key(&cause) {
            return Some(false);
        }
        self.notified.insert(cause, now);
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000;

    fn unseen(unseen: Option<u32>) -> TcndState {
        TcndState {
            state: "running".to_owned(),
            enabled: true,
            unseen,
            ..TcndState::default()
        }
    }

    fn stopped(problem: &str) -> TcndState {
        TcndState {
            state: "degraded".to_owned(),
            problems: vec![problem.to_owned()],
            ..unseen(Some(0))
        }
    }

    const NEW_EXPOSURES: [Order; 1] = [Order::Show(Subject::NewExposures)];

    #[test]
    fn it_is_told_once_and_again_the_next_day() {
        let mut reminder = Reminder::default();
        assert_eq!(reminder.look(Some(&unseen(Some(0))), NOW), []);
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW), NEW_EXPOSURES);
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW + 5), []);
        assert_eq!(
            reminder.look(Some(&unseen(Some(2))), NOW + 6),
            [],
            "it is open"
        );
        reminder.closed(Subject::NewExposures);
        assert_eq!(reminder.look(Some(&unseen(Some(2))), NOW + 7), []);
        assert_eq!(
            reminder.look(Some(&unseen(Some(3))), NOW + 8),
            NEW_EXPOSURES,
            "there is more"
        );
        assert_eq!(reminder.next_look(), Some(NOW + 8 + DAY));
        assert_eq!(
            reminder.look(Some(&unseen(Some(3))), NOW + 8 + DAY),
            NEW_EXPOSURES
        );
        let close = [Order::Close(Subject::NewExposures)];
        assert_eq!(reminder.look(Some(&unseen(Some(0))), NOW + 9 + DAY), close);
        assert_eq!(reminder.next_look(), None);
        assert_eq!(
            reminder.look(Some(&unseen(Some(1))), NOW + 10 + DAY),
            NEW_EXPOSURES
        );
    }

    #[test]
    fn what_the_window_shows_is_not_told_as_well() {
        let mut reminder = Reminder::default();
        let mut look = |shown, new, now| {
            reminder.set_exposures_shown(shown);
            reminder.look(Some(&unseen(Some(new))), now)
        };
        assert_eq!(look(true, 1, NOW), []);
        assert_eq!(look(false, 1, NOW + 1), [], "the person saw the list");
        assert_eq!(look(false, 2, NOW + 2), NEW_EXPOSURES, "there is more");
        let close = [Order::Close(Subject::NewExposures)];
        assert_eq!(look(true, 2, NOW + 3), close);
        assert_eq!(look(false, 2, NOW + 2 + DAY), NEW_EXPOSURES);
    }

    #[test]
    fn tomorrow_is_tomorrow_whatever_comes() {
        let mut reminder = Reminder::default();
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW), NEW_EXPOSURES);
        reminder.later(Subject::NewExposures, NOW + 60);
        assert_eq!(reminder.look(Some(&unseen(Some(9))), NOW + 61), []);
        assert_eq!(reminder.look(Some(&unseen(Some(9))), NOW + 59 + DAY), []);
        assert_eq!(reminder.next_look(), Some(NOW + 60 + DAY));
        assert_eq!(
            reminder.look(Some(&unseen(Some(9))), NOW + 60 + DAY),
            NEW_EXPOSURES
        );
        reminder.closed(Subject::NewExposures);
        assert_eq!(
            reminder.look(Some(&unseen(Some(10))), NOW + 61 + DAY),
            NEW_EXPOSURES
        );
    }

    #[test]
    fn a_tcnd_that_is_away_or_silent_closes_nothing() {
        let mut reminder = Reminder::default();
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW), NEW_EXPOSURES);
        assert_eq!(reminder.look(None, NOW + 1), []);
        assert_eq!(reminder.look(None, NOW + DAY), []);
        assert_eq!(reminder.next_look(), None, "it waits for tcnd");
        assert_eq!(reminder.look(Some(&unseen(None)), NOW + 2), []);
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW + 3), []);
        reminder.restarted();
        assert_eq!(
            reminder.look(Some(&unseen(Some(1))), NOW + 4),
            NEW_EXPOSURES
        );
    }

    #[test]
    fn a_stop_is_told_after_a_while_once_a_day_for_each_cause() {
        let mut reminder = Reminder::default();
        let show = [Order::Show(Subject::Stopped)];
        assert_eq!(reminder.look(Some(&stopped("adapter-off")), NOW), []);
        assert_eq!(reminder.next_look(), Some(NOW + STOPPED_FOR));
        let notified = NOW + STOPPED_FOR;
        assert_eq!(reminder.look(Some(&stopped("adapter-off")), notified), show);
        assert_eq!(
            reminder.look(Some(&stopped("adapter-off")), notified + 60),
            []
        );
        assert_eq!(
            reminder.look(Some(&stopped("storage-full")), notified + 61),
            show
        );
        let close = [Order::Close(Subject::Stopped)];
        assert_eq!(reminder.look(Some(&unseen(Some(0))), notified + 62), close);
        // It comes and goes: not again today.
        assert_eq!(
            reminder.look(Some(&stopped("adapter-off")), notified + 63),
            []
        );
        assert_eq!(
            reminder.look(Some(&stopped("adapter-off")), notified + 2000),
            []
        );
        assert_eq!(reminder.next_look(), Some(notified + DAY));
        assert_eq!(
            reminder.look(Some(&stopped("adapter-off")), notified + DAY),
            show
        );
    }

    #[test]
    fn who_did_not_consent_is_not_told_of_a_stop() {
        let mut reminder = Reminder::default();
        let off = TcndState {
            state: "idle".to_owned(),
            enabled: false,
            ..stopped("adapter-off")
        };
        assert_eq!(reminder.look(Some(&off), NOW), []);
        assert_eq!(reminder.next_look(), None);
        assert_eq!(reminder.look(Some(&off), NOW + DAY), []);
    }
}
