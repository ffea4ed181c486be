//! The tables as they are now.
//!
//! These constants are the documentation of the database and make nothing:
//! the steps of `migrations.rs` do, whose text never changes once released.
//! [`verify`] compares the two at every opening, and the fixture of the newest format in
//! `tests/store/fixtures` pins them.

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
/// * `unheard`: seconds before the start in which discovery paused and the number may have
///   been near, in the low eight bits; above them the same after the end
pub(super) const CONTACT: &str = "\
CREATE TABLE contact (
  quarter INTEGER NOT NULL,
  tcn BLOB NOT NULL,
  span INTEGER NOT NULL,
  rssi_max INTEGER,
  rssi_sum INTEGER NOT NULL,
  sightings BLOB NOT NULL,
  bridged INTEGER NOT NULL, unheard INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (quarter, tcn)
) STRICT, WITHOUT ROWID";

/// Report authorization keys, secret.
///
/// * `id`: local name, counts up, never reused (hence the sequence)
/// * `seed`: the 32 bytes of the key (`rak`); where there is a credential, sealed
///   by it: 24 bytes of nonce, 32 of ciphertext, 16 of tag (`seal.rs`)
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

/// What people decided, and other integers by name.
///
/// * `consent`: 1 if broadcasting is allowed
/// * `pause`: unix seconds until when to keep off the air, 0 if it is not
///   paused, -1 until resumed
/// * `growth_file`, `growth_folded`: how far the growth of contacts is in the table
///   `contact` (`growth.rs`)
/// * those that begin with `clock_` or `future_`: what is known of the wall clock
///   (`clock.rs`)
pub(super) const SETTING: &str = "\
CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

/// Own reports.
///
/// * `id`: local name, counts up, never reused
/// * `created`: unix seconds
/// * `memo_type`, `memo`: what the reports say besides their numbers; the memo
///   is null once the report was deleted
/// * `note`: the person's own words for it, which stay here
/// * `deleted`: unix seconds; null while it is there. A report that has left
///   the machine keeps its row when it is deleted, as the record of that
pub(super) const OWN_REPORT: &str = "\
CREATE TABLE own_report (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  created INTEGER NOT NULL,
  memo_type INTEGER NOT NULL,
  memo BLOB,
  note TEXT NOT NULL,
  deleted INTEGER
) STRICT";

/// The signed reports an own report is made of, one a key.
///
/// * `report`, `key`: whose, and of which key; no key makes a second one
/// * `numbers`: how many of those it discloses were on the air
/// * `first`, `last`: unix seconds, when the first came and the last left
/// * `signed`: the report as it is passed on; null once deleted
pub(super) const OWN_PART: &str = "\
CREATE TABLE own_part (
  report INTEGER NOT NULL REFERENCES own_report (id) ON DELETE CASCADE,
  key INTEGER NOT NULL UNIQUE,
  numbers INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  signed BLOB,
  PRIMARY KEY (report, key)
) STRICT, WITHOUT ROWID";

/// What left the machine, written before it did.
///
/// * `report`: which own report
/// * `at`: unix seconds
/// * `how`: a token: `export-tcn`, `export-base64`, `export-json`, or `publish-`
///   and the name of the source, once for all parts
pub(super) const DEPARTURE: &str = "\
CREATE TABLE departure (
  report INTEGER NOT NULL REFERENCES own_report (id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  how TEXT NOT NULL
) STRICT";

/// Reports of others that each source delivered, to know them again. The day
/// comes first so that an expired one is a run of whole pages.
///
/// * `day`: days since 1970
/// * `source`: the `id` of the source, or 0 for files that people import
/// * `digest`: the first 16 bytes of SHA-256 over the unsigned report
/// * `published`: unix seconds by which the report was public, the earliest that
///   this source told; a contact that began later does not count by what it tells
pub(super) const SEEN_REPORT: &str = "\
CREATE TABLE seen_report (
  day INTEGER NOT NULL,
  source INTEGER NOT NULL,
  digest BLOB NOT NULL,
  published INTEGER NOT NULL,
  PRIMARY KEY (day, source, digest)
) STRICT, WITHOUT ROWID";

/// Reports of others that named a number in the log, and whose signature held.
///
/// * `id`: local name, counts up, never reused
/// * `digest`: as in `seen_report`
/// * `published`: unix seconds; contacts that began later do not count. It is
///   the latest of what its sources told, of each source the earliest
/// * `received`: unix seconds of the first time it came here
/// * `memo_type`, `memo`: what it says besides its numbers
pub(super) const MATCHED_REPORT: &str = "\
CREATE TABLE matched_report (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE,
  published INTEGER NOT NULL,
  received INTEGER NOT NULL,
  memo_type INTEGER NOT NULL,
  memo BLOB NOT NULL
) STRICT";

