//! A simulated neighbourhood.
