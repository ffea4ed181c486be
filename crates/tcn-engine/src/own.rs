//! Our own recent numbers, to recognise them when they are received.
//!
//! Bridges repeat numbers, and an attacker may replay them: a contact of the machine with itself would
//! become a false exposure. The memory is bounded. At one number a quarter of an hour it
//! spans twelve weeks, longer than any retention.

use std::collections::{BTreeSet, VecDeque};

use tcn_protocol::TemporaryContactNumber;

#[derive(Debug, Default)]
pub(super) struct OwnNumbers {
    order: VecDeque<TemporaryContactNumber>,
    set: BTreeSet<TemporaryContactNumber>,
}

impl OwnNumbers {
    const CAPACITY: usize = 8192;

    pub(super) fn add(&mut self, tcn: TemporaryContactNumber) {
        if !self.set.insert(tcn) {
            return;
        }
        self.order.push_back(tcn);
        if self.order.len() > Self::CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, tcn: &TemporaryContactNumber) -> bool {
        self.set.contains(tcn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_keeps_the_newest() {
        let number = |i: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&(i as u64).to_le_bytes());
            TemporaryContactNumber::from_bytes(bytes)
        };
        let mut own = OwnNumbers::default();
        for i in 0..OwnNumbers::CAPACITY + 10 {
            own.add(number(i));
            own.add(number(i));
        }
        assert_eq!(
            (own.order.len(), own.set.len()),
            (OwnNumbers::CAPACITY, OwnNumbers::CAPACITY)
        );
        assert!(!own.contains(&number(9)) && own.contains(&number(10)));
        assert!(own.contains(&number(OwnNumbers::CAPACITY + 9)));
    }
}
