//! The data that leaves the machine, and when an upload counts as accepted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tcn_protocol::wire;

use crate::mock_server::{MockServer, Reply, Request};
use crate::mock_tcnd::PartState;
use crate::{Harness, report, source};

/// Answers fetches with empty lists, and uploads with the reply of `answer`.
fn server(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> MockServer {
    MockServer::with_posts(|_| Reply::ok(b"[]".to_vec()), answer)
}

fn posts(server: &MockServer) -> Vec<Request> {
    let seen = server.seen().into_iter();
    seen.filter(|request| request.is_post()).collect()
}

fn states(harness: &Harness) -> Vec<PartState> {
    let state = harness.tcnd.state();
    state.parts.iter().map(|part| part.state.clone()).collect()
}

#[test]
fn an_upload_is_the_report_and_nothing_else_byte_for_byte() {
    let server = server(|_| Reply::Whole(200, vec![("Set-Cookie", "id=1".to_owned())], Vec::new()));
    let harness = Harness::of("coepi-v4", &server.url(), "publish = true");
    for seed in 1..4 {
        harness.tcnd.publish("a", report(seed));
    }
    harness.run().is(0);
    assert_eq!(
        states(&harness),
        [
            PartState::Accepted,
            PartState::Accepted,
            PartState::Accepted
        ]
    );
    let posts = posts(&server);
    for (post, seed) in posts.iter().zip(1..) {
        let body = STANDARD.encode(wire::write(&report(seed)));
        let expected = format!(
            "POST /base HTTP/1.1\r\ncontent-type: text/plain\r\naccept: */*\r\n\
             host: 127.0.0.1:{}\r\ncontent-length: {}\r\n\r\n{body}",
            server.port,
            body.len()
        );
        assert_eq!(String::from_utf8_lossy(&post.raw), expected);
    }
    assert_eq!(posts.len(), 3);
}

#[test]
fn every_part_has_a_connection_of_its_own() {
    let server = server(|_| Reply::status(200));
    let harness = Harness::of("coepi-v4", &server.url(), "publish = true");
    for seed in 1..6 {
        harness.tcnd.publish("a", report(seed));
    }
    harness.run().is(0);
    let mut connections: Vec<_> = posts(&server).iter().map(|post| post.connection).collect();
    let fetched = server.seen()[0].connection;
    assert!(
        !connections.contains(&fetched),
        "a fetch and an upload share one"
    );
    connections.dedup();
    assert_eq!(connections.len(), 5);
}

#[test]
fn a_part_is_accepted_only_if_the_server_says_so() {
    let long = "x".repeat(400);
    let cases = [
        (200, "", PartState::Accepted),
        (
            400,
            "Illegal base64\r\ncharacter \u{7}25",
            PartState::Refused("status 400: Illegal base64 character 25".to_owned()),
        ),
        (401, "", PartState::Refused("status 401".to_owned())),
        (
            413,
            long.as_str(),
            PartState::Refused(format!("status 413: {}", "x".repeat(244))),
        ),
        (201, "", PartState::Failed(None)),
        (204, "", PartState::Failed(None)),
        (302, "", PartState::Failed(None)),
        (404, "", PartState::Failed(None)),
        (500, "", PartState::Failed(None)),
    ];
    for (status, words, state) in cases {
        let body = words.as_bytes().to_vec();
        let server = server(move |_| {
            let location = ("Location", "/elsewhere".to_owned());
            Reply::Whole(status, vec![location], body.clone())
        });
        let harness = Harness::of("coepi-v4", &server.url(), "publish = true");
        harness.tcnd.publish("a", report(1));
        let ended = harness.run();
        assert_eq!(ended.status, 0, "{status}: {}", ended.log);
        assert_eq!(states(&harness), [state], "{status}");
        assert_eq!(posts(&server).len(), 1, "{status}");
        if !words.is_empty() {
            assert!(!ended.log.contains(&words[..8]), "{}", ended.log);
        }
    }
}

#[test]
fn after_a_failure_the_other_parts_wait_and_the_server_is_given_time() {
    let server = server(|_| Reply::Whole(429, vec![("Retry-After", "90".to_owned())], Vec::new()));
    let harness = Harness::of("coepi-v4", &server.url(), "publish = true");
    harness.tcnd.publish("a", report(1));
    harness.tcnd.publish("a", report(2));
    harness.run();
    assert_eq!(
        states(&harness),
        [PartState::Failed(Some(90)), PartState::Due]
    );
    assert_eq!(harness.tcnd.state().reasons, ["refused"]);
}

#[test]
fn a_server_that_hangs_or_is_away_loses_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let hanging = MockServer::new(|_| Reply::Hang);
    let cases = [
        (away, "unreachable"),
        (hanging.url(), "timed-out"),
        (server(|_| Reply::Raw(Vec::new())).url(), "wrong-answer"),
        (
            server(|_| Reply::Raw(b"HTTP/1.1 2".to_vec())).url(),
            "wrong-answer",
        ),
    ];
    for (url, problem) in cases {
        let harness = Harness::of("coepi-v4", &url, "publish = true\ntimeout = \"1s\"");
        harness.tcnd.publish("a", report(1));
        harness.run();
        assert_eq!(states(&harness), [PartState::Failed(None)], "{problem}");
        assert_eq!(harness.tcnd.state().reasons, [problem]);
    }
}

