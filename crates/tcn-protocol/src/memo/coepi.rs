//! CoEpi's symptom memo, type 0: 20 bytes, least significant bit first.
//!
//! | bytes | field |
//! |---|---|
//! | 0-1 | version, 1, little-endian |
//! | 2-9 | when it was reported, Unix seconds, little-endian |
//! | 10-17 | when the first symptom was felt; `FF` eight times: not said |
//! | 18, low half | cough: 0 none, 1 of some kind, 2 dry, 3 wet |
//! | 18, high half | fever: 0 none, 1 mild, 2 serious |
//! | 19, bits 0-6 | breathlessness, muscle aches, loss of smell or taste, diarrhea, runny nose, other, no symptoms |
//! | 19, bit 7 | 0 |
//!
//! Four other layouts were deployed under the same type and version. Two are subsets of
//! this one, with the later bits 0. One has 11 bytes: version, time, and the bits no
//! symptoms, other, cough, breathlessness, fever. One is text: base64 of base64 of a
//! list; test data hold plain words too. Text is returned unchanged.
//!
//! CoEpi's apps write both times to the second, the same in all reports of a batch,
//! which links them. [`SymptomMemo::new`] takes days and can express nothing finer. A
//! memo that was read keeps its original times.
//!
//! Source: Co-Epi/app-backend-rust b332afe, `reporting/memo.rs`; which panics
//! on short memos, cough above 3 and fever above 2. Here they are unknown.

use std::fmt;

use super::{Memo, MemoType};
use crate::UnixTime;

/// Length of the memo we write, in bytes.
pub const LEN: usize = 20;

const VERSION: [u8; 2] = 1u16.to_le_bytes();
const NOT_SAID: u64 = u64::MAX;

/// What a memo of CoEpi's type says.
///
/// `Debug` names the layout and nothing of what it says, here and in the types
/// within.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CoEpiMemo<'a> {
    /// The layout of 20 bytes.
    V1(SymptomMemo),
    /// The layout of 11 bytes, of May 2020.
    Early(EarlyMemo),
    /// Printable ASCII, as it stands.
    Text(&'a str),
    /// None of these: no bytes, another version, or a value without a meaning.
    Unknown,
}

impl<'a> CoEpiMemo<'a> {
    /// Reads `memo`; `None` if it is of another type.
    pub fn read(memo: &'a Memo) -> Option<Self> {
        (memo.kind() == MemoType::COEPI_V1).then(|| Self::decode(memo.data()))
    }

    /// Reads the data of a memo of type 0, whatever they are.
    pub fn decode(data: &'a [u8]) -> Self {
        SymptomMemo::decode(data)
            .map(Self::V1)
            .or_else(|| EarlyMemo::decode(data).map(Self::Early))
            .or_else(|| text(data).map(Self::Text))
            .unwrap_or(Self::Unknown)
    }

    /// When the first symptom was felt, in Unix seconds, if that is said.
    pub const fn since(&self) -> Option<u64> {
        match self {
            Self::V1(memo) => memo.earliest_symptom_time,
            Self::Early(_) | Self::Text(_) | Self::Unknown => None,
        }
    }

    /// The text, if it is text.
    pub const fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::V1(_) | Self::Early(_) | Self::Unknown => None,
        }
    }

    /// Whether it holds a time that is not the start of a day (UTC).
    pub(super) fn is_finer_than_a_day(&self) -> bool {
        let times = match self {
            Self::V1(memo) => [Some(memo.report_time), memo.earliest_symptom_time],
            Self::Early(memo) => [Some(memo.report_time), None],
            Self::Text(_) | Self::Unknown => return false,
        };
        times
            .into_iter()
            .flatten()
            .any(|time| Day::of(time).start() != time)
    }
}

/// A day of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u64);

impl Day {
    /// The day that holds a time in Unix seconds.
    pub const fn of(unix_seconds: u64) -> Self {
        Self(unix_seconds / UnixTime::DAY)
    }

    /// Its first second, in Unix seconds.
    pub const fn start(self) -> u64 {
        self.0 * UnixTime::DAY
    }
}

/// A cough, or none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Cough {
    /// None.
    #[default]
    None,
    /// Of a kind that was not said.
    Existing,
    /// Dry.
    Dry,
    /// Wet.
    Wet,
}

/// A fever, or none; by the highest temperature measured.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Fever {
    /// None, or never measured.
    #[default]
    None,
    /// Above 98.6 °F (37 °C).
    Mild,
    /// Above 100.6 °F (38.1 °C).
    Serious,
}

/// The symptoms of a person; none, by default.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Symptoms {
    /// A cough.
    pub cough: Cough,
    /// A fever.
    pub fever: Fever,
    /// Shortness of breath.
    pub breathlessness: bool,
    /// Muscle aches.
    pub muscle_aches: bool,
    /// Loss of smell or taste.
    pub loss_of_smell_or_taste: bool,
    /// Diarrhea.
    pub diarrhea: bool,
    /// A runny nose.
    pub runny_nose: bool,
    /// Something not listed.
    pub other: bool,
    /// Said outright: no symptoms.
    pub no_symptoms: bool,
}

/// A memo of the 20-byte layout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SymptomMemo {
    report_time: u64,
    earliest_symptom_time: Option<u64>,
    symptoms: Symptoms,
}

