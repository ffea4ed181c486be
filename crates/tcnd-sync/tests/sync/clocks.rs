//! Servers whose clock differs from ours, and clocks that are set between runs. Fetched
//! reports are accepted in any case; both clocks decide what counts as whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tcn_protocol::SignedReport;

use crate::mock_server::{self, MockServer, Reply};
use crate::mock_tcnd::{MockTcnd, current};
use crate::{Harness, json, reports, stream};

/// More than two intervals and less than three, in seconds.
const LONG: i64 = 13 * 3600;

/// A clock that is this many seconds ahead of this machine's.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn ahead(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Release);
    }

    fn now(&self) -> SystemTime {
        let seconds = self.0.load(Ordering::Acquire);
        let apart = Duration::from_secs(seconds.unsigned_abs());
        match seconds {
            0.. => mock_server::now() + apart,
            _ => mock_server::now() - apart,
        }
    }

    fn date(&self) -> (&'static str, String) {
        ("Date", httpdate::fmt_http_date(self.now()))
    }

    /// The current interval by this clock.
    fn interval(&self) -> u64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs() / 21_600
    }
}

/// A server that has these reports in every interval. For intervals that have not
/// started by its clock it returns an empty list, as CoEpi's server does.
fn serving(clock: &Clock, held: fn(u64) -> Vec<SignedReport>) -> MockServer {
    let clock = clock.clone();
    MockServer::new(move |request| {
        let interval = request.interval();
        let held = if interval <= clock.interval() {
            held(interval)
        } else {
            Vec::new()
        };
        Reply::Whole(200, vec![clock.date()], json(&held))
    })
}

/// Two reports that are in no other interval.
fn two(interval: u64) -> Vec<SignedReport> {
    let seed = u8::try_from(interval % 100).unwrap() * 2;
    reports(seed..seed + 2)
}

fn all(intervals: impl IntoIterator<Item = u64>) -> Vec<SignedReport> {
    intervals.into_iter().flat_map(two).collect()
}

/// Our clock was ahead: by the server's clock the interval has not started.
#[test]
fn an_interval_that_has_not_begun_for_the_server_is_not_whole() {
    let clock = Clock::ahead(-LONG);
    let server = serving(&clock, two);
    let harness = Harness::of("coepi-v4", &server.url(), "");
    let (old, new) = (MockTcnd::past(5), MockTcnd::past(1));
    harness.tcnd.want([old, new]);
    harness.run().is(1).says("clock-differs");
    assert_eq!(harness.tcnd.recorded("a"), "clock-differs");
    // Its reports are accepted all the same.
    harness.tcnd.whole("a", [old]);
    harness.tcnd.knows(&all([old].into_iter().chain(
        [new, current()]
            .into_iter()
            .filter(|n| *n <= clock.interval()),
    )));
    // The clocks agree, and reports published meanwhile are fetched.
    clock.set(0);
    harness.run().is(0);
    assert_eq!(harness.tcnd.recorded("a"), "");
    harness.tcnd.knows(&all([old, new, current()]));
    harness.tcnd.whole("a", [old, new]);
}

/// The server's clock is ahead: an interval that is open for us is not whole, whatever
/// the server says.
#[test]
fn an_interval_that_is_over_for_the_server_alone_is_not_whole() {
    let clock = Clock::ahead(LONG);
    let server = serving(&clock, two);
    let harness = Harness::of("coepi-v4", &server.url(), "");
    let past = MockTcnd::past(1);
    harness.tcnd.want([past]);
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "clock-differs");
    harness.tcnd.knows(&all([past, current()]));
    harness.tcnd.whole("a", [past]);
}

/// Whatever the two clocks do between runs, no report is lost: at the end, when both
/// are right, every report is known.
#[test]
fn clocks_that_are_stepped_lose_nothing() {
    let clock = Clock::default();
    let server = serving(&clock, two);
    let harness = Harness::of("coepi-v4", &server.url(), "");
    let wanted: Vec<_> = (1..8).map(MockTcnd::past).collect();
    harness.tcnd.want(wanted.iter().copied());
    for hours in [-400, 9, -30, 8760, -13, -700] {
        clock.set(hours * 3600);
        harness.run_now().is(1);
        assert_eq!(harness.tcnd.recorded("a"), "clock-differs", "{hours} h");
    }
    clock.set(0);
    harness.run_now().is(0);
    harness
        .tcnd
        .knows(&all(wanted.iter().copied().chain([current()])));
    harness.tcnd.whole("a", wanted);
}

