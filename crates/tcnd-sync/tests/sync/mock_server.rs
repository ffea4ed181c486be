//! A mock HTTP server on loopback. It sends prepared responses, byte by byte, and
//! records the requests.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// A server; its threads end with the process of the test.
pub(crate) struct MockServer {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// A request as received.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The connection it came by, from 0.
    pub(crate) connection: usize,
    /// `GET /path?query`.
    pub(crate) line: String,
    /// Every byte of the request.
    pub(crate) raw: Vec<u8>,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.raw).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap().to_owned();
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.to_owned())
    }

    pub(crate) fn body(&self) -> &[u8] {
        let at = self.raw.windows(4).position(|four| four == b"\r\n\r\n");
        &self.raw[at.unwrap() + 4..]
    }

    /// The requested interval.
    pub(crate) fn interval(&self) -> u64 {
        let after = self.line.split("intervalNumber=").nth(1);
        let path = self.line.rsplit('/').next().unwrap();
        let digits = after.unwrap_or(path);
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }
}

/// Writes a response.
type Talk = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// A response to send.
pub(crate) enum Reply {
    /// A response after which the connection stays open. Without a `Date` it gets the
    /// current one.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes; then the connection ends.
    Raw(Vec<u8>),
    /// The output of this function, until it is done or fails.
    Stream(Talk),
    /// No response, for ever.
    Hang,
}

impl Request {
    pub(crate) fn is_post(&self) -> bool {
        self.line.starts_with("POST")
    }
}

impl Reply {
    pub(crate) fn ok(body: Vec<u8>) -> Self {
        Self::Whole(200, Vec::new(), body)
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Whole(status, Vec::new(), Vec::new())
    }
}

/// The wall clock.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(crate::mock_tcnd::now().0)
}

/// Both ways of a connection.
pub(crate) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

impl MockServer {
    pub(crate) fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::over(|stream| Ok(Box::new(stream)), answer)
    }

    /// A server that answers uploads in another way than fetches.
    pub(crate) fn with_posts(
        get: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        post: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |request| {
            if request.is_post() {
                post(request)
            } else {
                get(request)
            }
        })
    }

    /// A server that does something with a connection before it reads from it.
    pub(crate) fn over(
        wrap: impl Fn(TcpStream) -> io::Result<Box<dyn Wire>> + Send + Sync + 'static,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (wrap, answer, log) = (Arc::new(wrap), Arc::new(answer), seen.clone());
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (wrap, answer, log) = (wrap.clone(), answer.clone(), log.clone());
                std::thread::spawn(move || {
                    if let Ok(mut wire) = wrap(stream.unwrap()) {
                        // A client that disconnects is not a failure of the server.
                        let _ = serve(&mut wire, connection, &*answer, &log);
                    }
                });
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/base", self.port)
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The number of requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn serve(
    wire: &mut Box<dyn Wire>,
    connection: usize,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
    log: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    while let Some(raw) = request(wire)? {
        let text = String::from_utf8_lossy(&raw);
        let line = text.split(" HTTP/").next().unwrap().to_owned();
        let request = Request {
            connection,
            line,
            raw,
        };
        log.lock().unwrap().push(request.clone());
        match answer(&request) {
            Reply::Whole(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                if !headers.iter().any(|(name, _)| *name == "Date") {
                    let now = httpdate::fmt_http_date(now());
                    head.push_str(&format!("Date: {now}\r\n"));
                }
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                wire.write_all(format!("{head}\r\n").as_bytes())?;
                wire.write_all(&body)?;
                wire.flush()?;
            }
            Reply::Raw(bytes) => {
                wire.write_all(&bytes)?;
                return wire.flush();
            }
            Reply::Stream(write) => {
                write(wire)?;
                return wire.flush();
            }
            Reply::Hang => {
                // Until the client gives up.
                let _ = io::copy(wire, &mut io::sink());
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The next request, with its body; `None` at the end of the connection.
fn request(wire: &mut Box<dyn Wire>) -> io::Result<Option<Vec<u8>>> {
    let mut raw = Vec::new();
    let mut byte = [0];
    while !raw.ends_with(b"\r\n\r\n") {
        if wire.read(&mut byte)? == 0 {
            return Ok(None);
        }
        raw.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&raw).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    wire.read_exact(&mut body)?;
    raw.extend(body);
    Ok(Some(raw))
}
