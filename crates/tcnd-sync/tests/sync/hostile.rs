//! Servers that lie, flood, drip or hang. In every case no wrong data is accepted, and
//! once the server is honest nothing is missing.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};

use tcn_protocol::SignedReport;

use crate::mock_server::{MockServer, Reply};
use crate::mock_tcnd::{MockTcnd, current};
use crate::{Harness, Running, gzip, json, reports, soon, stream};

/// Makes a bad response.
type Lie = fn() -> Reply;

/// Each with its name.
type Cases<'a> = &'a [(&'a str, Lie)];

/// A server of this kind answers every request with one of the lies. The token must be
/// `problem`, and no report may be known. Once the server is honest, all must be.
#[track_caller]
fn nothing_comes_of(cases: Cases<'_>, kind: &str, problem: &str) {
    for (what, lie) in cases {
        only_so_much_comes_of(what, kind, *lie, problem, &[]);
    }
}

/// The same for a server whose lie begins with these reports.
#[track_caller]
fn only_so_much_comes_of(what: &str, kind: &str, lie: Lie, problem: &str, known: &[SignedReport]) {
    let honest = Arc::new(AtomicBool::new(false));
    let is_honest = honest.clone();
    let of_stream = kind == "mirror";
    let server = MockServer::new(move |_| {
        if !is_honest.load(Ordering::Acquire) {
            return lie();
        }
        let write = if of_stream { stream } else { json };
        Reply::ok(write(&reports(1..4)))
    });
    // A busy machine must not make an honest answer look late.
    let timeout = if problem == "timed-out" { 3 } else { 30 };
    let limits = format!("timeout = \"{timeout}s\"\nmax_bytes = 100_000");
    let harness = Harness::of(kind, &server.url(), &limits);
    let wanted = [MockTcnd::past(2), MockTcnd::past(1)];
    harness.tcnd.want(wanted);
    let ended = harness.run();
    assert_eq!(ended.status, 1, "{what}: {}", ended.log);
    assert_eq!(harness.tcnd.recorded("a"), problem, "{what}: {}", ended.log);
    harness.tcnd.knows(known);
    harness.tcnd.whole("a", []);
    honest.store(true, Ordering::Release);
    harness.run_now().is(0);
    assert_eq!(harness.tcnd.recorded("a"), "", "{what}");
    harness.tcnd.knows(&reports(1..4));
    harness.tcnd.whole("a", wanted);
    let left: Vec<_> = fs::read_dir(harness.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.len() <= 1, "{what}: {left:?} was left");
}

fn cut(bytes: &[u8], declared: usize) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\n\r\n");
    Reply::Raw([head.as_bytes(), bytes].concat())
}

fn with(name: &'static str, value: &str, body: Vec<u8>) -> Reply {
    Reply::Whole(200, vec![(name, value.to_owned())], body)
}

fn redirect(to: &str) -> Reply {
    Reply::Whole(302, vec![("Location", to.to_owned())], Vec::new())
}

/// An array that exceeds every limit when it is unpacked, by gzip and by zstd.
static BOMBS: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let mut array = json(&reports(1..4));
    array.truncate(array.len() - 2);
    array.extend(b" ".repeat(10_000_000));
    array.extend(b"]");
    (gzip(&array), zstd::encode_all(&array[..], 3).unwrap())
});

#[test]
fn documents_that_are_none() {
    let cases: Cases<'_> = &[
        ("wrong JSON", || Reply::ok(b"{\"reports\": []}".to_vec())),
        ("an object with reports", || {
            let inner = String::from_utf8(json(&reports(1..4))).unwrap();
            Reply::ok(format!("{{\"reports\": {inner}}}").into_bytes())
        }),
        ("truncated JSON", || {
            let whole = json(&reports(1..4));
            Reply::ok(whole[..whole.len() - 3].to_vec())
        }),
        ("two documents", || {
            Reply::ok([json(&reports(1..2)), json(&reports(2..4))].concat())
        }),
        ("HTML with 200", || {
            Reply::ok(b"<!DOCTYPE html><html><body>Please log in</body></html>".to_vec())
        }),
        ("nothing at all", || Reply::ok(Vec::new())),
        ("base64 lines", || {
            let text =
                tcn_protocol::file::write(tcn_protocol::file::Format::Base64, &reports(1..4));
            Reply::ok(text)
        }),
        ("a stream where JSON was asked for", || {
            Reply::ok(stream(&reports(1..4)))
        }),
        ("items of which none can be read", || {
            Reply::ok(b"[null, \"AAAA\", 7]".to_vec())
        }),
        ("nesting without end", || Reply::ok(b"[".repeat(50_000))),
        ("an encoding that was not requested", || {
            with("Content-Encoding", "br", json(&reports(1..4)))
        }),
        ("gzip that is none", || {
            with("Content-Encoding", "gzip", json(&reports(1..4)))
        }),
        ("gzip that breaks off", || {
            let packed = gzip(&json(&reports(1..4)));
            with(
                "Content-Encoding",
                "gzip",
                packed[..packed.len() - 9].to_vec(),
            )
        }),
        ("zstd that breaks off", || {
            let packed = zstd::encode_all(&json(&reports(1..4))[..], 3).unwrap();
            with(
                "Content-Encoding",
                "zstd",
                packed[..packed.len() - 5].to_vec(),
            )
        }),
    ];
    nothing_comes_of(cases, "coepi-v4", "wrong-answer");
}

