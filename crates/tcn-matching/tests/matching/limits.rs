//! Budgets, stopping, and how much is kept of a report.

use std::sync::atomic::{AtomicUsize, Ordering};

use tcn_exchange::filter::{self, Expected, FilterOptions};
use tcn_exchange::source::MemoTypes;
use tcn_matching::cost;
use tcn_matching::{Budget, Finding, Heard, MatchOutcome, MatchingError, match_reports};
use tcn_protocol::file::{self, Format};
use tcn_protocol::{ReportError, SignedReport};

use super::{PLENTY, broken, findings, index_of, number, numbers_of, report, respanned, threads};

/// Matches on one thread; gives the positions beyond the budget, those heard,
/// those refused, and what is left.
fn spend(numbers: u64, heard: &SignedReport, reports: &[SignedReport]) -> ([Vec<usize>; 3], u64) {
    let index = index_of(numbers_of(heard));
    let mut budget = Budget { numbers };
    let findings = match_reports(&index, reports, &mut budget, threads(1), || false).unwrap();
    let positions = |wanted: fn(&MatchOutcome) -> bool| {
        let wanted = |finding: &&Finding| wanted(&finding.outcome);
        findings
            .iter()
            .filter(wanted)
            .map(|finding| finding.position)
            .collect()
    };
    let sorted = [
        positions(|outcome| matches!(outcome, MatchOutcome::BeyondBudget)),
        positions(|outcome| matches!(outcome, MatchOutcome::Heard(_))),
        positions(|outcome| matches!(outcome, MatchOutcome::Refused(_))),
    ];
    (sorted, budget.numbers)
}

const NOTHING: [Vec<usize>; 3] = [const { Vec::new() }; 3];

#[test]
fn what_is_left_depends_on_the_reports_and_not_on_what_was_heard() {
    let reports = [
        report(1, 1, 10),
        report(2, 1, 20),
        broken(&report(2, 1, 30)),
    ];
    let costs: u64 = reports.iter().map(cost::report).sum();
    let (found, left) = spend(100_000, &reports[1], &reports);
    assert_eq!(found, [vec![], vec![1], vec![2]]);
    assert_eq!(left, 100_000 - costs);
    let (found, left) = spend(100_000, &report(3, 1, 1), &reports);
    assert_eq!((found, left), (NOTHING, 100_000 - costs));
}

#[test]
fn what_is_beyond_the_budget_is_said_and_costs_nothing() {
    let long = respanned(&report(2, 1, 1), 1, 5000);
    let reports = [report(1, 1, 10), long, report(1, 1, 10), report(3, 1, 1)];
    let each = cost::report(&reports[0]);
    // The exact budget: both reports that match, and nothing more.
    let (found, left) = spend(2 * each, &reports[0], &reports);
    assert_eq!(found, [vec![1, 3], vec![0, 2], vec![]]);
    assert_eq!(left, 0);
    // The last one is cheaper, heard or not.
    for heard in [&reports[0], &report(4, 1, 1)] {
        let (found, left) = spend(2 * each - 1, heard, &reports);
        assert_eq!(found[0], [1, 2]);
        assert_eq!(left, each - 1 - cost::report(&reports[3]));
    }
}

/// Items that one program passes never exceed the budget of the other, however near the
/// budget's end.
#[test]
fn what_fits_for_who_fetches_fits_for_who_matches() {
    let reports: Vec<_> = (1..40).map(|numbers| report(1, 1, numbers)).collect();
    let stream = file::write(Format::Tcn, &reports);
    let reading = FilterOptions {
        expected: Expected::Stream,
        wanted: MemoTypes::ALL,
        most: u64::MAX,
        is_part: false,
        room: u64::MAX,
    };
    let filtered = filter::filter_document(&stream[..], &reading, std::io::sink()).unwrap();
    assert_eq!(
        spend(filtered.cost(), &reports[0], &reports).0[0],
        [0_usize; 0]
    );
    let (found, _) = spend(filtered.cost() - 1, &reports[0], &reports);
    assert_eq!(found[0], [38], "and not a number less is asked");
}

#[test]
fn a_report_that_discloses_nothing_is_paid_for() {
    let empty = respanned(&report(1, 1, 1), 5, 4);
    let (found, left) = spend(cost::REPORT, &report(1, 1, 9), std::slice::from_ref(&empty));
    assert_eq!((found, left), (NOTHING, 0));
    let (found, _) = spend(cost::REPORT - 1, &report(1, 1, 9), &[empty]);
    assert_eq!(found, [vec![0], vec![], vec![]]);
}

#[test]
fn it_stops_soon_after_it_is_told_to() {
    let long = |seed| respanned(&report(seed, 1, 1), 1, u16::MAX);
    let reports: Vec<_> = (0..8).map(long).collect();
    for crew in [1, 3] {
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 10;
        let ended = match_reports(
            &index_of([]),
            &reports,
            &mut { PLENTY },
            threads(crew),
            stop,
        );
        assert_eq!(ended, Err(MatchingError::Stopped));
        // Each thread asks once more at most, at the end of a slice.
        assert!(asked.into_inner() <= 10 + crew, "{crew} threads");
    }
}

#[test]
fn it_stops_between_signatures() {
    let reports: Vec<_> = (0..40).map(|_| report(1, 1, 2)).collect();
    let asked = AtomicUsize::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 20;
    let index = index_of(numbers_of(&reports[0]));
    let ended = match_reports(&index, &reports, &mut { PLENTY }, threads(1), stop);
    assert_eq!(ended, Err(MatchingError::Stopped));
    assert_eq!(asked.into_inner(), 21);
}

#[test]
fn what_is_kept_of_a_report_is_bounded() {
    let long = report(1, 1, 3000);
    let index = index_of(numbers_of(&long));
    let [finding] = &findings(&index, std::slice::from_ref(&long), 1)[..] else {
        panic!("one report")
    };
    let MatchOutcome::Heard(heard) = &finding.outcome else {
        panic!("{finding:?}")
    };
    assert_eq!((heard.count, heard.numbers.len()), (3000, Heard::MOST));
    let kept: Vec<_> = heard.numbers.iter().map(|(_, number)| *number).collect();
    assert_eq!(kept, numbers_of(&long)[..Heard::MOST], "the first");
    assert_eq!(format!("{heard:?}"), "Heard { count: 3000, .. }");
}

#[test]
fn a_key_of_small_order_is_refused() {
    // rvk is the neutral element: without the strict rules it would sign every message.
    let mut bytes = tcn_protocol::wire::write(&report(1, 1, 4));
    bytes[..32].fill(0);
    bytes[0] = 1;
    let crafted = tcn_protocol::wire::parse(&bytes).unwrap();
    let index = index_of(numbers_of(&crafted).into_iter().chain([number(0)]));
    let refused = Finding {
        position: 0,
        outcome: MatchOutcome::Refused(ReportError::KeySmallOrder),
    };
    assert_eq!(findings(&index, &[crafted], 1), [refused]);
}
