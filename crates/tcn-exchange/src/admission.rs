//! Which uploads a report server admits: a pure check of bytes.
//!
//! The body is one signed report in base64, whatever its Content-Type says: CoEpi's
//! clients send it bare as `application/json`. The standard alphabet is read, with or
//! without padding. One line end behind it is allowed, as files and shells write it.
//! Other white space, quotes and the URL alphabet are refused, as CoEpi's server does
//! (coepi-backend-aws 6588865, `TCNHttpHandler`).
//!
//! Beyond that server, every memo type and length is admitted. Refused is what crashes
//! readers in the field: trailing bytes, `j_2 < j_1`, keys of small order. A memo may
//! say when its report was made. A report made more than 14 days ago is refused: every
//! reader has forgotten it by then and would take it for new. A report from the future
//! is refused too. The text of an error tells the sender how to correct the report. It
//! repeats nothing of the body.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tcn_protocol::memo::CoEpiMemo;
use tcn_protocol::{Memo, ReportDigest, ReportError, SignedReport, UnixTime, wire};
use thiserror::Error;

use super::interval::Interval;

/// Largest body that is read, in bytes: twice what the longest report needs in base64.
pub const LARGEST_BODY: usize = 1024;

/// How old a report may be by its memo, in seconds: 14 days, and one more, since memos
/// are rounded down to a day.
const OLDEST: u64 = 15 * UnixTime::DAY;

/// How far the sender's clock may be ahead of the server's, in seconds.
const AHEAD: u64 = UnixTime::DAY;

/// A report that may be published.
#[derive(Clone)]
pub struct Admitted {
    /// Tells it from other reports, also where it was signed again.
    pub digest: ReportDigest,
    /// As signed, 134 to 389 bytes.
    pub bytes: Vec<u8>,
}

/// Why an upload is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AdmissionError {
    /// The body is not base64.
    #[error(
        "the body is not base64 of the standard alphabet; send the signed report in base64, without quotes and line ends"
    )]
    NotBase64,
    /// The bytes are not a report.
    #[error(transparent)]
    Malformed(ReportError),
    /// `j_2 < j_1`: the report names no number, and crashes readers on iOS.
    #[error(
        "the report's last index is before its first, so it names no number; create the report again"
    )]
    SpanReversed,
    /// The second half of the signature is not below the group's order.
    #[error("the signature's second half is out of range (RFC 8032, 5.1.7); sign the report again")]
    ScalarOutOfRange,
    /// The signature does not verify.
    #[error(transparent)]
    Unverified(ReportError),
    /// The memo is too old for the report to be published.
    #[error(
        "the memo says that the report was made more than 14 days ago; set the clock and create the report again"
    )]
    TooOld,
    /// The memo is from the future.
    #[error(
        "the memo says that the report was made more than a day ahead; set the clock and create the report again"
    )]
    NotYet,
}

/// The report in a body that arrives at `now`. Where the time is not known, no memo is
/// too old.
///
/// # Errors
/// Why it is refused.
pub fn admit(body: &[u8], now: Option<UnixTime>) -> Result<Admitted, AdmissionError> {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    let bytes = LENIENT
        .decode(body)
        .map_err(|_bytes| AdmissionError::NotBase64)?;
    admit_bytes(bytes, now)
}

/// The report in these bytes, which arrive at `now`.
///
/// # Errors
/// Why it is refused; never [`AdmissionError::NotBase64`].
pub fn admit_bytes(bytes: Vec<u8>, now: Option<UnixTime>) -> Result<Admitted, AdmissionError> {
    let report = wire::parse(&bytes).map_err(AdmissionError::Malformed)?;
    let claim = report.claim();
    if claim.count() == 0 {
        return Err(AdmissionError::SpanReversed);
    }
    if !is_reduced(report.signature()) {
        return Err(AdmissionError::ScalarOutOfRange);
    }
    let digest = claim.digest();
    let dated = now.map_or(Ok(()), |now| check_date(claim.memo(), now));
    match report.verify() {
        Ok(_) => dated.map(|()| Admitted { digest, bytes }),
        Err(error @ ReportError::SignatureInvalid) => Err(AdmissionError::Unverified(error)),
        Err(error) => Err(AdmissionError::Malformed(error)),
    }
}

