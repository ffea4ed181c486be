//! logind announces that the machine goes to sleep, and waits for the daemon.
//!
//! A mock of it hands out inhibitors as the real one does: descriptors that hold for as
//! long as any process has them open.

use std::fs::File;
use std::io::{PipeReader, Read};
use std::sync::{Arc, Mutex};

use tcnd::bus::watch_logind;
use tcnd::daemon::{Handle, Mailbox, Reply, Request};
use tokio::sync::mpsc;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedFd, interface};

use crate::harness::soon;
use crate::mock_driver::idle;
use crate::system_bus::{ROOT, SystemBus, TCND};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";

#[derive(Clone)]
struct MockLogind {
    sleeping: Arc<Mutex<bool>>,
    inhibitors: mpsc::UnboundedSender<(String, PipeReader)>,
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl MockLogind {
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> OwnedFd {
        assert!(!why.is_empty());
        let (ours, theirs) = std::io::pipe().unwrap();
        self.inhibitors
            .send((format!("{what} {who} {mode}"), ours))
            .unwrap();
        OwnedFd::from(std::os::fd::OwnedFd::from(theirs))
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn preparing_for_sleep(&self) -> bool {
        *self.sleeping.lock().unwrap()
    }

    #[zbus(signal)]
    async fn prepare_for_sleep(emitter: &SignalEmitter<'_>, start: bool) -> zbus::Result<()>;
}

/// A mock of logind, and what it gave out.
struct LogindHarness {
    bus: SystemBus,
    logind: Connection,
    mock: MockLogind,
    inhibitors: mpsc::UnboundedReceiver<(String, PipeReader)>,
    requests: mpsc::Receiver<Request>,
}

impl LogindHarness {
    /// A bus, a mock of logind on it, and a daemon that follows it.
    async fn new(sleeping: bool) -> Self {
        let bus = SystemBus::new();
        let (sender, inhibitors) = mpsc::unbounded_channel();
        let mock = MockLogind {
            sleeping: Arc::new(Mutex::new(sleeping)),
            inhibitors: sender,
        };
        let logind = serve(&bus, mock.clone()).await;
        let (handle, mailbox) = Handle::new(idle());
        let Mailbox { requests, .. } = mailbox;
        let connection = bus.connect(TCND).await;
        tokio::spawn(watch_logind(connection, handle));
        Self {
            bus,
            logind,
            mock,
            inhibitors,
            requests,
        }
    }

    async fn signal(&self, start: bool) {
        *self.mock.sleeping.lock().unwrap() = start;
        let emitter = SignalEmitter::new(&self.logind, PATH).unwrap();
        MockLogind::prepare_for_sleep(&emitter, start)
            .await
            .unwrap();
    }

    /// The next inhibitor that is taken.
    async fn inhibitor(&mut self) -> PipeReader {
        let (what, inhibitor) = soon(self.inhibitors.recv()).await.unwrap();
        assert_eq!(what, "sleep tcnd delay");
        inhibitor
    }

    async fn asked_to_sleep(&mut self) -> Reply<()> {
        match soon(self.requests.recv()).await {
            Some(Request::Sleep(reply)) => reply,
            other => panic!("asked {other:?} instead of to sleep"),
        }
    }

    async fn woken(&mut self) {
        match soon(self.requests.recv()).await {
            Some(Request::Wake(reply)) => reply.send(Ok(())).unwrap(),
            other => panic!("asked {other:?} instead of to wake up"),
        }
    }
}

async fn serve(bus: &SystemBus, mock: MockLogind) -> Connection {
    let connection = bus.connect(ROOT).await;
    connection.object_server().at(PATH, mock).await.unwrap();
    connection.request_name(NAME).await.unwrap();
    connection
}

/// Waits until no process has the inhibitor any more.
async fn released(inhibitor: PipeReader) {
    let end = tokio::task::spawn_blocking(move || {
        let mut file = File::from(std::os::fd::OwnedFd::from(inhibitor));
        file.read(&mut [0]).unwrap()
    });
    assert_eq!(soon(end).await.unwrap(), 0);
}

fn is_held(inhibitor: &PipeReader) -> bool {
    rustix::io::ioctl_fionbio(inhibitor, true).unwrap();
    let held = rustix::io::read(inhibitor, &mut [0; 1]) == Err(rustix::io::Errno::WOULDBLOCK);
    rustix::io::ioctl_fionbio(inhibitor, false).unwrap();
    held
}

#[tokio::test]
async fn the_machine_waits_until_the_daemon_is_off_the_air() {
    let mut night = LogindHarness::new(false).await;
    let mut inhibitor = night.inhibitor().await;
    night.woken().await;
    for _ in 0..2 {
        night.signal(true).await;
        let reply = night.asked_to_sleep().await;
        assert!(is_held(&inhibitor), "the machine sleeps while on the air");
        reply.send(Ok(())).unwrap();
        released(inhibitor).await;
        night.signal(false).await;
        inhibitor = night.inhibitor().await;
        night.woken().await;
    }
    assert!(is_held(&inhibitor));
}

/// Some systems send each signal twice, and the second must have no effect.
#[tokio::test]
async fn what_is_said_twice_holds_once() {
    let mut night = LogindHarness::new(false).await;
    let inhibitor = night.inhibitor().await;
    night.woken().await;
    for _ in 0..2 {
        night.signal(true).await;
        night.asked_to_sleep().await.send(Ok(())).unwrap();
    }
    released(inhibitor).await;
    night.signal(false).await;
    let first = night.inhibitor().await;
    night.woken().await;
    night.signal(false).await;
    let second = night.inhibitor().await;
    night.woken().await;
    released(first).await;
    assert!(is_held(&second));
}

/// The daemon may start, or logind restart, in the middle of it.
#[tokio::test]
async fn a_new_logind_is_asked_how_things_stand() {
    let mut night = LogindHarness::new(true).await;
    night.asked_to_sleep().await.send(Ok(())).unwrap();
    night.logind.release_name(NAME).await.unwrap();
    *night.mock.sleeping.lock().unwrap() = false;
    night.logind = serve(&night.bus, night.mock.clone()).await;
    let inhibitor = night.inhibitor().await;
    night.woken().await;
    night.signal(true).await;
    night.asked_to_sleep().await.send(Ok(())).unwrap();
    released(inhibitor).await;
}
