//! tcnd.
