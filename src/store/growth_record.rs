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
//! its body. A check is the first 8 bytes of SHA-256 over the check before it and the
//! bytes, so a record counts only behind those that it was written behind, and in its
//! file alone. A record is whole or none at all: what was written in part has no valid
//! check. A record begins where the one before ends, or, with zeros between, at the next
//! multiple of [`PAGE`].
//!
//! A body begins with the second of the last sighting in it. Then comes the growth of
//! runs, one after another. Each begins with a number: 0, if the file names this run for
//! the first time; then its number heard (16 bytes) and its start follow. If not, it says
//! which run it is, the first that the file names being 1. So a run that goes on costs
//! some 10 bytes a minute, not 35. Then follow:
//!
//! * its last sighting
//! * strongest signal in dBm plus 64, signed; [`UNMEASURED`] if none was measured
//! * four times the length of the counts, plus 2 if seconds unheard follow, plus 1 if bridged
//! * the seconds unheard, as in the column `unheard` of the table `contact`
//! * the counts, as in the column `sightings` of the table `contact`
//! * by how much the sum of the signals is less than if all were the strongest, signed
//!
//! Times are seconds before the one that the body begins with. All integers in a body are
//! LEB128, signed ones in zigzag.

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
const UNMEASURED: i64 = 1 << 16;

/// What is added to the strongest signal, so that it is one byte.
const STRONGEST: i64 = 64;

/// Bytes that the kernel writes to the disk at once.
pub(super) const PAGE: usize = 4096;

/// Bytes before the first record.
pub(super) const HEADER: usize = MAGIC.len() + 8 + CHECK;

/// Bytes before the body of a record.
const PREFIX: usize = 4 + CHECK;

type Tcn = TemporaryContactNumber;

type Check = [u8; CHECK];

/// What the records of a file up to some place amount to for the next: their check, and
/// the runs that they name, in the order in which they first do.
pub(super) struct Chain {
    check: Check,
    places: BTreeMap<(Tcn, u64), u64>,
    runs: Vec<(Tcn, u64)>,
}

/// A place in a [`Chain`].
#[derive(Clone, Copy)]
pub(super) struct Link {
    check: Check,
    runs: usize,
}

impl Chain {
    /// Of the file of this id, before its first record.
    pub(super) fn new(id: i64) -> Self {
        Self {
            check: check(Check::default(), &named(id)),
            places: BTreeMap::new(),
            runs: Vec::new(),
        }
    }

    pub(super) fn end(&self) -> Link {
        Link {
            check: self.check,
            runs: self.runs.len(),
        }
    }

    /// Forgets what came after.
    pub(super) fn cut(&mut self, end: Link) {
        self.check = end.check;
        for run in self.runs.drain(end.runs..) {
            self.places.remove(&run);
        }
    }

    fn add(&mut self, run: (Tcn, u64)) {
        self.runs.push(run);
        self.places.insert(run, self.runs.len() as u64);
    }
}

fn named(id: i64) -> Vec<u8> {
    [&MAGIC[..], &id.to_le_bytes()].concat()
}

/// The first bytes of the file of this id.
pub(super) fn header(id: i64) -> Vec<u8> {
    let named = named(id);
    let check = check(Check::default(), &named);
    [&named[..], &check].concat()
}

/// The id of the file that begins with these bytes; `None` if they are no header.
pub(super) fn id(bytes: &[u8]) -> Option<i64> {
    let id = bytes.get(MAGIC.len()..)?.first_chunk()?;
    let id = i64::from_le_bytes(*id);
    (bytes.get(..HEADER)? == header(id)).then_some(id)
}

/// A batch as the next record.
pub(super) fn write(batch: &[Contact], chain: &mut Chain) -> Vec<u8> {
    let rows = batch
        .iter()
        .map(|growth| (growth.tcn, ContactRow::new(growth)));
    let rows: Vec<_> = rows.collect();
    let last = rows.iter().map(|(_, row)| row.end).max().unwrap_or(0);
    let mut body = Vec::new();
    put(&mut body, last);
    for (tcn, row) in rows {
        put_run(&mut body, (tcn, row.start), last, chain);
        put_row(&mut body, &row, last);
    }
    let length = u32::try_from(body.len()).expect("a batch is far below 4 GiB");
    chain.check = check(chain.check, &body);
    [&length.to_le_bytes()[..], &chain.check, &body].concat()
}

