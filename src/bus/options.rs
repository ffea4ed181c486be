//! The `a{sv}` at the end of a method, read strictly.
//!
//! An option that is ignored is a broken promise: a mistyped `hold` would silently lose
//! its meaning. So unknown keys and wrong types are refused, and the refusal names the
//! known ones.

use std::collections::BTreeMap;

use zbus::OwnedVariant;

use super::error::Error;

/// Options as received.
pub(super) type Given = BTreeMap<String, OwnedVariant>;

/// Options that a method takes one by one.
#[derive(Debug)]
pub(super) struct Options {
    given: Given,
    known: Known,
}

/// The keys a method knows, each with its D-Bus type.
type Known = &'static [(&'static str, &'static str)];

impl Options {
    /// Refuses keys that are not `known`.
    pub(super) fn new(given: Given, known: Known) -> Result<Self, Error> {
        let knows = |key: &str| known.iter().any(|(name, _)| *name == key);
        if given.keys().all(|key| knows(key)) {
            Ok(Self { given, known })
        } else {
            Err(refusal(known))
        }
    }

    /// The value of `key`, `None` if it was not given.
    pub(super) fn take<T>(&mut self, key: &'static str) -> Result<Option<T>, Error>
    where
        T: TryFrom<OwnedVariant>,
    {
        match self.given.remove(key).map(T::try_from) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(refusal(self.known)),
        }
    }
}

/// Lists the options that are allowed; the caller knows what it sent.
fn refusal(known: Known) -> Error {
    if known.is_empty() {
        return Error::InvalidArgs("this method has no options yet: give none".to_owned());
    }
    let known: Vec<String> = known
        .iter()
        .map(|(name, signature)| format!("{name} ({signature})"))
        .collect();
    Error::InvalidArgs(format!(
        "unknown option, or wrong type of its value; there are: {}",
        known.join(", ")
    ))
}

/// The number in `text`, in canonical decimal digits.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
