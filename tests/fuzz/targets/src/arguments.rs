//! D-Bus arguments, typed, of every method and every property: nothing panics,
//! and each call is answered, by a value or by an error of the documented names.
//!
//! One connection over a socket pair serves all inputs; the daemon behind it is
//! played, and gives what is easiest to give.

#[path = "../../../support/silent_log.rs"]
mod silent_log;

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tcnd::bus::{self, Bouncer, Service};
use tcnd::daemon::{Handle, Mailbox, Request, starting};
use tcnd::store::ExportDir;
use tcnd_client::names;
use tcnd_config::Settings;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use zbus::wire::StructureBuilder;
use zbus::{Connection, Fd, Guid, Variant, connection};

use silent_log::SilentLog;

/// Calls made of one input.
const MOST_CALLS: usize = 8;

/// How long a call may wait for its answer: a file that gives nothing is waited
/// until the descriptor times out.
const ANSWERED: Duration = Duration::from_secs(20);
const FD_TIMEOUT: Duration = Duration::from_millis(20);

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";

/// Stands for the name of an interface.
const INTERFACE: &str = "interface";

/// A method, with the D-Bus types of its arguments.
struct Method {
    interface: String,
    member: String,
    arguments: Vec<String>,
}

/// Words that mean something somewhere, so that they need not be guessed.
const WORDS: [&str; 24] = [
    "hold",
    "application_id",
    "from",
    "to",
    "format",
    "raw",
    "consent",
    "note",
    "numbers",
    "linkable",
    "source",
    "now",
    "published",
    "whole",
    "budget",
    "reason",
    "retry_after",
    "dismissed",
    "csv",
    "json",
    "accepted",
    "destroy everything",
    "LogLevel",
    "1-0",
];

/// Errors of the bus itself that a call may end with.
const GENERIC: [&str; 7] = [
    names::error::INVALID_ARGS,
    names::error::NOT_SUPPORTED,
    "org.freedesktop.DBus.Error.UnknownMethod",
    "org.freedesktop.DBus.Error.UnknownInterface",
    "org.freedesktop.DBus.Error.UnknownObject",
    "org.freedesktop.DBus.Error.UnknownProperty",
    "org.freedesktop.DBus.Error.PropertyReadOnly",
];

/// The names that the contract explains.
const OURS: [&str; 12] = [
    names::error::FAILED,
    names::error::NOT_AUTHORIZED,
    names::error::NOT_READY,
    names::error::CONFIGURED,
    names::error::BUSY,
    names::error::INVALID_RANGE,
    names::error::NOT_FOUND,
    names::error::NO_DATA,
    names::error::MEMO_REFUSED,
    names::error::MALFORMED,
    names::error::CONSENT_REQUIRED,
    names::error::ALREADY_PUBLISHED,
];

struct Fixture {
    runtime: Runtime,
    client: Connection,
    methods: Vec<Method>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // libFuzzer's main leaves SIGPIPE as it is; that of a Rust program ignores it.
    let pipe = || signal(SignalKind::pipe()).map(|_| ());
    runtime
        .block_on(async { pipe() })
        .expect("a handler for SIGPIPE");
    let client = runtime.block_on(set());
    let methods = runtime.block_on(methods(&client));
    assert!(methods.len() > 40, "they are found");
    Fixture {
        runtime,
        client,
        methods,
    }
});

/// Checks that for one input.
pub fn run(bytes: &[u8]) {
    let fixture = &*FIXTURE;
    let mut input = Input(bytes);
    for _ in 0..MOST_CALLS {
        if input.0.is_empty() {
            return;
        }
        let method = &fixture.methods[usize::from(input.byte()) % fixture.methods.len()];
        fixture
            .runtime
            .block_on(call(&fixture.client, method, &mut input));
    }
}

