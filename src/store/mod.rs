//! Memory between runs: SQLite, behind one thread.
//!
//! The database has one owner, a thread named `store`; everybody else holds a
//! [`Store`], which sends it work and never waits for the disk. Work is done
//! in the order it was sent, so an answer always includes what was sent
//! before. Four kinds of writing differ in what they promise:
//!
//! * the ledger of own numbers, reports and settings: durable against power loss
//!   (`synchronous=FULL`) before [`Event::Stored`] is sent, since a number may
//!   go on the air only then;
//! * contacts: batches with `synchronous=NORMAL`: a crash of the process costs
//!   none that was answered, the loss of power those that the kernel had not
//!   written yet, never the file. That is half a minute by Linux's defaults,
//!   and at most what came since the last write of the ledger, which is made
//!   durable with all before it: a rotation, so a quarter of an hour;
//! * forgetting: the bytes are overwritten (`secure_delete=ON`), the journal
//!   is cut to nothing and freed pages leave the file; a damaged database that
//!   was set aside goes when it has lain there as long;
//! * new dates after the wall clock was set: durable, and before anything else is
//!   written, so that old and new dates are never mixed.
//!
//! A crash of the process loses what was not sent yet: the engine sends the
//! growth of contacts every `flush` (a minute by default), so at most that.

mod aside;
mod clock;
mod contacts;
mod database;
mod deliveries;
mod error;
mod handle;
mod marks;
mod migrations;
mod open;
mod others;
mod overwrite;
mod own;
mod prepare;
mod queries;
mod redate;
mod report_keys;
mod row;
mod schema;
mod seal;
mod seen;
mod settings;
mod sheet;
mod sources;
mod sql;
mod uploads;
mod wipe;
mod worker;

pub use contacts::{Bucket, Place, Summary};
pub use database::DATABASE;
pub use deliveries::{Delivered, DeliveryFile, NewDelivery, day_bytes};
pub use error::{Fault, OpenError};
pub use handle::{Event, Store};
pub use open::{Opened, open};
pub use others::{MatchedReport, NewMatch, Recorded};
pub use own::{Departure, NewPart, NewReport, OwnReport};
pub use queries::Size;
pub use report_keys::{Broadcast, Resume};
pub use seal::Seal;
pub use seen::{MOST_REMEMBERED, SourceId};
pub use settings::Setting;
pub use sheet::{Sheet, Sheets};
pub use sources::{NewSource, Source};
pub use uploads::{Cancelled, DueUpload, NewUpload, Sendable, Upload, UploadOutcome, UploadState};
