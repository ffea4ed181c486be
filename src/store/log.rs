//! The contact log with all its growth.
//!
//! Growth waits in a file of its own before it becomes rows of the table `contact`. All
//! code that reads or changes this table takes a [`Log`], and so cannot overlook it.

use std::ops::Deref;

use rusqlite::Transaction;

/// A transaction in which the table `contact` has all growth that was saved.
pub(super) struct Log<'a>(&'a Transaction<'a>);

impl<'a> Log<'a> {
    /// For `Growth::fold` alone, which has seen to it.
    pub(super) const fn folded(transaction: &'a Transaction<'a>) -> Self {
        Self(transaction)
    }
}

impl<'a> Deref for Log<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}