/// Every method there is, those of D-Bus's own interfaces included, as Introspect
/// tells them.
async fn methods(client: &Connection) -> Vec<Method> {
    let to = Some(names::BUS);
    let introspect = client.call_method(to, names::ROOT, Some(INTROSPECTABLE), "Introspect", &());
    let answer = introspect.await.expect("Introspect is answered");
    let document: String = answer.body().deserialize().expect("text");
    let (mut interface, mut methods) = (String::new(), Vec::<Method>::new());
    for element in document.split('<') {
        let attribute = |name: &str| {
            let (_, value) = element.split_once(&format!(" {name}=\""))?;
            Some(value.split('"').next().unwrap_or_default().to_owned())
        };
        let kind = element.split([' ', '>']).next();
        match (kind, attribute("name"), attribute("type")) {
            (Some("interface"), Some(name), _) => interface = name,
            (Some("method"), Some(member), _) => methods.push(Method {
                interface: interface.clone(),
                member,
                arguments: Vec::new(),
            }),
            (Some("arg"), _, Some(signature))
                if attribute("direction").as_deref() == Some("in") =>
            {
                let method = methods.last_mut().expect("it is an argument of one");
                method.arguments.push(signature);
            }
            (_, _, _) => {}
        }
    }
    methods
}

/// Serves a played daemon, and gives the other end.
async fn set() -> Connection {
    let (here, there) = UnixStream::pair().expect("a socket pair");
    let server = connection::Builder::unix_stream(here)
        .server(Guid::generate())
        .p2p()
        .build();
    let client = connection::Builder::unix_stream(there).p2p().build();
    let (server, client) = tokio::try_join!(server, client).expect("both ends");
    let (handle, mailbox) = Handle::new(starting(&Settings::default()));
    tokio::spawn(play(mailbox));
    let service = Service {
        handle,
        bouncer: Bouncer::same_user(own_uid()),
        log: Arc::new(SilentLog),
        export_dir: ExportDir::new(std::env::temp_dir()),
        fd_timeout: FD_TIMEOUT,
    };
    let served = bus::serve(server, service).await.expect("it is served");
    tokio::spawn(served);
    client
}

fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").expect("proc(5)").uid()
}

/// Replies to requests whose result is simple. For all others the daemon seems to have
/// ended.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "a request that is new ends like all others"
)]
async fn play(mut mailbox: Mailbox) {
    drop(mailbox.store_requests);
    while let Some(request) = mailbox.requests.recv().await {
        match request {
            Request::Enable(reply)
            | Request::Disable(reply)
            | Request::Resume(_, reply)
            | Request::Rotate(reply)
            | Request::Reload(reply) => drop(reply.send(Ok(()))),
            Request::Pause(_, reply) => drop(reply.send(Ok(1))),
            Request::Histogram(_, _, _, reply) => drop(reply.send(Ok(Vec::new()))),
            Request::SelfTest(reply) => drop(reply.send(Ok(Vec::new()))),
            Request::TcnAge(reply) => drop(reply.send(Ok(None))),
            other => drop(other),
        }
    }
}

async fn call(client: &Connection, method: &Method, input: &mut Input<'_>) {
    let (interface, member) = (method.interface.as_str(), method.member.as_str());
    // Now and then one argument is missing, or of another type.
    let twist = input.byte();
    let path = match (interface, twist % 16) {
        (PROPERTIES, 1..=3) => names::LOG_CONTROL_PATH,
        (_, 0) => "/no/such/object",
        (_, _) => names::ROOT,
    };
    let mut body = StructureBuilder::new();
    let mut some = false;
    for (at, signature) in method.arguments.iter().enumerate() {
        let signature = match twist {
            200..=227 if usize::from(twist - 200) == at => continue,
            228..=255 if usize::from(twist - 228) == at => "v",
            _ if interface == PROPERTIES && at == 0 => INTERFACE,
            _ => signature,
        };
        body = body.append_field(input.argument(signature));
        some = true;
    }
    let to = Some(names::BUS);
    let answer = async {
        if some {
            let body = body.build().expect("it has fields");
            client
                .call_method(to, path, Some(interface), member, &body)
                .await
        } else {
            client
                .call_method(to, path, Some(interface), member, &())
                .await
        }
    };
    let answer = tokio::time::timeout(ANSWERED, answer).await;
    let answer = answer.unwrap_or_else(|_| panic!("{interface}.{member} was not answered"));
    let name = match answer {
        Ok(_) => return,
        Err(zbus::Error::MethodError(name, ..)) => name.to_string(),
        Err(zbus::Error::FDO(error)) => zbus::DBusError::name(&*error).to_string(),
        Err(error) => panic!("{interface}.{member}: {error}"),
    };
    let known = GENERIC.contains(&name.as_str()) || OURS.contains(&name.as_str());
    assert!(known, "{interface}.{member}: {name}");
}

