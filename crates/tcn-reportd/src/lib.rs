//! The report server: it takes reports, and serves them by the interval in which they
//! arrived.
//!
//! ```text
//!   POST ──▶ limits ──▶ admission ──▶ store ──▶ interval_cache ──▶ GET
//!                           │           ▲             │
//!              (front end) inbox ──▶ (primary)      bucket ──▶ CDN
//! ```
//!
//! It speaks CoEpi's API, version 4 (`api`, `query`), and serves each finished interval
//! as a file that never changes (`rendered_interval`, `representation`, `response`).
//! One server is the primary (`role = "keeper"`): it has the store. Front ends (`role =
//! "front"`) take uploads for it. Three rules apply throughout. Only the `store` says
//! when an interval is over, and a response that depends on it waits for the store. An
//! upload is answered when it is durable, never before. The order of reports reveals
//! nothing: they are served and stored in the order of random numbers.
//!
//! Nothing of a request is ever logged: no body, no query, no address. The reports are
//! public; who sent them stays unknown.
//!
//! Sources: coepi-backend-aws 6588865 for the API, RFC 9110 and 9111 for HTTP.

mod api;
mod args;
mod blocking;
mod bucket;
mod clock;
mod connections;
mod inbox;
mod interval_cache;
mod limits;
mod maintenance;
mod metrics;
mod outage;
mod phase;
mod query;
mod rendered_interval;
mod representation;
mod response;
mod sender;
mod server;
mod settings;
mod start;
mod state;
mod store;

pub use api::UPLOAD_PATHS;
pub use args::ReportdArgs;
pub use bucket::BucketError;
pub use clock::{Clock, SystemClock};
pub use rendered_interval::RenderError;
pub use sender::{Network, NotANetwork, ProxyHeader};
pub use settings::{BucketSettings, Role, ServerSettings, SettingsError};
pub use start::{Server, StartError, main};
pub use store::OpenError;
