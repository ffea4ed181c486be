//! Keys, and the ratchet that derives numbers from them.
//!
//! A report authorization key (`rak`) is the seed of everything. The public `rvk` and
//! the chain of temporary contact keys `tck_i` derive from it, and each `tck_i` gives
//! one number and the next key. The chain runs one way: a holder of `tck_i` and `rvk`
//! can compute every later number and no earlier one. So `tck_i` is as secret as `rak`
//! until a report contains it. None of them can be copied or printed, and each is
//! overwritten when dropped.
//!
//! Spec: TCN 6b64d09, README "Key Derivation"; the 66-byte form of a key is
//! the one of its `src/serialize.rs`.

use std::fmt;
use std::num::NonZeroU16;

use ed25519_dalek::{Signer, SigningKey};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::hash::{h_tck, h_tcn};
use super::{ReportError, TemporaryContactNumber};

/// Index `i` of a number, 1 to 65535. There is no `tcn_0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RatchetIndex(NonZeroU16);

impl RatchetIndex {
    /// The index of the first number.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// The last index of the protocol.
    pub const LAST: Self = Self(NonZeroU16::MAX);

    /// The highest index that may go on the air, 65534.
    ///
    /// A report is written with `j_2` one past the last number broadcast, because half
    /// of the deployed readers take `j_2` as excluded. So 65535 must stay unused.
    pub const LAST_AIRED: Self = Self(NonZeroU16::new(u16::MAX - 1).expect("65534 is not 0"));

    /// The index `i`, unless it is 0.
    pub const fn new(i: u16) -> Option<Self> {
        match NonZeroU16::new(i) {
            Some(i) => Some(Self(i)),
            None => None,
        }
    }

    /// The index as a number, never 0.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The index after this one, unless this is [`RatchetIndex::LAST`].
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(i) => Some(Self(i)),
            None => None,
        }
    }
}

impl fmt::Display for RatchetIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The public half of a report key, `rvk`: 32 bytes, unchecked.
///
/// Verifying a signature checks whether they are a point of the curve. The ratchet
/// hashes the bytes and does not check.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportVerificationKey([u8; Self::LEN]);

impl ReportVerificationKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Takes the key as a report contains it.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The key as a report contains it.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for ReportVerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ReportVerificationKey({:02x}{:02x}…)",
            self.0[0], self.0[1]
        )
    }
}

/// A report authorization key, `rak`: the seed of up to 65535 numbers and the
/// right to report them. Secret.
///
/// The key stays at one address on the heap while the value is moved, so that no copy
/// is left behind.
pub struct ReportAuthorizationKey(Box<SigningKey>);

impl ReportAuthorizationKey {
    /// Length of the seed in bytes.
    pub const LEN: usize = 32;

    /// Draws a new key from `rng`.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; Self::LEN]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_bytes(&seed)
    }

    /// Restores a stored key. The caller must overwrite its own copy of the seed.
    pub fn from_bytes(seed: &[u8; Self::LEN]) -> Self {
        clean::<SIGNING, _>(|| Self(Box::new(SigningKey::from_bytes(seed))))
    }

    /// The secret itself, for the store alone.
    pub fn expose_seed(&self) -> Box<Zeroizing<[u8; Self::LEN]>> {
        let mut seed = Box::new(Zeroizing::new([0; Self::LEN]));
        seed.copy_from_slice(self.0.as_bytes());
        seed
    }

    /// The public half, `rvk`.
    pub fn verification_key(&self) -> ReportVerificationKey {
        ReportVerificationKey(self.0.verifying_key().to_bytes())
    }

    /// `tck_1`, the key of the first number.
    ///
    /// `tck_0 = H_tck(rak)` never leaves this module. It gives no number, and in a
    /// report it occurs only as the link before `tck_1`.
    pub fn first_temporary_contact_key(&self) -> TemporaryContactKey {
        let rvk = self.verification_key();
        clean::<HASHING, _>(|| TemporaryContactKey {
            index: RatchetIndex::FIRST,
            rvk,
            tck: Box::new(next_link(&rvk, &self.link_zero())),
        })
    }

    /// `tck_{i-1}`, the link a report needs to let others compute `tck_i`.
    pub(super) fn link_before(&self, i: RatchetIndex) -> Zeroizing<[u8; 32]> {
        let rvk = self.verification_key();
        clean::<HASHING, _>(|| {
            (1..i.get()).fold(self.link_zero(), |link, _| next_link(&rvk, &link))
        })
    }

    /// The deterministic Ed25519 signature over `message` (RFC 8032).
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        clean::<SIGNING, _>(|| self.0.sign(message).to_bytes())
    }

    /// `tck_0 = H_tck(rak)`, over the seed and not over the scalar derived from it.
    fn link_zero(&self) -> Zeroizing<[u8; 32]> {
        h_tck([self.0.as_bytes()])
    }
}

