//! Uploads: nothing panics, what is admitted is a report that was verified, and
//! admitting it again comes to the same.

use tcn_exchange::admission::{self, AdmissionError, LARGEST_BODY};
use tcn_protocol::{SignedReport, UnixTime, wire};

/// 2020-11-23 19:00 UTC, about when the seeds are of.
const NOW: UnixTime = UnixTime(1_606_158_000);

/// Checks that for one input.
pub fn run(body: &[u8]) {
    let body = &body[..body.len().min(LARGEST_BODY)];
    let undated = admission::admit(body, None);
    let dated = admission::admit(body, Some(NOW));
    match (&undated, &dated) {
        (Ok(one), Ok(other)) => assert_eq!(one.bytes, other.bytes),
        // A date is the last thing that is looked at, and all that it adds.
        (Ok(_), Err(why)) => assert!(matches!(
            why,
            AdmissionError::TooOld | AdmissionError::NotYet
        )),
        (Err(one), Err(other)) => assert_eq!(one, other),
        (Err(why), Ok(_)) => panic!("only with a date it is not: {why}"),
    }
    if let Err(why) = &undated {
        assert!(why.to_string().len() < 200, "a refusal repeats no body");
        return;
    }
    let Ok(admitted) = undated else { return };
    let length = admitted.bytes.len();
    assert!((SignedReport::MIN_LEN..=SignedReport::MAX_LEN).contains(&length));
    let report = wire::parse(&admitted.bytes).expect("what is admitted is a report");
    assert_eq!(report.claim().digest(), admitted.digest);
    assert!(report.claim().count() > 0);
    assert_eq!(wire::write(&report), admitted.bytes);
    assert!(report.verify().is_ok());
    // The primary judges the same bytes again.
    let again = admission::admit_bytes(admitted.bytes.clone(), None).expect("as before");
    assert_eq!(
        (again.digest, again.bytes),
        (admitted.digest, admitted.bytes)
    );
    // A line end more or less is the same upload.
    let bare: &[u8] = body.strip_suffix(b"\n").unwrap_or(body);
    let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
    assert!(admission::admit(&[bare, b"\r\n"].concat(), None).is_ok());
}
