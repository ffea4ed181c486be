//! Which number comes next, and how long it may stay on the air.
//!
//! One report discloses every number of its key from the first index on, so a key is
//! short-lived: it gives numbers only while the last of them will have left the air before
//! the key's life is over. A key is never used again after a restart. That costs one small
//! report part and avoids every doubt about what was aired before a crash. Spec: TCN
//! 6b64d09, README "Report Timespans and Key Rotation".

use std::time::Duration;

use rand_core::CryptoRng;
use tcn_protocol::{
    Ratchet, RatchetIndex, ReportAuthorizationKey, TemporaryContactKey, TemporaryContactNumber,
};

use super::{KeyId, Moment, Policy, Record, Seed};

/// The longest random silence between two numbers, so that the end of one and the start of
/// the next are not one event to an observer.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(2);

/// The longest use of a number and of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) number: Duration,
    pub(super) key: Duration,
}

impl Life {
    /// By the policy, or by a radio whose addresses last for `address_lifetime`.
    pub(super) fn new(policy: &Policy, address_lifetime: Duration) -> Self {
        Self {
            number: if address_lifetime.is_zero() {
                policy.period
            } else {
                address_lifetime
            },
            key: policy.key_life,
        }
    }
}

/// A number with its key and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) key: KeyId,
    pub(super) index: RatchetIndex,
    pub(super) tcn: TemporaryContactNumber,
}

/// The report key in use, and the identifier of the next one.
#[derive(Debug)]
pub(super) struct Rotation {
    next_key: KeyId,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    id: KeyId,
    born: Duration,
    next: TemporaryContactKey,
}

impl Rotation {
    pub(super) fn new(next_key: KeyId) -> Self {
        Self {
            next_key,
            current: None,
        }
    }

    /// The next number, and the records that must be durable before it is aired. Its index is
    /// spent from now on, whether the number is aired or not.
    pub(super) fn draw<R: CryptoRng>(
        &mut self,
        now: Moment,
        life: Life,
        rng: &mut R,
    ) -> (Numbered, Vec<Record>) {
        let mut records = Vec::new();
        let Current { id, born, next } = match self.current.take() {
            Some(key) if key.lasts(now, life) => key,
            Some(_) | None => self.new_key(now, &mut records, rng),
        };
        let number = Numbered {
            key: id,
            index: next.index(),
            tcn: next.temporary_contact_number(),
        };
        records.push(Record::Reserved {
            key: id,
            index: number.index,
            from: now.wall,
        });
        self.current = match next.ratchet() {
            Ratchet::Next(next) => Some(Current { id, born, next }),
            Ratchet::Spent => None,
        };
        (number, records)
    }

    pub(super) fn next_key(&self) -> KeyId {
        self.next_key
    }

    /// The key in use, or the next one if none is.
    pub(super) fn key_in_use(&self) -> KeyId {
        self.current.as_ref().map_or(self.next_key, |key| key.id)
    }

    /// The key in use gives no more numbers.
    pub(super) fn drop_key(&mut self) {
        self.current = None;
    }

    fn new_key<R: CryptoRng>(
        &mut self,
        now: Moment,
        records: &mut Vec<Record>,
        rng: &mut R,
    ) -> Current {
        let rak = ReportAuthorizationKey::generate(rng);
        let id = self.next_key;
        self.next_key = KeyId(id.0 + 1);
        records.push(Record::KeyBorn {
            key: id,
            seed: Seed(rak.expose_seed()),
            born: now.wall,
        });
        Current {
            id,
            born: now.boot,
            next: rak.first_temporary_contact_key(),
        }
    }
}

impl Current {
    /// Whether a number drawn now will leave the air before the key is too old.
    fn lasts(&self, now: Moment, life: Life) -> bool {
        self.next.index() <= RatchetIndex::LAST_AIRED
            && now.boot + life.number + LONGEST_SILENCE <= self.born + life.key
    }
}

/// A random duration in `[0, most]`, in whole milliseconds.
pub(super) fn random_up_to<R: CryptoRng>(most: Duration, rng: &mut R) -> Duration {
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX - 1);
    Duration::from_millis(rng.next_u64() % (millis + 1))
}
