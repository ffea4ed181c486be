//! The registered memo types, and what is known of each.
//!
//! The registry itself is a list in the specification's README, to which projects add
//! on request. An unregistered type works as well: its memos are kept, verified,
//! matched and shown as bytes. To add a type, add a row.
//!
//! Sources: TCN 6b64d09, README "Reporting", Memo Structure; payloads from the
//! apps each row names.

use super::MemoType;

/// A row of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The type.
    pub kind: MemoType,
    /// Its name, as the registry has it.
    pub name: &'static str,
    /// The project that registered it.
    pub owner: &'static str,
    /// What is known of its data.
    pub format: MemoFormat,
}

/// What is known of the data of a registered type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoFormat {
    /// CoEpi's layouts, which [`super::coepi`] reads.
    CoEpi,
    /// Every report carries exactly these bytes. They say nothing about any person, and
    /// do not distinguish one person's reports from another's.
    Constant(&'static [u8]),
    /// No format was made public.
    Unpublished,
}

/// All registered types, by their byte.
pub const REGISTRY: [Registration; 5] = [
    Registration {
        kind: MemoType::COEPI_V1,
        name: "CoEpi v1",
        owner: "CoEpi, app-backend-rust b332afe",
        format: MemoFormat::CoEpi,
    },
    Registration {
        kind: MemoType::COVID_WATCH_V1,
        name: "Covid Watch v1",
        owner: "Covid Watch, covidwatch-android-tcn 7bb2464",
        format: MemoFormat::Constant(b"Hello, World!"),
    },
    Registration {
        kind: MemoType::ITO_V1,
        name: "ito v1",
        owner: "ito, react-native-ito a97daa0",
        format: MemoFormat::Constant(b"symptom data"),
    },
    Registration {
        kind: MemoType::HUTCH_TRACE,
        name: "HutchTrace",
        owner: "HutchTrace",
        format: MemoFormat::Unpublished,
    },
    Registration {
        kind: MemoType::RESERVED,
        name: "reserved",
        owner: "the specification, to extend the registry by",
        format: MemoFormat::Unpublished,
    },
];

impl MemoType {
    /// Its row in the registry, if it has one.
    pub fn registration(self) -> Option<&'static Registration> {
        REGISTRY.iter().find(|row| row.kind == self)
    }

    /// The registered name, if there is one.
    pub fn name(self) -> Option<&'static str> {
        self.registration().map(|row| row.name)
    }
}
