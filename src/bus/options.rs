//! The `a{sv}` at the end of a method, read strictly.
//!
//! If a mistyped option were ignored, the caller would not get what it asked for and
//! would not know. So unknown keys and wrong types are refused, and the error names the
//! known keys.

use std::collections::BTreeMap;

use zbus::OwnedVariant;

use super::error::ErrorReply;

/// The options of a call, as received.
pub(super) type OptionMap = BTreeMap<String, OwnedVariant>;

/// The checked options of a call; the method takes them one by one.
#[derive(Debug)]
pub(super) struct MethodOptions {
    given: OptionMap,
    known: KnownOptions,
}

/// The keys that a method knows, each with its D-Bus type.
type KnownOptions = &'static [(&'static str, &'static str)];

impl MethodOptions {
    /// Refuses keys that are not `known`.
    pub(super) fn new(given: OptionMap, known: KnownOptions) -> Result<Self, ErrorReply> {
        let knows = |key: &str| known.iter().any(|(name, _)| *name == key);
        if given.keys().all(|key| knows(key)) {
            Ok(Self { given, known })
        } else {
            Err(invalid_option(known))
        }
    }

    /// The value of `key`, `None` if it was not given.
    pub(super) fn take<T>(&mut self, key: &'static str) -> Result<Option<T>, ErrorReply>
    where
        T: TryFrom<OwnedVariant>,
    {
        match self.given.remove(key).map(T::try_from) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(invalid_option(self.known)),
        }
    }
}

/// Lists the options that are allowed; the caller knows what it sent.
fn invalid_option(known: KnownOptions) -> ErrorReply {
    if known.is_empty() {
        return ErrorReply::invalid_args("this method has no options; give none");
    }
    let known: Vec<String> = known
        .iter()
        .map(|(name, signature)| format!("{name} ({signature})"))
        .collect();
    ErrorReply::invalid_args(format!(
        "unknown option, or wrong type of its value; the options are: {}",
        known.join(", ")
    ))
}

/// The number in `text`, in canonical decimal digits.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Refuses a text that is not one line, or too long; `name` is that of the argument.
pub(super) fn check_short_line(name: &str, text: &str) -> Result<(), ErrorReply> {
    if printable::is_short_line(text) {
        return Ok(());
    }
    Err(ErrorReply::invalid_args(format!(
        "{name} is not valid; it may have 256 bytes at most, and no control characters or invisible characters"
    )))
}

pub(super) fn empty_range() -> ErrorReply {
    ErrorReply::invalid_range("the span is empty; give a from that is before to")
}
