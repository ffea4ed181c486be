//! Everything destroyed: not rows deleted, but files overwritten and removed.
//!
//! Deleting every row would trust SQLite to have overwritten each place a
//! secret ever stood in. Here the files themselves are filled with zeros,
//! synced and unlinked, and a new database is created. On flash the controller
//! may still hold old blocks that no program can reach; encryption of the disk
//! is the cure for that.

use rusqlite::Connection;

use super::database::{DATABASE, Database};
use super::error::Error;
use super::overwrite::destroy;
use super::prepare::create;

/// Destroys every file of the database and creates an empty one.
///
/// On an error [`Database::file_lost`] tells whether there is a database file.
pub(super) fn wipe(database: &mut Database) -> Result<(), Error> {
    // Without a file there is no store: the thread ends, and with it the
    // daemon, rather than keep everything in memory and nothing at all.
    database.file_lost = true;
    // Closed first: SQLite must not write into a file that is being destroyed.
    let open = std::mem::replace(&mut database.connection, Connection::open_in_memory()?);
    open.close().map_err(|(_, error)| Error::from(error))?;
    // With its companions, what was set aside, and what was handed out.
    let destroyed = destroy(&database.directory, DATABASE);
    (database.connection, database.growth) = create(&database.directory, &database.seal)?;
    database.file_lost = false;
    destroyed.map_err(|error| Error::Files(error.kind()))
}
