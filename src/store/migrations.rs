//! The steps from one format of the database to the next.
//!
//! The format is the number of steps taken, kept in `PRAGMA user_version`. All steps that a
//! file needs are one transaction, which also moves the format on. So a kill leaves a database
//! of the old format or of this one, and a new database costs one sync and not one a step.
//! A step's text is never changed once released: it is what old files were made by, and
//! `tests/store/fixtures/` keeps one file of every format to show that it still leads here.

use rusqlite::{Connection, TransactionBehavior};

use super::schema::APPLICATION_ID;

/// Step `n` leads from format `n` to `n + 1`.
const STEPS: [&str; 7] = [
    "
CREATE TABLE contact (
  quarter INTEGER NOT NULL,
  tcn BLOB NOT NULL,
  span INTEGER NOT NULL,
  rssi_max INTEGER,
  rssi_sum INTEGER NOT NULL,
  sightings BLOB NOT NULL,
  bridged INTEGER NOT NULL,
  PRIMARY KEY (quarter, tcn)
) STRICT, WITHOUT ROWID;
CREATE TABLE report_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seed BLOB NOT NULL,
  born INTEGER NOT NULL
) STRICT;
CREATE TABLE broadcast (
  key INTEGER NOT NULL REFERENCES report_key (id) ON DELETE CASCADE,
  idx INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER,
  PRIMARY KEY (key, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE own_report (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  created INTEGER NOT NULL,
  memo_type INTEGER NOT NULL,
  memo BLOB,
  note TEXT NOT NULL,
  deleted INTEGER
) STRICT;
CREATE TABLE own_part (
  report INTEGER NOT NULL REFERENCES own_report (id) ON DELETE CASCADE,
  key INTEGER NOT NULL UNIQUE,
  numbers INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  signed BLOB,
  PRIMARY KEY (report, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE departure (
  report INTEGER NOT NULL REFERENCES own_report (id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  how TEXT NOT NULL
) STRICT;
CREATE TABLE seen_report (
  day INTEGER NOT NULL,
  digest BLOB NOT NULL,
  published INTEGER NOT NULL,
  PRIMARY KEY (day, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE matched_report (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE,
  published INTEGER NOT NULL,
  received INTEGER NOT NULL,
  memo_type INTEGER NOT NULL,
  memo BLOB NOT NULL
) STRICT;
CREATE TABLE report_source (
  report INTEGER NOT NULL REFERENCES matched_report (id) ON DELETE CASCADE,
  source TEXT NOT NULL,
  PRIMARY KEY (report, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE matched_contact (
  tcn BLOB NOT NULL,
  quarter INTEGER NOT NULL,
  report INTEGER NOT NULL REFERENCES matched_report (id) ON DELETE CASCADE,
  seen INTEGER NOT NULL,
  dismissed INTEGER NOT NULL,
  PRIMARY KEY (tcn, quarter, report)
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE source (
  name TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  publish INTEGER NOT NULL,
  checked INTEGER,
  failures INTEGER NOT NULL,
  problem TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE delivered (
  interval INTEGER NOT NULL,
  source TEXT NOT NULL,
  PRIMARY KEY (interval, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE upload (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  report INTEGER NOT NULL REFERENCES own_report (id) ON DELETE CASCADE,
  key INTEGER NOT NULL,
  source TEXT NOT NULL,
  state INTEGER NOT NULL,
  at INTEGER NOT NULL,
  due INTEGER NOT NULL,
  urgent INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  reason TEXT NOT NULL,
  UNIQUE (report, key, source)
) STRICT;
",
    // Each source tells for itself by when a report was public. What the table of
    // before held was the earliest that any source had told, and a clock that was
    // ahead could have marked intervals as delivered that were not over: both are
    // forgotten, and every source is asked for all of its intervals once more.
    "
DROP TABLE seen_report;
CREATE TABLE seen_report (
  day INTEGER NOT NULL,
  source INTEGER NOT NULL,
  digest BLOB NOT NULL,
  published INTEGER NOT NULL,
  PRIMARY KEY (day, source, digest)
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE old_report_source AS
  SELECT report, source AS label, published
  FROM report_source JOIN matched_report ON id = report;
DROP TABLE report_source;
CREATE TABLE report_source (
  report INTEGER NOT NULL REFERENCES matched_report (id) ON DELETE CASCADE,
  source INTEGER NOT NULL,
  label TEXT NOT NULL,
  published INTEGER NOT NULL,
  PRIMARY KEY (report, source, label)
) STRICT, WITHOUT ROWID;
INSERT INTO report_source (report, source, label, published)
  SELECT report, 0, label, published FROM old_report_source;
DROP TABLE old_report_source;
CREATE TEMP TABLE old_source AS SELECT * FROM source;
DROP TABLE source;
CREATE TABLE source (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL,
  publish INTEGER NOT NULL,
  checked INTEGER,
  failures INTEGER NOT NULL,
  problem TEXT NOT NULL,
  day INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  remembered INTEGER NOT NULL
) STRICT;
INSERT INTO source (name, label, publish, checked, failures, problem, day, bytes, remembered)
  SELECT name, label, publish, checked, failures, problem, 0, 0, 0 FROM old_source;
DROP TABLE old_source;
DELETE FROM sqlite_sequence WHERE name = 'source' AND seq = 0;
DELETE FROM delivered;
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  file TEXT NOT NULL,
  source INTEGER NOT NULL,
  label TEXT NOT NULL,
  published INTEGER NOT NULL,
  received INTEGER NOT NULL
) STRICT;
",
    // Before this format discovery did not pause.
    "
ALTER TABLE contact ADD COLUMN unheard INTEGER NOT NULL DEFAULT 0;
",
    // Growth of contacts waits in a file of its own, of which an older release knows
    // nothing. A file that is there already belongs to no database of this id.
    "
INSERT INTO setting (name, value) VALUES ('growth_file', random()), ('growth_folded', 0);
",
    // Before this format no source said where people find help.
    "
ALTER TABLE source ADD COLUMN help_url TEXT NOT NULL DEFAULT '';
ALTER TABLE source ADD COLUMN help_phone TEXT NOT NULL DEFAULT '';
ALTER TABLE report_source ADD COLUMN help_url TEXT NOT NULL DEFAULT '';
ALTER TABLE report_source ADD COLUMN help_phone TEXT NOT NULL DEFAULT '';
",
];

/// The format this release writes.
pub(super) const FORMAT: u32 = 7;
const _: () = assert!(
    STEPS.len() == FORMAT as usize,
    "one step leads to each format"
);

/// Takes all steps from the file's format to ours, or none.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let found = format(db)?;
    if found >= FORMAT {
        return Ok(());
    }
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (_, step) in (1..).zip(STEPS).filter(|(n, _)| *n > found) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// The file's format; 0 for a new one.
pub(super) fn format(db: &Connection) -> rusqlite::Result<u32> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}
