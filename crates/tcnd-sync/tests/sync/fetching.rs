//! Fetches from honest servers and mirrors.

use std::collections::BTreeMap;

use tcn_protocol::SignedReport;

use crate::mock_server::{MockServer, Reply, Request};
use crate::mock_tcnd::{MockTcnd, current};
use crate::{Harness, gzip, json, report, reports, sized, source, stream};

/// The reports of each interval; other intervals have none.
type Intervals = BTreeMap<u64, Vec<SignedReport>>;

/// Three intervals that are over, and the current one.
fn four() -> Intervals {
    let past = (0..3u8).map(|n| (MockTcnd::past(3 - u64::from(n)), 10 * n));
    past.chain([(current(), 30)])
        .map(|(interval, seed)| (interval, reports(seed..seed + 4)))
        .collect()
}

fn all(intervals: &Intervals) -> Vec<SignedReport> {
    intervals.values().flatten().cloned().collect()
}

/// A server that speaks CoEpi's API.
fn coepi(intervals: &Intervals) -> MockServer {
    let intervals = intervals.clone();
    MockServer::new(move |request| {
        let reports = intervals.get(&request.interval()).cloned();
        Reply::ok(json(&reports.unwrap_or_default()))
    })
}

/// A mirror that has the files for which `file` returns a reply.
fn mirror(file: impl Fn(u64, &str) -> Option<Reply> + Send + Sync + 'static) -> MockServer {
    MockServer::new(move |request| {
        let name = request.line.rsplit('/').next().unwrap();
        let (number, ending) = name.split_once('.').unwrap();
        file(number.parse().unwrap(), ending).unwrap_or(Reply::status(404))
    })
}

fn endings(seen: &[Request]) -> Vec<String> {
    let of = |request: &Request| request.line.rsplit('.').next().unwrap().to_owned();
    seen.iter().map(of).collect()
}

#[test]
fn all_that_is_pending_is_fetched_once_the_oldest_first() {
    let intervals = four();
    let server = coepi(&intervals);
    let harness = Harness::of(
        "coepi-v4",
        &server.url(),
        "label = \"A\"\npublish = true\nhelp_phone = \"116 117\"",
    );
    harness.tcnd.want(intervals.keys().copied().take(3));
    harness.run().is(0);
    harness.tcnd.knows(&all(&intervals));
    harness.tcnd.whole("a", intervals.keys().copied().take(3));
    assert_eq!(harness.tcnd.recorded("a"), "");
    let asked: Vec<_> = server.seen().iter().map(Request::interval).collect();
    assert_eq!(asked, intervals.keys().copied().collect::<Vec<_>>());
    for request in server.seen() {
        let expected = format!(
            "GET /base?intervalNumber={}&intervalLength=21600",
            request.interval()
        );
        assert_eq!(request.line, expected);
    }
    let sources = harness.tcnd.state().sources.clone();
    assert_eq!((sources[0].label.as_str(), sources[0].publish), ("A", true));
    let help = (&sources[0].help_url, sources[0].help_phone.as_deref());
    assert_eq!(help, (&None, Some("116 117")));
    // Only the current one can have grown.
    harness.run().is(0);
    assert_eq!(server.asked(), 5);
    assert_eq!(server.seen()[4].interval(), current());
    let unwhole = harness.tcnd.state().deliveries.last().copied().unwrap();
    assert_eq!((unwhole.0, unwhole.1), (current(), false));
}

#[test]
fn a_request_says_nothing_of_who_asks() {
    let server = MockServer::new(|_| {
        let cookie = ("Set-Cookie", "id=1; Path=/".to_owned());
        Reply::Whole(200, vec![cookie], b"[]".to_vec())
    });
    let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
    harness.run().is(0);
    harness.run().is(0);
    assert_eq!(server.asked(), 3);
    for request in server.seen() {
        let text = String::from_utf8(request.raw.clone()).unwrap();
        let mut names: Vec<_> = text
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, _)| name.to_lowercase())
            .collect();
        names.sort();
        assert_eq!(names, ["accept", "accept-encoding", "host"]);
    }
}