/// Data visible to every user is the same whether a part failed or there was none: a
/// run's exit status, its log, and the recorded outcome of the source.
#[test]
fn that_an_upload_failed_is_told_to_tcnd_alone() {
    let run = |parts: &[u8]| {
        let server = server(|_| Reply::status(500));
        let harness = Harness::of("coepi-v4", &server.url(), "publish = true");
        for part in parts {
            harness.tcnd.publish("a", report(*part));
        }
        let ended = harness.run();
        assert_eq!(posts(&server).len(), parts.len());
        let words = ended.log.split_whitespace().map(str::to_owned);
        // The time of each line differs, and how long the run took.
        let same = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
        let same: Vec<_> = same.collect();
        (ended.status, same, harness.tcnd.recorded("a"))
    };
    let (status, log, recorded) = run(&[1]);
    assert_eq!((status, recorded.as_str()), (0, ""));
    assert_eq!((status, log, recorded), run(&[]));
}

#[test]
fn nothing_goes_where_it_may_not() {
    let harness = Harness::new();
    let (one, other) = (
        server(|_| Reply::status(200)),
        server(|_| Reply::status(200)),
    );
    harness.sources(&[
        source("a", "coepi-v4", &one.url(), "publish = true"),
        source("b", "coepi-v4", &other.url(), ""),
    ]);
    harness.tcnd.publish("a", report(1));
    harness.tcnd.publish("b", report(2));
    harness.run().is(0);
    assert_eq!((posts(&one).len(), posts(&other).len()), (1, 0));
    assert_eq!(states(&harness), [PartState::Accepted, PartState::Due]);
}

#[test]
fn all_is_fetched_before_anything_is_uploaded() {
    let harness = Harness::new();
    let server = server(|_| Reply::status(200));
    harness.sources(&[
        source("a", "coepi-v4", &server.url(), "publish = true"),
        source("b", "coepi-v4", &server.url(), "publish = true"),
    ]);
    harness.tcnd.publish("a", report(1));
    harness.tcnd.publish("b", report(2));
    harness.run().is(0);
    let verbs: String = server
        .seen()
        .iter()
        .map(|request| &request.line[..1])
        .collect();
    assert_eq!(verbs, "GGPP");
    let calls = harness.tcnd.state().calls.clone();
    assert_eq!(calls.first().map(String::as_str), Some("begin"));
    assert_eq!(calls.last().map(String::as_str), Some("end"));
}

#[test]
fn the_log_has_counts_and_tokens_and_neither_addresses_nor_reports() {
    let harness = Harness::new();
    let server = server(|_| Reply::Whole(400, Vec::new(), b"the reason".to_vec()));
    let more = "publish = true\nlabel = \"a label\"";
    harness.sources(&[
        source("a", "coepi-v4", &server.url(), more),
        source(
            "b",
            "mirror",
            "http://127.0.0.1:1/somewhere",
            more.lines().next_back().unwrap(),
        ),
        source("c", "folder", "/nonexistent/somewhere", ""),
    ]);
    harness.tcnd.publish("a", report(1));
    harness.tcnd.want([crate::mock_tcnd::MockTcnd::past(1)]);
    let ended = harness.run().is(1);
    for part in [
        "source=a",
        "problem=\"unreachable\"",
        "problem=\"unreadable\"",
    ] {
        ended.says(part);
    }
    let report = STANDARD.encode(wire::write(&report(1)));
    // The existence of a part reveals that a person is ill.
    for secret in [
        "127.0.0.1",
        "somewhere",
        "base",
        "the reason",
        "label",
        "part",
        "refused",
        &report[..12],
    ] {
        assert!(!ended.log.contains(secret), "{secret}: {}", ended.log);
    }
}
