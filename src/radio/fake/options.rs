//! The options of the simulated radio.

use super::super::Mode;

/// What `--radio fake` simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many simulated people come and go; each is in range part of the time.
    pub neighbours: u16,
    /// The same seed simulates the same people.
    pub seed: u64,
    /// How the radio takes part.
    pub mode: Mode,
}