/// Bytes, read as arguments; zeros when there are no more.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let length = usize::from(self.byte()) % 9;
        let taken = self.take(length);
        bytes[..taken.len()].copy_from_slice(taken);
        // Both ends of the range are near.
        match self.byte() % 4 {
            0 => u64::MAX - u64::from_le_bytes(bytes),
            _ => u64::from_le_bytes(bytes),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()) * (1 + usize::from(self.byte() % 3));
        let mut bytes = self.take(length).to_vec();
        bytes.resize(length, b'x');
        bytes
    }

    fn text(&mut self) -> String {
        let choice = usize::from(self.byte());
        match WORDS.get(choice % 32) {
            Some(word) => (*word).to_owned(),
            // D-Bus has no text with a zero in it.
            None => String::from_utf8_lossy(&self.bytes()).replace('\0', "0"),
        }
    }

    fn options(&mut self) -> HashMap<String, Variant<'static>> {
        let many = self.byte() % 4;
        (0..many).map(|_| (self.text(), self.value())).collect()
    }

    fn value(&mut self) -> Variant<'static> {
        match self.byte() % 8 {
            0 => (self.byte().is_multiple_of(2)).into(),
            1 => self.text().into(),
            2 => self.number().into(),
            3 => u32::try_from(self.number() & 0xffff_ffff)
                .unwrap_or_default()
                .into(),
            4 => self.byte().into(),
            5 => self.bytes().into(),
            6 => Variant::from(vec![self.text()]),
            _ => i64::from_le_bytes(self.number().to_le_bytes()).into(),
        }
    }

    /// A file: a pipe with content, a pipe without a reader or a writer, or a file of an
    /// unsuitable type.
    fn file(&mut self) -> OwnedFd {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        match self.byte() % 4 {
            0 => {
                writer.write_all(&self.bytes()).expect("a pipe holds that");
                reader.into()
            }
            1 => writer.into(),
            2 => std::fs::File::open("/dev/null").expect("null(4)").into(),
            _ => UnixStream::pair().expect("a socket pair").0.into(),
        }
    }

    /// An argument of this D-Bus type, or [`INTERFACE`].
    fn argument(&mut self, signature: &str) -> Variant<'static> {
        match signature {
            "b" => (self.byte().is_multiple_of(2)).into(),
            "y" => self.byte().into(),
            "u" => u32::try_from(self.number() & 0xffff_ffff)
                .unwrap_or_default()
                .into(),
            "t" => self.number().into(),
            "s" => self.text().into(),
            "ay" => self.bytes().into(),
            "a{sv}" => self.options().into(),
            "aa{sv}" => {
                let many = usize::from(self.byte()) % 40;
                let sources: Vec<_> = (0..many).map(|_| self.source()).collect();
                sources.into()
            }
            "h" => {
                let file = self.file();
                let whole = file.as_fd().try_clone_to_owned().expect("a duplicate");
                Variant::Fd(Fd::from(whole))
            }
            "v" => Variant::Variant(Box::new(self.value())),
            INTERFACE => {
                let all = [
                    names::MANAGER,
                    names::ADAPTER,
                    names::LOG_CONTROL,
                    "no.such.interface",
                ];
                all[usize::from(self.byte()) % all.len()].into()
            }
            other => panic!("no argument of type {other} is made here"),
        }
    }

    fn source(&mut self) -> HashMap<String, Variant<'static>> {
        let name: Variant<'static> = self.text().into();
        let publish: Variant<'static> = (self.byte().is_multiple_of(2)).into();
        let label: Variant<'static> = self.text().into();
        HashMap::from([
            ("name".to_owned(), name),
            ("label".to_owned(), label),
            ("publish".to_owned(), publish),
        ])
    }
}
