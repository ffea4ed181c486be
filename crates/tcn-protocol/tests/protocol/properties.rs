//! Round trips; no input panics.

use proptest::collection::vec;
use proptest::prelude::*;
use tcn_protocol::beacon::Frame;
use tcn_protocol::file::{self, FileError, Format};
use tcn_protocol::{
    Memo, MemoType, Ratchet, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
    TemporaryContactNumber, wire,
};

use crate::read_file;

fn index() -> impl Strategy<Value = RatchetIndex> {
    // Small, so that a case costs few hashes; the vectors cover the ends of the range.
    (1..300u16).prop_map(|i| RatchetIndex::new(i).unwrap())
}

prop_compose! {
    fn signed()(seed: [u8; 32], a in index(), b in index(), kind: u8, data in vec(any::<u8>(), 0..=255)) -> SignedReport {
        let span = ReportSpan::new(a.min(b), a.max(b)).unwrap();
        let memo = Memo::new(MemoType::new(kind), data).unwrap();
        SignedReport::create(&ReportAuthorizationKey::from_bytes(&seed), span, memo)
    }
}

/// Bytes that look like a report up to the length byte.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    (
        vec(any::<u8>(), 69),
        vec(any::<u8>(), 0..=255),
        vec(any::<u8>(), 60..70),
    )
        .prop_map(|(mut bytes, memo, tail)| {
            bytes.push(u8::try_from(memo.len()).unwrap());
            bytes.extend(memo);
            bytes.extend(tail);
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_report_discloses_the_ratchet_s_own_slice(seed: [u8; 32], a in index(), b in index()) {
        let rak = ReportAuthorizationKey::from_bytes(&seed);
        let span = ReportSpan::new(a.min(b), a.max(b)).unwrap();
        let report = SignedReport::create(&rak, span, Memo::new(MemoType::ITO_V1, []).unwrap()).verify().unwrap();

        let mut slice = Vec::new();
        let mut tck = rak.first_temporary_contact_key();
        for i in 1..=span.last().get() {
            if i >= span.first().get() {
                slice.push(tck.temporary_contact_number());
            }
            let Ratchet::Next(next) = tck.ratchet() else { break };
            tck = next;
        }
        prop_assert_eq!(report.temporary_contact_numbers().collect::<Vec<_>>(), slice);
    }

    #[test]
    fn what_is_written_is_read(report in signed(), rest in vec(any::<u8>(), 0..80)) {
        let bytes = wire::write(&report);
        prop_assert!((SignedReport::MIN_LEN..=SignedReport::MAX_LEN).contains(&bytes.len()));
        prop_assert_eq!(wire::declared_len(&bytes), Some(bytes.len()));
        prop_assert_eq!(wire::parse(&bytes), Ok(report.clone()));

        let stream = [&bytes[..], &rest].concat();
        prop_assert_eq!(wire::parse_first(&stream), Ok((report.clone(), &rest[..])));
        prop_assert_eq!(report.clone().verify(), Ok(report.claim().clone()));
    }

    /// Two signatures, one report: the unsigned bytes are its identity.
    #[test]
    fn the_identity_of_a_report_is_not_its_signature(report in signed(), at in 0..64usize) {
        let mut bytes = wire::write(&report);
        let end = bytes.len();
        bytes[end - 64 + at] ^= 1;
        let other = wire::parse(&bytes).unwrap();
        prop_assert_ne!(&other, &report);
        prop_assert_eq!(other.claim().unsigned_bytes(), report.claim().unsigned_bytes());
    }

    #[test]
    fn report_files_are_read_as_they_were_written(
        reports in vec(signed(), 1..5),
        format in prop::sample::select(vec![Format::Tcn, Format::Base64, Format::Json]),
    ) {
        let read = read_file(&file::write(format, &reports)).unwrap();
        prop_assert_eq!(read, (format, reports.into_iter().map(Ok).collect()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn accepted_bytes_are_written_back(bytes in prop_oneof![vec(any::<u8>(), 0..500), framed()]) {
        if let Ok((report, rest)) = wire::parse_first(&bytes) {
            prop_assert_eq!([&wire::write(&report), rest].concat(), bytes);
        }
    }

    #[test]
    fn no_advert_panics_and_what_is_read_is_aired_alike(advert in vec(any::<u8>(), 0..64)) {
        if let Ok(frame) = Frame::from_advertisement(&advert) {
            prop_assert_eq!(Frame::from_advertisement(&frame.advertisement()).unwrap().tcn, frame.tcn);
        }
    }

    #[test]
    fn frames_go_through_the_air_unchanged(tcn: [u8; 16], carrier: [u8; 4]) {
        let frame = Frame { tcn: TemporaryContactNumber::from_bytes(tcn), carrier: Some(carrier) };
        prop_assert_eq!(Frame::from_service_data(&frame.service_data()), Ok(frame));
        prop_assert_eq!(Frame::from_advertisement(&frame.advertisement()), Ok(frame));
        prop_assert_eq!(frame.is_bridged(), carrier != tcn[..4]);
        prop_assert!(!Frame::own(frame.tcn).is_bridged());
    }

    #[test]
    fn no_file_panics(bytes in prop_oneof![
        vec(any::<u8>(), 0..600),
        "[\\[{\"]\\PC{0,80}".prop_map(String::into_bytes),
        "\\[(\"[A-Za-z0-9+/=]{0,12}\"|[0-9]{1,3}|null|\\{\\}|,){0,9}\\]".prop_map(String::into_bytes),
        "([A-Za-z0-9+/=]{0,12}\r?\n){0,9}".prop_map(String::into_bytes),
    ]) {
        match read_file(&bytes) {
            Ok((_, items)) => prop_assert!(!items.is_empty()),
            Err(error) => prop_assert!(matches!(error, FileError::Empty | FileError::Foreign(_)), "{error:?}"),
        }
    }
}
