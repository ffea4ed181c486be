//! Match first against verify all, by the published crate `tcn` 0.4.1.
//!
//! The crate leaves `tcn_{j_2}` out. So it verifies the report as it is, and expands
//! one that extends one index further.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use tcn_matching::{MatchOutcome, match_reports};
use tcn_protocol::{ReportError, SignedReport, TemporaryContactNumber, wire};

use super::{PLENTY, broken, findings, index_of, number, report, respanned, threads};

/// A report, and which of its numbers were heard.
#[derive(Debug, Clone)]
struct Case {
    length: u16,
    first: u16,
    kind: Kind,
    heard: Vec<prop::sample::Index>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Honest,
    BrokenSignature,
    /// Claims more numbers than were signed.
    Stretched,
    /// Discloses nothing.
    Reversed,
}

fn case() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        3 => Just(Kind::Honest),
        1 => Just(Kind::BrokenSignature),
        1 => Just(Kind::Stretched),
        1 => Just(Kind::Reversed),
    ];
    let heard = prop_oneof![Just(Vec::new()), vec(any::<prop::sample::Index>(), 1..6)];
    (1..30_u16, 1..20_u16, kind, heard).prop_map(|(length, first, kind, heard)| Case {
        length,
        first,
        kind,
        heard,
    })
}

impl Case {
    fn report(&self, seed: u8) -> SignedReport {
        let last = self.first + self.length - 1;
        let honest = report(seed, self.first, last);
        match self.kind {
            Kind::Honest => honest,
            Kind::BrokenSignature => broken(&honest),
            Kind::Stretched => respanned(&honest, self.first, last + 2),
            Kind::Reversed => respanned(&honest, self.first, self.first - 1),
        }
    }

    /// Numbers of the honest report, its last among those that may be chosen.
    fn heard(&self, seed: u8) -> Vec<TemporaryContactNumber> {
        let honest = report(seed, self.first, self.first + self.length - 1);
        let all = super::numbers_of(&honest);
        self.heard.iter().map(|at| *at.get(&all)).collect()
    }
}

/// Every report verified, then expanded, then looked up: its position and the numbers
/// heard, or `None` in their place if the signature was invalid.
fn verify_all(
    reports: &[SignedReport],
    heard: &BTreeSet<[u8; 16]>,
) -> Vec<(usize, Option<Vec<[u8; 16]>>)> {
    let judge = |report: &SignedReport| {
        let bytes = wire::write(report);
        let holds = tcn::SignedReport::read(&bytes[..])
            .unwrap()
            .verify()
            .is_ok();
        let longer = wire::write(&respanned(
            report,
            report.claim().j1().get(),
            report.claim().j2() + 1,
        ));
        let unsigned = &longer[..longer.len() - SignedReport::SIGNATURE_LEN];
        let expanded = tcn::Report::read(unsigned).unwrap();
        let matched: Vec<_> = expanded
            .temporary_contact_numbers()
            .map(|number| number.0)
            .filter(|number| heard.contains(number))
            .collect();
        (!matched.is_empty()).then_some(holds.then_some(matched))
    };
    let judged = reports.iter().map(judge).enumerate();
    judged
        .filter_map(|(position, verdict)| Some((position, verdict?)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn match_first_finds_what_verify_all_finds(
        cases in vec(case(), 0..24),
        strangers in vec(any::<u128>(), 0..50),
    ) {
        let cases: Vec<_> = (0_u8..).zip(cases).collect();
        let reports: Vec<_> = cases.iter().map(|(seed, case)| case.report(*seed)).collect();
        let mut heard: Vec<_> = strangers.into_iter().map(number).collect();
        heard.extend(cases.iter().flat_map(|(seed, case)| case.heard(*seed)));
        let set = heard.iter().map(|number| *number.as_bytes()).collect();

        let found = findings(&index_of(heard), &reports, 1);
        let found: Vec<_> = found.into_iter().map(|finding| {
            let numbers = match finding.outcome {
                MatchOutcome::Heard(heard) => {
                    assert_eq!(usize::from(heard.count), heard.numbers.len());
                    Some(heard.numbers.into_iter().map(|(_, number)| *number.as_bytes()).collect())
                }
                MatchOutcome::Refused(error) => {
                    assert_eq!(error, ReportError::SignatureInvalid);
                    None
                }
                MatchOutcome::BeyondBudget => panic!("there is plenty"),
            };
            (finding.position, numbers)
        }).collect();
        prop_assert_eq!(found, verify_all(&reports, &set));
    }
}

/// Enough numbers that the work is shared, and long and short ones mixed.
#[test]
fn the_number_of_threads_does_not_show() {
    let mut heard = Vec::new();
    let reports: Vec<_> = (0..120_u8)
        .map(|seed| {
            let length = if seed % 10 == 0 {
                12_000
            } else {
                1 + u16::from(seed)
            };
            let honest = respanned(&report(seed, 1, 1), 1, length);
            if seed % 7 == 0 {
                heard.extend(honest.claim().temporary_contact_numbers().step_by(5));
            }
            if seed % 4 < 2 {
                report(seed, 1, 1 + u16::from(seed))
            } else {
                honest
            }
        })
        .collect();
    let reports: Vec<_> = reports
        .into_iter()
        .chain([respanned(&report(0, 1, 1), 1, u16::MAX)])
        .collect();
    let index = index_of(heard);
    let alone = findings(&index, &reports, 1);
    let kinds =
        |wanted: fn(&MatchOutcome) -> bool| alone.iter().filter(|f| wanted(&f.outcome)).count();
    assert!(kinds(|o| matches!(o, MatchOutcome::Heard(_))) > 3);
    assert!(kinds(|o| matches!(o, MatchOutcome::Refused(_))) > 3);
    for crew in [2, 3, 8] {
        for _ in 0..4 {
            assert_eq!(findings(&index, &reports, crew), alone, "{crew} threads");
        }
    }
    let mut left = PLENTY;
    match_reports(&index, &reports, &mut left, threads(1), || false).unwrap();
    let mut shared = PLENTY;
    match_reports(&index, &reports, &mut shared, threads(3), || false).unwrap();
    assert_eq!(left, shared, "nor in what is left of the budget");
}
