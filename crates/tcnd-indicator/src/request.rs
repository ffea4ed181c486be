//! What a person chose, done beside the program.
//!
//! polkit may ask for a password meanwhile, and a check of servers may take minutes, so
//! nothing waits for a request.

use std::collections::HashMap;

use jiff::ZonedDateTime;
use tcnd_client::failure;
use tcnd_client::proxy::{ExposuresProxy, ManagerProxy, ReportsProxy};
use zbus::proxy::CacheProperties;
use zbus::{Connection, Variant};

use crate::clock;
use crate::desktop::{self, APPLICATION_ID, WindowPage};
use crate::menu::PauseLength;

/// What a person chose, with what is needed to do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    OpenWindow(WindowPage),
    /// For as many seconds; 0 is until `Resume`.
    Pause(u64),
    /// Ends these pauses; 0 stands for all.
    Resume(Vec<u32>),
    /// Checks the sources of reports.
    Check,
    /// Subscribes this connection: tcnd then sends `Changed` at once, and the watch takes it.
    AskPermission,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The cookie of the new pause.
    Paused(u32),
    /// Why not, for people.
    Failed(String),
}

impl Request {
    pub(crate) async fn run(self, session: Connection, tcnd: Connection) -> Outcome {
        let done = match self {
            Self::OpenWindow(page) => {
                let opened = desktop::open_window(&session, page).await;
                opened.map(|()| Outcome::Done)
            }
            Self::Pause(seconds) => pause(&tcnd, seconds).await.map(Outcome::Paused),
            Self::Resume(cookies) => resume(&tcnd, cookies).await.map(|()| Outcome::Done),
            Self::Check => check(&tcnd).await.map(|()| Outcome::Done),
            Self::AskPermission => ask_permission(&tcnd).await.map(|()| Outcome::Done),
        };
        done.unwrap_or_else(|error| {
            let text = failure::reply(&error).map(|(_, text)| text);
            Outcome::Failed(text.unwrap_or_else(|| error.to_string()))
        })
    }
}

async fn manager(tcnd: &Connection) -> zbus::Result<ManagerProxy<'_>> {
    let manager = ManagerProxy::builder(tcnd);
    manager.cache_properties(CacheProperties::No).build().await
}

async fn pause(tcnd: &Connection, seconds: u64) -> zbus::Result<u32> {
    let options = HashMap::from([("application_id", Variant::from(APPLICATION_ID))]);
    let manager = manager(tcnd).await?;
    manager.pause(seconds, "from the panel", options).await
}

async fn resume(tcnd: &Connection, cookies: Vec<u32>) -> zbus::Result<()> {
    let manager = manager(tcnd).await?;
    for cookie in cookies {
        manager.resume(cookie).await?;
    }
    Ok(())
}

async fn check(tcnd: &Connection) -> zbus::Result<()> {
    let reports = ReportsProxy::new(tcnd).await?;
    reports.check(HashMap::new()).await.map(drop)
}

async fn ask_permission(tcnd: &Connection) -> zbus::Result<()> {
    ExposuresProxy::new(tcnd).await?.subscribe().await
}

/// For how long to pause, in seconds; 0 is until `Resume`.
pub(crate) fn seconds(length: PauseLength, now: &ZonedDateTime) -> u64 {
    match length {
        PauseLength::Hour => 3600,
        PauseLength::UntilResumed => 0,
        PauseLength::Tomorrow => {
            let midnight = now.tomorrow().and_then(|day| day.start_of_day());
            let midnight = midnight.map(|midnight| midnight.timestamp().as_second());
            let left = midnight.map(|midnight| midnight - now.timestamp().as_second());
            left.ok()
                .and_then(|left| u64::try_from(left).ok())
                .unwrap_or(clock::DAY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tomorrow_begins_at_midnight_on_the_longest_day_too() {
        let seconds = |now: &str| seconds(PauseLength::Tomorrow, &now.parse().unwrap());
        assert_eq!(
            seconds("2026-11-30T18:00:00+01:00[Europe/Berlin]"),
            6 * 3600
        );
        assert_eq!(
            seconds("2026-10-25T00:00:00+02:00[Europe/Berlin]"),
            25 * 3600
        );
        assert_eq!(seconds("2026-11-30T23:59:59+00:00[UTC]"), 1);
    }
}
