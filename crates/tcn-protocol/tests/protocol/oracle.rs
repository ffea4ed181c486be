//! Random inputs against the published crate `tcn` 0.4.1.
//!
//! The crate leaves `tcn_{j_2}` out, and it knows only the memo types 0 and 1. The
//! comparison says so where it matters.

use proptest::prelude::*;
use tcn_protocol::{
    Memo, MemoType, Ratchet, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport, wire,
};

fn theirs(seed: &[u8; 32]) -> tcn::ReportAuthorizationKey {
    tcn::ReportAuthorizationKey::read(&seed[..]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_ratchet_is_the_reference_s(seed: [u8; 32], steps in 0..200u16) {
        let mut ours = ReportAuthorizationKey::from_bytes(&seed).first_temporary_contact_key();
        let mut reference = theirs(&seed).initial_temporary_contact_key();
        for _ in 0..steps {
            let Ratchet::Next(next) = ours.ratchet() else { panic!("spent below 200") };
            ours = next;
            reference = reference.ratchet().unwrap();
        }
        let mut bytes = Vec::new();
        reference.write(&mut bytes).unwrap();
        prop_assert_eq!(&ours.expose_bytes()[..], &bytes[..]);
        prop_assert_eq!(*ours.temporary_contact_number().as_bytes(), reference.temporary_contact_number().0);
    }

    #[test]
    fn what_we_write_the_reference_reads(
        seed: [u8; 32],
        first in 1..400u16,
        more in 0..40u16,
        coepi: bool,
        memo in proptest::collection::vec(any::<u8>(), 0..=255),
    ) {
        let last = first + more;
        let span = ReportSpan::new(RatchetIndex::new(first).unwrap(), RatchetIndex::new(last).unwrap()).unwrap();
        let kind = if coepi { MemoType::COEPI_V1 } else { MemoType::COVID_WATCH_V1 };
        let rak = ReportAuthorizationKey::from_bytes(&seed);
        let ours = SignedReport::create(&rak, span, Memo::new(kind, memo.clone()).unwrap());
        let bytes = wire::write(&ours);

        let kind = if coepi { tcn::MemoType::CoEpiV1 } else { tcn::MemoType::CovidWatchV1 };
        let mut expected = Vec::new();
        theirs(&seed).create_report(kind, memo, first, last).unwrap().write(&mut expected).unwrap();
        prop_assert_eq!(&bytes, &expected, "deterministic signatures: the same bytes");

        let reference = tcn::SignedReport::read(&bytes[..]).unwrap().verify().unwrap();
        let ours: Vec<_> = ours.verify().unwrap().temporary_contact_numbers().map(|tcn| *tcn.as_bytes()).collect();
        let reference: Vec<_> = reference.temporary_contact_numbers().map(|tcn| tcn.0).collect();
        prop_assert_eq!(ours.len(), usize::from(more) + 1);
        prop_assert_eq!(&ours[..usize::from(more)], &reference[..], "all but the last");
    }

    /// One byte changed anywhere: both read it or neither does, except for memo types;
    /// and neither verifies it.
    #[test]
    fn damage_is_seen_by_both(
        seed: [u8; 32],
        memo in proptest::collection::vec(any::<u8>(), 0..20),
        at: prop::sample::Index,
        bits in 1..=255u8,
    ) {
        let span = ReportSpan::new(RatchetIndex::FIRST, RatchetIndex::FIRST).unwrap();
        let rak = ReportAuthorizationKey::from_bytes(&seed);
        let mut bytes = wire::write(&SignedReport::create(&rak, span, Memo::new(MemoType::COEPI_V1, memo).unwrap()));
        let at = at.index(bytes.len());
        bytes[at] ^= bits;

        let ours = wire::parse_first(&bytes).map(|(report, _)| report);
        let reference = tcn::SignedReport::read(&bytes[..]);
        match (&ours, &reference) {
            (Ok(_), Err(tcn::Error::UnknownMemoType(_))) => prop_assert_eq!(at, 68),
            _ => prop_assert_eq!(ours.is_ok(), reference.is_ok()),
        }
        prop_assert!(ours.is_err() || ours.unwrap().verify().is_err());
        prop_assert!(reference.is_err() || reference.unwrap().verify().is_err());
    }
}
