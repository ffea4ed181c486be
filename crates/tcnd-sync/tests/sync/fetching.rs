//! Fetches from honest servers and mirrors.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tcn_protocol::SignedReport;

use crate::server::{Reply, Request, Server};
use crate::stand_in::{StandIn, current};
use crate::{Place, json, report, reports, sized, source, stream};

/// The reports of each interval; other intervals have none.
type Intervals = BTreeMap<u64, Vec<SignedReport>>;

/// Three intervals that are over, and the current one.
fn four() -> Intervals {
    let past = (0..3u8).map(|n| (StandIn::past(3 - u64::from(n)), 10 * n));
    past.chain([(current(), 30)])
        .map(|(interval, seed)| (interval, reports(seed..seed + 4)))
        .collect()
}

fn all(intervals: &Intervals) -> Vec<SignedReport> {
    intervals.values().flatten().cloned().collect()
}

/// A server that speaks CoEpi's API.
fn coepi(intervals: &Intervals) -> Server {
    let intervals = intervals.clone();
    Server::new(move |request| {
        let reports = intervals.get(&request.interval()).cloned();
        Reply::ok(json(&reports.unwrap_or_default()))
    })
}

/// A mirror that has the files for which `file` returns a reply.
fn mirror(file: impl Fn(u64, &str) -> Option<Reply> + Send + Sync + 'static) -> Server {
    Server::new(move |request| {
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
    let place = Place::new();
    let intervals = four();
    let server = coepi(&intervals);
    place.source("coepi-v4", &server.url(), "label = \"A\"\npublish = true");
    place.tcnd.want(intervals.keys().copied().take(3));
    place.run().is(0);
    place.tcnd.knows(&all(&intervals));
    place.tcnd.whole("a", intervals.keys().copied().take(3));
    assert_eq!(place.tcnd.recorded("a"), "");
    let asked: Vec<_> = server.seen().iter().map(Request::interval).collect();
    assert_eq!(asked, intervals.keys().copied().collect::<Vec<_>>());
    for request in server.seen() {
        let expected = format!(
            "GET /base?intervalNumber={}&intervalLength=21600",
            request.interval()
        );
        assert_eq!(request.line, expected);
    }
    let sources = place.tcnd.book().sources.clone();
    assert_eq!((sources[0].label.as_str(), sources[0].publish), ("A", true));
    // Only the current one can have grown.
    place.run().is(0);
    assert_eq!(server.asked(), 5);
    assert_eq!(server.seen()[4].interval(), current());
    let unwhole = place.tcnd.book().deliveries.last().copied().unwrap();
    assert_eq!((unwhole.0, unwhole.1), (current(), false));
}

#[test]
fn a_request_says_nothing_of_who_asks() {
    let place = Place::new();
    let server = Server::new(|_| {
        let cookie = ("Set-Cookie", "id=1; Path=/".to_owned());
        Reply::Whole(200, vec![cookie], b"[]".to_vec())
    });
    place.source("coepi-v4", &server.url(), "");
    place.tcnd.want([StandIn::past(1)]);
    place.run().is(0);
    place.run().is(0);
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
    let place = Place::new();
    let server = Server::new(|request| {
        if request.header("If-None-Match").as_deref() == Some("\"v1\"") {
            return Reply::status(304);
        }
        let tag = ("ETag", "\"v1\"".to_owned());
        Reply::Whole(200, vec![tag], json(&reports(1..3)))
    });
    place.source("coepi-v4", &server.url(), "");
    place.tcnd.want([StandIn::past(1)]);
    place.run().is(0);
    place.run().is(0);
    place.tcnd.knows(&reports(1..3));
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
    assert_eq!(place.tcnd.book().deliveries.len(), 2);
    assert_eq!(place.tcnd.recorded("a"), "");
    // Without its state it requests everything, with no other effect.
    std::fs::remove_file(place.state().join("memory.json")).unwrap();
    place.run().is(0);
    assert_eq!(server.seen()[3].header("If-None-Match"), None);
}

#[test]
fn the_last_word_on_an_interval_is_fetched_in_any_case() {
    let place = Place::new();
    let server = Server::new(|request| match request.header("If-None-Match") {
        Some(_) => Reply::status(304),
        None => Reply::ok(json(&reports(1..3))),
    });
    place.source("coepi-v4", &server.url(), "");
    let wanted = StandIn::past(1);
    place.tcnd.want([wanted]);
    // As written by a run during the interval, before its end.
    let url = format!(
        "{}?intervalNumber={wanted}&intervalLength=21600",
        server.url()
    );
    let memory = serde_json::json!({
        "a": {"validator": {"interval": wanted, "url": url, "tag": "\"v1\""}}
    });
    std::fs::write(place.state().join("memory.json"), memory.to_string()).unwrap();
    place.run().is(0);
    place.tcnd.knows(&reports(1..3));
    place.tcnd.whole("a", [wanted]);
}

#[test]
fn a_mirror_is_asked_for_the_stream_and_then_for_json() {
    for ending in ["tcn", "json"] {
        let place = Place::new();
        let intervals = four();
        let held = intervals.clone();
        let server = mirror(move |number, asked| {
            let reports = held
                .get(&number)
                .filter(|_| asked == ending && number != current())?;
            let write = if ending == "tcn" { stream } else { json };
            Some(Reply::ok(write(reports)))
        });
        place.source("mirror", &server.url(), "");
        // The mirror lacks one interval too.
        place.tcnd.want([StandIn::past(4)]);
        place.tcnd.want(intervals.keys().copied().take(3));
        place.run().is(0);
        let finished: Vec<_> = intervals.values().take(3).flatten().cloned().collect();
        place.tcnd.knows(&finished);
        place.tcnd.whole("a", intervals.keys().copied().take(3));
        assert_eq!(place.tcnd.recorded("a"), "");
        let expected: &[&str] = if ending == "tcn" {
            &["tcn", "json", "tcn", "tcn", "tcn", "tcn"]
        } else {
            &["tcn", "json", "tcn", "json", "json", "json", "json"]
        };
        assert_eq!(endings(&server.seen()), expected);
        let line = &server.seen()[0].line;
        let first = format!("GET /base/tcnreport/21600/{}.tcn", StandIn::past(4));
        assert_eq!(*line, first);
    }
}

#[test]
fn packed_answers_are_unpacked() {
    for packing in ["gzip", "zstd"] {
        let place = Place::new();
        let server = Server::new(move |request| {
            assert_eq!(
                request.header("Accept-Encoding").as_deref(),
                Some("zstd, gzip")
            );
            let plain = json(&reports(1..9));
            let packed = if packing == "gzip" {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&plain).unwrap();
                encoder.finish().unwrap()
            } else {
                zstd::encode_all(&plain[..], 3).unwrap()
            };
            Reply::Whole(200, vec![("Content-Encoding", packing.to_owned())], packed)
        });
        place.source("coepi-v4", &server.url(), "");
        place.tcnd.want([StandIn::past(1)]);
        place.run().is(0);
        place.tcnd.knows(&reports(1..9));
        place.tcnd.whole("a", [StandIn::past(1)]);
    }
}

#[test]
fn junk_among_good_reports_costs_only_itself() {
    let place = Place::new();
    let server = Server::new(|_| {
        let good = String::from_utf8(json(&reports(1..4))).unwrap();
        let junk = "[\"AAAA\", \"no base64\", 7, null, {\"a\": []}, ";
        Reply::ok(good.replacen('[', junk, 1).into_bytes())
    });
    place.source("coepi-v4", &server.url(), "");
    place.tcnd.want([StandIn::past(1)]);
    let ended = place.run();
    ended.is(0);
    place.tcnd.knows(&reports(1..4));
    place.tcnd.whole("a", [StandIn::past(1)]);
    assert!(ended.log.contains("unreadable=10"), "{}", ended.log);
}

#[test]
fn only_the_memo_types_that_are_wanted_come_through() {
    let place = Place::new();
    let all = [
        sized(1, 24, 0),
        sized(2, 24, 1),
        sized(3, 24, 99),
        sized(4, 24, 5),
    ];
    let server = Server::new(move |_| Reply::ok(json(&all)));
    let more =
        "memo_types = [\"Covid Watch v1\", \"mine\"]\n[[memo_type]]\nname = \"mine\"\nnumber = 99";
    place.source("coepi-v4", &server.url(), more);
    place.run().is(0);
    place.tcnd.knows(&[sized(2, 24, 1), sized(3, 24, 99)]);
}

#[test]
fn what_is_beyond_the_budget_of_a_run_waits_for_the_next() {
    let place = Place::new();
    let intervals: Intervals = (1..=3)
        .map(|n| {
            let seed = u8::try_from(n).unwrap();
            (StandIn::past(4 - n), vec![sized(seed, 40_000, 0)])
        })
        .collect();
    let server = coepi(&intervals);
    place.source("coepi-v4", &server.url(), "budget = 90_000");
    place.tcnd.want(intervals.keys().copied());
    place.run().is(0);
    place
        .tcnd
        .knows(&[sized(1, 40_000, 0), sized(2, 40_000, 0)]);
    place.tcnd.whole("a", intervals.keys().copied().take(2));
    let budgets: Vec<_> = place.tcnd.book().deliveries.iter().map(|d| d.2).collect();
    assert_eq!(
        budgets,
        [90_000, 49_488, 8_976],
        "and the empty current one"
    );
    place.run().is(0);
    place.tcnd.knows(&all(&intervals));
    place.tcnd.whole("a", intervals.keys().copied());
}

#[test]
fn a_flood_of_great_reports_hides_no_honest_one_and_is_named() {
    let place = Place::new();
    let flood: Vec<_> = (100..104).map(|seed| sized(seed, 65_535, 0)).collect();
    let (first, second) = (StandIn::past(2), StandIn::past(1));
    let intervals = Intervals::from([
        (first, [flood, reports(1..5)].concat()),
        (second, reports(5..8)),
    ]);
    let server = coepi(&intervals);
    place.source("coepi-v4", &server.url(), "budget = 65_535");
    place.tcnd.want([first, second]);
    place.run().is(1);
    place.tcnd.knows(&reports(1..8));
    place.tcnd.whole("a", [second]);
    assert_eq!(place.tcnd.recorded("a"), "too-large");
}

#[test]
fn an_error_at_one_source_does_not_block_another() {
    let place = Place::new();
    let (hanging, good) = (
        Server::new(|_| Reply::Hang),
        Server::new(|_| Reply::ok(json(&reports(1..4)))),
    );
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    place.sources(
        &[
            source("gone", "coepi-v4", &gone, ""),
            source("hanging", "coepi-v4", &hanging.url(), "timeout = \"1s\""),
            source("nowhere", "folder", "/nonexistent", ""),
            source("good", "coepi-v4", &good.url(), ""),
        ]
        .concat(),
    );
    place.tcnd.want([StandIn::past(1)]);
    place.run().is(1);
    place.tcnd.knows(&reports(1..4));
    place.tcnd.whole("good", [StandIn::past(1)]);
    for (name, problem) in [
        ("gone", "unreachable"),
        ("hanging", "timed-out"),
        ("nowhere", "unreadable"),
        ("good", ""),
    ] {
        assert_eq!(place.tcnd.recorded(name), problem, "{name}");
    }
    assert_eq!(hanging.asked(), 1, "the rest waits for the next run");
}

#[test]
fn a_bad_interval_does_not_block_the_others() {
    let place = Place::new();
    let bad = StandIn::past(2);
    let server = Server::new(move |request| {
        if request.interval() == bad {
            return Reply::ok(b"<html>".to_vec());
        }
        let seed = u8::try_from(current() - request.interval()).unwrap();
        Reply::ok(json(&[report(seed)]))
    });
    place.source("coepi-v4", &server.url(), "");
    place.tcnd.want([StandIn::past(3), bad, StandIn::past(1)]);
    place.run().is(1);
    place.tcnd.whole("a", [StandIn::past(3), StandIn::past(1)]);
    place.tcnd.knows(&[report(0), report(2), report(4)]);
    assert_eq!(place.tcnd.recorded("a"), "wrong-answer");
    // The source as a whole succeeded, so the next run requests it again.
    let before = server.asked();
    place.run().is(1);
    assert_eq!(server.asked(), before + 2);
}

#[test]
fn a_source_that_failed_is_left_alone_unless_somebody_waits() {
    let place = Place::new();
    let server =
        Server::new(|_| Reply::Whole(503, vec![("Retry-After", "7200".to_owned())], Vec::new()));
    place.source("coepi-v4", &server.url(), "");
    place.tcnd.want([StandIn::past(1)]);
    place.run().is(1);
    assert_eq!(place.tcnd.recorded("a"), "refused");
    assert_eq!(server.asked(), 1, "a server that asks for time is given it");
    let ended = place.run();
    ended.is(0);
    assert!(ended.log.contains("left alone"), "{}", ended.log);
    assert_eq!(server.asked(), 1);
    let memory = std::fs::read_to_string(place.state().join("memory.json")).unwrap();
    let memory: serde_json::Value = serde_json::from_str(&memory).unwrap();
    let until = memory["a"]["until"].as_u64().unwrap();
    let wait = until - crate::stand_in::now().0;
    assert!((7000..=7200).contains(&wait), "{wait}");
    place.run_now().is(1);
    assert_eq!(server.asked(), 2);
    place.tcnd.book().asked = true;
    place.run().is(1);
    assert_eq!(server.asked(), 3, "a person asked tcnd for the run");
}

#[test]
fn a_busy_tcnd_is_no_fault_of_the_source() {
    let place = Place::new();
    let server = coepi(&four());
    place.source("coepi-v4", &server.url(), "");
    place.tcnd.want(four().keys().copied().take(3));
    place.tcnd.book().busy = true;
    place.run().is(1);
    assert_eq!(place.tcnd.recorded("a"), "busy");
    place.tcnd.knows(&[]);
    place.tcnd.book().busy = false;
    place.run().is(0);
    place.tcnd.knows(&all(&four()));
    place.tcnd.whole("a", four().keys().copied().take(3));
}

/// tcnd counts the cost of a source in a day; tcnd-sync names the source that this
/// limited.
#[test]
fn what_tcnd_leaves_of_a_delivery_is_told() {
    let place = Place::new();
    let server = coepi(&four());
    place.source("coepi-v4", &server.url(), "");
    place.tcnd.want(four().keys().copied().take(3));
    place.tcnd.book().too_large = 1;
    place.run().is(1);
    assert_eq!(place.tcnd.recorded("a"), "too-large");
    // Those three, and the current one.
    assert_eq!(place.tcnd.book().deliveries.len(), 4, "each is tried");
    place.tcnd.book().too_large = 0;
    place.run().is(0);
    assert_eq!(place.tcnd.recorded("a"), "");
}

#[test]
fn a_report_that_comes_again_keeps_its_first_interval() {
    let place = Place::new();
    let (first, second) = (StandIn::past(2), StandIn::past(1));
    let server = Server::new(|_| Reply::ok(json(&reports(1..3))));
    place.source("coepi-v4", &server.url(), "");
    place.tcnd.want([first, second]);
    place.run().is(0);
    place.tcnd.knows(&reports(1..3));
    let book = place.tcnd.book();
    assert!(book.known.values().all(|place| place.1 == first));
    assert_eq!((book.counts.accepted, book.counts.duplicate), (2, 4));
}

#[test]
fn a_run_fetches_so_many_bytes_and_the_next_goes_on() {
    let place = Place::new();
    let server = Server::new(|_| {
        Reply::ok(
            b"[".iter()
                .chain(&[b' '; 9000])
                .chain(b"]")
                .copied()
                .collect(),
        )
    });
    place.source("coepi-v4", &server.url(), "max_bytes = 10_000");
    let all: Vec<_> = (1..=12).map(StandIn::past).collect();
    place.tcnd.want(all.iter().copied());
    place.run().is(0);
    let first = server.asked();
    assert_eq!(
        first, 9,
        "eight times the bytes of an interval, and the last one whole"
    );
    assert_eq!(place.tcnd.recorded("a"), "");
    place.run().is(0);
    place.tcnd.whole("a", all);
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
        let place = Place::new();
        let server = Server::new(move |_| {
            let text = String::from_utf8(json(&reports(1..4))).unwrap();
            Reply::ok(write(text).into_bytes())
        });
        place.source("coepi-v4", &server.url(), "");
        place.tcnd.want([StandIn::past(1)]);
        place.run().is(0);
        place.tcnd.knows(&reports(1..4));
        place.tcnd.whole("a", [StandIn::past(1)]);
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
            let place = Place::new();
            let held = StandIn::past(2);
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
            place.source("mirror", &server.url(), "");
            place.tcnd.want([StandIn::past(3), held, StandIn::past(1)]);
            place.run().is(0);
            assert_eq!(place.tcnd.recorded("a"), "");
            place.tcnd.knows(&reports(1..4));
            place.tcnd.whole("a", [held]);
        }
        let place = Place::new();
        let server = mirror(move |_, _| Some(if is_page { page() } else { Reply::status(403) }));
        place.source("mirror", &server.url(), "");
        place.tcnd.want([StandIn::past(1)]);
        place.run().is(1);
        assert_eq!(
            place.tcnd.recorded("a"),
            problem,
            "where it has nothing at all"
        );
    }
}