/// The growth in the next record, and the place behind it; `None` if there is no whole
/// one. The one before ends at `at`.
pub(super) fn read(
    bytes: &[u8],
    at: usize,
    chain: &mut Chain,
) -> Option<(Vec<(Tcn, ContactRow)>, usize)> {
    let here = read_at(bytes, at, chain);
    here.or_else(|| read_at(bytes, at.next_multiple_of(PAGE), chain))
}

fn read_at(bytes: &[u8], at: usize, chain: &mut Chain) -> Option<(Vec<(Tcn, ContactRow)>, usize)> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk()?;
    let (found, rest) = rest.split_first_chunk::<CHECK>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length)?;
    if *found != check(chain.check, body) {
        return None;
    }
    let before = chain.end();
    let rows = read_body(body, chain);
    match rows {
        Some(_) => chain.check = *found,
        None => chain.cut(before),
    }
    Some((rows?, at + PREFIX + length))
}

fn read_body(mut body: &[u8], chain: &mut Chain) -> Option<Vec<(Tcn, ContactRow)>> {
    let last = take(&mut body)?;
    let mut rows = Vec::new();
    while !body.is_empty() {
        let (tcn, start) = take_run(&mut body, last, chain)?;
        rows.push((tcn, take_row(&mut body, start, last)?));
    }
    Some(rows)
}

fn put_run(bytes: &mut Vec<u8>, run: (Tcn, u64), last: u64, chain: &mut Chain) {
    if let Some(place) = chain.places.get(&run) {
        return put(bytes, *place);
    }
    put(bytes, 0);
    bytes.extend(run.0.as_bytes());
    put(bytes, last - run.1);
    chain.add(run);
}

