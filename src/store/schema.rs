//! The tables as they are now.
//!
//! These constants are the documentation of the database and make nothing:
//! the steps of `migrations.rs` do, whose text never changes once released.
//! [`verify`] compares the two at every opening, and `tests/store/schema.sql`
//! pins them.

use rusqlite::Connection;

/// Marks the file as ours (`PRAGMA application_id`): "tcnd".
pub(super) const APPLICATION_ID: u32 = 0x7463_6e64;

/// Contacts. The key begins with time, because numbers are random: all rows
/// that still grow then share a few pages, and an expired day is a run of
/// whole pages. Without a rowid, without a second index; every column more
/// costs a byte a row even when empty, so some hold two things.
///
/// * `quarter`: start of the contact in quarters of an hour since 1970
/// * `tcn`: the number heard, 16 bytes
/// * `span`: start in seconds into the quarter, 0 to 899, in the low ten
///   bits; above them the seconds from the first to the last sighting
/// * `rssi_max`: strongest signal in dBm; null if never measured
/// * `rssi_sum`: sum of the measured signals in dBm; the mean is this over
///   their number
/// * `sightings`: how many in each of the four attenuation buckets, then how
///   many unmeasured, as unsigned LEB128; zeros at the end are left out
/// * `bridged`: 1 if another radio than its owner's carried it
pub(super) const CONTACT: &str = "\
CREATE TABLE contact (
  quarter INTEGER NOT NULL,
  tcn BLOB NOT NULL,
  span INTEGER NOT NULL,
  rssi_max INTEGER,
  rssi_sum INTEGER NOT NULL,
  sightings BLOB NOT NULL,
  bridged INTEGER NOT NULL,
  PRIMARY KEY (quarter, tcn)
) STRICT, WITHOUT ROWID";

/// Report authorization keys, secret.
///
/// * `id`: local name, counts up, never reused (hence the sequence)
/// * `seed`: the 32 bytes of the key (`rak`)
/// * `born`: unix seconds
pub(super) const REPORT_KEY: &str = "\
CREATE TABLE report_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seed BLOB NOT NULL,
  born INTEGER NOT NULL
) STRICT";

/// What was on the air.
///
/// * `key`, `idx`: which number
/// * `first`: unix seconds; not on the air before
/// * `last`: unix seconds; not on the air after; null while it may be there
pub(super) const BROADCAST: &str = "\
CREATE TABLE broadcast (
  key INTEGER NOT NULL REFERENCES report_key (id) ON DELETE CASCADE,
  idx INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER,
  PRIMARY KEY (key, idx)
) STRICT, WITHOUT ROWID";

/// What people decided.
///
/// * `consent`: 1 if broadcasting is allowed
/// * `pause`: unix seconds until when to keep off the air, 0 if it is not
///   paused, -1 until resumed
pub(super) const SETTING: &str = "\
CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

const TABLES: [(&str, &str); 4] = [
    ("broadcast", BROADCAST),
    ("contact", CONTACT),
    ("report_key", REPORT_KEY),
    ("setting", SETTING),
];

/// Whether the tables are what the constants say, and no others.
pub(super) fn verify(db: &Connection) -> rusqlite::Result<bool> {
    let mut query = db.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name",
    )?;
    let found = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    let found = found
        .iter()
        .map(|(name, sql)| (name.as_str(), sql.as_str()));
    Ok(found.eq(TABLES))
}
