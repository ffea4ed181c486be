-- application_id: 1952673380
-- user_version: 1
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
CREATE TABLE report_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seed BLOB NOT NULL,
  born INTEGER NOT NULL
) STRICT;
CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sqlite_sequence(name,seq);