#[test]
fn the_current_interval_is_not_sent_again_while_it_stays_the_same() {
    let server = MockServer::new(|request| {
        if request.header("If-None-Match").as_deref() == Some("\"v1\"") {
            return Reply::status(304);
        }
        let tag = ("ETag", "\"v1\"".to_owned());
        Reply::Whole(200, vec![tag], json(&reports(1..3)))
    });
    let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
    harness.run().is(0);
    harness.run().is(0);
    harness.tcnd.knows(&reports(1..3));
    let asked: Vec<_> = server
        .seen()
        .iter()
        .map(|request| {
            (
                request.interval() == current(),
                request.header("If-None-Match").is_some(),
            )
        })
        .collect();
    assert_eq!(asked, [(false, false), (true, false), (true, true)]);
    assert_eq!(harness.tcnd.state().deliveries.len(), 2);
    assert_eq!(harness.tcnd.recorded("a"), "");
    // Without its state it requests everything, with no other effect.
    std::fs::remove_file(harness.state().join("memory.json")).unwrap();
    harness.run().is(0);
    assert_eq!(server.seen()[3].header("If-None-Match"), None);
}

#[test]
fn the_last_word_on_an_interval_is_fetched_in_any_case() {
    let server = MockServer::new(|request| match request.header("If-None-Match") {
        Some(_) => Reply::status(304),
        None => Reply::ok(json(&reports(1..3))),
    });
    let harness = Harness::of("coepi-v4", &server.url(), "");
    let wanted = MockTcnd::past(1);
    harness.tcnd.want([wanted]);
    // As written by a run during the interval, before its end.
    let url = format!(
        "{}?intervalNumber={wanted}&intervalLength=21600",
        server.url()
    );
    let memory = serde_json::json!({
        "a": {"validator": {"interval": wanted, "url": url, "tag": "\"v1\""}}
    });
    std::fs::write(harness.state().join("memory.json"), memory.to_string()).unwrap();
    harness.run().is(0);
    harness.tcnd.knows(&reports(1..3));
    harness.tcnd.whole("a", [wanted]);
}

#[test]
fn a_mirror_is_asked_for_the_stream_and_then_for_json() {
    for ending in ["tcn", "json"] {
        let intervals = four();
        let held = intervals.clone();
        let server = mirror(move |number, asked| {
            let reports = held
                .get(&number)
                .filter(|_| asked == ending && number != current())?;
            let write = if ending == "tcn" { stream } else { json };
            Some(Reply::ok(write(reports)))
        });
        let harness = Harness::of("mirror", &server.url(), "");
        // The mirror lacks one interval too.
        harness.tcnd.want([MockTcnd::past(4)]);
        harness.tcnd.want(intervals.keys().copied().take(3));
        harness.run().is(0);
        let finished: Vec<_> = intervals.values().take(3).flatten().cloned().collect();
        harness.tcnd.knows(&finished);
        harness.tcnd.whole("a", intervals.keys().copied().take(3));
        assert_eq!(harness.tcnd.recorded("a"), "");
        let expected: &[&str] = if ending == "tcn" {
            &["tcn", "json", "tcn", "tcn", "tcn", "tcn"]
        } else {
            &["tcn", "json", "tcn", "json", "json", "json", "json"]
        };
        assert_eq!(endings(&server.seen()), expected);
        let line = &server.seen()[0].line;
        let first = format!("GET /base/tcnreport/21600/{}.tcn", MockTcnd::past(4));
        assert_eq!(*line, first);
    }
}

