//! State that outlives a run: SQLite, owned by one thread.
//!
//! A thread named `store` owns the database. All other code holds a [`Store`], a
//! handle that sends work to the thread and never waits for the disk. Work is done
//! in the order it was sent, so an answer always includes what was sent
//! before. Four kinds of writing differ in what they promise:
//!
//! * own report keys and numbers, own reports and settings: durable against power loss
//!   (`synchronous=FULL`) before [`Event::Stored`] is sent, since a number may
//!   go on the air only then;
//! * contacts: batches that are not synced, in a file of growth (`growth.rs`) that
//!   is folded into the database later: a crash of the process costs
//!   none that was answered, the loss of power those that the kernel had not
//!   written yet, never the file. That is half a minute by Linux's defaults,
//!   and at most what came since the last write of a report key or a number, which is made
//!   durable with all before it: a rotation, so a quarter of an hour;
//! * forgetting: the bytes are overwritten (`secure_delete=ON`), the journal and the
//!   file of growth are cut to nothing and freed pages leave the database; a damaged
//!   database that was set aside goes when it has lain there as long;
//! * new dates after the wall clock was set: durable, and before anything else is
//!   written, so that old and new dates are never mixed.
//!
//! A crash of the process loses what was not sent yet: the engine sends the
//! growth of contacts every `flush` (a minute by default), so at most that.

mod clock;
mod contact_row;
mod contacts;
mod database;
mod deliveries;
mod error;
mod export;
mod growth;
mod growth_record;
mod handle;
mod leb128;
mod log;
mod marks;
mod matched_reports;
mod migrations;
mod open;
mod overwrite;
mod own_reports;
mod prepare;
mod quarantine;
mod queries;
mod redate;
mod report_keys;
mod schema;
mod seal;
mod seen;
mod settings;
mod sources;
mod sql;
mod uploads;
mod wipe;
mod worker;

pub use contacts::{Bucket, Cursor, Summary};
pub use database::DATABASE;
pub use deliveries::{DeliveryFile, NewDelivery, PendingDelivery, day_bytes};
pub use error::{Error, OpenError};
pub use export::{ExportDb, ExportDir};
pub use handle::{Event, Store};
pub use matched_reports::{MatchedReport, MatchedTimes, NewMatch, Recorded, SourceHelp};
pub use open::{Opened, open};
pub use own_reports::{NewPart, NewReport, OwnReport, Release};
pub use queries::Size;
pub use report_keys::{Broadcast, Resume};
pub use seal::Seal;
pub use seen::{MOST_REMEMBERED, SourceId};
pub use settings::Setting;
pub use sources::{NewSource, Source};
pub use uploads::{Cancelled, DueUpload, NewUpload, Sendable, Upload, UploadState};
