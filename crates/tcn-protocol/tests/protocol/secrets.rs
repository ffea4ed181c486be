//! What `Debug` shows, and what it does not.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tcn_protocol::beacon::Frame;
use tcn_protocol::file::{self, Format};
use tcn_protocol::memo::CoEpiMemo;
use tcn_protocol::memo::coepi::{Cough, Day, SymptomMemo, Symptoms};
use tcn_protocol::{
    Memo, MemoType, Ratchet, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport,
};

use crate::read_file;

/// Whether any four bytes of `secret` occur in `text`, as hexadecimal digits, as a list
/// of numbers or as text.
fn leaks(text: &str, secret: &[u8]) -> bool {
    secret.windows(4).any(|four| {
        let hex: String = four.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = four
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let pretty = four
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(",\n");
        let plain = String::from_utf8_lossy(four);
        let squeezed: String = text
            .lines()
            .map(str::trim_start)
            .collect::<Vec<_>>()
            .join("\n");
        text.to_lowercase().contains(&hex)
            || text.contains(&list)
            || squeezed.contains(&pretty)
            || text.contains(&*plain)
    })
}

#[test]
fn the_leak_detector_sees_leaks() {
    let secret = [201, 202, 203, 204, 205];
    assert!(leaks(&format!("{secret:?}"), &secret));
    assert!(leaks(&format!("{secret:#?}"), &secret));
    assert!(leaks("key CACBCCCD", &secret));
    assert!(leaks("High Fever", b"Fever"));
    assert!(!leaks("[201, 202, 9, 203]", &secret));
}

#[test]
fn nothing_secret_is_printed() {
    let rak = ReportAuthorizationKey::generate(&mut ChaCha20Rng::from_seed([3; 32]));
    let tck = rak.first_temporary_contact_key();
    let Ratchet::Next(tck_2) = rak.first_temporary_contact_key().ratchet() else {
        panic!("spent at 1")
    };
    let span =
        ReportSpan::new(RatchetIndex::new(2).unwrap(), RatchetIndex::new(5).unwrap()).unwrap();
    let memo = Memo::new(MemoType::COEPI_V1, *b"High Fever").unwrap();
    let signed = SignedReport::create(&rak, span, memo.clone());
    let frame = Frame::own(tck.temporary_contact_number());
    let felt = SymptomMemo::new(
        Day::of(1_795_392_000),
        None,
        Symptoms {
            cough: Cough::Wet,
            ..Symptoms::default()
        },
    );
    let read = [
        CoEpiMemo::V1(felt),
        CoEpiMemo::decode(memo.data()),
        CoEpiMemo::decode(b"\x01\x00\x9a\x6a\xb9\x5e\0\0\0\0\x04"),
    ];
    let file = read_file(&file::write(Format::Json, std::slice::from_ref(&signed))).unwrap();

    assert_eq!(format!("{rak:?}"), "ReportAuthorizationKey([REDACTED])");
    assert_eq!(format!("{tck:?}"), "TemporaryContactKey(#1, [REDACTED])");
    assert_eq!(format!("{memo:?}"), "Memo(MemoType(0, CoEpi v1), 10 bytes)");

    let printed = [
        format!("{rak:?} {rak:#?} {tck:?} {tck:#?} {tck_2:?} {memo:?} {memo:#?}"),
        format!("{:?} {:#?}", Ratchet::Next(tck_2), rak.verification_key()),
        format!("{signed:?} {signed:#?} {:?}", signed.claim()),
        format!("{:?}", signed.claim().temporary_contact_numbers()),
        format!("{frame:?} {frame:#?} {file:?} {file:#?}"),
        format!("{felt:?} {felt:#?} {read:?} {:?}", felt.symptoms()),
    ]
    .concat();
    let numbers: Vec<_> = signed.claim().temporary_contact_numbers().collect();
    assert!(!printed.contains("Wet") && !printed.contains("true"));
    for secret in [
        &rak.expose_seed()[..],
        &tck.expose_bytes()[34..],
        &signed.claim().unsigned_bytes()[32..64],
        memo.data(),
        &felt.encode(),
        tck.temporary_contact_number().as_bytes(),
        numbers[0].as_bytes(),
    ] {
        assert!(!leaks(&printed, secret), "{printed}");
    }
}

#[test]
fn keys_are_drawn_from_the_randomness_given() {
    let draw =
        |seed| **ReportAuthorizationKey::generate(&mut ChaCha20Rng::from_seed(seed)).expose_seed();
    assert_eq!(draw([1; 32]), draw([1; 32]));
    assert_ne!(draw([1; 32]), draw([2; 32]));
}
