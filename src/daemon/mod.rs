//! Makes it happen: the engine's decisions, carried out.
//!
//! [`drive`] is the loop, [`clock`] and `chance` are the doors by which time
//! and randomness come in, `notify` speaks to systemd, `news` to the journal, and
//! [`Handle`] is all
//! that the bus sees of any of it.

mod chance;
pub mod clock;
mod consent;
mod driver;
mod events;
mod exchange;
mod exposures;
mod handle;
mod handlers;
mod import;
mod intake;
mod log;
mod match_queue;
mod matcher;
mod news;
mod notify;
mod others;
mod own;
mod publication;
mod refusal;
mod reply;
mod requests;
mod self_test;
mod servers;
mod sleep;
mod snapshot;
mod steady;
mod sync_status;
mod words;

pub use chance::{random_key, random_seed};
pub use driver::{Ended, Fault, Parts, Reread, Signal, drive};
pub use exposures::{ExposureId, KnownExposure};
pub use handle::{Handle, Mailbox};
pub use import::{BUDGET, Import, Imported, LONGEST_LABEL};
pub use intake::{Counted, Delivery};
pub use notify::ready;
pub use refusal::Refusal;
pub use reply::Reply;
pub use requests::{
    Check, ExchangeRequest, LONGEST_NOTE, LONGEST_REASON, LogRequest, MOST_SOURCES, OthersRequest,
    OwnRequest, PauseRequest, PublishRequest, Published, ReportRequest, Reported, Request,
    Settlement, Statistics,
};
pub use snapshot::{Consent, Hold, Problem, Snapshot, State, starting};
pub use sync_status::{Matching, Standing};

pub use tcn_engine::Pause;
