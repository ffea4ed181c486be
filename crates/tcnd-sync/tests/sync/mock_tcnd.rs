//! A mock tcnd: the interface `Exchange` on a private bus, which keeps the same records
//! as the real tcnd.
//!
//! A call takes effect at once or not at all, like a transaction. A test can hold any
//! call before or after that, to kill its caller there.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::time::{ClockId, clock_gettime};
use tcn_exchange::interval::Interval;
use tcn_protocol::file;
use tcn_protocol::{SignedReport, UnixTime, wire};
use tcnd_client::names;
use tcnd_client::proxy::{DeliveryCounts, SourceInfo, UploadPart};
use tokio::sync::oneshot;
use zbus::message::Header;
use zbus::{Connection, DBusError, OwnedFd, OwnedVariant, connection, fdo, interface};

use crate::dbus_daemon::DbusDaemon;

/// A mock tcnd on its own bus. Both end when this is dropped.
pub(crate) struct MockTcnd {
    bus: DbusDaemon,
    mock: Arc<Mutex<MockState>>,
    _end: oneshot::Sender<()>,
}

/// The state of the mock.
#[derive(Default)]
pub(crate) struct MockState {
    /// The intervals asked for, besides the current one.
    pub(crate) wanted: BTreeSet<u64>,
    /// The intervals delivered whole, by source.
    pub(crate) whole: BTreeMap<String, BTreeSet<u64>>,
    /// Reports by their unsigned bytes, and the source and interval each came from
    /// first.
    pub(crate) known: BTreeMap<Vec<u8>, (String, u64)>,
    pub(crate) parts: Vec<Part>,
    /// The outcome of each fetched source.
    pub(crate) records: Vec<(String, String)>,
    /// Every call that had an effect, in order.
    pub(crate) calls: Vec<String>,
    /// The sources of the last run.
    pub(crate) sources: Vec<SourceInfo>,
    /// The counts of all deliveries together.
    pub(crate) counts: DeliveryCounts,
    /// Why parts failed, in order.
    pub(crate) reasons: Vec<String>,
    /// Whether a person asks for each run.
    pub(crate) asked: bool,
    /// How many of the accepted reports have an invalid signature.
    pub(crate) forged: u64,
    /// The arguments of each delivery: interval, whole, budget.
    pub(crate) deliveries: Vec<(u64, bool, u64)>,
    /// Whether deliveries are refused as busy.
    pub(crate) busy: bool,
    /// How many reports of each delivery are over the limit of the source.
    pub(crate) too_large: u64,
    hold: Option<(CallHold, Sender<()>)>,
    run: Option<String>,
}

/// A part of an own report that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) source: String,
    pub(crate) report: SignedReport,
    pub(crate) state: PartState,
    /// How often it was handed out.
    pub(crate) sent: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PartState {
    Due,
    Sent,
    Accepted,
    Refused(String),
    Failed(Option<u32>),
}

/// A call to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallHold {
    pub(crate) call: &'static str,
    pub(crate) when: When,
    /// How many calls of this name are let through first.
    pub(crate) skip: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before it has had any effect.
    Before,
    /// When it has taken effect, before the reply.
    After,
}

