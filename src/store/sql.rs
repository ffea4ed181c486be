//! Integers as SQLite has them: signed, of 64 bits. Times, counts and ids stay far
//! below 2^63.

/// The integer to write; the largest one for what does not fit.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The integer that was read; zero for a negative one.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
