//! A run may be killed anywhere: the next one completes its work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use crate::mock_server::{MockServer, Reply};
use crate::mock_tcnd::{CallHold, MockTcnd, PartState, When, current};
use crate::{Harness, Running, json, report, reports, soon};

/// Whether every report is known, the list of delivered intervals is right, and every part arrived.
#[track_caller]
fn nothing_is_lost(harness: &Harness, server: &MockServer, what: &str) {
    let ended = harness.run();
    assert_eq!(ended.status, 0, "{what}: {}", ended.log);
    harness.tcnd.knows(&reports(1..7));
    harness
        .tcnd
        .whole("a", [MockTcnd::past(2), MockTcnd::past(1)]);
    let state = harness.tcnd.state();
    assert!(
        state
            .parts
            .iter()
            .all(|part| part.state == PartState::Accepted),
        "{what}: {:?}",
        state.parts
    );
    let arrived: std::collections::BTreeSet<_> = server
        .seen()
        .iter()
        .filter(|request| request.is_post())
        .map(|request| request.body().to_vec())
        .collect();
    assert_eq!(arrived.len(), 2, "{what}: every part arrived");
    assert!(
        state.calls.last().is_some_and(|call| call == "end"),
        "{what}"
    );
}

/// Two past intervals, the current one, and two parts due.
fn harness(server: &MockServer) -> Harness {
    let harness = Harness::of("coepi-v4", &server.url(), "publish = true");
    harness.tcnd.want([MockTcnd::past(2), MockTcnd::past(1)]);
    harness.tcnd.publish("a", report(100));
    harness.tcnd.publish("a", report(101));
    harness
}

fn answer(interval: u64) -> Vec<u8> {
    let first = u8::try_from(current() - interval).unwrap();
    json(&match first {
        0 => reports(1..3),
        2 => reports(3..5),
        3 => reports(5..7),
        other => panic!("interval {other} before this one was asked for"),
    })
}

fn honest() -> MockServer {
    MockServer::with_posts(
        |request| Reply::ok(answer(request.interval())),
        |_| Reply::status(200),
    )
}

#[test]
fn killed_at_any_call_nothing_is_lost() {
    // Calls of one run: three deliveries, and three requests for parts.
    let calls = [
        ("begin", 1),
        ("pending", 1),
        ("deliver", 3),
        ("take_part", 3),
        ("settle_part", 2),
        ("record", 1),
        ("end", 1),
    ];
    for (call, times) in calls {
        for skip in 0..times {
            for when in [When::Before, When::After] {
                let server = honest();
                let harness = harness(&server);
                let held = harness.tcnd.hold(CallHold { call, when, skip });
                let mut running = Running::start(&harness);
                soon(&held);
                running.kill();
                nothing_is_lost(&harness, &server, &format!("{call} {skip} {when:?}"));
            }
        }
    }
}

#[test]
fn killed_while_a_server_is_spoken_to_nothing_is_lost() {
    // Requests of one run: three documents, two uploads. Each is left unanswered once,
    // or answered in half.
    for number in 0..5 {
        for half in [false, true] {
            let (there, is_there) = channel();
            let count = Arc::new(AtomicU64::new(0));
            let there: Mutex<Sender<()>> = Mutex::new(there);
            let server = MockServer::new(move |request| {
                let post = request.is_post();
                if count.fetch_add(1, Ordering::AcqRel) != number {
                    return if post {
                        Reply::status(200)
                    } else {
                        Reply::ok(answer(request.interval()))
                    };
                }
                let there = there.lock().unwrap().clone();
                if !half {
                    there.send(()).unwrap();
                    return Reply::Hang;
                }
                let body = if post {
                    Vec::new()
                } else {
                    answer(request.interval())
                };
                Reply::Stream(Box::new(move |out| {
                    let length = body.len() + 1;
                    write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
                    out.write_all(&body[..body.len() / 2])?;
                    out.flush()?;
                    there.send(()).unwrap();
                    let (_keep, never) = channel::<()>();
                    let _ = never.recv();
                    Ok(())
                }))
            });
            let harness = harness(&server);
            let mut running = Running::start(&harness);
            soon(&is_there);
            running.kill();
            nothing_is_lost(
                &harness,
                &server,
                &format!("request {number}, half: {half}"),
            );
        }
    }
}

#[test]
fn a_run_that_is_told_to_stop_says_that_it_is_over() {
    let (there, is_there) = channel();
    let there = Mutex::new(there);
    let server = MockServer::new(move |_| {
        there.lock().unwrap().send(()).unwrap();
        Reply::Hang
    });
    for signal in [Signal::TERM, Signal::INT] {
        let harness = harness(&server);
        let mut running = Running::start(&harness);
        soon(&is_there);
        kill_process(Pid::from_child(&running.0), signal).unwrap();
        let (status, log) = running.wait();
        assert_eq!(status, Some(0), "{log}");
        let calls = harness.tcnd.state().calls.clone();
        assert_eq!(calls, ["begin", "pending", "end"]);
    }
}
