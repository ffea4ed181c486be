//! The daemon: it carries out what the engine decides.
//!
//! [`drive`] is the loop. [`clock`] and `rng` are the only sources of time and
//! randomness. `notify` writes to systemd, `journal` to the journal. The bus sees
//! [`Handle`] and nothing else.

pub mod clock;
mod consent;
mod contacts;
mod convert;
mod driver;
mod events;
mod exchange;
mod exposures;
mod handle;
mod handlers;
mod import;
mod intake;
mod journal;
mod match_queue;
mod matched_reports;
mod matcher;
mod notify;
mod own_reports;
mod problem_times;
mod publication;
mod refusal;
mod reply;
mod requests;
mod rng;
mod self_test;
mod servers;
mod sleep;
mod snapshot;
mod steady;
mod store_handlers;
mod sync_status;
mod thread;

pub use driver::{Ended, Error, Parts, Reread, Signal, drive};
pub use exposures::{ExposureId, KnownExposure};
pub use handle::{Handle, Mailbox};
pub use import::{BUDGET, Import};
pub use intake::Delivery;
pub use notify::ready;
pub use problem_times::ProblemDetails;
pub use refusal::Refusal;
pub use reply::Reply;
pub use requests::{
    Check, ContactsRequest, ExchangeRequest, MOST_SOURCES, MatchedReportsRequest,
    OwnReportsRequest, PauseRequest, PublishRequest, Published, ReportRequest, Reported, Request,
    StoreRequest,
};
pub use rng::{random_key, random_seed};
pub use snapshot::{Consent, Hold, Snapshot, State, starting};
pub use sync_status::{Matching, SyncStatus};

pub use tcn_engine::{Cadence, CadenceReason, ListenConditions, Pause};
