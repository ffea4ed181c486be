//! The table `setting`: integers by name. Consent and pauses are kept in it here;
//! `clock` keeps what is known of the wall clock in it, `growth` how much is folded.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tcn_engine::Pause;
use tcn_protocol::UnixTime;

use super::sql::{signed, unsigned};

/// A decision of the user's that a restart must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Broadcasting is allowed.
    Consent(bool),
    /// Keep off the air.
    Pause(Pause),
}

/// The value under this name, if there is one.
pub(super) fn get(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    db.query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| {
        row.get(0)
    })
    .optional()
}

/// Writes a value under this name.
pub(super) fn set(transaction: &Transaction<'_>, name: &str, value: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])?;
    Ok(())
}

/// Writes a decision.
pub(super) fn write(transaction: &Transaction<'_>, setting: Setting) -> rusqlite::Result<()> {
    let (name, value) = match setting {
        Setting::Consent(consent) => ("consent", i64::from(consent)),
        Setting::Pause(Pause::No) => ("pause", 0),
        Setting::Pause(Pause::Until(at)) => ("pause", signed(at.0)),
        Setting::Pause(Pause::UntilResumed) => ("pause", -1),
    };
    set(transaction, name, value)
}

/// Whether broadcasting is allowed; `None` before the first decision.
pub(super) fn consent(db: &Connection) -> rusqlite::Result<Option<bool>> {
    Ok(get(db, "consent")?.map(|value| value != 0))
}

/// The pause that was written last.
pub(super) fn pause(db: &Connection) -> rusqlite::Result<Pause> {
    Ok(match get(db, "pause")? {
        None | Some(0) => Pause::No,
        Some(..0) => Pause::UntilResumed,
        Some(value @ 1..) => Pause::Until(UnixTime(unsigned(value))),
    })
}
