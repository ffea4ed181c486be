-- application_id: 1952673380
-- user_version: 3
-- page_size: 2048
-- auto_vacuum: 2
-- journal_mode: wal
-- encoding: UTF-8
CREATE TABLE broadcast (
  key INTEGER NOT NULL REFERENCES report_key (id) ON DELETE CASCADE,
  idx INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER,
  PRIMARY KEY (key, idx)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE delivered (
  interval INTEGER NOT NULL,
  source TEXT NOT NULL,
  PRIMARY KEY (interval, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE departure (
  report INTEGER NOT NULL REFERENCES own_report (id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  how TEXT NOT NULL
) STRICT;
CREATE TABLE matched_contact (
  tcn BLOB NOT NULL,
  quarter INTEGER NOT NULL,
  report INTEGER NOT NULL REFERENCES matched_report (id) ON DELETE CASCADE,
  seen INTEGER NOT NULL,
  dismissed INTEGER NOT NULL,
  PRIMARY KEY (tcn, quarter, report)
) STRICT, WITHOUT ROWID;
CREATE TABLE matched_report (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE,
  published INTEGER NOT NULL,
  received INTEGER NOT NULL,
  memo_type INTEGER NOT NULL,
  memo BLOB NOT NULL
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
CREATE TABLE own_report (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  created INTEGER NOT NULL,
  memo_type INTEGER NOT NULL,
  memo BLOB,
  note TEXT NOT NULL,
  deleted INTEGER
) STRICT;
CREATE TABLE report_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seed BLOB NOT NULL,
  born INTEGER NOT NULL
) STRICT;
CREATE TABLE report_source (
  report INTEGER NOT NULL REFERENCES matched_report (id) ON DELETE CASCADE,
  source TEXT NOT NULL,
  PRIMARY KEY (report, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE seen_report (
  day INTEGER NOT NULL,
  digest BLOB NOT NULL,
  published INTEGER NOT NULL,
  PRIMARY KEY (day, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE source (
  name TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  publish INTEGER NOT NULL,
  checked INTEGER,
  failures INTEGER NOT NULL,
  problem TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sqlite_sequence(name,seq);
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
