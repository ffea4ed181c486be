//! Parsing and writing of reports, strict in both directions.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 32 | `rvk` |
//! | 32 | 32 | `tck_{j_1-1}` |
//! | 64 | 2 | `j_1`, little-endian, not 0 |
//! | 66 | 2 | `j_2`, little-endian |
//! | 68 | 1 | memo type |
//! | 69 | 1 | memo length *n* |
//! | 70 | *n* | memo data |
//! | 70 + *n* | 64 | signature over all before it |
//!
//! There are two parsers: [`parse`] for a buffer that is one report and nothing else,
//! [`parse_first`] for a stream of reports one after another. An accepted report is
//! written back byte for byte.
//!
//! Spec: TCN 6b64d09, README "Reporting".

use super::report::HEADER_LEN;
use super::{
    Memo, MemoType, RatchetIndex, Report, ReportError, ReportVerificationKey, SignedReport,
};

/// Reads a buffer that holds one signed report and nothing else.
///
/// # Errors
/// As [`parse_first`], and [`ReportError::TrailingBytes`] if anything follows.
pub fn parse(bytes: &[u8]) -> Result<SignedReport, ReportError> {
    match parse_first(bytes)? {
        (report, []) => Ok(report),
        (_, rest) => Err(ReportError::TrailingBytes { count: rest.len() }),
    }
}

/// Reads the signed report at the start of `bytes` and returns the rest.
///
/// # Errors
/// [`ReportError::HeaderTruncated`], [`ReportError::MemoTruncated`] or
/// [`ReportError::SignatureTruncated`] if the bytes end too early,
/// [`ReportError::IndexZero`] if `j_1` is 0. Nothing else is refused here:
/// `j_2 < j_1` discloses nothing, and a memo type may be any byte.
pub fn parse_first(bytes: &[u8]) -> Result<(SignedReport, &[u8]), ReportError> {
    let header_truncated = || ReportError::HeaderTruncated { have: bytes.len() };
    let (rvk, rest) = bytes.split_first_chunk().ok_or_else(header_truncated)?;
    let (link, rest) = rest.split_first_chunk().ok_or_else(header_truncated)?;
    let (j1, rest) = rest.split_first_chunk().ok_or_else(header_truncated)?;
    let (j2, rest) = rest.split_first_chunk().ok_or_else(header_truncated)?;
    let (&[kind, declared], rest) = rest.split_first_chunk().ok_or_else(header_truncated)?;

    let declared = usize::from(declared);
    let (data, rest) = rest
        .split_at_checked(declared)
        .ok_or(ReportError::MemoTruncated {
            have: rest.len(),
            declared,
        })?;
    let (signature, rest) = rest
        .split_first_chunk()
        .ok_or(ReportError::SignatureTruncated { have: rest.len() })?;

    let claim = Report {
        rvk: ReportVerificationKey::from_bytes(*rvk),
        link: *link,
        j1: RatchetIndex::new(u16::from_le_bytes(*j1)).ok_or(ReportError::IndexZero)?,
        j2: u16::from_le_bytes(*j2),
        memo: Memo::new(MemoType::new(kind), data)?,
    };
    Ok((
        SignedReport {
            claim,
            signature: *signature,
        },
        rest,
    ))
}

/// The length of the signed report at the start of `bytes` by its own length byte,
/// whether or not it is valid; `None` if the bytes end before that byte.
///
/// With it, reading of a stream can continue after a report that was refused.
pub fn declared_len(bytes: &[u8]) -> Option<usize> {
    let length_byte = bytes.get(HEADER_LEN - 1)?;
    Some(SignedReport::MIN_LEN + usize::from(*length_byte))
}

/// Writes a signed report, 134 to 389 bytes.
pub fn write(report: &SignedReport) -> Vec<u8> {
    let mut bytes = report.claim.unsigned_bytes();
    bytes.extend_from_slice(&report.signature);
    bytes
}