#[test]
fn streams_that_break_off() {
    let cases: Cases<'_> = &[
        ("a report that breaks off", || {
            let whole = stream(&reports(1..4));
            Reply::ok(whole[..whole.len() - 1].to_vec())
        }),
        ("JSON where a stream was asked for", || {
            Reply::ok(json(&reports(1..4)))
        }),
        (
            "an end that cannot be told from a broken connection",
            || {
                let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
                Reply::Raw([head, stream(&reports(1..2))].concat())
            },
        ),
    ];
    nothing_comes_of(cases, "mirror", "wrong-answer");
}

#[test]
fn answers_that_break_the_rules_of_http() {
    let cases: Cases<'_> = &[
        ("less than was declared", || {
            let whole = json(&reports(1..4));
            cut(&whole, whole.len() + 50)
        }),
        ("more than was declared", || {
            let whole = json(&reports(1..4));
            cut(&whole, whole.len() - 50)
        }),
        ("a chunk that breaks off", || {
            let body = json(&reports(1..4));
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = format!("{:x}\r\n", body.len());
            Reply::Raw([head.as_bytes(), chunk.as_bytes(), &body].concat())
        }),
        ("no HTTP", || {
            Reply::Raw(b"220 mail.example.org ESMTP\r\n".to_vec())
        }),
        ("headers without end", || {
            Reply::Stream(Box::new(|out| {
                out.write_all(b"HTTP/1.1 200 OK\r\n")?;
                (0..).try_for_each(|n| writeln!(out, "X-{n}: {}\r", "y".repeat(100)))
            }))
        }),
        ("one header without end", || {
            Reply::Stream(Box::new(|out| {
                out.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
                loop {
                    out.write_all(&[b'y'; 4096])?;
                }
            }))
        }),
        ("304 without a question", || {
            Reply::Raw(b"HTTP/1.1 304 X\r\n\r\n".to_vec())
        }),
    ];
    nothing_comes_of(cases, "coepi-v4", "wrong-answer");
}

#[test]
fn redirects_away() {
    let cases: Cases<'_> = &[
        ("to a file", || redirect("file:///etc/passwd")),
        ("to another host", || redirect("http://localhost:1/")),
        ("to another scheme", || redirect("https://127.0.0.1/")),
        ("to nowhere", || redirect("http://[")),
        ("in a circle", || redirect("/base")),
    ];
    nothing_comes_of(cases, "coepi-v4", "wrong-answer");
}

#[test]
fn a_redirect_to_another_port_is_not_followed_and_one_within_the_origin_is() {
    let other = MockServer::new(|_| Reply::ok(json(&reports(50..51))));
    let away = other.url();
    let server = MockServer::new(move |request| match request.line.as_str() {
        line if line.starts_with("GET /moved") => Reply::ok(json(&reports(1..4))),
        _ if request.interval() == current() => redirect(&away),
        _ => redirect("/moved?intervalNumber=1"),
    });
    let harness = Harness::wanting("coepi-v4", &server, [MockTcnd::past(1)]);
    harness.run().is(1);
    harness.tcnd.knows(&reports(1..4));
    harness.tcnd.whole("a", [MockTcnd::past(1)]);
    assert_eq!(other.asked(), 0);
}