#[test]
fn packed_answers_are_unpacked() {
    for packing in ["gzip", "zstd"] {
        let server = MockServer::new(move |request| {
            assert_eq!(
                request.header("Accept-Encoding").as_deref(),
                Some("zstd, gzip")
            );
            let plain = json(&reports(1..9));
            let packed = if packing == "gzip" {
                gzip(&plain)
            } else {
                zstd::encode_all(&plain[..], 3).unwrap()
            };
            Reply::Whole(200, vec![("Content-Encoding", packing.to_owned())], packed)
        });
        let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
        harness.run().is(0);
        harness.tcnd.knows(&reports(1..9));
        harness.tcnd.whole("a", [MockTcnd::past(1)]);
    }
}

#[test]
fn junk_among_good_reports_costs_only_itself() {
    let server = MockServer::new(|_| {
        let good = String::from_utf8(json(&reports(1..4))).unwrap();
        let junk = "[\"AAAA\", \"no base64\", 7, null, {\"a\": []}, ";
        Reply::ok(good.replacen('[', junk, 1).into_bytes())
    });
    let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
    let ended = harness.run().is(0);
    harness.tcnd.knows(&reports(1..4));
    harness.tcnd.whole("a", [MockTcnd::past(1)]);
    ended.says("unreadable=10");
}

#[test]
fn only_the_memo_types_that_are_wanted_come_through() {
    let all = [
        sized(1, 24, 0),
        sized(2, 24, 1),
        sized(3, 24, 99),
        sized(4, 24, 5),
    ];
    let server = MockServer::new(move |_| Reply::ok(json(&all)));
    let more =
        "memo_types = [\"Covid Watch v1\", \"mine\"]\n[[memo_type]]\nname = \"mine\"\nnumber = 99";
    let harness = Harness::of("coepi-v4", &server.url(), more);
    harness.run().is(0);
    harness.tcnd.knows(&[sized(2, 24, 1), sized(3, 24, 99)]);
}

#[test]
fn what_is_beyond_the_budget_of_a_run_waits_for_the_next() {
    let intervals: Intervals = (1..=3)
        .map(|n| {
            let seed = u8::try_from(n).unwrap();
            (MockTcnd::past(4 - n), vec![sized(seed, 40_000, 0)])
        })
        .collect();
    let server = coepi(&intervals);
    let harness = Harness::of("coepi-v4", &server.url(), "budget = 90_000");
    harness.tcnd.want(intervals.keys().copied());
    harness.run().is(0);
    harness
        .tcnd
        .knows(&[sized(1, 40_000, 0), sized(2, 40_000, 0)]);
    harness.tcnd.whole("a", intervals.keys().copied().take(2));
    let budgets: Vec<_> = harness
        .tcnd
        .state()
        .deliveries
        .iter()
        .map(|d| d.2)
        .collect();
    assert_eq!(
        budgets,
        [90_000, 49_488, 8_976],
        "and the empty current one"
    );
    harness.run().is(0);
    harness.tcnd.knows(&all(&intervals));
    harness.tcnd.whole("a", intervals.keys().copied());
}

#[test]
fn a_flood_of_great_reports_hides_no_honest_one_and_is_named() {
    let flood: Vec<_> = (100..104).map(|seed| sized(seed, 65_535, 0)).collect();
    let (first, second) = (MockTcnd::past(2), MockTcnd::past(1));
    let intervals = Intervals::from([
        (first, [flood, reports(1..5)].concat()),
        (second, reports(5..8)),
    ]);
    let server = coepi(&intervals);
    let harness = Harness::of("coepi-v4", &server.url(), "budget = 65_535");
    harness.tcnd.want([first, second]);
    harness.run().is(1);
    harness.tcnd.knows(&reports(1..8));
    harness.tcnd.whole("a", [second]);
    assert_eq!(harness.tcnd.recorded("a"), "too-large");
}

