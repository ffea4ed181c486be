//! The only source of time.

use jiff::ZonedDateTime;

/// Now, in local time.
#[expect(clippy::disallowed_methods, reason = "this is that source")]
pub(crate) fn now() -> ZonedDateTime {
    ZonedDateTime::now()
}
