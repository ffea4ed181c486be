//! Intervals over their limits: the part within a limit is accepted, and no other
//! interval waits for ever.

use crate::mock_server::{MockServer, Reply};
use crate::mock_tcnd::{MockTcnd, current};
use crate::{Harness, gzip, json, report, reports, stream};

/// However long an interval is, at least some of its reports are accepted.
#[test]
fn an_interval_beyond_its_bounds_gives_what_is_within() {
    let held = reports(1..200);
    let (plain, stream_of) = (json(&held), stream(&held));
    // The reports of each take more than this, and less than twice it.
    let bound = stream_of.len() as u64 * 2 / 3;
    let packed = gzip(&plain);
    for (kind, body, packing) in [
        ("coepi-v4", plain, ""),
        ("coepi-v4", packed, "gzip"),
        ("mirror", stream_of, ""),
    ] {
        let server = MockServer::new(move |_| {
            let packing = ("Content-Encoding", packing.to_owned());
            let headers = if packing.1.is_empty() {
                vec![]
            } else {
                vec![packing]
            };
            Reply::Whole(200, headers, body.clone())
        });
        let harness = Harness::of(kind, &server.url(), &format!("max_bytes = {bound}"));
        harness.tcnd.want([MockTcnd::past(2), MockTcnd::past(1)]);
        harness.run().is(1);
        assert_eq!(harness.tcnd.recorded("a"), "too-large");
        harness.tcnd.whole("a", []);
        let known = harness.tcnd.state().known.len();
        assert!((90..199).contains(&known), "{known} of 199, {packing}");
    }
}

/// Text is longer than the reports in it: the limit applies to the reports passed on.
#[test]
fn an_interval_whose_reports_fit_is_whole_however_it_is_written() {
    let server = MockServer::new(|_| {
        let text = String::from_utf8(json(&reports(1..20))).unwrap();
        let text = text.replace(',', &format!(",{}", " ".repeat(1000)));
        let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
        let packing = ("Content-Encoding", "zstd".to_owned());
        Reply::Whole(200, vec![packing], packed)
    });
    let harness = Harness::of("coepi-v4", &server.url(), "max_bytes = 8192");
    harness.tcnd.want([MockTcnd::past(1)]);
    harness.run().is(0);
    harness.tcnd.knows(&reports(1..20));
    harness.tcnd.whole("a", [MockTcnd::past(1)]);
}

/// Intervals that fit into no run do not delay others.
#[test]
fn intervals_beyond_their_bounds_silence_no_other() {
    let oversized: Vec<_> = (6..16).map(MockTcnd::past).collect();
    let flood = oversized.clone();
    let server = MockServer::new(move |request| {
        if flood.contains(&request.interval()) {
            return Reply::ok(json(&reports(100..200)));
        }
        let seed = u8::try_from(current() - request.interval()).unwrap();
        Reply::ok(json(&[report(seed)]))
    });
    let harness = Harness::of("coepi-v4", &server.url(), "max_bytes = 10_000");
    let others: Vec<_> = (1..5).map(MockTcnd::past).collect();
    harness.tcnd.want(oversized.iter().chain(&others).copied());
    for _ in 0..2 {
        harness.run().is(1);
        assert_eq!(harness.tcnd.recorded("a"), "too-large");
    }
    harness.tcnd.whole("a", others.iter().copied());
}
