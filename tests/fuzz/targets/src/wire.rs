//! Reports: what is accepted is written back, and nothing panics.

use tcn_protocol::{SignedReport, wire};

/// Checks that for one input.
pub fn run(bytes: &[u8]) {
    let first = wire::parse_first(bytes);
    let Ok((report, rest)) = first else {
        assert!(
            wire::parse(bytes).is_err(),
            "the strict door lets no more in"
        );
        return;
    };
    let written = wire::write(&report);
    assert!((SignedReport::MIN_LEN..=SignedReport::MAX_LEN).contains(&written.len()));
    assert_eq!(
        [&written, rest].concat(),
        bytes,
        "what is accepted is written back"
    );
    assert_eq!(wire::declared_len(bytes), Some(written.len()));
    assert_eq!(wire::parse(&written).as_ref(), Ok(&report));
    assert_eq!(wire::parse(bytes).is_ok(), rest.is_empty());

    let unsigned = report.claim().unsigned_bytes();
    assert_eq!(
        unsigned,
        written[..written.len() - SignedReport::SIGNATURE_LEN]
    );

    let numbers = report.claim().temporary_contact_numbers();
    assert_eq!(numbers.len(), usize::from(report.claim().count()));
    assert!(numbers.take(3).count() <= 3);
    let _ = report.verify();
}
