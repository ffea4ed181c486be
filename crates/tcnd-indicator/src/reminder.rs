//! What to notify of, and when. Pure: time is an argument.
//!
//! Notifications appear on screens that others see, and on lock screens. So their texts are
//! harmless: none says that there is an exposure, and none has a number. There is one
//! notification of each kind at most: a new one replaces the old one, and none is repeated
//! within a day unless there is more to tell.

use std::collections::BTreeMap;

use crate::state::TcndState;

/// How long tcnd may be stopped before it is told of, in seconds.
const PATIENCE: u64 = 15 * 60;

/// After this time it is told again, in seconds.
const DAY: u64 = 24 * 3600;

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// There are exposures that were not seen.
    News,
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
    news: News,
    stopped: Stopped,
    /// When it looked last.
    looked: u64,
}

#[derive(Debug, Default)]
struct News {
    /// As many were told of.
    told: u32,
    /// When it is told again, in seconds since 1970; `None` before the first time.
    again: Option<u64>,
}

#[derive(Debug, Default)]
struct Stopped {
    /// The problems, and since when tcnd is stopped by them.
    now: Option<(String, u64)>,
    /// When each cause was told of.
    told: BTreeMap<String, u64>,
}

impl Reminder {
    /// What follows from the state of tcnd at this time, in seconds since 1970.
    pub(crate) fn look(&mut self, tcnd: Option<&TcndState>, now: u64) -> Vec<Order> {
        self.looked = now;
        let mut orders = Vec::new();
        // While tcnd is away, or does not say, what was told stays.
        if let Some(unseen) = tcnd.and_then(|tcnd| tcnd.unseen) {
            let is_due = self.news.is_due(unseen, now, self.is_open(Subject::News));
            self.set(Subject::News, (unseen > 0).then_some(is_due), &mut orders);
        }
        if let Some(tcnd) = tcnd {
            let is_due = self.stopped.is_due(tcnd, now);
            self.set(Subject::Stopped, is_due, &mut orders);
        }
        orders
    }

    /// When to look again, though nothing changed, in seconds since 1970. What was due at the
    /// last look and could not be told waits for a change.
    pub(crate) fn next_look(&self) -> Option<u64> {
        let again = self.news.again.filter(|_| self.news.told > 0);
        let stopped = self.stopped.now.as_ref().map(|(cause, since)| {
            let told = self.stopped.told.get(cause);
            told.map_or(since + PATIENCE, |told| (told + DAY).max(since + PATIENCE))
        });
        let times = again.into_iter().chain(stopped);
        times.filter(|time| *time > self.looked).min()
    }

    /// The notification is gone: closed by the person, by the server, or with the server.
    pub(crate) fn closed(&mut self, subject: Subject) {
        self.open.retain(|open| *open != subject);
    }

    /// The person wants to hear of it tomorrow.
    pub(crate) fn later(&mut self, subject: Subject, now: u64) {
        self.closed(subject);
        if subject == Subject::News {
            self.news.again = Some(now + DAY);
            // More of them are no reason to be told sooner.
            self.news.told = u32::MAX;
        }
    }

