//! Memos: the content of a report besides its numbers.
//!
//! The protocol only frames memos. Their types are a registry that other projects add
//! to ([`mod@registry`]), so a memo of unknown type is kept and passed on unchanged.
//! One format is public, and is read and written here: CoEpi's symptoms ([`coepi`]). A
//! memo of another type is never read by its rules. A memo is checked before it is
//! written, because it can show that reports belong together ([`Memo::concerns`]). A
//! memo may name symptoms, so `Debug` shows its type and length, never its bytes.
//!
//! Spec: TCN 6b64d09, README "Reporting", Memo Structure.

pub mod coepi;
mod concern;
pub mod registry;
mod symptom;

use std::fmt;

pub use coepi::CoEpiMemo;
pub use concern::MemoConcern;
pub use symptom::{Symptom, SymptomConflict};

use super::ReportError;

/// The type of a memo: a byte, for which some names are registered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoType(u8);

impl MemoType {
    /// CoEpi, version 1: symptoms.
    pub const COEPI_V1: Self = Self(0);
    /// Covid Watch, version 1.
    pub const COVID_WATCH_V1: Self = Self(1);
    /// ito, version 1.
    pub const ITO_V1: Self = Self(2);
    /// HutchTrace; no format of it is public.
    pub const HUTCH_TRACE: Self = Self(3);
    /// Reserved for an extension of the registry.
    pub const RESERVED: Self = Self(0xff);

    /// The type with this byte, registered or not.
    pub const fn new(byte: u8) -> Self {
        Self(byte)
    }

    /// The byte.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for MemoType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "MemoType({}, {name})", self.0),
            None => write!(f, "MemoType({})", self.0),
        }
    }
}

/// A memo: a type and at most 255 bytes of data.
#[derive(Clone, PartialEq, Eq)]
pub struct Memo {
    kind: MemoType,
    data: Vec<u8>,
}

impl Memo {
    /// The most data a memo can hold, in bytes.
    pub const MAX_LEN: usize = u8::MAX as usize;

    /// A memo of this type with these data.
    ///
    /// # Errors
    /// [`ReportError::MemoTooLong`] above [`Memo::MAX_LEN`].
    pub fn new(kind: MemoType, data: impl Into<Vec<u8>>) -> Result<Self, ReportError> {
        let data = data.into();
        if data.len() > Self::MAX_LEN {
            return Err(ReportError::MemoTooLong { have: data.len() });
        }
        Ok(Self { kind, data })
    }

    /// The type.
    pub const fn kind(&self) -> MemoType {
        self.kind
    }

    /// The data, unchanged.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The length byte.
    pub(super) fn length_byte(&self) -> u8 {
        u8::try_from(self.data.len()).expect("Memo::new lets at most 255 bytes in")
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memo({:?}, {} bytes)", self.kind, self.data.len())
    }
}