impl fmt::Debug for ReportAuthorizationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportAuthorizationKey([REDACTED])")
    }
}

/// A temporary contact key, `tck_i`, with its index and `rvk`. Secret.
pub struct TemporaryContactKey {
    index: RatchetIndex,
    rvk: ReportVerificationKey,
    tck: Box<Zeroizing<[u8; 32]>>,
}

/// The result of one step of the ratchet.
#[derive(Debug)]
pub enum Ratchet {
    /// The next key.
    Next(TemporaryContactKey),
    /// The chain ended at 65535: a new report key is needed.
    Spent,
}

impl TemporaryContactKey {
    /// Length of the serialized form in bytes.
    pub const LEN: usize = 66;

    /// Restores a key from its serialized form, `le_u16(i) || rvk || tck_i`.
    ///
    /// # Errors
    /// [`ReportError::IndexZero`]: `tck_0` gives no number.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, ReportError> {
        let [low, high, keys @ ..] = bytes;
        let index =
            RatchetIndex::new(u16::from_le_bytes([*low, *high])).ok_or(ReportError::IndexZero)?;
        let mut rvk = [0; 32];
        let mut tck = Box::new(Zeroizing::new([0; 32]));
        rvk.copy_from_slice(&keys[..32]);
        tck.copy_from_slice(&keys[32..]);
        Ok(Self {
            index,
            rvk: ReportVerificationKey(rvk),
            tck,
        })
    }

    /// The serialized form, `le_u16(i) || rvk || tck_i`: the secret itself.
    pub fn expose_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        bytes[..2].copy_from_slice(&self.index.get().to_le_bytes());
        bytes[2..34].copy_from_slice(&self.rvk.0);
        bytes[34..].copy_from_slice(self.tck.as_slice());
        bytes
    }

    /// The index `i`.
    pub const fn index(&self) -> RatchetIndex {
        self.index
    }

    /// `tcn_i = H_tcn(le_u16(i) || tck_i)`.
    pub fn temporary_contact_number(&self) -> TemporaryContactNumber {
        number(self.index, &self.tck)
    }

    /// `tck_{i+1} = H_tck(rvk || tck_i)`. It takes the key by value, so that the old
    /// key is overwritten.
    pub fn ratchet(self) -> Ratchet {
        match self.index.next() {
            Some(index) => {
                let tck = clean::<HASHING, _>(|| Box::new(next_link(&self.rvk, &self.tck)));
                Ratchet::Next(Self {
                    index,
                    rvk: self.rvk,
                    tck,
                })
            }
            None => Ratchet::Spent,
        }
    }
}

impl fmt::Debug for TemporaryContactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TemporaryContactKey(#{}, [REDACTED])", self.index)
    }
}

/// Stack that hashing takes, with a margin.
const HASHING: usize = 4 * 1024;
/// Stack that making an Ed25519 key and signing take, with a margin.
const SIGNING: usize = 32 * 1024;

/// Runs `secret`, and then overwrites the stack below. Hashing and signing leave copies
/// of a key there, and `zeroize` overwrites only values that are dropped.
fn clean<const STACK: usize, T>(secret: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn called<T>(secret: impl FnOnce() -> T) -> T {
        secret()
    }
    #[inline(never)]
    fn overwrite<const STACK: usize>() {
        let mut below = [0xff_u8; STACK];
        below.zeroize();
        std::hint::black_box(&mut below);
    }
    let done = called(secret);
    overwrite::<STACK>();
    done
}

/// `tck_i = H_tck(rvk || tck_{i-1})`.
pub(super) fn next_link(rvk: &ReportVerificationKey, link: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    h_tck([&rvk.0, link])
}

/// `tcn_i = H_tcn(le_u16(i) || tck_i)`.
pub(super) fn number(i: RatchetIndex, tck: &[u8; 32]) -> TemporaryContactNumber {
    TemporaryContactNumber::from_bytes(h_tcn([&i.get().to_le_bytes(), tck]))
}
