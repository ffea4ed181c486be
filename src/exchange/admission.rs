//! Which uploads are let in: pure judgement of bytes.
//!
//! The body is one signed report in base64, whatever its Content-Type says:
//! CoEpi's clients send it bare as `application/json`. The standard alphabet
//! is read, with or without padding; white space, quotes and the URL alphabet
//! are refused, as CoEpi's server does (coepi-backend-aws 6588865,
//! `TCNHttpHandler`).
//!
//! Beyond that server every memo type and length is let in, and what crashes
//! readers in the field is refused: trailing bytes, `j_2 < j_1`, keys of small
//! order. What stands in a refusal is for the sender to mend it by; it repeats
//! nothing of the body.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;

use crate::protocol::{ReportDigest, ReportError, SignedReport, wire};

/// Bytes of the largest body that is read: twice what the longest report needs
/// in base64.
pub(super) const LARGEST_BODY: usize = 1024;

/// A report that may be published.
#[derive(Clone)]
pub(super) struct Admitted {
    /// What tells it from others, whoever signed it again.
    pub digest: ReportDigest,
    /// As signed, 134 to 389 bytes.
    pub bytes: Vec<u8>,
}

/// Why an upload is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub(super) enum Refusal {
    /// The body is not base64.
    #[error(
        "the body is not base64 of the standard alphabet; send the signed report so, without quotes and line ends"
    )]
    NotBase64,
    /// The bytes are no report.
    #[error(transparent)]
    Malformed(ReportError),
    /// `j_2 < j_1`: it names no number, and crashes readers on iOS.
    #[error("the report's last index is before its first, so it names no number; make it anew")]
    SpanReversed,
    /// The second half of the signature is not below the group's order.
    #[error("the signature's second half is out of range (RFC 8032, 5.1.7); sign the report anew")]
    ScalarOutOfRange,
    /// The signature does not hold.
    #[error(transparent)]
    Unverified(ReportError),
}

/// The report in a body.
///
/// # Errors
/// Why it is refused.
pub(super) fn admit(body: &[u8]) -> Result<Admitted, Refusal> {
    let bytes = LENIENT.decode(body).map_err(|_bytes| Refusal::NotBase64)?;
    judge(bytes)
}

/// The report in these bytes.
///
/// # Errors
/// Why it is refused; never [`Refusal::NotBase64`].
pub(super) fn judge(bytes: Vec<u8>) -> Result<Admitted, Refusal> {
    let report = wire::parse(&bytes).map_err(Refusal::Malformed)?;
    let claim = report.claim();
    if claim.count() == 0 {
        return Err(Refusal::SpanReversed);
    }
    if !is_reduced(report.signature()) {
        return Err(Refusal::ScalarOutOfRange);
    }
    let digest = claim.digest();
    match report.verify() {
        Ok(_) => Ok(Admitted { digest, bytes }),
        Err(error @ ReportError::SignatureInvalid) => Err(Refusal::Unverified(error)),
        Err(error) => Err(Refusal::Malformed(error)),
    }
}

/// As CoEpi's server reads it: padding may be missing, and the bits that pad
/// the last character may be anything.
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
    fn the_longest_report_fits_with_room() {
        assert!(SignedReport::MAX_LEN.div_ceil(3) * 4 * 3 / 2 < LARGEST_BODY);
    }
}
