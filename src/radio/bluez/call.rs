//! Connections and calls to BlueZ, each with a deadline, and their errors.

use std::time::Duration;

use thiserror::Error;
use tokio::time;
use zbus::{Connection, connection};

use crate::system_bus;

/// Time for BlueZ to answer a question that needs no command to the controller.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the system bus.
pub(super) async fn connect() -> zbus::Result<Connection> {
    let address = system_bus::address()?;
    connection::Builder::address(address).build().await
}

/// The error of a call to BlueZ. It appears in the log, and beside the
/// [`Problem`](tcnd_client::Problem) that it led to.
#[derive(Debug, Error)]
pub(super) enum BluezError {
    #[error("{action}: no answer within {limit:?}")]
    NoAnswer {
        action: &'static str,
        limit: Duration,
    },
    #[error("{action}: {source}")]
    Failed { action: &'static str, source: Cause },
}

#[derive(Debug, Error)]
pub(super) enum Cause {
    #[error(transparent)]
    BlueZ(#[from] bluer::Error),
    #[error(transparent)]
    Bus(#[from] zbus::Error),
}

/// Waits for an answer, at most for `limit`.
pub(super) async fn call<T, E: Into<Cause>>(
    action: &'static str,
    limit: Duration,
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, BluezError> {
    match time::timeout(limit, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(BluezError::Failed {
            action,
            source: source.into(),
        }),
        Err(_) => Err(BluezError::NoAnswer { action, limit }),
    }
}