#[test]
fn clocks_differ_beyond_ten_minutes() {
    for (seconds, problem) in [
        (-900, "clock-differs"),
        (-500, ""),
        (500, ""),
        (900, "clock-differs"),
    ] {
        let clock = Clock::ahead(seconds);
        let server = serving(&clock, two);
        let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
        harness.run().is(i32::from(!problem.is_empty()));
        assert_eq!(harness.tcnd.recorded("a"), problem, "{seconds} s");
        harness.tcnd.whole("a", [MockTcnd::past(1)]);
        // Just after an interval starts here, it has not started there.
        let started = [MockTcnd::past(1), current()]
            .into_iter()
            .filter(|n| *n <= clock.interval());
        harness.tcnd.knows(&all(started));
    }
}

/// The time of such a response is unknown.
#[test]
fn without_a_date_nothing_is_whole_and_all_is_taken() {
    let good = Clock::default().date().1;
    let cases: [Vec<(&'static str, String)>; 4] = [
        vec![("Date", String::new())],
        vec![("Date", "today".to_owned())],
        vec![("Date", "1606158000".to_owned())],
        vec![("Date", good.clone()), ("Date", good)],
    ];
    for headers in cases {
        let sent = headers.clone();
        let server = MockServer::new(move |request| {
            Reply::Whole(200, sent.clone(), json(&two(request.interval())))
        });
        let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
        for _ in 0..2 {
            harness.run().is(0);
            harness.tcnd.knows(&all([MockTcnd::past(1), current()]));
            harness.tcnd.whole("a", []);
        }
        assert_eq!(server.asked(), 4, "{headers:?}");
    }
}

/// `Date` is when the server made a response, however long a cache kept it.
#[test]
fn a_cached_answer_counts_by_when_it_was_made() {
    let past = MockTcnd::past(1);
    for (after_its_end, is_whole) in [(-3600, false), (3600, true)] {
        let server = MockServer::new(move |request| {
            if request.interval() == current() {
                return Reply::ok(b"[]".to_vec());
            }
            let made = ((past + 1) * 21_600).checked_add_signed(after_its_end);
            let made = SystemTime::UNIX_EPOCH + Duration::from_secs(made.unwrap());
            let age = mock_server::now().duration_since(made).unwrap();
            let headers = vec![
                ("Date", httpdate::fmt_http_date(made)),
                ("Age", age.as_secs().to_string()),
            ];
            Reply::Whole(200, headers, json(&two(past)))
        });
        let harness = Harness::wanting("coepi-v4", &server, [past]);
        harness.run().is(0);
        assert_eq!(harness.tcnd.recorded("a"), "");
        harness.tcnd.knows(&two(past));
        harness.tcnd.whole("a", is_whole.then_some(past));
    }
}

/// A mirror has only past intervals; the intervals it lacks show its clock.
#[test]
fn the_clock_of_a_mirror_is_looked_at_too() {
    let clock = Clock::ahead(-LONG);
    let (theirs, old) = (clock.clone(), MockTcnd::past(6));
    let server = MockServer::new(move |request| {
        if request.interval() == old && request.line.ends_with(".tcn") {
            return Reply::Whole(200, vec![theirs.date()], stream(&two(old)));
        }
        Reply::Whole(404, vec![theirs.date()], Vec::new())
    });
    let harness = Harness::wanting("mirror", &server, [old, MockTcnd::past(1)]);
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "clock-differs");
    harness.tcnd.whole("a", [old]);
    let nothing = MockServer::new(move |_| Reply::Whole(404, vec![clock.date()], Vec::new()));
    harness.source("mirror", &nothing.url(), "");
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "clock-differs");
    harness.tcnd.whole("a", [old]);
}