impl SymptomMemo {
    /// A memo to write: symptoms reported on one day and felt since another,
    /// if that is to be said.
    pub fn new(reported: Day, felt_since: Option<Day>, symptoms: Symptoms) -> Self {
        Self {
            report_time: reported.start(),
            earliest_symptom_time: felt_since.map(Day::start),
            symptoms,
        }
    }

    /// When it was reported, in Unix seconds.
    pub const fn report_time(&self) -> u64 {
        self.report_time
    }

    /// When the first symptom was felt, in Unix seconds, if that is said.
    pub const fn earliest_symptom_time(&self) -> Option<u64> {
        self.earliest_symptom_time
    }

    /// What is felt.
    pub const fn symptoms(&self) -> Symptoms {
        self.symptoms
    }

    /// The bytes of the memo, and its type with them.
    pub fn to_memo(&self) -> Memo {
        Memo {
            kind: MemoType::COEPI_V1,
            data: self.encode().to_vec(),
        }
    }

    /// The bytes of the memo.
    pub fn encode(&self) -> [u8; LEN] {
        let symptoms = &self.symptoms;
        let mut data = [0; LEN];
        data[..2].copy_from_slice(&VERSION);
        data[2..10].copy_from_slice(&self.report_time.to_le_bytes());
        data[10..18].copy_from_slice(&self.earliest_symptom_time.unwrap_or(NOT_SAID).to_le_bytes());
        data[18] = symptoms.cough as u8 | (symptoms.fever as u8) << 4;
        data[19] = to_bits([
            symptoms.breathlessness,
            symptoms.muscle_aches,
            symptoms.loss_of_smell_or_taste,
            symptoms.diarrhea,
            symptoms.runny_nose,
            symptoms.other,
            symptoms.no_symptoms,
        ]);
        data
    }

    fn decode(data: &[u8]) -> Option<Self> {
        let (report_time, rest) = versioned(data)?;
        let (earliest, rest) = rest.split_first_chunk()?;
        let &[grades, flags] = rest.as_array()?;
        let [
            breathlessness,
            muscle_aches,
            loss_of_smell_or_taste,
            diarrhea,
            runny_nose,
            other,
            no_symptoms,
        ] = from_bits(flags)?;
        let cough = match grades & 0x0f {
            0 => Cough::None,
            1 => Cough::Existing,
            2 => Cough::Dry,
            3 => Cough::Wet,
            _ => return None,
        };
        let fever = match grades >> 4 {
            0 => Fever::None,
            1 => Fever::Mild,
            2 => Fever::Serious,
            _ => return None,
        };
        let earliest = u64::from_le_bytes(*earliest);
        Some(Self {
            report_time,
            earliest_symptom_time: (earliest != NOT_SAID).then_some(earliest),
            symptoms: Symptoms {
                cough,
                fever,
                breathlessness,
                muscle_aches,
                loss_of_smell_or_taste,
                diarrhea,
                runny_nose,
                other,
                no_symptoms,
            },
        })
    }
}

/// A memo of the 11-byte layout; it knew neither kinds of cough nor grades of
/// fever.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EarlyMemo {
    /// When it was reported, in Unix seconds.
    pub report_time: u64,
    /// Said outright: no symptoms.
    pub no_symptoms: bool,
    /// Something not listed.
    pub other: bool,
    /// A cough.
    pub cough: bool,
    /// Shortness of breath.
    pub breathlessness: bool,
    /// A fever.
    pub fever: bool,
}

impl EarlyMemo {
    fn decode(data: &[u8]) -> Option<Self> {
        let (report_time, rest) = versioned(data)?;
        let &[flags] = rest.as_array()?;
        let [no_symptoms, other, cough, breathlessness, fever] = from_bits(flags)?;
        Some(Self {
            report_time,
            no_symptoms,
            other,
            cough,
            breathlessness,
            fever,
        })
    }
}

/// The time after the version, and the rest.
fn versioned(data: &[u8]) -> Option<(u64, &[u8])> {
    let rest = data.strip_prefix(&VERSION)?;
    let (time, rest) = rest.split_first_chunk()?;
    Some((u64::from_le_bytes(*time), rest))
}

/// Text that a terminal shows as it is.
fn text(data: &[u8]) -> Option<&str> {
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let text = std::str::from_utf8(data).ok()?;
    (!data.is_empty() && data.iter().all(printable)).then_some(text)
}

/// `N` flags, the first in the least significant bit.
fn to_bits<const N: usize>(flags: [bool; N]) -> u8 {
    flags
        .into_iter()
        .rev()
        .fold(0, |bits, flag| bits << 1 | u8::from(flag))
}

/// `N` flags, the first from the least significant bit; `None` if a bit beyond
/// them is set.
fn from_bits<const N: usize>(bits: u8) -> Option<[bool; N]> {
    (u32::from(bits) >> N == 0).then(|| std::array::from_fn(|n| bits >> n & 1 == 1))
}

impl fmt::Debug for CoEpiMemo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1(_) => "V1([REDACTED])",
            Self::Early(_) => "Early([REDACTED])",
            Self::Text(_) => "Text([REDACTED])",
            Self::Unknown => "Unknown",
        })
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([REDACTED])"))
            }
        }
    )*};
}

redacted!(SymptomMemo, EarlyMemo, Symptoms, Cough, Fever);
