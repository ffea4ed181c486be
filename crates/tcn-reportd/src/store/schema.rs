//! The tables, and the migrations from one format of the database to the next.
//!
//! The format is the number of migrations done, kept in `PRAGMA user_version`. A
//! migration is one transaction and never changes once released.

/// `PRAGMA application_id`: "TCNr".
pub(super) const APPLICATION_ID: u32 = 0x5443_4e72;

/// `PRAGMA user_version`.
pub(super) const FORMAT: u32 = 2;
const _: () = assert!(STEPS.len() == FORMAT as usize, "one step leads to each");

/// Migration `n` leads from format `n` to `n + 1`.
///
/// `state` has one row: the interval that takes uploads. It only ever grows, so a past
/// interval stays past for ever, across restarts and clocks set back. `doubted` is the
/// interval of a clock in doubt.
///
/// `report` has reports as they are published. `place` is a random number drawn with
/// the report. An interval is served in its order, so that the order does not reveal
/// when a report came or which reports one sender sent. The order in the file does not
/// reveal it either: rows are stored by their key. `digest` is that of the unsigned
/// bytes.
///
/// `known` has the digests of expired reports, by the interval in which they came.
pub(super) const STEPS: [&str; 2] = [
    "
    CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        open INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE report (
        interval INTEGER NOT NULL,
        place INTEGER NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        bytes BLOB NOT NULL,
        PRIMARY KEY (interval, place, digest)
    ) STRICT, WITHOUT ROWID;",
    "
    CREATE TABLE known (
        interval INTEGER NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        PRIMARY KEY (interval, digest)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE state ADD COLUMN doubted INTEGER;",
];
