//! The driver's place behind the [`Handle`], held by a puppet: it writes down
//! what it is asked, and answers what it is told to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tcnd::daemon::{
    Check, Handle, Hold, Mailbox, Pause, Problem, Refusal, Reply, Request, Snapshot, State,
    Statistics,
};
use tcnd::engine::UnixTime;
use tcnd::radio;
use tcnd::store::{Bucket, Summary};
use tokio::sync::{mpsc, watch};

/// What the puppet answers to a pause.
pub(crate) const COOKIE: u32 = 7;

pub(crate) struct Puppet {
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) asked: mpsc::UnboundedReceiver<String>,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

impl Puppet {
    /// A handle, and the puppet behind it.
    pub(crate) fn new(first: Snapshot) -> (Handle, Self) {
        let (handle, mailbox) = Handle::new(first);
        let Mailbox {
            mut requests,
            snapshot,
        } = mailbox;
        let (tell, asked) = mpsc::unbounded_channel();
        let refusal: Arc<Mutex<Option<Refusal>>> = Arc::default();
        let refuse = Arc::clone(&refusal);
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let refusal = refuse.lock().unwrap().clone();
                let _ = tell.send(answer(request, refusal));
            }
        });
        let puppet = Self {
            snapshot,
            asked,
            refusal,
        };
        (handle, puppet)
    }

    /// Refuses everything with this from now on.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap() = refusal;
    }

    /// What was asked since the last time.
    pub(crate) fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }

    /// Publishes a changed snapshot.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot
            .send_modify(|shown| change(Arc::make_mut(shown)));
    }
}

fn answer(request: Request, refusal: Option<Refusal>) -> String {
    fn give<T>(reply: Reply<T>, refusal: Option<Refusal>, value: T) {
        let _ = reply.send(refusal.map_or(Ok(value), Err));
    }
    let asked = match &request {
        Request::Pause(pause, _) => format!(
            "Pause {}s {:?} {:?} {:?}",
            pause.duration.as_secs(),
            pause.reason,
            pause.application_id,
            pause.owner
        ),
        Request::Resume(cookie, _) => format!("Resume {cookie}"),
        Request::Left(name) => format!("Left {name}"),
        Request::Summary(from, to, _) => format!("Summary {} {}", from.0, to.0),
        Request::Histogram(from, to, bucket, _) => {
            format!("Histogram {} {} {}", from.0, to.0, bucket.as_secs())
        }
        Request::Enable(_) => "Enable".to_owned(),
        Request::Disable(_) => "Disable".to_owned(),
        Request::Rotate(_) => "Rotate".to_owned(),
        Request::Statistics(_) => "Statistics".to_owned(),
        Request::Reload(_) => "Reload".to_owned(),
        Request::SelfTest(_) => "SelfTest".to_owned(),
        Request::TcnAge(_) => "TcnAge".to_owned(),
    };
    match request {
        Request::Enable(reply)
        | Request::Disable(reply)
        | Request::Resume(_, reply)
        | Request::Rotate(reply)
        | Request::Reload(reply) => give(reply, refusal, ()),
        Request::Pause(_, reply) => give(reply, refusal, COOKIE),
        Request::Left(_) => {}
        Request::Summary(_, _, reply) => give(reply, refusal, summary()),
        Request::Histogram(_, _, _, reply) => give(reply, refusal, bars()),
        Request::Statistics(reply) => give(reply, refusal, statistics()),
        Request::SelfTest(reply) => give(reply, refusal, checks()),
        Request::TcnAge(reply) => give(reply, refusal, Some(Duration::from_secs(61))),
    }
    asked
}

pub(crate) fn summary() -> Summary {
    Summary {
        numbers: 3,
        sightings: u64::MAX,
        oldest: Some(UnixTime(7200)),
        per_day: bars(),
        attenuation: [1, 2, 3, 4],
    }
}

pub(crate) fn bars() -> Vec<Bucket> {
    vec![Bucket {
        start: UnixTime(86_400),
        numbers: 3,
        sightings: 9,
    }]
}

pub(crate) fn statistics() -> Statistics {
    Statistics {
        rotations: 1,
        adverts_ok: 2,
        adverts_failed: 3,
        scan_restarts: 4,
        invalid_frames: 5,
        dropped: 6,
        database_bytes: 7,
        rows: 8,
    }
}

pub(crate) fn checks() -> Vec<Check> {
    vec![
        Check {
            name: "advert-alive",
            passed: true,
            detail: "on hci0".to_owned(),
        },
        Check {
            name: "clock",
            passed: false,
            detail: "before this release was made".to_owned(),
        },
    ]
}

/// A daemon that was just started.
pub(crate) fn idle() -> Snapshot {
    Snapshot {
        enabled: false,
        state: State::Idle,
        problems: BTreeSet::new(),
        advertising: false,
        scanning: false,
        simulated: false,
        adapters: Vec::new(),
        paused: Pause::No,
        holds: Vec::new(),
        rotation_interval: Duration::from_secs(900),
    }
}

/// A daemon of which everything can be seen: no property has its default.
pub(crate) fn busy() -> Snapshot {
    Snapshot {
        enabled: true,
        state: State::Degraded,
        problems: [Problem::Radio(radio::Trouble::ScanFailed), Problem::Crowded].into(),
        advertising: true,
        scanning: true,
        simulated: true,
        adapters: vec![adapter("hci0")],
        paused: Pause::Until(UnixTime(1_800_000_000)),
        holds: vec![Hold {
            reason: "in a meeting".to_owned(),
            application_id: "org.example.Diary".to_owned(),
        }],
        rotation_interval: Duration::from_secs(600),
    }
}

pub(crate) fn adapter(name: &str) -> radio::Adapter {
    radio::Adapter {
        name: name.to_owned(),
        powered: true,
        selected: true,
        can_advertise: true,
        address: radio::AddressKind::NonResolvable,
        instances_free: 4,
        recoveries: 2,
        last_trouble: Some(radio::Trouble::AdapterOff),
    }
}
