//! Reports: create, verify, expand.
//!
//! A report discloses `rvk` and `tck_{j_1-1}`, from which anyone can compute the
//! numbers `tcn_{j_1}` to `tcn_{j_2}`. Its signature ties the rest to the holder of
//! `rak`. Half of the deployed readers take `j_2` as excluded. We read it as the text
//! says, inclusive. We write one index more than was broadcast and never broadcast that
//! one, so both readings give exactly the history ([`ReportSpan::of_aired`]).
//!
//! Signatures must meet the strict rules: no small order, `S < L`. Honest keys always
//! do. A crafted key could otherwise make one signature fit every message. Since a
//! signer can still sign one report in many ways, the identity of a report is its
//! unsigned bytes, never its signature.
//!
//! Spec: TCN 6b64d09, README "Reporting".

use std::fmt;
use std::iter::FusedIterator;

use ed25519_dalek::{Signature, VerifyingKey};

use super::hash::digest;
use super::key::{next_link, number};
use super::{
    Memo, RatchetIndex, ReportAuthorizationKey, ReportError, ReportVerificationKey,
    TemporaryContactNumber,
};

/// Length of the part before the memo data, in bytes.
pub(super) const HEADER_LEN: usize = 70;

/// The indices that one of our own reports discloses, `j_1` to `j_2` inclusive; never
/// reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReportSpan {
    first: RatchetIndex,
    last: RatchetIndex,
}

impl ReportSpan {
    /// The span from `first` to `last`, both disclosed.
    ///
    /// # Errors
    /// [`ReportError::SpanReversed`] if `last` is before `first`.
    pub const fn new(first: RatchetIndex, last: RatchetIndex) -> Result<Self, ReportError> {
        if last.get() < first.get() {
            return Err(ReportError::SpanReversed);
        }
        Ok(Self { first, last })
    }

    /// The span to write when `first` to `last_aired` were on the air. It is one index
    /// longer, for readers that exclude `j_2`. That index must never be broadcast, so
    /// the key ends here.
    ///
    /// # Errors
    /// [`ReportError::SpanReversed`] if `last_aired` is before `first`,
    /// [`ReportError::IndexTooHigh`] if it is above
    /// [`RatchetIndex::LAST_AIRED`], so that no index is left to burn.
    pub const fn of_aired(
        first: RatchetIndex,
        last_aired: RatchetIndex,
    ) -> Result<Self, ReportError> {
        match last_aired.next() {
            _ if last_aired.get() < first.get() => Err(ReportError::SpanReversed),
            Some(last) => Ok(Self { first, last }),
            None => Err(ReportError::IndexTooHigh),
        }
    }

    /// `j_1`.
    pub const fn first(self) -> RatchetIndex {
        self.first
    }

    /// `j_2`.
    pub const fn last(self) -> RatchetIndex {
        self.last
    }
}

/// A report whose signature is valid, or needs no check because the report is our own.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    pub(super) rvk: ReportVerificationKey,
    /// `tck_{j_1-1}`; public once the report is.
    pub(super) link: [u8; 32],
    pub(super) j1: RatchetIndex,
    /// As read. Values of 0 and below `j1` are legal and mean that nothing is
    /// disclosed.
    pub(super) j2: u16,
    pub(super) memo: Memo,
}

impl Report {
    /// The key of the report's author, `rvk`.
    pub const fn rvk(&self) -> &ReportVerificationKey {
        &self.rvk
    }

    /// `tck_{j_1-1}`, from which the numbers are computed.
    pub const fn link(&self) -> &[u8; 32] {
        &self.link
    }

    /// `j_1`, the index of the first number disclosed.
    pub const fn j1(&self) -> RatchetIndex {
        self.j1
    }

    /// `j_2`, the index of the last number disclosed. If it is below `j_1`, nothing is
    /// disclosed.
    pub const fn j2(&self) -> u16 {
        self.j2
    }

    /// The memo.
    pub const fn memo(&self) -> &Memo {
        &self.memo
    }

    /// The bytes that are signed, 70 to 325. They are the identity of the report, for
    /// deduplication.
    pub fn unsigned_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SignedReport::MAX_LEN);
        bytes.extend_from_slice(self.rvk.as_bytes());
        bytes.extend_from_slice(&self.link);
        bytes.extend_from_slice(&self.j1.get().to_le_bytes());
        bytes.extend_from_slice(&self.j2.to_le_bytes());
        bytes.push(self.memo.kind().get());
        bytes.push(self.memo.length_byte());
        bytes.extend_from_slice(self.memo.data());
        bytes
    }

    /// The short form of that identity.
    pub fn digest(&self) -> ReportDigest {
        ReportDigest::of(&self.unsigned_bytes())
    }

    /// How many numbers are disclosed, 0 to 65535.
    pub const fn count(&self) -> u16 {
        // j1 is at least 1, so j2 + 1 - j1 fits whenever it is not negative.
        self.j2.saturating_sub(self.j1.get() - 1)
    }

    /// `tcn_{j_1}` to `tcn_{j_2}`, inclusive, in order. Each takes three compressions
    /// of SHA-256, and is computed only when asked for.
    pub fn temporary_contact_numbers(&self) -> TemporaryContactNumbers {
        TemporaryContactNumbers {
            rvk: self.rvk,
            link: self.link,
            next: Some(self.j1),
            left: self.count(),
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("rvk", &self.rvk)
            .field("j1", &self.j1.get())
            .field("j2", &self.j2)
            .field("memo", &self.memo)
            .finish_non_exhaustive()
    }
}