#[test]
fn an_error_at_one_source_does_not_block_another() {
    let harness = Harness::new();
    let (hanging, good) = (
        MockServer::new(|_| Reply::Hang),
        MockServer::new(|_| Reply::ok(json(&reports(1..4)))),
    );
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    harness.sources(&[
        source("gone", "coepi-v4", &gone, ""),
        source("hanging", "coepi-v4", &hanging.url(), "timeout = \"1s\""),
        source("nowhere", "folder", "/nonexistent", ""),
        source("good", "coepi-v4", &good.url(), ""),
    ]);
    harness.tcnd.want([MockTcnd::past(1)]);
    harness.run().is(1);
    harness.tcnd.knows(&reports(1..4));
    harness.tcnd.whole("good", [MockTcnd::past(1)]);
    for (name, problem) in [
        ("gone", "unreachable"),
        ("hanging", "timed-out"),
        ("nowhere", "unreadable"),
        ("good", ""),
    ] {
        assert_eq!(harness.tcnd.recorded(name), problem, "{name}");
    }
    assert_eq!(hanging.asked(), 1, "the rest waits for the next run");
}

#[test]
fn a_bad_interval_does_not_block_the_others() {
    let bad = MockTcnd::past(2);
    let server = MockServer::new(move |request| {
        if request.interval() == bad {
            return Reply::ok(b"<html>".to_vec());
        }
        let seed = u8::try_from(current() - request.interval()).unwrap();
        Reply::ok(json(&[report(seed)]))
    });
    let harness = Harness::wanting(
        "coepi-v4",
        &server,
        [MockTcnd::past(3), bad, MockTcnd::past(1)],
    );
    harness.run().is(1);
    harness
        .tcnd
        .whole("a", [MockTcnd::past(3), MockTcnd::past(1)]);
    harness.tcnd.knows(&[report(0), report(2), report(4)]);
    assert_eq!(harness.tcnd.recorded("a"), "wrong-answer");
    // The source as a whole succeeded, so the next run requests it again.
    let before = server.asked();
    harness.run().is(1);
    assert_eq!(server.asked(), before + 2);
}

#[test]
fn a_source_that_failed_is_left_alone_unless_somebody_waits() {
    let server = MockServer::new(|_| {
        Reply::Whole(503, vec![("Retry-After", "7200".to_owned())], Vec::new())
    });
    let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "refused");
    assert_eq!(server.asked(), 1, "a server that asks for time is given it");
    harness.run().is(0).says("in back-off");
    assert_eq!(server.asked(), 1);
    let memory = std::fs::read_to_string(harness.state().join("memory.json")).unwrap();
    let memory: serde_json::Value = serde_json::from_str(&memory).unwrap();
    let until = memory["a"]["until"].as_u64().unwrap();
    let wait = until - crate::mock_tcnd::now().0;
    assert!((7000..=7200).contains(&wait), "{wait}");
    harness.run_now().is(1);
    assert_eq!(server.asked(), 2);
    harness.tcnd.state().asked = true;
    harness.run().is(1);
    assert_eq!(server.asked(), 3, "a person asked tcnd for the run");
}

#[test]
fn a_busy_tcnd_is_no_fault_of_the_source() {
    let server = coepi(&four());
    let harness = Harness::wanting("coepi-v4", &server, four().keys().copied().take(3));
    harness.tcnd.state().busy = true;
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "busy");
    harness.tcnd.knows(&[]);
    harness.tcnd.state().busy = false;
    harness.run().is(0);
    harness.tcnd.knows(&all(&four()));
    harness.tcnd.whole("a", four().keys().copied().take(3));
}

/// tcnd counts the cost of a source in a day; tcnd-sync names the source that this
/// limited.
#[test]
fn what_tcnd_leaves_of_a_delivery_is_told() {
    let server = coepi(&four());
    let harness = Harness::wanting("coepi-v4", &server, four().keys().copied().take(3));
    harness.tcnd.state().too_large = 1;
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "too-large");
    // Those three, and the current one.
    assert_eq!(harness.tcnd.state().deliveries.len(), 4, "each is tried");
    harness.tcnd.state().too_large = 0;
    harness.run().is(0);
    assert_eq!(harness.tcnd.recorded("a"), "");
}

