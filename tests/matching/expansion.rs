//! Four reports at once against one after another.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::prelude::*;
use tcnd::matching::expand;
use tcnd::protocol::{RatchetIndex, SignedReport, TemporaryContactNumber};

use super::{numbers_of, report, respanned};

type Numbers = Vec<(RatchetIndex, TemporaryContactNumber)>;

/// What `expand` shows of each report that it shows anything of.
fn expanded(reports: &[SignedReport]) -> BTreeMap<usize, Numbers> {
    let mut shown: BTreeMap<_, Numbers> = BTreeMap::new();
    let claims = reports.iter().map(SignedReport::claim).enumerate();
    let end = expand(claims, |position, index, number| {
        shown.entry(position).or_default().push((index, number));
        ControlFlow::<()>::Continue(())
    });
    assert!(end.is_continue());
    shown
}

/// The same by the form that is plain to read.
fn one_by_one(reports: &[SignedReport]) -> BTreeMap<usize, Numbers> {
    let numbers = |report: &SignedReport| {
        let indices = (report.claim().j1().get()..=u16::MAX).map_while(RatchetIndex::new);
        indices.zip(numbers_of(report)).collect()
    };
    let all = reports.iter().map(numbers).enumerate();
    all.filter(|(_, numbers): &(_, Numbers)| !numbers.is_empty())
        .collect()
}

/// `j_1` and `j_2`, in and out of order, near both ends of the range.
fn span() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![
        (1..60_u16, 0..60_u16),
        (1..300_u16, 0..40_u16).prop_map(|(j1, more)| (j1, j1 + more)),
        (65_500..=u16::MAX, 65_490..=u16::MAX),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_numbers_in_order_whatever_the_lengths(spans in vec(span(), 0..14)) {
        let make = |(seed, (j1, j2))| respanned(&report(seed, 1, 1), j1, j2);
        let reports: Vec<_> = (0..).zip(spans).map(make).collect();
        prop_assert_eq!(expanded(&reports), one_by_one(&reports));
    }
}

#[test]
fn the_longest_report_is_expanded_whole() {
    let reports = [
        respanned(&report(1, 1, 1), 1, u16::MAX),
        report(2, 1, 1),
        respanned(&report(3, 1, 1), u16::MAX, u16::MAX),
        respanned(&report(4, 1, 1), 2, 1),
        respanned(&report(5, 1, 1), 1, 0),
    ];
    let shown = expanded(&reports);
    assert_eq!(shown[&0].len(), 65_535);
    assert_eq!(shown[&0].last().unwrap().0, RatchetIndex::LAST);
    assert_eq!(shown.keys().collect::<Vec<_>>(), [&0, &1, &2]);
    assert_eq!(shown, one_by_one(&reports));
}

#[test]
fn it_ends_when_told_to() {
    let reports: Vec<_> = (0..9).map(|seed| report(seed, 1, 20)).collect();
    let mut seen = 0;
    let end = expand(
        reports.iter().map(SignedReport::claim).enumerate(),
        |_, _, _| {
            seen += 1;
            if seen == 33 {
                ControlFlow::Break("enough")
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    assert_eq!((end, seen), (ControlFlow::Break("enough"), 33));
}
