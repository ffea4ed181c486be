//! Where reports are fetched from and published to, and what each delivered.
//!
//! `tcnd-sync` names its sources at the start of each run, and only those are
//! kept. What was delivered whole is remembered here and not by it, beside the
//! contacts it was compared with: so both are lost or destroyed together, and a
//! run that is killed at any point has lost nothing.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, Transaction, params};
use tcn_exchange::help::{Help, HelpPhone, HelpUrl};
use tcn_exchange::interval::Interval;
use tcn_protocol::UnixTime;

use super::database::Durable;
use super::error::Error;
use super::handle::Store;
use super::seen::SourceId;
use super::sql::{signed, unsigned};

/// A source as the configuration of `tcnd-sync` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSource {
    /// Its name there.
    pub name: String,
    /// What people are shown.
    pub label: String,
    /// Own reports may be published there.
    pub publish: bool,
    /// Where people find help.
    pub help: Help,
}

/// A source, and how the last runs went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its local name.
    pub id: SourceId,
    /// As configured.
    pub configured: NewSource,
    /// When it was last checked without a problem.
    pub checked: Option<UnixTime>,
    /// Runs since then that were not well.
    pub failures: u32,
    /// What was wrong in the last of them, a token; empty if nothing was.
    pub problem: String,
}

impl Store {
    /// Keeps these sources and forgets all others, durably.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn set_sources(&self, sources: Vec<NewSource>) -> Result<(), Error> {
        self.transact(Durable::PowerLoss, move |t| set(t, &sources))
            .await
    }

    /// All sources, by name.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn sources(&self) -> Result<Vec<Source>, Error> {
        self.call(|database| Ok(list(&database.connection)?)).await
    }

    /// Keeps how a run went for a source: an empty `problem` is well. Whether
    /// there is such a source.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn record_run(
        &self,
        source: String,
        problem: String,
        now: UnixTime,
    ) -> Result<bool, Error> {
        self.transact(Durable::Crash, move |t| record(t, &source, &problem, now))
            .await
    }

    /// The intervals that a source delivered whole.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn delivered(&self, source: String) -> Result<BTreeSet<Interval>, Error> {
        self.call(move |database| Ok(delivered(&database.connection, &source)?))
            .await
    }

    /// Forgets what every source delivered, durably: each is asked for all of its
    /// intervals once more.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn forget_delivered(&self) -> Result<(), Error> {
        self.transact(Durable::PowerLoss, |t| {
            t.execute("DELETE FROM delivered", []).map(|_| ())
        })
        .await
    }
}

fn set(transaction: &Transaction<'_>, sources: &[NewSource]) -> rusqlite::Result<()> {
    let mut keep = transaction.prepare_cached(
        "INSERT INTO source (name, label, publish, checked, failures, problem, day, bytes, \
         remembered, help_url, help_phone) \
         VALUES (?1, ?2, ?3, NULL, 0, '', 0, 0, 0, ?4, ?5) \
         ON CONFLICT (name) DO UPDATE SET label = ?2, publish = ?3, help_url = ?4, help_phone = ?5",
    )?;
    for source in sources {
        let help = &source.help;
        keep.execute(params![
            source.name,
            source.label,
            source.publish,
            help.url.as_ref().map_or("", HelpUrl::as_str),
            help.phone.as_ref().map_or("", HelpPhone::as_str),
        ])?;
    }
    let kept: BTreeSet<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    for known in list(transaction)? {
        let name = known.configured.name;
        if !kept.contains(name.as_str()) {
            transaction.execute("DELETE FROM source WHERE name = ?1", [&name])?;
            transaction.execute("DELETE FROM delivered WHERE source = ?1", [&name])?;
        }
    }
    Ok(())
}

fn list(db: &Connection) -> rusqlite::Result<Vec<Source>> {
    db.prepare_cached(
        "SELECT name, label, publish, checked, failures, problem, id, help_url, help_phone \
         FROM source ORDER BY name",
    )?
    .query_map([], |row| {
        let checked: Option<i64> = row.get(3)?;
        Ok(Source {
            id: SourceId(row.get(6)?),
            configured: NewSource {
                name: row.get(0)?,
                label: row.get(1)?,
                publish: row.get(2)?,
                help: help(row, 7)?,
            },
            checked: checked.map(|at| UnixTime(unsigned(at))),
            failures: row.get(4)?,
            problem: row.get(5)?,
        })
    })?
    .collect()
}

/// Reads the help whose page is in this column, and whose telephone number in the next.
/// A text that is valid no more is taken for none.
pub(super) fn help(row: &Row<'_>, column: usize) -> rusqlite::Result<Help> {
    let (url, phone): (String, String) = (row.get(column)?, row.get(column + 1)?);
    Ok(Help {
        url: HelpUrl::new(&url).ok(),
        phone: HelpPhone::new(&phone).ok(),
    })
}

fn record(
    transaction: &Transaction<'_>,
    source: &str,
    problem: &str,
    now: UnixTime,
) -> rusqlite::Result<bool> {
    let known = if problem.is_empty() {
        transaction.execute(
            "UPDATE source SET checked = ?2, failures = 0, problem = '' WHERE name = ?1",
            params![source, signed(now.0)],
        )?
    } else {
        transaction.execute(
            "UPDATE source SET failures = min(failures + 1, 1000000), problem = ?2 WHERE name = ?1",
            params![source, problem],
        )?
    };
    Ok(known > 0)
}

fn delivered(db: &Connection, source: &str) -> rusqlite::Result<BTreeSet<Interval>> {
    let numbers = db
        .prepare_cached("SELECT interval FROM delivered WHERE source = ?1")?
        .query_map([source], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let numbers = numbers.into_iter().map(unsigned);
    Ok(numbers.filter_map(Interval::new).collect())
}

/// Forgets intervals that ended before `before`: they are not asked for again.
pub(super) fn forget(transaction: &Transaction<'_>, before: UnixTime) -> rusqlite::Result<()> {
    let oldest = Interval::of(before).previous().number();
    transaction.execute(
        "DELETE FROM delivered WHERE interval < ?1",
        [signed(oldest)],
    )?;
    Ok(())
}
