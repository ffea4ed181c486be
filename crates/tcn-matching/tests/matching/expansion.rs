//! Several reports at once against one after another, by every kernel.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::prelude::*;
use tcn_matching::{ShaKernel, expand};
use tcn_protocol::{RatchetIndex, SignedReport, TemporaryContactNumber};

use super::{numbers_of, rekeyed, report, respanned};

type Numbers = Vec<(RatchetIndex, TemporaryContactNumber)>;

/// The output of `kernel` for each report that it visits.
fn expanded(kernel: ShaKernel, reports: &[SignedReport]) -> BTreeMap<usize, Numbers> {
    let mut shown: BTreeMap<_, Numbers> = BTreeMap::new();
    let claims = reports.iter().map(SignedReport::claim).enumerate();
    let end = kernel.expand(claims, |position, index, number| {
        shown.entry(position).or_default().push((index, number));
        ControlFlow::<()>::Continue(())
    });
    assert!(end.is_continue());
    shown
}

/// The same by the plain, readable form.
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
        for kernel in ShaKernel::all() {
            prop_assert_eq!(expanded(kernel, &reports), one_by_one(&reports), "{}", kernel.name());
        }
    }

    #[test]
    fn all_numbers_whatever_the_keys(keys in vec(any::<[u8; 64]>(), 4)) {
        let reports: Vec<_> = keys.iter().map(|keys| rekeyed(&report(1, 1, 9), keys)).collect();
        for kernel in ShaKernel::all() {
            prop_assert_eq!(expanded(kernel, &reports), one_by_one(&reports), "{}", kernel.name());
        }
    }
}

#[test]
fn any_number_of_reports_may_be_left_at_the_end() {
    for count in 0..=9 {
        // All end at once, and one after another.
        for length in [|_| 3_u16, |seed: u8| 3 + u16::from(seed)] {
            let reports: Vec<_> = (0..count)
                .map(|seed| report(seed, 1, length(seed)))
                .collect();
            for kernel in ShaKernel::all() {
                let (shown, name) = (expanded(kernel, &reports), kernel.name());
                assert_eq!(shown, one_by_one(&reports), "{count} reports, {name}");
            }
        }
    }
}

#[test]
fn kernels_are_there_and_used_as_the_processor_has_instructions() {
    #[cfg(target_arch = "aarch64")]
    let special = std::arch::is_aarch64_feature_detected!("sha2").then_some("armv8-sha2");
    #[cfg(target_arch = "x86_64")]
    let special =
        (is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1")).then_some("sha-ni");
    #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
    let special = None;
    let names: Vec<_> = ShaKernel::all().map(ShaKernel::name).collect();
    let all: Vec<_> = special.into_iter().chain(["portable"]).collect();
    assert_eq!(names, all);
    let optimised = !cfg!(debug_assertions);
    let best = if optimised { all[0] } else { "portable" };
    assert_eq!(ShaKernel::best().name(), best);
    // tests/arm64/run knows what the processor has, whatever is detected.
    #[expect(clippy::disallowed_methods, reason = "the caller of the test tells")]
    if let Ok(known) = std::env::var("TCND_TEST_SHA_KERNEL") {
        assert_eq!(names[0], known);
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
    for kernel in ShaKernel::all() {
        let shown = expanded(kernel, &reports);
        assert_eq!(shown[&0].len(), 65_535);
        assert_eq!(shown[&0].last().unwrap().0, RatchetIndex::LAST);
        assert_eq!(shown.keys().collect::<Vec<_>>(), [&0, &1, &2]);
        // Not assert_eq, which would print them all.
        assert!(shown == one_by_one(&reports), "{}", kernel.name());
    }
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