/// The identifier of a report: the first 16 bytes of SHA-256 over its unsigned bytes. A
/// second signature over the same bytes makes no new report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportDigest([u8; 16]);

impl ReportDigest {
    fn of(unsigned: &[u8]) -> Self {
        Self(digest(unsigned))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A report whose signature is not verified, unless we made it.
///
/// Its content can be read as a claim; its numbers only once it is verified.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedReport {
    pub(super) claim: Report,
    pub(super) signature: [u8; Self::SIGNATURE_LEN],
}

impl SignedReport {
    /// Length of the signature in bytes.
    pub const SIGNATURE_LEN: usize = 64;

    /// Length of the shortest signed report in bytes: no memo data.
    pub const MIN_LEN: usize = HEADER_LEN + Self::SIGNATURE_LEN;

    /// Length of the longest signed report in bytes.
    pub const MAX_LEN: usize = Self::MIN_LEN + Memo::MAX_LEN;

    /// Discloses the numbers of `span` and signs.
    ///
    /// A reader of the report can run the ratchet on past `j_2`, so a key that signed
    /// must never broadcast again.
    pub fn create(rak: &ReportAuthorizationKey, span: ReportSpan, memo: Memo) -> Self {
        let claim = Report {
            rvk: rak.verification_key(),
            link: *rak.link_before(span.first),
            j1: span.first,
            j2: span.last.get(),
            memo,
        };
        let signature = rak.sign(&claim.unsigned_bytes());
        Self { claim, signature }
    }

    /// What the report says, unverified.
    pub const fn claim(&self) -> &Report {
        &self.claim
    }

    /// The signature.
    pub const fn signature(&self) -> &[u8; Self::SIGNATURE_LEN] {
        &self.signature
    }

    /// The report, if its signature is valid by the strict rules.
    ///
    /// # Errors
    /// [`ReportError::KeyInvalid`], [`ReportError::KeySmallOrder`] or
    /// [`ReportError::SignatureInvalid`].
    pub fn verify(self) -> Result<Report, ReportError> {
        check(
            &self.claim.rvk,
            &self.claim.unsigned_bytes(),
            &self.signature,
        )?;
        Ok(self.claim)
    }
}

impl fmt::Debug for SignedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedReport")
            .field("claim", &self.claim)
            .finish_non_exhaustive()
    }
}

/// Checks a signature by the strict rules: `rvk` and `R` of no small order,
/// `S < L`, and no cofactor.
fn check(
    rvk: &ReportVerificationKey,
    message: &[u8],
    signature: &[u8; SignedReport::SIGNATURE_LEN],
) -> Result<(), ReportError> {
    let rvk =
        VerifyingKey::from_bytes(rvk.as_bytes()).map_err(|_opaque| ReportError::KeyInvalid)?;
    if rvk.is_weak() {
        return Err(ReportError::KeySmallOrder);
    }
    rvk.verify_strict(message, &Signature::from_bytes(signature))
        .map_err(|_opaque| ReportError::SignatureInvalid)
}

/// The numbers of a report, one after another.
#[derive(Clone)]
pub struct TemporaryContactNumbers {
    rvk: ReportVerificationKey,
    link: [u8; 32],
    /// `None` past 65535, where the chain ends.
    next: Option<RatchetIndex>,
    left: u16,
}

impl Iterator for TemporaryContactNumbers {
    type Item = TemporaryContactNumber;

    fn next(&mut self) -> Option<TemporaryContactNumber> {
        self.left = self.left.checked_sub(1)?;
        let index = self.next?;
        self.link = *next_link(&self.rvk, &self.link);
        self.next = index.next();
        Some(number(index, &self.link))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

impl ExactSizeIterator for TemporaryContactNumbers {}
impl FusedIterator for TemporaryContactNumbers {}

impl fmt::Debug for TemporaryContactNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryContactNumbers")
            .field("next", &self.next)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of these vectors are no reports, so only this test can use them.
    #[test]
    fn edge_cases_of_signatures_are_judged_strictly() {
        let file: serde_json::Value = serde_json::from_str(include_str!(
            "../tests/protocol/vectors/ed25519_speccheck.json"
        ))
        .unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 12);
        for case in cases {
            let unhex = |field: &str| -> Vec<u8> {
                let digits = case[field].as_str().unwrap();
                (0..digits.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
                    .collect()
            };
            let rvk = ReportVerificationKey::from_bytes(unhex("pub_key").try_into().unwrap());
            let signature = unhex("signature").try_into().unwrap();
            let verdict = check(&rvk, &unhex("message"), &signature);
            let strict = case["verdicts"]["dalek_verify_strict"].as_bool().unwrap();
            assert_eq!(verdict.is_ok(), strict, "{}: {verdict:?}", case["what"]);
        }
    }
}
