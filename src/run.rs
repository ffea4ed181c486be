//! The front hall.
