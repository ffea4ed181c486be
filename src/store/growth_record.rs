//! The growth file as bytes.
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`], which ends with the version of this form |
//! | 8 | 8 | the id of the file, little endian |
//! | 16 | 8 | the check of these 16 bytes |
//! | 24 | | records, one a batch |
//!
//! A record is the length of its body (4 bytes, little endian), its check (8 bytes) and
//! its body. A check is the first 8 bytes of SHA-256 over the id, the place in the file
//! and the bytes, so no record counts in another file or at another place. A record is
//! whole or none at all: what was written in part has no valid check.
//!
//! A body is the growth of runs, one after another. Each begins with a number: 0, if the
//! file names this run for the first time; then its number heard (16 bytes) and its
//! start follow. If not, it says which run it is, the first that the file names being 1.
//! So a run that goes on costs some 14 bytes a minute, not 35. Then follow:
//!
//! * seconds from the start to the last sighting
//! * strongest signal in dBm, signed; 32768 if none was measured
//! * sum of the measured signals, signed
//! * four times the length of the counts, plus 2 if seconds unheard follow, plus 1 if bridged
//! * the seconds unheard, as in the column `unheard` of the table `contact`
//! * the counts, as in the column `sightings` of the table `contact`
//!
//! All integers in a body are LEB128, signed ones in zigzag.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use tcn_engine::{Contact, Signal};
use tcn_protocol::TemporaryContactNumber;

use super::contact_row::{ContactRow, counts, unheard};
use super::leb128::{put, put_signed, take, take_signed};

/// The last byte is the version of the form.
const MAGIC: [u8; 8] = *b"tcndgro\x01";

const CHECK: usize = 8;

/// In the place of the strongest signal, which has 16 bits.
const UNMEASURED: i64 = 1 << 15;

/// Bytes before the first record.
pub(super) const HEADER: usize = MAGIC.len() + 8 + CHECK;

/// Bytes before the body of a record.
const PREFIX: usize = 4 + CHECK;

type Tcn = TemporaryContactNumber;

/// The runs that a file names, in the order in which it first does.
#[derive(Default)]
pub(super) struct Runs {
    places: BTreeMap<(Tcn, u64), u64>,
    in_order: Vec<(Tcn, u64)>,
}

impl Runs {
    pub(super) fn len(&self) -> usize {
        self.in_order.len()
    }

    /// Forgets all but the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        for run in self.in_order.drain(len..) {
            self.places.remove(&run);
        }
    }

    fn add(&mut self, run: (Tcn, u64)) {
        self.in_order.push(run);
        self.places.insert(run, self.in_order.len() as u64);
    }

    fn put(&mut self, bytes: &mut Vec<u8>, run: (Tcn, u64)) {
        if let Some(place) = self.places.get(&run) {
            return put(bytes, *place);
        }
        put(bytes, 0);
        bytes.extend(run.0.as_bytes());
        put(bytes, run.1);
        self.add(run);
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Option<(Tcn, u64)> {
        let place = take(bytes)?;
        if let Some(known) = place.checked_sub(1) {
            return self.in_order.get(usize::try_from(known).ok()?).copied();
        }
        let (tcn, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        let run = (Tcn::from_bytes(*tcn), take(bytes)?);
        self.add(run);
        Some(run)
    }
}

/// The first bytes of the file of this id.
pub(super) fn header(id: i64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(id.to_le_bytes());
    let check = check(id, 0, &bytes);
    bytes.extend(check);
    bytes
}

/// The id of the file that begins with these bytes; `None` if they are no header.
pub(super) fn id(bytes: &[u8]) -> Option<i64> {
    let id = bytes.get(MAGIC.len()..)?.first_chunk()?;
    let id = i64::from_le_bytes(*id);
    (bytes.get(..HEADER)? == header(id)).then_some(id)
}

/// A batch as the record at this place of the file of this id.
pub(super) fn write(id: i64, place: u64, batch: &[Contact], runs: &mut Runs) -> Vec<u8> {
    let mut body = Vec::new();
    for growth in batch {
        let row = ContactRow::new(growth);
        runs.put(&mut body, (growth.tcn, row.start));
        put_row(&mut body, &row);
    }
    let length = u32::try_from(body.len()).expect("a batch is far below 4 GiB");
    let mut record = length.to_le_bytes().to_vec();
    record.extend(check(id, place, &body));
    record.extend(body);
    record
}

/// The growth in the record at the front of `bytes`, and how long the record is; `None`
/// if there is no whole one.
pub(super) fn read(
    id: i64,
    place: u64,
    bytes: &[u8],
    runs: &mut Runs,
) -> Option<(Vec<(Tcn, ContactRow)>, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (found, rest) = rest.split_first_chunk::<CHECK>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length)?;
    if *found != check(id, place, body) {
        return None;
    }
    let known = runs.len();
    let rows = read_body(body, runs);
    if rows.is_none() {
        runs.truncate(known);
    }
    Some((rows?, PREFIX + length))
}

fn read_body(mut body: &[u8], runs: &mut Runs) -> Option<Vec<(Tcn, ContactRow)>> {
    let mut rows = Vec::new();
    while !body.is_empty() {
        let (tcn, start) = runs.take(&mut body)?;
        rows.push((tcn, take_row(&mut body, start)?));
    }
    Some(rows)
}

/// A row but for its start. A column more of the table `contact` belongs here too, and
/// into [`take_row`], with another version in [`MAGIC`].
fn put_row(bytes: &mut Vec<u8>, row: &ContactRow) {
    let counts = row.sightings();
    put(bytes, row.end - row.start);
    put_signed(bytes, row.signal.max.map_or(UNMEASURED, i64::from));
    put_signed(bytes, row.signal.sum);
    let paused = row.unheard() != 0;
    let flags = u64::from(paused) << 1 | u64::from(row.bridged);
    put(bytes, (counts.len() as u64) << 2 | flags);
    if paused {
        put(bytes, u64::from(row.unheard()));
    }
    bytes.extend(counts);
}

fn take_row(bytes: &mut &[u8], start: u64) -> Option<ContactRow> {
    let end = start.checked_add(take(bytes)?)?;
    let max = match take_signed(bytes)? {
        UNMEASURED => None,
        max => Some(i16::try_from(max).ok()?),
    };
    let sum = take_signed(bytes)?;
    let packed = take(bytes)?;
    let paused = match packed & 2 {
        0 => 0,
        _ => u16::try_from(take(bytes)?).ok()?,
    };
    let (counted, rest) = bytes.split_at_checked(usize::try_from(packed >> 2).ok()?)?;
    *bytes = rest;
    let (attenuation, unmeasured) = counts(counted)?;
    Some(ContactRow {
        start,
        end,
        unheard: unheard(paused),
        signal: Signal {
            max,
            sum,
            attenuation,
            unmeasured,
        },
        bridged: packed & 1 != 0,
    })
}

fn check(id: i64, place: u64, bytes: &[u8]) -> [u8; CHECK] {
    let mut hash = Sha256::new();
    hash.update(id.to_le_bytes());
    hash.update(place.to_le_bytes());
    hash.update(bytes);
    *hash.finalize().first_chunk().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tcn_engine::Unheard;
    use tcn_protocol::UnixTime;

    use super::*;

    fn growth(n: u8, start: u64, signal: Signal) -> Contact {
        Contact {
            tcn: Tcn::from_bytes([n; 16]),
            start: UnixTime(start),
            end: UnixTime(start + u64::from(n)),
            unheard: Unheard {
                before: n / 8,
                after: n / 4,
            },
            signal,
            bridged: n % 2 == 1,
        }
    }

    prop_compose! {
        fn any_growth()(
            n in 0u8..9,
            start in prop_oneof![0u64..3, 1_800_000_000u64..1_800_000_003, Just(u64::MAX - 9)],
            max: Option<i16>,
            sum: i64,
            attenuation: [u32; 4],
            unmeasured: u32,
        ) -> Contact {
            growth(n, start, Signal { max, sum, attenuation, unmeasured })
        }
    }

    fn batches() -> impl Strategy<Value = Vec<Vec<Contact>>> {
        proptest::collection::vec(proptest::collection::vec(any_growth(), 0..8), 1..5)
    }

    fn file(batches: &[Vec<Contact>]) -> Vec<u8> {
        let mut runs = Runs::default();
        let mut bytes = header(7);
        for batch in batches {
            let record = write(7, bytes.len() as u64, batch, &mut runs);
            bytes.extend(record);
        }
        bytes
    }

    /// The batches of a file, as far as they can be read.
    fn read_all(bytes: &[u8]) -> Vec<Vec<(Tcn, ContactRow)>> {
        let (mut runs, mut at, mut batches) = (Runs::default(), HEADER, Vec::new());
        while let Some((rows, length)) = read(7, at as u64, &bytes[at..], &mut runs) {
            batches.push(rows);
            at += length;
        }
        batches
    }

    fn rows(batches: &[Vec<Contact>]) -> Vec<Vec<(Tcn, ContactRow)>> {
        let row = |growth: &Contact| (growth.tcn, ContactRow::new(growth));
        let rows = |batch: &Vec<Contact>| batch.iter().map(row).collect();
        batches.iter().map(rows).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(batches in batches()) {
            prop_assert_eq!(read_all(&file(&batches)), rows(&batches));
        }

        /// Wherever a file ends, the batches before are there, each whole.
        #[test]
        fn a_record_is_whole_or_none(batches in batches(), left: usize) {
            let bytes = file(&batches);
            let left = HEADER + left % (bytes.len() - HEADER + 1);
            let read = read_all(&bytes[..left]);
            prop_assert_eq!(&read[..], &rows(&batches)[..read.len()]);
            prop_assert!(left < bytes.len() || read.len() == batches.len());
        }

        /// A byte that changed is noticed.
        #[test]
        fn a_damaged_record_ends_the_file(batches in batches(), at: usize, bit in 0u8..8) {
            let mut bytes = file(&batches);
            let at = HEADER + at % (bytes.len() - HEADER);
            bytes[at] ^= 1 << bit;
            let read = read_all(&bytes);
            prop_assert!(read.len() < batches.len());
            prop_assert_eq!(&read[..], &rows(&batches)[..read.len()]);
        }

        #[test]
        fn a_body_of_any_bytes_is_read_or_refused(body: Vec<u8>) {
            let mut runs = Runs::default();
            let _ = read_body(&body, &mut runs);
        }
    }

    #[test]
    fn a_record_counts_in_its_file_and_at_its_place_alone() {
        let signal = Signal {
            unmeasured: 1,
            ..Signal::default()
        };
        let record = write(7, 24, &[growth(1, 0, signal)], &mut Runs::default());
        let found = |id, place| read(id, place, &record, &mut Runs::default()).is_some();
        assert!(found(7, 24));
        assert!(!found(8, 24));
        assert!(!found(7, 25));
    }

    #[test]
    fn a_header_has_its_id_or_is_none() {
        let bytes = header(-7);
        assert_eq!(id(&bytes), Some(-7));
        assert_eq!(id(&bytes[..HEADER - 1]), None);
        for at in 0..HEADER {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(id(&other), None, "byte {at}");
        }
    }

    const PINNED: &str = "\
        74636e6467726f010700000000000000795fcf56bf97fcab4b000000518ff51791fc601a0009\
        09090909090909090909090909090980a4a7da06098b01bf86020f810400f001000202020202\
        020202020202020202020280a4a7da0602808004000001098b01bf86020f810400f001";

    /// A file of an earlier run must still be read after an upgrade.
    #[test]
    fn the_form_is_pinned() {
        let measured = Signal {
            max: Some(-70),
            sum: -16_800,
            attenuation: [0, 240, 0, 0],
            unmeasured: 0,
        };
        let batch = [
            growth(9, 1_800_000_000, measured),
            growth(2, 1_800_000_000, Signal::default()),
            growth(9, 1_800_000_000, measured),
        ];
        let hex: String = file(&[batch.to_vec()])
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, PINNED);
    }
}
