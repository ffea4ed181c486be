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
mod publish;
mod requests;
mod self_test;
mod sleep;
mod steady;
mod words;

pub use chance::{random_key, random_seed};
pub use driver::{Ended, Fault, Parts, Reread, Signal, drive};
pub use exchange::{ExchangeRequest, LONGEST_REASON, MOST_SOURCES, Settlement, Standing};
pub use exposures::{ExposureId, KnownExposure};
pub use handle::{
    Check, Consent, Handle, Hold, Mailbox, PauseRequest, Problem, Refusal, Reply, Request,
    Snapshot, State, Statistics,
};
pub use import::{BUDGET, Import, Imported, LONGEST_LABEL};
pub use intake::{Counted, Delivery};
pub use log::LogRequest;
pub use match_queue::Matching;
pub use others::OthersRequest;
pub use own::{LONGEST_NOTE, OwnRequest, ReportRequest, Reported};

pub use notify::ready;
pub use publication::{PublishRequest, Published};
pub use publish::starting;

pub use tcn_engine::Pause;
