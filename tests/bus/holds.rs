//! holds
