//! The tables, and the steps from one format of the database to the next.
//!
//! The format is the number of steps taken, kept in `PRAGMA user_version`. A
//! step is one transaction and is never changed once released.

/// `PRAGMA application_id`: "TCNr".
pub(super) const APPLICATION_ID: u32 = 0x5443_4e72;

/// `PRAGMA user_version`.
pub(super) const FORMAT: u32 = 2;
const _: () = assert!(STEPS.len() == FORMAT as usize, "one step leads to each");

/// Step `n` leads from format `n` to `n + 1`.
///
/// `state` has one row: which interval takes uploads. It only ever grows, so an
/// interval that was over once is over for ever, across restarts and clocks set
/// back. `doubted` is the interval that a clock in doubt stood in.
///
/// `report` has reports as they are published. `place` is a random number drawn
/// with the report: in its order an interval is served, so that order says
/// nothing about when a report came or who sent two; nor does the order in the
/// file, where rows lie by their key. `digest` is that of the unsigned bytes.
///
/// `known` has the digests of reports that have expired, by the interval they
/// came in.
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
