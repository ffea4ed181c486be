//! The commands of `tcnctl report`, and what several of them need.

pub(crate) mod check;
pub(crate) mod create;
pub(crate) mod delete;
mod disclosure;
pub(crate) mod export;
mod file_pipe;
pub(crate) mod import;
pub mod inspect;
pub(crate) mod list;
pub(crate) mod preview;
pub(crate) mod publish;
mod symptoms;
mod uploads;