    /// The server of notifications is new, and shows nothing.
    pub(crate) fn restarted(&mut self) {
        for subject in std::mem::take(&mut self.open) {
            match subject {
                Subject::News => self.news = News::default(),
                Subject::Stopped => {
                    if let Some((cause, _)) = &self.stopped.now {
                        self.stopped.told.remove(cause);
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

impl News {
    fn is_due(&mut self, unseen: u32, now: u64, is_open: bool) -> bool {
        if unseen == 0 {
            *self = Self::default();
            return false;
        }
        let more = unseen > self.told && !is_open;
        let again = self.again.is_some_and(|again| now >= again);
        let is_due = more || again;
        if is_due {
            self.again = Some(now + DAY);
        }
        if is_due || self.told != u32::MAX {
            self.told = unseen;
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
        self.told.retain(|_, told| now < *told + DAY);
        if now < since + PATIENCE || self.told.contains_key(&cause) {
            return Some(false);
        }
        self.told.insert(cause, now);
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

    const NEWS: [Order; 1] = [Order::Show(Subject::News)];

    #[test]
    fn it_is_told_once_and_again_the_next_day() {
        let mut reminder = Reminder::default();
        assert_eq!(reminder.look(Some(&unseen(Some(0))), NOW), []);
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW), NEWS);
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW + 5), []);
        assert_eq!(
            reminder.look(Some(&unseen(Some(2))), NOW + 6),
            [],
            "it is open"
        );
        reminder.closed(Subject::News);
        assert_eq!(reminder.look(Some(&unseen(Some(2))), NOW + 7), []);
        assert_eq!(
            reminder.look(Some(&unseen(Some(3))), NOW + 8),
            NEWS,
            "there is more"
        );
        assert_eq!(reminder.next_look(), Some(NOW + 8 + DAY));
        assert_eq!(reminder.look(Some(&unseen(Some(3))), NOW + 8 + DAY), NEWS);
        let close = [Order::Close(Subject::News)];
        assert_eq!(reminder.look(Some(&unseen(Some(0))), NOW + 9 + DAY), close);
        assert_eq!(reminder.next_look(), None);
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW + 10 + DAY), NEWS);
    }

    #[test]
    fn tomorrow_is_tomorrow_whatever_comes() {
        let mut reminder = Reminder::default();
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW), NEWS);
        reminder.later(Subject::News, NOW + 60);
        assert_eq!(reminder.look(Some(&unseen(Some(9))), NOW + 61), []);
        assert_eq!(reminder.look(Some(&unseen(Some(9))), NOW + 59 + DAY), []);
        assert_eq!(reminder.next_look(), Some(NOW + 60 + DAY));
        assert_eq!(reminder.look(Some(&unseen(Some(9))), NOW + 60 + DAY), NEWS);
        reminder.closed(Subject::News);
        assert_eq!(reminder.look(Some(&unseen(Some(10))), NOW + 61 + DAY), NEWS);
    }

    #[test]
    fn a_tcnd_that_is_away_or_silent_closes_nothing() {
        let mut reminder = Reminder::default();
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW), NEWS);
        assert_eq!(reminder.look(None, NOW + 1), []);
        assert_eq!(reminder.look(None, NOW + DAY), []);
        assert_eq!(reminder.next_look(), None, "it waits for tcnd");
        assert_eq!(reminder.look(Some(&unseen(None)), NOW + 2), []);
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW + 3), []);
        reminder.restarted();
        assert_eq!(reminder.look(Some(&unseen(Some(1))), NOW + 4), NEWS);
    }

    #[test]
    fn a_stop_is_told_after_a_while_once_a_day_for_each_cause() {
        let mut reminder = Reminder::default();
        let show = [Order::Show(Subject::Stopped)];
        assert_eq!(reminder.look(Some(&stopped("adapter-off")), NOW), []);
        assert_eq!(reminder.next_look(), Some(NOW + PATIENCE));
        let told = NOW + PATIENCE;
        assert_eq!(reminder.look(Some(&stopped("adapter-off")), told), show);
        assert_eq!(reminder.look(Some(&stopped("adapter-off")), told + 60), []);
        assert_eq!(
            reminder.look(Some(&stopped("storage-full")), told + 61),
            show
        );
        let close = [Order::Close(Subject::Stopped)];
        assert_eq!(reminder.look(Some(&unseen(Some(0))), told + 62), close);
        // It comes and goes: not again today.
        assert_eq!(reminder.look(Some(&stopped("adapter-off")), told + 63), []);
        assert_eq!(
            reminder.look(Some(&stopped("adapter-off")), told + 2000),
            []
        );
        assert_eq!(reminder.next_look(), Some(told + DAY));
        assert_eq!(
            reminder.look(Some(&stopped("adapter-off")), told + DAY),
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
