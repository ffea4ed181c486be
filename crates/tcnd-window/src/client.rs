//! Calls to tcnd, in a thread of their own.
//!
//! The window never waits for the bus: a call is a task of tokio, and the window awaits its
//! result between its own events. Calls that a person chose let polkit ask for a password,
//! however long that takes. Calls that no person chose never do, and end after [`ANSWER`].

use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tcnd_client::state::{Tcnd, TcndState};
use tcnd_client::watch::Watch;
use tcnd_client::{BusChoice, connect, failure, names};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use zbus::Connection;

/// How long tcnd may take to answer where no person waits.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// After how long a bus that was gone, or a tcnd that did not answer, is asked again.
const RETRY: Duration = Duration::from_secs(10);

/// What is known of tcnd.
#[expect(clippy::large_enum_variant, reason = "there are few of them")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Known {
    /// The bus has not answered yet.
    #[default]
    Nothing,
    /// The bus cannot be reached; why, for people.
    Unreachable(String),
    /// What the bus said.
    Tcnd(Tcnd),
}

impl Known {
    /// The state of a running tcnd.
    pub(crate) const fn state(&self) -> Option<&TcndState> {
        match self {
            Self::Tcnd(tcnd) => tcnd.state(),
            Self::Nothing | Self::Unreachable(_) => None,
        }
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    /// The D-Bus name of the error; empty if there was no answer.
    name: String,
    /// The reason, for people.
    text: String,
}

impl CallError {
    /// An error that is not of the bus.
    pub(crate) fn other(text: impl fmt::Display) -> Self {
        Self {
            name: String::new(),
            text: text.to_string(),
        }
    }

    /// The user lacks the permission, or did not give the password.
    pub(crate) fn is_refusal(&self) -> bool {
        self.name == names::error::NOT_AUTHORIZED
    }

    /// What was shown to the person has changed since.
    pub(crate) fn is_outdated(&self) -> bool {
        self.name == names::error::CONSENT_REQUIRED
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printable::line(&self.text).fmt(f)
    }
}

impl From<zbus::Error> for CallError {
    fn from(error: zbus::Error) -> Self {
        match failure::reply(&error) {
            Some((name, _)) if failure::is_absence(&name) => Self {
                name,
                text: "tcnd is not running; in a terminal: systemctl status tcnd".to_owned(),
            },
            Some((name, text)) => Self { name, text },
            None => Self::other(error),
        }
    }
}

/// The way to tcnd. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    runtime: Arc<Runtime>,
    connection: watch::Receiver<Option<Connection>>,
    known: watch::Receiver<Known>,
    refresh: Arc<Notify>,
}

impl Client {
    /// Starts the thread, and to watch tcnd on this bus.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(bus: BusChoice) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (connected, connection) = watch::channel(None);
        let (learnt, known) = watch::channel(Known::Nothing);
        let refresh = Arc::<Notify>::default();
        let observer = Observer {
            connected,
            learnt,
            refresh: Arc::clone(&refresh),
        };
        runtime.spawn(observer.run(bus));
        Ok(Self {
            runtime: Arc::new(runtime),
            connection,
            known,
            refresh,
        })
    }

    /// What is known of tcnd, and when that changes.
    pub(crate) fn known(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }

    /// Asks again for what tcnd sends no signals about.
    pub(crate) fn refresh(&self) {
        self.refresh.notify_one();
    }

    /// Calls tcnd for a person, who may have to give a password.
    pub(crate) async fn call<T, F>(
        &self,
        call: impl FnOnce(Connection) -> F,
    ) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: Future<Output = zbus::Result<T>> + Send + 'static,
    {
        let connection = self.connection.borrow().clone();
        let Some(connection) = connection else {
            return Err(CallError::other("the message bus cannot be reached"));
        };
        self.beside(call(connection))
            .await?
            .map_err(CallError::from)
    }

    /// Calls tcnd for the window itself: without a password, and not for long.
    pub(crate) async fn ask<T, F>(&self, ask: impl FnOnce(Connection) -> F) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: Future<Output = zbus::Result<T>> + Send + 'static,
    {
        let asked = self.call(|connection| {
            let asking = ask(connection);
            async move {
                timeout(ANSWER, asking)
                    .await
                    .map_or(Ok(None), |it| it.map(Some))
            }
        });
        let silent =
            || CallError::other("tcnd does not answer; in a terminal: systemctl status tcnd");
        asked.await?.ok_or_else(silent)
    }

    /// Runs something in the thread of this client.
    pub(crate) async fn beside<T>(
        &self,
        run: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, CallError>
    where
        T: Send + 'static,
    {
        self.runtime.spawn(run).await.map_err(CallError::other)
    }
}

/// Watches tcnd, and connects again when the bus was gone.
#[derive(Debug)]
struct Observer {
    connected: watch::Sender<Option<Connection>>,
    learnt: watch::Sender<Known>,
    refresh: Arc<Notify>,
}

impl Observer {
    async fn run(self, bus: BusChoice) {
        loop {
            match timeout(ANSWER, connect(&bus)).await {
                Err(_) => self.learn(Known::Unreachable(format!("the {bus} bus does not answer"))),
                Ok(Err(error)) => self.learn(Known::Unreachable(error.to_string())),
                Ok(Ok(connection)) => {
                    self.connected.send_replace(Some(connection.clone()));
                    let error = self.observe(connection).await;
                    self.connected.send_replace(None);
                    self.learn(Known::Unreachable(error));
                }
            }
            pass(RETRY).await;
        }
    }

    /// Watches until the bus is gone; why.
    async fn observe(&self, connection: Connection) -> String {
        let mut watch = match Watch::new(connection).await {
            Ok(watch) => watch,
            Err(error) => return error.to_string(),
        };
        loop {
            let tcnd = match timeout(ANSWER, watch.look()).await {
                Err(_) => Tcnd::Silent,
                Ok(Ok(None)) => Tcnd::NotRunning,
                Ok(Ok(Some(snapshot))) => Tcnd::Running(TcndState::of(snapshot)),
                Ok(Err(error)) => return error.to_string(),
            };
            let silent = tcnd == Tcnd::Silent;
            self.learn(Known::Tcnd(tcnd));
            tokio::select! {
                more = watch.changed() => {
                    if !more {
                        return "the message bus closed the connection".to_owned();
                    }
                }
                () = self.refresh.notified() => drop(timeout(ANSWER, watch.refresh()).await),
                () = pass(RETRY), if silent => {}
            }
        }
    }

    fn learn(&self, known: Known) {
        self.learnt.send_if_modified(|last| {
            let modified = *last != known;
            *last = known;
            modified
        });
    }
}

/// Waits for as long.
async fn pass(time: Duration) {
    let _ = timeout(time, pending::<()>()).await;
}
