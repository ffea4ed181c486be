//! Keys, ratchet and numbers, by the specification's vector.

use tcn_protocol::{
    Memo, MemoType, Ratchet, RatchetIndex, ReportSpan, SignedReport, TemporaryContactKey,
};

use crate::{array, index, spec_key, unhex, vectors};

#[test]
fn the_ratchet_gives_the_vector_to_its_end() {
    let reference = vectors!("tcn_reference.json");
    let mut rows = reference["ratchet"].as_array().unwrap().iter().peekable();
    let mut tck = spec_key().first_temporary_contact_key();
    for i in 1..=u16::MAX {
        assert_eq!(tck.index().get(), i);
        if let Some(row) = rows.next_if(|row| index(&row["index"]).get() == i) {
            let bytes = tck.expose_bytes();
            assert_eq!(bytes[..], unhex(&row["tck_serialized"])[..], "tck_{i}");
            assert_eq!(bytes[34..], unhex(&row["tck"])[..], "tck_{i}");
            let tcn = tck.temporary_contact_number();
            assert_eq!(*tcn.as_bytes(), array(&row["tcn"]), "tcn_{i}");
        }
        match tck.ratchet() {
            Ratchet::Next(next) => tck = next,
            Ratchet::Spent => {
                assert_eq!(i, u16::MAX, "spent");
                break;
            }
        }
    }
    assert!(rows.next().is_none(), "every row was compared");
}

#[test]
fn a_serialized_key_goes_on_where_it_stopped() {
    for row in vectors!("tcn_reference.json")["ratchet"]
        .as_array()
        .unwrap()
    {
        let bytes = array(&row["tck_serialized"]);
        let tck = TemporaryContactKey::from_bytes(&bytes).unwrap();
        assert_eq!(tck.index(), index(&row["index"]));
        assert_eq!(
            *tck.temporary_contact_number().as_bytes(),
            array(&row["tcn"])
        );
        assert_eq!(*tck.expose_bytes(), bytes);
    }
}

#[test]
fn the_verification_key_and_link_zero_are_the_vectors() {
    let reference = vectors!("tcn_reference.json");
    let rak = spec_key();
    assert_eq!(*rak.verification_key().as_bytes(), array(&reference["rvk"]));
    assert_eq!(**rak.expose_seed(), array(&reference["rak"]));

    // tck_0 is visible only in a report from index 1 on.
    let span = ReportSpan::new(RatchetIndex::FIRST, RatchetIndex::FIRST).unwrap();
    let memo = Memo::new(MemoType::COEPI_V1, []).unwrap();
    let report = SignedReport::create(&rak, span, memo);
    assert_eq!(
        report.claim().unsigned_bytes()[32..64],
        unhex(&reference["tck_0"])[..]
    );
}

#[test]
fn the_highest_aired_index_leaves_one_to_burn() {
    assert_eq!(RatchetIndex::LAST_AIRED.get(), 65534);
    assert_eq!(RatchetIndex::LAST_AIRED.next(), Some(RatchetIndex::LAST));
    assert_eq!(RatchetIndex::LAST.next(), None);
    assert_eq!(RatchetIndex::new(0), None);

    let span = ReportSpan::of_aired(RatchetIndex::FIRST, RatchetIndex::LAST_AIRED).unwrap();
    assert_eq!(
        (span.first(), span.last()),
        (RatchetIndex::FIRST, RatchetIndex::LAST)
    );
}