impl MockTcnd {
    pub(crate) fn new() -> Self {
        let bus = DbusDaemon::start("--session");
        let mock = Arc::new(Mutex::new(MockState::default()));
        let (end, ended) = oneshot::channel::<()>();
        let (ready, is_ready) = channel();
        let (at, exchange) = (bus.address.clone(), Exchange(mock.clone()));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let _connection = connection::Builder::address(at.as_str())
                    .serve_at(names::ROOT, exchange)
                    .name(names::BUS)
                    .build()
                    .await
                    .unwrap();
                ready.send(()).unwrap();
                let _ = ended.await;
            });
        });
        crate::soon(&is_ready);
        Self {
            bus,
            mock,
            _end: end,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.bus.address
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, MockState> {
        self.mock.lock().unwrap()
    }

    /// The interval `count` before the newest one that has been over for long enough.
    pub(crate) fn past(count: u64) -> u64 {
        current() - 1 - count
    }

    /// Asks for these intervals too.
    pub(crate) fn want(&self, intervals: impl IntoIterator<Item = u64>) {
        self.state().wanted.extend(intervals);
    }

    /// Makes a part of an own report due at this source.
    pub(crate) fn publish(&self, source: &str, report: SignedReport) {
        self.state().parts.push(Part {
            source: source.to_owned(),
            report,
            state: PartState::Due,
            sent: 0,
        });
    }

    /// Holds a call. The receiver gets a message when the call is there.
    pub(crate) fn hold(&self, hold: CallHold) -> Receiver<()> {
        let (there, is_there) = channel();
        self.state().hold = Some((hold, there));
        is_there
    }

    /// Whether these reports, and no others, are known.
    #[track_caller]
    pub(crate) fn knows(&self, reports: &[SignedReport]) {
        let known: BTreeSet<_> = self.state().known.keys().cloned().collect();
        let expected = reports.iter().map(|report| report.claim().unsigned_bytes());
        let expected: BTreeSet<_> = expected.collect();
        let (missing, strange) = (
            expected.difference(&known).count(),
            known.difference(&expected).count(),
        );
        assert_eq!(
            (missing, strange),
            (0, 0),
            "missing and strange reports of {}",
            expected.len()
        );
    }

    /// Whether this source delivered these intervals whole, and no others.
    #[track_caller]
    pub(crate) fn whole(&self, source: &str, intervals: impl IntoIterator<Item = u64>) {
        let whole = self.state().whole.get(source).cloned().unwrap_or_default();
        assert_eq!(whole, intervals.into_iter().collect());
    }

    /// The last outcome recorded of this source.
    #[track_caller]
    pub(crate) fn recorded(&self, source: &str) -> String {
        let mock = self.state();
        let mut records = mock.records.iter().rev();
        let last = records.find(|(name, _)| name == source);
        last.expect("something was recorded").1.clone()
    }
}

/// The number of the current interval.
pub(crate) fn current() -> u64 {
    Interval::of(now()).number()
}

#[derive(DBusError, Debug)]
#[zbus(prefix = "org.tcncoalition.Tcnd1.Error")]
enum Error {
    #[zbus(error)]
    ZBus(zbus::Error),
    Busy(String),
    NotReady(String),
    NotFound(String),
    Malformed(String),
}

struct Exchange(Arc<Mutex<MockState>>);

impl Exchange {
    fn state(&self) -> MutexGuard<'_, MockState> {
        self.0.lock().unwrap()
    }

    /// Never returns if this call is to be held.
    async fn pass(&self, call: &str, when: When) {
        let held = {
            let mut mock = self.state();
            match &mut mock.hold {
                Some((hold, _)) if hold.call == call && hold.when == when => {
                    if hold.skip == 0 {
                        mock.hold.take()
                    } else {
                        hold.skip -= 1;
                        None
                    }
                }
                _ => None,
            }
        };
        if let Some((_, there)) = held {
            there.send(()).unwrap();
            std::future::pending::<()>().await;
        }
    }

    async fn step<T>(
        &self,
        call: &str,
        work: impl FnOnce(&mut MockState) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.pass(call, When::Before).await;
        let done = {
            let mut mock = self.state();
            mock.calls.push(call.to_owned());
            work(&mut mock)
        };
        self.pass(call, When::After).await;
        done
    }
}