#[test]
fn answers_without_end_end_at_the_limit() {
    let cases: Cases<'_> = &[
        ("a declared length beyond the limit", || {
            cut(b"[", 10_000_000_000)
        }),
        ("gzip that unpacks to too much", || {
            with("Content-Encoding", "gzip", BOMBS.0.clone())
        }),
        ("zstd that unpacks to too much", || {
            with("Content-Encoding", "zstd", BOMBS.1.clone())
        }),
    ];
    assert!(BOMBS.0.len() < 50_000 && BOMBS.1.len() < 50_000);
    for (what, lie) in cases {
        let begins = if what.contains("unpacks") { 4 } else { 1 };
        only_so_much_comes_of(what, "coepi-v4", *lie, "too-large", &reports(1..begins));
    }
}

#[test]
fn a_body_of_ten_gigabytes_is_left_at_the_limit() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let server = MockServer::new(move |_| {
        let count = count.clone();
        Reply::Stream(Box::new(move |out| {
            out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let piece = b" ".repeat(1 << 16);
            for _ in 0..10_000_000_000u64 >> 16 {
                write!(out, "{:x}\r\n", piece.len())?;
                out.write_all(&piece)?;
                out.write_all(b"\r\n")?;
                count.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            Ok(())
        }))
    });
    let harness = Harness::of("coepi-v4", &server.url(), "max_bytes = 1_000_000");
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "too-large");
    // The bytes sent beyond the limit are those that sockets hold.
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 50_000_000, "{sent} bytes were taken");
    harness.tcnd.knows(&[]);
}

#[test]
fn who_drips_or_hangs_is_left() {
    let cases: Cases<'_> = &[
        ("silence", || Reply::Hang),
        ("silence in the middle", || {
            Reply::Stream(Box::new(|out| {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[")?;
                out.flush()?;
                let (_keep, never) = channel::<()>();
                // As long as the process of the test lives.
                let _ = never.recv();
                Ok(())
            }))
        }),
    ];
    nothing_comes_of(cases, "coepi-v4", "timed-out");
}

#[test]
fn who_drips_for_ever_is_left_in_the_end() {
    let server = MockServer::new(|_| {
        Reply::Stream(Box::new(|out| {
            out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let (_keep, never) = channel::<()>();
            loop {
                out.write_all(b"1\r\n \r\n")?;
                out.flush()?;
                let _ = never.recv_timeout(std::time::Duration::from_millis(300));
            }
        }))
    });
    let harness = Harness::of("coepi-v4", &server.url(), "timeout = \"1s\"");
    harness.run().is(1);
    assert_eq!(harness.tcnd.recorded("a"), "timed-out");
}

#[test]
fn a_forged_report_is_handed_on_and_turned_down_by_tcnd() {
    let server = MockServer::new(|_| {
        let mut bytes = stream(&reports(1..4));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        Reply::ok(bytes)
    });
    let harness = Harness::wanting("mirror", &server, [MockTcnd::past(1)]);
    harness.run().is(0);
    harness.tcnd.knows(&reports(1..3));
    assert_eq!(harness.tcnd.state().forged, 2);
}

#[test]
fn memory_stays_small_whatever_comes() {
    let (there, is_there) = channel();
    let there = std::sync::Mutex::new(there);
    let server = MockServer::new(move |_| {
        let there = there.lock().unwrap().clone();
        Reply::Stream(Box::new(move |out| {
            out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            // An array of a report and a text of sixty megabytes, and then silence.
            let piece = b"A".repeat(1 << 20);
            let mut chunk = |bytes: &[u8]| -> io::Result<()> {
                write!(out, "{:x}\r\n", bytes.len())?;
                out.write_all(bytes)?;
                out.write_all(b"\r\n")
            };
            let good = json(&reports(1..2));
            chunk(&good[..good.len() - 2])?;
            chunk(b",\"")?;
            for _ in 0..60 {
                chunk(&piece)?;
            }
            chunk(b"\"]")?;
            out.write_all(b"0\r\n\r\n")?;
            there.send(()).unwrap();
            Ok(())
        }))
    });
    let harness = Harness::of("coepi-v4", &server.url(), "");
    // Held in the delivery: the document was fetched, unpacked and filtered.
    let held = harness.tcnd.hold(crate::mock_tcnd::CallHold {
        call: "deliver",
        when: crate::mock_tcnd::When::Before,
        skip: 0,
    });
    let running = Running::start(&harness);
    soon(&is_there);
    soon(&held);
    let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    // A test build uses some twenty megabytes from the start.
    assert!(peak < 60_000, "{peak} kB at most, for a document of 60 MB");
}
