//! The capacity of the report server, as ratios in one run, on loopback alone.
//!
//! `cargo bench -p tcn-reportd` runs the server in its own process, with a clock that
//! is set forwards where an interval has to be over, and measures:
//!
//! 1. uploads verified, stored and answered in a second of the server's own
//!    processor time, against `verify_strict` alone on one core; and the server's
//!    memory as a million reports (`--reports N` for another number) come in;
//! 2. its memory while it makes and sends the interval that they are in;
//! 3. bytes a report, in every form;
//! 4. a past interval from the server against nginx serving the same file, by
//!    turns, with `wrk` and the same connections.
//!
//! It ends by itself, after some ten minutes. Needs nginx and wrk (packages
//! nginx-light and wrk).
#![expect(clippy::print_stdout, reason = "a bench speaks on standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use tcn_protocol::memo::coepi;
use tcn_protocol::{
    Memo, MemoType, RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport, UnixTime, wire,
};
use tcn_reportd::{Clock, Server, ServerSettings, SystemClock};

const INTERVAL: u64 = 21_600;
/// Connections that upload.
const UPLOADERS: u64 = 64;
/// Rounds of each side in the comparison with nginx.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, directory, ahead] = &arguments[..]
        && role == "--serve"
    {
        return serve(Path::new(directory), ahead.parse().unwrap());
    }
    let reports = arguments
        .iter()
        .position(|word| word == "--reports")
        .map_or(1_000_000, |at| arguments[at + 1].parse().unwrap());
    for tool in ["nginx", "wrk"] {
        let mut asked = Command::new(tool);
        let asked = asked.arg("-v").stdout(Stdio::null()).stderr(Stdio::null());
        let there = asked.status().is_ok();
        assert!(there, "no {tool}: apt-get install nginx-light wrk");
    }
    let verify = verify_alone();
    crowd(reports, verify);
    for reports in [10, 1_000, 25_000] {
        against_nginx(reports);
    }
}

// The server ----------------------------------------------------------------

/// The system's clock, advanced by this many seconds.
struct Ahead(u64);

impl Clock for Ahead {
    fn now(&self) -> UnixTime {
        UnixTime(SystemClock.now().0 + self.0)
    }
}

fn serve(directory: &Path, ahead: u64) {
    let plenty = NonZeroU32::new(1_000_000).unwrap();
    let settings = ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        uploads_per_second: plenty,
        uploads_per_minute_and_address: plenty,
        ..ServerSettings::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = Server::bind(&settings, directory, Arc::new(Ahead(ahead)))
            .await
            .unwrap();
        println!("{}", server.address().unwrap());
        let (over, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            // Our input ends when the parent process ends.
            let _ = std::io::stdin().read(&mut [0]);
            over.send(())
        });
        server.run(async { ended.await.unwrap() }).await;
    });
}

struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(directory: &Path, ahead: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--serve")
            .arg(directory)
            .arg(ahead.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap();
        Self { child, address }
    }

    /// Seconds of processor time it has used.
    fn processor(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        // CLK_TCK is 100 on every Linux that Rust runs on (proc(5), times).
        ticks / 100.0
    }

    /// Memory in MiB: `VmRSS` now, `VmHWM` at most, `RssAnon` without files.
    fn memory(&self, which: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(which)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            / 1024.0
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        assert!(response.starts_with(b"HTTP/1.1 200"));
        let head = response
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        response.split_off(head + 4)
    }

    fn stop(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

// Reports -------------------------------------------------------------------

/// The reports of one key. All have the same cost, and each differs by its memo of
/// CoEpi's length.
struct Maker {
    rak: ReportAuthorizationKey,
    rng: ChaCha12Rng,
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        Self {
            rak: ReportAuthorizationKey::generate(&mut rng),
            rng,
        }
    }

    fn next(&mut self) -> Vec<u8> {
        let mut memo = [0; coepi::LEN];
        self.rng.fill_bytes(&mut memo);
        self.of(&memo)
    }

    fn of(&self, memo: &[u8]) -> Vec<u8> {
        let index = |index| RatchetIndex::new(index).unwrap();
        let span = ReportSpan::new(index(1), index(24)).unwrap();
        let memo = Memo::new(MemoType::COEPI_V1, memo).unwrap();
        wire::write(&SignedReport::create(&self.rak, span, memo))
    }

    /// A report of another person, with a typical memo.
    fn person(seed: u64) -> Vec<u8> {
        let mut memo = [0; coepi::LEN];
        memo[0] = 1;
        let today = SystemClock.now().0 / 86_400;
        memo[2..10].copy_from_slice(&(86_400 * (today - seed % 2)).to_le_bytes());
        memo[10..18].copy_from_slice(&(86_400 * (today - 1 - seed % 14)).to_le_bytes());
        memo[18] = [0x02, 0x13, 0x21, 0x00][usize::try_from(seed % 4).unwrap()];
        memo[19] = u8::try_from(seed * 7 % 64).unwrap();
        Self::new(seed).of(&memo)
    }
}

fn verify_alone() -> f64 {
    let mut maker = Maker::new(0);
    let reports: Vec<_> = (0..4000)
        .map(|_| wire::parse(&maker.next()).unwrap())
        .collect();
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let reports = reports.clone();
        let (count, clock) = (reports.len(), Instant::now());
        for report in reports {
            std::hint::black_box(report.verify().unwrap());
        }
        best = best.max(count as f64 / clock.elapsed().as_secs_f64());
    }
    println!("verify_strict alone: {best:.0} a second on one core");
    best
}