#[interface(name = "org.tcncoalition.Tcnd1.Exchange")]
impl Exchange {
    async fn begin(
        &self,
        sources: Vec<SourceInfo>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<bool, Error> {
        let caller = header.sender().unwrap().to_string();
        let running = self.state().run.clone();
        if let Some(other) = running {
            let bus = fdo::DBusProxy::new(connection).await?;
            let other = other.as_str().try_into()?;
            if bus.name_has_owner(other).await.map_err(zbus::Error::from)? {
                return Err(Error::Busy("another run is under way".to_owned()));
            }
        }
        self.step("begin", |mock| {
            mock.run = Some(caller);
            mock.sources = sources;
            for part in &mut mock.parts {
                // The outcome of the part is unknown.
                if part.state == PartState::Sent {
                    part.state = PartState::Due;
                }
            }
            Ok(mock.asked)
        })
        .await
    }

    async fn pending(&self, source: String) -> Result<Vec<u64>, Error> {
        self.step("pending", |mock| {
            let whole = mock.whole.get(&source).cloned().unwrap_or_default();
            let mut numbers: Vec<_> = mock.wanted.difference(&whole).copied().collect();
            numbers.push(current());
            Ok(numbers)
        })
        .await
    }

    async fn deliver(
        &self,
        source: String,
        interval: u64,
        file: OwnedFd,
        options: HashMap<String, OwnedVariant>,
    ) -> Result<DeliveryCounts, Error> {
        let whole = bool::try_from(&*options["whole"]).unwrap();
        let budget = u64::try_from(&*options["budget"]).unwrap();
        let mut file = File::from(std::os::fd::OwnedFd::from(file));
        assert!(file.metadata().unwrap().is_file());
        self.step("deliver", |mock| {
            if mock.busy {
                return Err(Error::Busy("a person imports reports".to_owned()));
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            mock.deliveries.push((interval, whole, budget));
            let imported = mock.import(&source, interval, &bytes)?;
            let number = Interval::new(interval).unwrap();
            if whole {
                assert!(number.is_over(now()), "not over yet");
                mock.whole.entry(source).or_default().insert(interval);
            }
            Ok(imported)
        })
        .await
    }

    async fn take_part(&self, source: String) -> Result<UploadPart, Error> {
        self.step("take_part", |mock| {
            let mut parts = mock.parts.iter_mut().zip(0..);
            let due = parts.find(|(part, _)| part.source == source && part.state == PartState::Due);
            Ok(due.map_or_else(UploadPart::default, |(part, id)| {
                part.state = PartState::Sent;
                part.sent += 1;
                UploadPart {
                    part: Some(id),
                    report: Some(wire::write(&part.report)),
                }
            }))
        })
        .await
    }

    async fn settle_part(
        &self,
        part: u64,
        outcome: String,
        options: HashMap<String, OwnedVariant>,
    ) -> Result<(), Error> {
        self.step("settle_part", |mock| {
            let part = usize::try_from(part).unwrap();
            mock.parts[part].state = match outcome.as_str() {
                "accepted" => PartState::Accepted,
                "refused" => {
                    PartState::Refused(<&str>::try_from(&*options["reason"]).unwrap().to_owned())
                }
                "failed" => {
                    let reason = <&str>::try_from(&*options["reason"]).unwrap();
                    mock.reasons.push(reason.to_owned());
                    let wait = options.get("retry_after");
                    PartState::Failed(wait.map(|wait| u32::try_from(&**wait).unwrap()))
                }
                other => panic!("no outcome: {other}"),
            };
            Ok(())
        })
        .await
    }

    async fn record(&self, source: String, problem: String) -> Result<(), Error> {
        self.step("record", |mock| {
            mock.records.push((source, problem));
            Ok(())
        })
        .await
    }

    async fn end(&self) -> Result<(), Error> {
        self.step("end", |mock| {
            mock.run = None;
            Ok(())
        })
        .await
    }
}

impl MockState {
    /// Checks the reports of a delivery as tcnd does: a report with an invalid
    /// signature, or a known one, is only counted.
    fn import(
        &mut self,
        source: &str,
        interval: u64,
        bytes: &[u8],
    ) -> Result<DeliveryCounts, Error> {
        let mut imported = DeliveryCounts {
            too_large: self.too_large,
            ..DeliveryCounts::default()
        };
        let read = file::read(bytes, |_, item| {
            match item.and_then(|report| Ok(report.verify()?)) {
                Ok(report) => match self.known.entry(report.unsigned_bytes()) {
                    Entry::Vacant(vacant) => {
                        vacant.insert((source.to_owned(), interval));
                        imported.accepted += 1;
                    }
                    Entry::Occupied(_) => imported.duplicate += 1,
                },
                Err(_) => {
                    imported.accepted += 1;
                    self.forged += 1;
                }
            }
            ControlFlow::Continue(())
        });
        match read {
            Ok(file::Format::Tcn) | Err(file::FileError::Empty) => {}
            other => return Err(Error::Malformed(format!("{other:?}"))),
        }
        self.counts.accepted += imported.accepted;
        self.counts.duplicate += imported.duplicate;
        Ok(imported)
    }
}

/// The wall clock, in seconds since 1970.
pub(crate) fn now() -> UnixTime {
    let wall = clock_gettime(ClockId::Realtime).tv_sec;
    UnixTime(u64::try_from(wall).unwrap())
}