/// Whether a memo's date, if it has one, lets the report be published at `now`.
fn check_date(memo: &Memo, now: UnixTime) -> Result<(), AdmissionError> {
    let made = match CoEpiMemo::read(memo) {
        Some(CoEpiMemo::V1(memo)) => memo.report_time(),
        Some(CoEpiMemo::Early(memo)) => memo.report_time,
        Some(CoEpiMemo::Text(_) | CoEpiMemo::Unknown) | None => return Ok(()),
    };
    if made < Interval::FIRST.start().0 {
        // Before there were reports: the clock was never set, so the date says
        // nothing.
        Ok(())
    } else if made.saturating_add(OLDEST) < now.0 {
        Err(AdmissionError::TooOld)
    } else if made > now.0.saturating_add(AHEAD) {
        Err(AdmissionError::NotYet)
    } else {
        Ok(())
    }
}

/// Base64 as CoEpi's server reads it: padding may be missing, and the bits that pad the
/// last character may have any value.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The order of Ed25519's group, little-endian (RFC 8032, 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Whether `S` is below the group's order.
fn is_reduced(signature: &[u8; SignedReport::SIGNATURE_LEN]) -> bool {
    signature[32..].iter().rev().lt(ORDER.iter().rev())
}

#[cfg(test)]
mod tests {
    use tcn_protocol::MemoType;
    use tcn_protocol::memo::coepi;

    use super::*;

    #[test]
    fn the_order_itself_is_out_of_range() {
        let mut signature = [0; 64];
        signature[32..].copy_from_slice(&ORDER);
        assert!(!is_reduced(&signature));
        signature[32] -= 1;
        assert!(is_reduced(&signature));
        signature[63] = 0x11;
        assert!(!is_reduced(&signature));
    }

    #[test]
    fn a_memo_is_looked_at_for_its_date() {
        let now = UnixTime(1_606_158_000);
        let day = 86_400;
        let dated = |made: u64| {
            let reported = coepi::Day::of(made);
            let memo = coepi::SymptomMemo::new(reported, None, coepi::Symptoms::default());
            check_date(&memo.to_memo(), now)
        };
        assert_eq!(dated(now.0), Ok(()));
        assert_eq!(dated(now.0 - 14 * day), Ok(()));
        assert_eq!(dated(now.0 - 16 * day), Err(AdmissionError::TooOld));
        assert_eq!(dated(now.0 + day), Ok(()));
        assert_eq!(dated(now.0 + 3 * day), Err(AdmissionError::NotYet));
        assert_eq!(dated(0), Ok(()), "of a clock that was never set");
        let early = [&[1, 0][..], &(now.0 - 16 * day).to_le_bytes(), &[0]].concat();
        for (kind, judged) in [(0, Err(AdmissionError::TooOld)), (1, Ok(()))] {
            let memo = Memo::new(MemoType::new(kind), early.clone()).unwrap();
            assert_eq!(check_date(&memo, now), judged, "type {kind}");
        }
    }

    #[test]
    fn one_line_end_is_no_part_of_the_body() {
        let refused = |body: &str| admit(body.as_bytes(), None).err();
        for (body, expected) in [
            ("AAAA\n", "short"),
            ("AAAA\r\n", "short"),
            ("AAAA\n\n", "base64"),
            ("AA\nAA", "base64"),
            ("\nAAAA", "base64"),
            ("AAAA ", "base64"),
        ] {
            let refusal = refused(body).unwrap();
            let is_base64 = refusal != AdmissionError::NotBase64;
            assert_eq!(is_base64, expected == "short", "{body:?}");
        }
    }

    #[test]
    fn the_longest_report_fits_with_room() {
        assert!(SignedReport::MAX_LEN.div_ceil(3) * 4 * 3 / 2 < LARGEST_BODY);
    }
}