#[test]
fn a_report_that_comes_again_keeps_its_first_interval() {
    let (first, second) = (MockTcnd::past(2), MockTcnd::past(1));
    let server = MockServer::new(|_| Reply::ok(json(&reports(1..3))));
    let harness = Harness::wanting("coepi-v4", &server, [first, second]);
    harness.run().is(0);
    harness.tcnd.knows(&reports(1..3));
    let state = harness.tcnd.state();
    assert!(state.known.values().all(|harness| harness.1 == first));
    assert_eq!((state.counts.accepted, state.counts.duplicate), (2, 4));
}

#[test]
fn a_run_fetches_so_many_bytes_and_the_next_goes_on() {
    let server = MockServer::new(|_| {
        Reply::ok(
            b"[".iter()
                .chain(&[b' '; 9000])
                .chain(b"]")
                .copied()
                .collect(),
        )
    });
    let harness = Harness::of("coepi-v4", &server.url(), "max_bytes = 10_000");
    let all: Vec<_> = (1..=12).map(MockTcnd::past).collect();
    harness.tcnd.want(all.iter().copied());
    harness.run().is(0);
    let first = server.asked();
    assert_eq!(
        first, 9,
        "eight times the bytes of an interval, and the last one whole"
    );
    assert_eq!(harness.tcnd.recorded("a"), "");
    harness.run().is(0);
    harness.tcnd.whole("a", all);
}

/// Some servers write base64 without padding, or put a byte order mark before it.
#[test]
fn an_array_is_read_as_servers_write_it() {
    type Writer = fn(String) -> String;
    let writers: [Writer; 4] = [
        |text| text.replace('=', ""),
        |text| format!("\u{feff}{text}"),
        |text| text.replace('+', "-").replace('/', "_"),
        |text| text.replace("\",", "\\n\","),
    ];
    for write in writers {
        let server = MockServer::new(move |_| {
            let text = String::from_utf8(json(&reports(1..4))).unwrap();
            Reply::ok(write(text).into_bytes())
        });
        let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
        harness.run().is(0);
        harness.tcnd.knows(&reports(1..4));
        harness.tcnd.whole("a", [MockTcnd::past(1)]);
    }
}

/// A bucket that may not be listed answers 403 for missing documents; a web site
/// answers 200 with a page.
#[test]
fn a_mirror_may_deny_what_it_does_not_have() {
    let page = || {
        let kind = ("Content-Type", "text/html; charset=utf-8".to_owned());
        Reply::Whole(
            200,
            vec![kind],
            b"<!doctype html><title>app</title>".to_vec(),
        )
    };
    for (is_page, problem) in [(false, "refused"), (true, "wrong-answer")] {
        for ending in ["tcn", "json"] {
            let held = MockTcnd::past(2);
            let missing = move || if is_page { page() } else { Reply::status(403) };
            let server = mirror(move |number, asked| {
                let write = if ending == "tcn" { stream } else { json };
                let is_held = number == held && asked == ending;
                Some(if is_held {
                    Reply::ok(write(&reports(1..4)))
                } else {
                    missing()
                })
            });
            let harness = Harness::wanting(
                "mirror",
                &server,
                [MockTcnd::past(3), held, MockTcnd::past(1)],
            );
            harness.run().is(0);
            assert_eq!(harness.tcnd.recorded("a"), "");
            harness.tcnd.knows(&reports(1..4));
            harness.tcnd.whole("a", [held]);
        }
        let server = mirror(move |_, _| Some(if is_page { page() } else { Reply::status(403) }));
        let harness = Harness::wanting("mirror", &server, [MockTcnd::past(1)]);
        harness.run().is(1);
        assert_eq!(
            harness.tcnd.recorded("a"),
            problem,
            "where it has nothing at all"
        );
    }
}