fn take_run(bytes: &mut &[u8], last: u64, chain: &mut Chain) -> Option<(Tcn, u64)> {
    if let Some(known) = take(bytes)?.checked_sub(1) {
        return chain.runs.get(usize::try_from(known).ok()?).copied();
    }
    let (tcn, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    let run = (Tcn::from_bytes(*tcn), last.checked_sub(take(bytes)?)?);
    chain.add(run);
    Some(run)
}

/// A row but for its start. A column more of the table `contact` belongs here too, and
/// into [`take_row`], with another version in [`MAGIC`].
fn put_row(bytes: &mut Vec<u8>, row: &ContactRow, last: u64) {
    let counts = row.sightings();
    let max = row.signal.max.map_or(UNMEASURED, i64::from);
    put(bytes, last - row.end);
    put_signed(bytes, max + STRONGEST);
    let paused = row.unheard() != 0;
    let flags = u64::from(paused) << 1 | u64::from(row.bridged);
    put(bytes, (counts.len() as u64) << 2 | flags);
    if paused {
        put(bytes, u64::from(row.unheard()));
    }
    bytes.extend(counts);
    let strongest = strongest(row.signal.max, row.signal.attenuation);
    put_signed(bytes, strongest.wrapping_sub(row.signal.sum));
}

fn take_row(bytes: &mut &[u8], start: u64, last: u64) -> Option<ContactRow> {
    let end = last.checked_sub(take(bytes)?)?;
    let max = match take_signed(bytes)?.checked_sub(STRONGEST)? {
        UNMEASURED => None,
        max => Some(i16::try_from(max).ok()?),
    };
    let packed = take(bytes)?;
    let paused = match packed & 2 {
        0 => 0,
        _ => u16::try_from(take(bytes)?).ok()?,
    };
    let (counted, rest) = bytes.split_at_checked(usize::try_from(packed >> 2).ok()?)?;
    *bytes = rest;
    let (attenuation, unmeasured) = counts(counted)?;
    let sum = strongest(max, attenuation).wrapping_sub(take_signed(bytes)?);
    (start <= end).then_some(ContactRow {
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

/// The sum of the signals if all were the strongest. A row may hold anything, so an
/// overflow wraps, in both directions.
fn strongest(max: Option<i16>, attenuation: [u32; 4]) -> i64 {
    let measured: i64 = attenuation.into_iter().map(i64::from).sum();
    measured.wrapping_mul(i64::from(max.unwrap_or(0)))
}

fn check(before: Check, bytes: &[u8]) -> Check {
    let hash = Sha256::new().chain_update(before).chain_update(bytes);
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

    /// The file of these batches. This one of them, the first being 0, begins a page.
    fn file(batches: &[Vec<Contact>], aligned: usize) -> Vec<u8> {
        let (mut chain, mut bytes) = (Chain::new(7), header(7));
        for (n, batch) in batches.iter().enumerate() {
            if n == aligned {
                bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
            }
            bytes.extend(write(batch, &mut chain));
        }
        bytes
    }

    /// The batches of a file, as far as they can be read.
    fn read_all(bytes: &[u8]) -> Vec<Vec<(Tcn, ContactRow)>> {
        let (mut chain, mut at, mut batches) = (Chain::new(7), HEADER, Vec::new());
        while let Some((rows, end)) = read(bytes, at, &mut chain) {
            batches.push(rows);
            at = end;
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
        fn what_is_written_is_read(batches in batches(), aligned in 0usize..6) {
            prop_assert_eq!(read_all(&file(&batches, aligned)), rows(&batches));
        }

        /// Wherever a file ends, the batches before are there, each whole.
        #[test]
        fn a_record_is_whole_or_none(batches in batches(), left: usize) {
            let bytes = file(&batches, 9);
            let left = HEADER + left % (bytes.len() - HEADER + 1);
            let read = read_all(&bytes[..left]);
            prop_assert_eq!(&read[..], &rows(&batches)[..read.len()]);
            prop_assert!(left < bytes.len() || read.len() == batches.len());
        }

        /// A byte that changed is noticed.
        #[test]
        fn a_damaged_record_ends_the_file(batches in batches(), at: usize, bit in 0u8..8) {
            let mut bytes = file(&batches, 9);
            let at = HEADER + at % (bytes.len() - HEADER);
            bytes[at] ^= 1 << bit;
            let read = read_all(&bytes);
            prop_assert!(read.len() < batches.len());
            prop_assert_eq!(&read[..], &rows(&batches)[..read.len()]);
        }

        #[test]
        fn a_body_of_any_bytes_is_read_or_refused(body: Vec<u8>) {
            let _ = read_body(&body, &mut Chain::new(7));
        }
    }

    #[test]
    fn a_record_counts_in_its_file_and_behind_its_own_alone() {
        let batch = |n| [growth(n, 1000, Signal::default())];
        let mut chain = Chain::new(7);
        let first = write(&batch(1), &mut chain);
        let second = write(&batch(2), &mut chain);
        let mut chain = Chain::new(7);
        assert!(read(&second, 0, &mut chain).is_none());
        assert!(read(&first, 0, &mut Chain::new(8)).is_none());
        assert!(read(&first, 0, &mut chain).is_some());
        assert!(read(&first, 0, &mut chain).is_none());
        assert!(read(&second, 0, &mut chain).is_some());
    }

    #[test]
    fn what_was_not_written_leaves_the_chain_as_it_was() {
        let batch = |n| [growth(n, 1000, Signal::default())];
        let mut chain = Chain::new(7);
        let mut bytes = write(&batch(1), &mut chain);
        let before = chain.end();
        write(&batch(2), &mut chain);
        chain.cut(before);
        bytes.extend(write(&batch(3), &mut chain));
        let mut other = Chain::new(7);
        let (_, end) = read(&bytes, 0, &mut other).unwrap();
        let (rows, _) = read(&bytes, end, &mut other).unwrap();
        assert_eq!(rows[0].0, batch(3)[0].tcn);
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
        74636e6467726f010700000000000000a95c779c20a12bac44000000cdbfb9c128f1d07c89a4\
        a7da06000909090909090909090909090909090909000b0f810400f001f80a00020202020202\
        020202020202020202020907808108000001000b0f810400f001f80a";

    /// A file of an earlier run must still be read after an upgrade.
    #[test]
    fn the_form_is_pinned() {
        let measured = Signal {
            max: Some(-70),
            sum: -17_500,
            attenuation: [0, 240, 0, 0],
            unmeasured: 0,
        };
        let batch = [
            growth(9, 1_800_000_000, measured),
            growth(2, 1_800_000_000, Signal::default()),
            growth(9, 1_800_000_000, measured),
        ];
        let hex: String = file(&[batch.to_vec()], 1)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, PINNED);
    }
}
