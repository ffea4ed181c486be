//! The tables.

/// `PRAGMA application_id`: "TCNr".
pub(super) const APPLICATION_ID: u32 = 0x5443_4e72;

/// `PRAGMA user_version`.
pub(super) const FORMAT: u32 = 1;

/// Which interval takes uploads: one row. It only ever grows, so an interval
/// that was over once is over for ever, across restarts and clocks set back.
pub(super) const STATE: &str = "
    CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        open INTEGER NOT NULL
    ) STRICT";

/// Reports as they are published. `place` is a random number drawn with the
/// report: in its order an interval is served, so that order says nothing about
/// when a report came or who sent two; nor does the order in the file, where
/// rows lie by their key. `digest` is that of the unsigned bytes.
pub(super) const REPORT: &str = "
    CREATE TABLE report (
        interval INTEGER NOT NULL,
        place INTEGER NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        bytes BLOB NOT NULL,
        PRIMARY KEY (interval, place, digest)
    ) STRICT, WITHOUT ROWID";
