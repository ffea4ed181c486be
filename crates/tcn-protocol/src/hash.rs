//! The two hashes of the derivation, and one that identifies a report.
//!
//! Each of the two is SHA-256 over a five-byte ASCII label and the input, without a
//! length and without a terminator. `||` in the specification is plain concatenation,
//! so an input is given as the parts to concatenate.
//!
//! Spec: TCN 6b64d09, README "Key Derivation".

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// `H_tck(x) = SHA256("H_TCK" || x)`; the output is a secret until reported.
pub(super) fn h_tck<const N: usize>(x: [&[u8]; N]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(labelled(b"H_TCK", x))
}

/// `H_tcn(x) = SHA256("H_TCN" || x)[0..16]`.
pub(super) fn h_tcn<const N: usize>(x: [&[u8]; N]) -> [u8; 16] {
    let mut tcn = [0; 16];
    tcn.copy_from_slice(&labelled(b"H_TCN", x)[..16]);
    tcn
}

/// The first 16 bytes of SHA-256, without a label. This hash is not in the
/// specification.
pub(super) fn digest(bytes: &[u8]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(bytes)[..16]);
    digest
}

fn labelled<const N: usize>(label: &[u8; 5], x: [&[u8]; N]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(label);
    for part in x {
        hash.update(part);
    }
    hash.finalize().into()
}