/// Uploads `each(n)` for every `n` below `count`, over several connections.
fn upload(
    address: SocketAddr,
    count: u64,
    each: impl Fn(u64) -> Box<dyn FnMut(u64) -> Vec<u8>> + Sync,
    done: &AtomicU64,
) {
    std::thread::scope(|scope| {
        for uploader in 0..UPLOADERS {
            let each = &each;
            scope.spawn(move || {
                let mut make = each(uploader);
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                let mut response = [0; 1024];
                for n in (uploader..count).step_by(UPLOADERS.try_into().unwrap()) {
                    let body = STANDARD.encode(make(n));
                    let request = format!(
                        "POST /tcnreport/0.4.0 HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(request.as_bytes()).unwrap();
                    let length = stream.read(&mut response).unwrap();
                    assert!(response[..length].starts_with(b"HTTP/1.1 200"));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
}

// A million reports ------------------------------------------------------------

fn crowd(reports: u64, verify: f64) {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), 0);
    let done = AtomicU64::new(0);
    let (clock, before) = (Instant::now(), server.processor());
    std::thread::scope(|scope| {
        let uploads = scope.spawn(|| {
            upload(
                server.address,
                reports,
                |uploader| {
                    let mut maker = Maker::new(uploader + 1);
                    Box::new(move |_| maker.next())
                },
                &done,
            );
        });
        let mut next = 0;
        while !uploads.is_finished() {
            if done.load(Ordering::Relaxed) >= next {
                println!(
                    "  after {next:>8} uploads: {:.1} MiB",
                    server.memory("VmRSS")
                );
                next += (reports / 10).max(1);
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let (wall, used) = (clock.elapsed().as_secs_f64(), server.processor() - before);
    let a_core = reports as f64 / used;
    println!(
        "uploads: {a_core:.0} a second and core of the server, {:.2} of verify_strict alone; \
         {:.0} a second beside {UPLOADERS} clients on the same machine",
        a_core / verify,
        reports as f64 / wall,
    );
    println!(
        "  memory at the end {:.1} MiB, at most {:.1}",
        server.memory("VmRSS"),
        server.memory("VmHWM")
    );
    server.stop();
    let number = SystemClock.now().0 / INTERVAL;
    let server = Running::start(directory.path(), INTERVAL);
    let clock = Instant::now();
    let length = server.get(&format!("/tcnreport/21600/{number}.tcn")).len();
    println!(
        "the interval of all of them, made and sent: {:.0} MB in {:.1} s, {:.1} MiB at most",
        length as f64 / 1e6,
        clock.elapsed().as_secs_f64(),
        server.memory("VmHWM"),
    );
    server.stop();
}

// nginx ------------------------------------------------------------------------

fn against_nginx(reports: u64) {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), 0);
    let unused = AtomicU64::new(0);
    upload(
        server.address,
        reports,
        |_| Box::new(Maker::person),
        &unused,
    );
    let number = SystemClock.now().0 / INTERVAL;
    server.stop();
    let server = Running::start(directory.path(), INTERVAL);
    let path = format!("/tcnreport/21600/{number}.json");
    server.get(&path);
    let folder = directory.path().join("public");
    let sizes = ["json", "json.gz", "json.zst", "tcn"].map(|form| {
        let file = folder.join(format!("tcnreport/21600/{number}.{form}"));
        let bytes = fs::metadata(file).unwrap().len() as f64;
        format!("{form} {:.1}", bytes / reports as f64)
    });
    println!("{reports} reports; bytes a report: {}", sizes.join(", "));
    let (mut nginx, address) = nginx(directory.path(), &folder);
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(wrk(address, &path));
        ours.push(wrk(server.address, &path));
    }
    let (theirs, ours) = (median(&mut theirs), median(&mut ours));
    println!(
        "  nginx {theirs:.0} a second, tcn-reportd {ours:.0}: {:.2} of nginx (aim: 0.33)",
        ours / theirs
    );
    // Its workers end with it only if it is asked to stop.
    kill_process(Pid::from_child(&nginx), Signal::TERM).unwrap();
    nginx.wait().unwrap();
    server.stop();
}

/// nginx as a static server of `folder`: as many workers as cores, sendfile, no log.
fn nginx(work: &Path, folder: &Path) -> (Child, SocketAddr) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let root = folder.display();
    // Its workers run as the user who started it; other users may not read the files of
    // a private folder.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let text = format!(
        "{user} daemon off; worker_processes auto; pid nginx.pid; error_log stderr crit;
         events {{ worker_connections 1024; }}
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
           open_file_cache max=100; default_type application/json;
           server {{ listen {address}; root {root}; }} }}"
    );
    let file = work.join("nginx.conf");
    fs::write(&file, text).unwrap();
    let child = Command::new("nginx")
        .arg("-p")
        .arg(work)
        .arg("-c")
        .arg(file)
        .spawn()
        .unwrap();
    while TcpStream::connect(address).is_err() {
        std::thread::yield_now();
    }
    (child, address)
}

/// Requests a second over 32 connections.
fn wrk(address: SocketAddr, path: &str) -> f64 {
    let output = Command::new("wrk")
        .args(["-t1", "-c32", "-d4s"])
        .arg(format!("http://{address}{path}"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{text}"
    );
    let rate = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.unwrap().trim().parse().unwrap()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
