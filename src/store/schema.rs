//! The tables as they are now, and the steps that led there.
//!
//! Migrations make the tables; the constants below say what they must have
//! made, and [`verify`] holds the two together at every opening. The format is
//! the number of steps taken, kept in `PRAGMA user_version`.

use rusqlite::Connection;

/// Marks the file as ours (`PRAGMA application_id`): "tcnd".
pub(super) const APPLICATION_ID: i32 = 0x7463_6e64;

/// The format this release writes.
pub(super) const FORMAT: u32 = 1;

/// Contacts. The key begins with time, because numbers are random: all rows
/// that still grow then share a few pages, and an expired day is a run of
/// whole pages. Without a rowid, without a second index.
///
/// * `quarter`: start of the contact in quarters of an hour since 1970
/// * `tcn`: the number heard, 16 bytes
/// * `start`: seconds into the quarter, 0 to 899
/// * `duration`: seconds from the first to the last sighting
/// * `rssi_max`: strongest signal in dBm; null if never measured
/// * `rssi_mean`: mean signal in eighths of a dBm; null likewise
/// * `attenuation`: measured sightings in the four buckets, as four unsigned
///   LEB128 numbers
/// * `unmeasured`: sightings without a signal strength
/// * `bridged`: 1 if another radio than its owner's carried it
pub(super) const CONTACT: &str = "\
CREATE TABLE contact (
  quarter INTEGER NOT NULL,
  tcn BLOB NOT NULL,
  start INTEGER NOT NULL,
  duration INTEGER NOT NULL,
  rssi_max INTEGER,
  rssi_mean INTEGER,
  attenuation BLOB NOT NULL,
  unmeasured INTEGER NOT NULL,
  bridged INTEGER NOT NULL,
  PRIMARY KEY (quarter, tcn)
) WITHOUT ROWID";

/// Report authorization keys, secret.
///
/// * `id`: local name, counts up, never reused
/// * `seed`: the 32 bytes of the key (`rak`)
/// * `born`: unix seconds
pub(super) const REPORT_KEY: &str = "\
CREATE TABLE report_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seed BLOB NOT NULL,
  born INTEGER NOT NULL
)";

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
) WITHOUT ROWID";

/// What people decided.
///
/// * `consent`: 1 if broadcasting is allowed
/// * `pause`: unix seconds until when to keep off the air, -1 until resumed
pub(super) const SETTING: &str = "\
CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID";

const TABLES: [(&str, &str); 4] = [
    ("broadcast", BROADCAST),
    ("contact", CONTACT),
    ("report_key", REPORT_KEY),
    ("setting", SETTING),
];

/// Step `n` leads from format `n` to `n + 1`. Steps are never changed.
const STEPS: [fn(&Connection) -> rusqlite::Result<()>; FORMAT as usize] = [first];

fn first(db: &Connection) -> rusqlite::Result<()> {
    for table in [CONTACT, REPORT_KEY, BROADCAST, SETTING] {
        db.execute(table, [])?;
    }
    db.pragma_update(None, "application_id", APPLICATION_ID)
}

/// Takes all steps from the file's format to ours, each in a transaction.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let found = format(db)?;
    for (n, step) in (0u32..).zip(STEPS).filter(|(n, _)| *n >= found) {
        let transaction = db.transaction()?;
        step(&transaction)?;
        transaction.pragma_update(None, "user_version", n + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The file's format; 0 for a new one.
pub(super) fn format(db: &Connection) -> rusqlite::Result<u32> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether the tables are what the constants say.
pub(super) fn verify(db: &Connection) -> rusqlite::Result<bool> {
    let mut query = db.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
         ORDER BY name",
    )?;
    let found = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    Ok(found
        .iter()
        .map(|(name, sql)| (name.as_str(), sql.as_str()))
        .eq(TABLES))
}
