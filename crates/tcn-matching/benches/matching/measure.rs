//! Clocks, rounds and memory.

use std::hint::black_box;
use std::time::Duration;

/// The times of each round, in `N` variants.
pub(crate) struct Rounds<const N: usize>(Vec<[f64; N]>);

impl<const N: usize> Rounds<N> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, round: [f64; N]) {
        self.0.push(round);
    }

    pub(crate) fn medians(&self) -> [f64; N] {
        std::array::from_fn(|at| self.ratio(|round| round[at]))
    }

    /// The median of what `of` gives for each round.
    pub(crate) fn ratio(&self, of: impl Fn([f64; N]) -> f64) -> f64 {
        let mut all: Vec<_> = self.0.iter().map(|round| of(*round)).collect();
        all.sort_unstable_by(f64::total_cmp);
        all[all.len() / 2]
    }
}

/// The time that `work` takes by `clock`, in seconds, and its result.
pub(crate) fn time<T>(clock: fn() -> f64, work: impl FnOnce() -> T) -> (f64, T) {
    let start = clock();
    let done = black_box(work());
    (clock() - start, done)
}

/// Processor time of this process in seconds, all threads.
pub(crate) fn processor_time() -> f64 {
    seconds(rustix::time::ClockId::ProcessCPUTime)
}

/// Time since the machine started, in seconds.
pub(crate) fn wall_time() -> f64 {
    seconds(rustix::time::ClockId::Monotonic)
}

fn seconds(clock: rustix::time::ClockId) -> f64 {
    Duration::try_from(rustix::time::clock_gettime(clock))
        .unwrap()
        .as_secs_f64()
}

/// Megabytes of memory this process holds.
pub(crate) fn resident() -> f64 {
    status("VmRSS:")
}

/// Megabytes, from a line of what the kernel tells of this process.
pub(crate) fn status(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024.0 / 1e6
}
