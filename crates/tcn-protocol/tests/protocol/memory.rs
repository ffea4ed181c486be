//! No key is left in memory once it is dropped.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::FileExt;

use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use tcn_protocol::{
    Memo, MemoType, Ratchet, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
};

/// The mask of the seed, so that this test has no copy of it.
const MASK: u8 = 0xa5;

/// Gives the seed behind the mask.
struct Masked([u8; 32]);

impl TryRng for Masked {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("a key is drawn as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("a key is drawn as bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for (byte, masked) in bytes.iter_mut().zip(self.0) {
            *byte = masked ^ MASK;
        }
        Ok(())
    }
}

impl TryCryptoRng for Masked {}

/// How many times these 32 bytes occur in the writable memory of this process.
fn copies(masked: &[u8; 32]) -> usize {
    let memory = fs::File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    // Never moved, and overwritten before the next search.
    let mut bytes = vec![0; 1 << 20];
    let mut found = 0;
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let (from, to) = map.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [mut at, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        while at < to {
            let most = bytes.len().min(usize::try_from(to - at).unwrap());
            // Some mappings of the kernel cannot be read.
            let Ok(read) = memory.read_at(&mut bytes[..most], at) else {
                break;
            };
            let here = bytes.as_ptr() as u64;
            for (place, window) in bytes[..read].windows(32).enumerate() {
                let at = at + place as u64;
                let ours = (here..here + bytes.len() as u64).contains(&at);
                let same = window
                    .iter()
                    .zip(masked)
                    .all(|(byte, mask)| byte ^ MASK == *mask);
                found += usize::from(same && !ours);
            }
            // Bytes that lie across two pieces are in the next one.
            at += if read < most || at + read as u64 == to {
                to - at
            } else {
                read as u64 - 31
            };
        }
        bytes.fill(0);
    }
    found
}

#[inline(never)]
fn in_use(masked: [u8; 32]) -> (usize, usize) {
    let rak = ReportAuthorizationKey::generate(&mut Masked(masked));
    let (first, last) = (RatchetIndex::FIRST, RatchetIndex::new(9).unwrap());
    let mut tck = rak.first_temporary_contact_key();
    for _ in 0..8 {
        let Ratchet::Next(next) = tck.ratchet() else {
            panic!("spent")
        };
        tck = next;
    }
    let memo = Memo::new(MemoType::COVID_WATCH_V1, vec![1, 2, 3]).unwrap();
    let span = ReportSpan::new(first, last).unwrap();
    let signed = SignedReport::create(&rak, span, memo);
    assert!(signed.claim().temporary_contact_numbers().count() > 0);
    let alone = copies(&masked);
    // On its way to the store, through queues.
    let mut queue = vec![Some(rak.expose_seed())];
    for _ in 0..100 {
        queue.push(None);
    }
    let with_record = copies(&masked);
    (alone, with_record)
}

#[test]
fn a_seed_stands_in_memory_once_and_not_after_its_key_is_dropped() {
    let masked = std::array::from_fn(|i| u8::try_from(i * 7 + 3).unwrap() ^ MASK);
    let held = in_use(masked);
    assert_eq!(held, (1, 2), "one in the key, one in the record");
    assert_eq!(copies(&masked), 0, "left behind");
}
