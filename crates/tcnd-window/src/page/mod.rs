//! The pages of the window. Each shows what a view says, and does what a person asks.

pub(crate) mod encounters;
pub(crate) mod exposures;
pub(crate) mod make_report;
pub(crate) mod report;
pub(crate) mod status;
