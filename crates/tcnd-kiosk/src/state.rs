//! The state of tcnd, as far as everyone near the screen may see it.

use std::collections::HashMap;
use std::time::Duration;

use tcnd_client::failure::{is_absence, reply};
use tcnd_client::non_interactive::NonInteractiveContactsProxy;
use tcnd_client::watch::{self, Snapshot};
use tcnd_client::{BusChoice, Unreachable, connect};
use thiserror::Error;
use tokio::time::timeout;
use zbus::Connection;
use zbus::names::BusName;
use zbus::proxy::CacheProperties;

/// How long tcnd may take to tell its state.
const ANSWER: Duration = Duration::from_secs(5);

/// What was learnt of tcnd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tcnd {
    #[default]
    NotRunning,
    /// It runs, and does not answer.
    Silent,
    /// The bus cannot be asked.
    Unreachable,
    Running(TcndState),
}

/// The state of a running tcnd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcndState {
    /// `Manager.State`, a token.
    pub(crate) state: String,
    pub(crate) enabled: bool,
    /// `Manager.Mode`, a token.
    pub(crate) mode: String,
    /// Something is on the air.
    pub(crate) advertising: bool,
    /// It listens.
    pub(crate) scanning: bool,
    /// Tokens.
    pub(crate) problems: Vec<String>,
    pub(crate) simulated: bool,
    /// In seconds since 1970; 0 if not paused, the greatest if only `Resume` ends it.
    pub(crate) paused_until: u64,
    /// How long contacts are kept, in seconds.
    pub(crate) retention: u32,
    /// How long one number stays on the air at most, in seconds.
    pub(crate) rotation_interval: u32,
    /// `Contacts.GetPresence`, a token; `None` if tcnd did not tell.
    pub(crate) presence: Option<String>,
}

/// tcnd cannot be asked, or does not tell all.
#[derive(Debug, Error)]
pub(crate) enum StateError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("the answers of tcnd are not valid: {0}")]
    Invalid(zbus::Error),
    #[error(
        "tcnd or the bus does not answer within {} seconds; see: systemctl status tcnd",
        ANSWER.as_secs()
    )]
    Silent,
    #[error(
        "tcnd does not tell this user how many devices are near: {0}; \
         run as user tcnd-kiosk, for which 50-tcnd-kiosk-page.rules allows it"
    )]
    NoPresence(zbus::Error),
    #[error(
        "tcnd does not tell within {} seconds how many devices are near; see: systemctl status polkit",
        ANSWER.as_secs()
    )]
    SilentPresence,
}

/// Asks tcnd, and never starts it. There is always a state to show; the error tells what is
/// missing in it.
pub(crate) async fn read(bus: &BusChoice) -> (Tcnd, Option<StateError>) {
    match timeout(ANSWER, ask(bus)).await {
        Err(_) => (Tcnd::Silent, Some(StateError::Silent)),
        Ok(Err((tcnd, error))) => (tcnd, error),
        Ok(Ok((connection, tcnd, mut state))) => {
            // polkit may be slow. The state is known all the same.
            let error = match timeout(ANSWER, presence(&connection, tcnd)).await {
                Ok(Ok(presence)) => {
                    state.presence = Some(presence);
                    None
                }
                Ok(Err(error)) => Some(StateError::NoPresence(error)),
                Err(_) => Some(StateError::SilentPresence),
            };
            (Tcnd::Running(state), error)
        }
    }
}

/// The public state of a running tcnd, and the way to it; else what there is to show.
async fn ask(
    bus: &BusChoice,
) -> Result<(Connection, BusName<'static>, TcndState), (Tcnd, Option<StateError>)> {
    let unreachable = |error: Unreachable| (Tcnd::Unreachable, Some(error.into()));
    let connection = connect(bus).await.map_err(unreachable)?;
    let asking = async {
        let tcnd = watch::owner(&connection).await?;
        let snapshot = Snapshot::read(&connection, tcnd.clone()).await?;
        Ok((tcnd, TcndState::of(snapshot)))
    };
    let asked: zbus::Result<_> = asking.await;
    match asked {
        Ok((tcnd, state)) => Ok((connection, tcnd, state)),
        Err(error) if reply(&error).is_some_and(|(name, _)| is_absence(&name)) => {
            Err((Tcnd::NotRunning, None))
        }
        Err(error) => Err((Tcnd::Silent, Some(StateError::Invalid(error)))),
    }
}

/// In a word, how many devices were heard.
async fn presence(connection: &Connection, tcnd: BusName<'static>) -> zbus::Result<String> {
    let contacts = NonInteractiveContactsProxy::builder(connection)
        .destination(tcnd)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    contacts.get_presence(HashMap::new()).await
}

impl TcndState {
    /// Takes what is needed from a snapshot.
    fn of(mut snapshot: Snapshot) -> Self {
        Self {
            state: snapshot.take("State").unwrap_or_default(),
            enabled: snapshot.take("Enabled").unwrap_or_default(),
            mode: snapshot.take("Mode").unwrap_or_default(),
            advertising: snapshot.take("Advertising").unwrap_or_default(),
            scanning: snapshot.take("Scanning").unwrap_or_default(),
            problems: snapshot.take("Problems").unwrap_or_default(),
            simulated: snapshot.take("Simulated").unwrap_or_default(),
            paused_until: snapshot.take("PausedUntil").unwrap_or_default(),
            retention: snapshot.take("Retention").unwrap_or_default(),
            rotation_interval: snapshot.take("RotationInterval").unwrap_or_default(),
            presence: None,
        }
    }
}
