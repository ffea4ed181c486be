//! The report server: it takes reports, and serves them by the interval in which they
//! arrived.
//!
//! ```text
//!   POST ──▶ limits ──▶ admission ──▶ store ──▶ shelf ──▶ GET
//!                           │           ▲         │
//!                 (front) inbox ──▶ (keeper)   bucket ──▶ CDN
//! ```
//!
//! It speaks CoEpi's API, version 4 (`api`, `question`), and serves each finished
//! interval as a file that never changes (`edition`, `form`, `answer`). Three rules
//! apply throughout. Only the `store` says when an interval is over, and a response
//! that depends on it waits for the store. An upload is answered when it is durable,
//! never before. The order of reports reveals nothing: they are served and stored in
//! the order of random numbers.
//!
//! Nothing of a request is ever logged: no body, no query, no address. The reports are
//! public; who sent them stays unknown.
//!
//! Sources: coepi-backend-aws 6588865 for the API, RFC 9110 and 9111 for HTTP.

mod answer;
mod api;
mod bucket;
mod chores;
mod clock;
mod connections;
mod desk;
mod edition;
mod flags;
mod form;
mod inbox;
mod limits;
mod metrics;
mod outage;
mod place;
mod question;
mod sender;
mod server;
mod settings;
mod shelf;
mod start;
mod store;

pub use api::UPLOADS;
pub use bucket::BucketError;
pub use clock::{Clock, SystemClock};
pub use edition::EditionError;
pub use flags::Flags;
pub use sender::{Network, NotANetwork, ProxyHeader};
pub use settings::{Place, Role, Settings, SettingsError};
pub use start::{Fault, Server, main};
pub use store::OpenError;
