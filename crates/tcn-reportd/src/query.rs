//! Which interval a query asks for, by CoEpi's rules.
//!
//! Every refusal is that of the deployed server. This includes 401 for another length
//! of intervals, which the server's own OpenAPI text calls 432 (coepi-backend-aws
//! 6588865, `TCNHttpHandler`).

use tcn_exchange::interval::Interval;
use thiserror::Error;

/// The interval a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntervalQuery {
    /// The interval that takes uploads.
    Current,
    /// This one.
    Numbered(Interval),
}

/// A query that is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum QueryError {
    /// A number without a length.
    #[error("intervalLength is missing; give intervalLength=21600 with intervalNumber")]
    LengthMissing,
    /// Not a decimal number of 64 bits.
    #[error("intervalNumber and intervalLength must be whole numbers of 64 bits, in digits")]
    NotANumber,
    /// Zero or less.
    #[error("intervalNumber and intervalLength must be above 0")]
    NotPositive,
    /// Another length than the supported one.
    #[error("intervalLength must be 21600: number intervals by six hours since 1970")]
    WrongLength,
    /// Before there were reports, or past the end of time.
    #[error("there are no reports before 2019-11-01; the first intervalNumber is 72804")]
    BeforeFirst,
}

/// Reads the parameters of a query, in their order. If a name occurs twice the first
/// counts. Other names are ignored.
///
/// # Errors
/// Why there is no such interval.
pub(super) fn read(parameters: &[(String, String)]) -> Result<IntervalQuery, QueryError> {
    let value = |wanted: &str| {
        let mut found = parameters.iter().filter(|(name, _)| name == wanted);
        found.next().map(|(_, value)| value.as_str())
    };
    let Some(number) = value("intervalNumber") else {
        return Ok(IntervalQuery::Current);
    };
    let length = value("intervalLength").ok_or(QueryError::LengthMissing)?;
    let whole = |text: &str| text.parse::<i64>().map_err(|_text| QueryError::NotANumber);
    let (number, length) = (whole(number)?, whole(length)?);
    if number <= 0 || length <= 0 {
        return Err(QueryError::NotPositive);
    }
    if length.unsigned_abs() != Interval::SECONDS {
        return Err(QueryError::WrongLength);
    }
    // CoEpi treats a start that overflows as one before the first.
    number
        .checked_mul(length)
        .and_then(|_| Interval::new(number.unsigned_abs()))
        .filter(|interval| *interval >= Interval::FIRST)
        .map(IntervalQuery::Numbered)
        .ok_or(QueryError::BeforeFirst)
}
