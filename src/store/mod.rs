//! Memory between runs.
mod totals;

pub use totals::{Bucket, Summary};