/// Where a matched report came from; it may come from several places.
///
/// * `report`: which report
/// * `source`: as in `seen_report`
/// * `label`: what people are shown
/// * `published`: unix seconds by which it was public, the earliest that this
///   source told
/// * `help_url`, `help_phone`: where that source said that people find help, when it first
///   told of the report; empty if it did not
pub(super) const REPORT_SOURCE: &str = "\
CREATE TABLE report_source (
  report INTEGER NOT NULL REFERENCES matched_report (id) ON DELETE CASCADE,
  source INTEGER NOT NULL,
  label TEXT NOT NULL,
  published INTEGER NOT NULL, help_url TEXT NOT NULL DEFAULT '', help_phone TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (report, source, label)
) STRICT, WITHOUT ROWID";

/// Which contacts a report named, and what the person did about it. The number
/// comes first: when a contact of it is written again, it has to be known.
///
/// Exposures themselves are made of contacts each time they are asked for, so
/// they grow with them; one was seen if any contact of it was.
///
/// * `tcn`, `quarter`: which contact
/// * `report`: which report
/// * `seen`, `dismissed`: 1 if so
pub(super) const MATCHED_CONTACT: &str = "\
CREATE TABLE matched_contact (
  tcn BLOB NOT NULL,
  quarter INTEGER NOT NULL,
  report INTEGER NOT NULL REFERENCES matched_report (id) ON DELETE CASCADE,
  seen INTEGER NOT NULL,
  dismissed INTEGER NOT NULL,
  PRIMARY KEY (tcn, quarter, report)
) STRICT, WITHOUT ROWID";

/// Where reports are fetched from and published to, as last configured.
///
/// * `id`: local name, counts up, never reused
/// * `name`: as in the configuration of `tcnd-sync`
/// * `label`: what people are shown
/// * `publish`: 1 if own reports may be published there
/// * `checked`: unix seconds, when it was last checked without a problem; null never
/// * `failures`: runs since then that were not well
/// * `problem`: what was wrong in the last run, a token; empty if nothing was
/// * `day`, `bytes`: how many bytes of reports were taken of it on which day
///   since 1970, the last on which any were
/// * `remembered`: rows of `seen_report` that are its
/// * `help_url`, `help_phone`: where people find help; empty if it does not say
pub(super) const SOURCE: &str = "\
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
, help_url TEXT NOT NULL DEFAULT '', help_phone TEXT NOT NULL DEFAULT '') STRICT";

/// The intervals that a source delivered whole, and need not be asked for.
///
/// * `interval`: its number, six hours each since 1970
/// * `source`: the name of the source
pub(super) const DELIVERED: &str = "\
CREATE TABLE delivered (
  interval INTEGER NOT NULL,
  source TEXT NOT NULL,
  PRIMARY KEY (interval, source)
) STRICT, WITHOUT ROWID";

/// Reports that a source delivered and that were not matched yet, in the order
/// they came. They stand in a file each, beside the database.
///
/// * `id`: local name, counts up, never reused
/// * `file`: the name of the file in the state directory
/// * `source`: as in `seen_report`
/// * `label`: what people are shown
/// * `published`: unix seconds by which they were public
/// * `received`: unix seconds, when they came
pub(super) const DELIVERY: &str = "\
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  file TEXT NOT NULL,
  source INTEGER NOT NULL,
  label TEXT NOT NULL,
  published INTEGER NOT NULL,
  received INTEGER NOT NULL
) STRICT";

/// Parts of own reports on their way to servers.
///
/// * `id`: local name, counts up, never reused
/// * `report`, `key`: which part
/// * `source`: the name of the source it goes to
/// * `state`: 0 queued, 1 sent and what became of it not known, 2 accepted, 3
///   refused
/// * `at`: unix seconds, when it came to this state
/// * `due`: unix seconds; it leaves, or is tried again, no earlier
/// * `urgent`: 1 if it need not keep its distance from other parts
/// * `tries`: how often it was sent
/// * `reason`: what the server, or the network, said last
pub(super) const UPLOAD: &str = "\
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
) STRICT";

const TABLES: [(&str, &str); 15] = [
    ("broadcast", BROADCAST),
    ("contact", CONTACT),
    ("delivered", DELIVERED),
    ("delivery", DELIVERY),
    ("departure", DEPARTURE),
    ("matched_contact", MATCHED_CONTACT),
    ("matched_report", MATCHED_REPORT),
    ("own_part", OWN_PART),
    ("own_report", OWN_REPORT),
    ("report_key", REPORT_KEY),
    ("report_source", REPORT_SOURCE),
    ("seen_report", SEEN_REPORT),
    ("setting", SETTING),
    ("source", SOURCE),
    ("upload", UPLOAD),
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
