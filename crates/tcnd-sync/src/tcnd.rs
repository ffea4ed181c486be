//! The interface of tcnd that a run uses.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;

use tcn_exchange::interval::Interval;
use tcn_exchange::source::{Source, SourceName};
use tcn_exchange::upload_result::UploadResult;
use tcnd_client::BusChoice;
use tcnd_client::names::error;
use tcnd_client::proxy::{self, ExchangeProxy, UploadPart};
use tokio::sync::Mutex;
use zbus::proxy::CacheProperties;
use zbus::{Fd, Variant};

use super::error::SyncError;
use super::problem::Problem;

/// A connection to tcnd's interface `Exchange`.
pub(super) struct TcndClient {
    proxy: ExchangeProxy<'static>,
    /// tcnd matches one file at a time.
    delivery_lock: Mutex<()>,
}

/// The outcome of a delivery.
pub(super) enum Delivery {
    /// tcnd accepted it.
    Taken,
    /// tcnd accepted a part; the rest is over the limit of the source.
    Cut,
    /// tcnd did not accept it; the next run tries again.
    Refused(Problem),
}

/// The reports of one interval of a source.
pub(super) struct DeliveryRequest<'a> {
    pub(super) source: &'a SourceName,
    pub(super) interval: Interval,
    /// In the format `tcn`, from its first byte.
    pub(super) file: &'a File,
    /// Nothing will be added to the interval, and nothing is missing.
    pub(super) whole: bool,
    /// Numbers that tcnd may compute for this request.
    pub(super) budget: u64,
}

impl TcndClient {
    pub(super) async fn connect(bus: &BusChoice) -> Result<Self, SyncError> {
        let connection = tcnd_client::connect(bus)
            .await
            .map_err(|why| SyncError::Unreachable(why.into()))?;
        let proxy = ExchangeProxy::builder(&connection)
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(sync_error)?;
        Ok(Self {
            proxy,
            delivery_lock: Mutex::new(()),
        })
    }

    /// Begins a run. Returns whether a person asked for it.
    pub(super) async fn begin(&self, sources: &[Source]) -> Result<bool, SyncError> {
        let sources: Vec<_> = sources
            .iter()
            .map(|source| proxy::SourceInfo {
                name: source.name.to_string(),
                label: source.label.clone(),
                publish: source.publish,
                help_url: source.help.url.as_ref().map(|url| url.as_str().to_owned()),
                help_phone: source
                    .help
                    .phone
                    .as_ref()
                    .map(|phone| phone.as_str().to_owned()),
            })
            .collect();
        self.proxy.begin(&sources).await.map_err(sync_error)
    }

    /// The intervals that this source has yet to deliver, the oldest first.
    pub(super) async fn pending(&self, source: &SourceName) -> Result<Vec<Interval>, SyncError> {
        let numbers = self
            .proxy
            .pending(source.as_str())
            .await
            .map_err(sync_error)?;
        Ok(numbers.into_iter().filter_map(Interval::new).collect())
    }

    pub(super) async fn deliver(
        &self,
        request: DeliveryRequest<'_>,
    ) -> Result<Delivery, SyncError> {
        let _guard = self.delivery_lock.lock().await;
        let options = BTreeMap::from([
            ("whole", Variant::from(request.whole)),
            ("budget", Variant::from(request.budget)),
        ]);
        let delivered = self.proxy.deliver(
            request.source.as_str(),
            request.interval.number(),
            Fd::from(request.file.as_fd()),
            options,
        );
        match delivered.await {
            Ok(delivered) if delivered.too_large > 0 => Ok(Delivery::Cut),
            Ok(_) => Ok(Delivery::Taken),
            Err(zbus::Error::MethodError(name, _, _))
                if matches!(name.as_str(), error::BUSY | error::NOT_READY) =>
            {
                Ok(Delivery::Refused(Problem::Busy))
            }
            Err(zbus::Error::MethodError(name, _, _)) if name.as_str() == error::MALFORMED => {
                Ok(Delivery::Refused(Problem::WrongAnswer))
            }
            Err(other) => Err(sync_error(other)),
        }
    }

    /// The next part that is due. It counts as sent from here on.
    pub(super) async fn take_part(&self, source: &SourceName) -> Result<UploadPart, SyncError> {
        self.proxy
            .take_part(source.as_str())
            .await
            .map_err(sync_error)
    }

    /// Reports the result of the upload of a part.
    pub(super) async fn settle(&self, part: u64, result: &UploadResult) -> Result<(), SyncError> {
        let mut options = BTreeMap::new();
        match result {
            UploadResult::Accepted => {}
            UploadResult::Refused { reason } => {
                options.insert("reason", Variant::from(reason.as_str()));
            }
            UploadResult::Failed {
                reason,
                retry_after,
            } => {
                options.insert("reason", Variant::from(reason.as_str()));
                let seconds = retry_after.map(|wait| u32::try_from(wait.as_secs()));
                if let Some(Ok(seconds)) = seconds {
                    options.insert("retry_after", Variant::from(seconds));
                }
            }
        }
        let settled = self.proxy.settle_part(part, result.token(), options);
        settled.await.map_err(sync_error)
    }

    pub(super) async fn record(
        &self,
        source: &SourceName,
        problem: Option<Problem>,
    ) -> Result<(), SyncError> {
        let token = problem.map_or("", Problem::token);
        let recorded = self.proxy.record(source.as_str(), token);
        recorded.await.map_err(sync_error)
    }

    pub(super) async fn end(&self) -> Result<(), SyncError> {
        self.proxy.end().await.map_err(sync_error)
    }
}

/// The meaning of a call's error for the run.
fn sync_error(error: zbus::Error) -> SyncError {
    /// D-Bus errors for a service that is absent or has left.
    const AWAY: [&str; 4] = [
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.Disconnected",
    ];
    let zbus::Error::MethodError(name, _, _) = &error else {
        return SyncError::Unreachable(error.into());
    };
    if name.as_str() == error::BUSY {
        SyncError::Busy
    } else if AWAY.contains(&name.as_str()) {
        SyncError::Unreachable(error.into())
    } else {
        SyncError::Refused(error)
    }
}
