//! Expansion of many reports at once.
//!
//! A number costs three compressions of SHA-256, two for `H_tck` and one for `H_tcn`.
//! Inside a report each waits for the one before; reports do not wait for each other.
//! So several reports are expanded side by side, each in a lane. When a report ends, the
//! next takes its lane.
//!
//! The numbers are those of `Report::temporary_contact_numbers`, which is the readable
//! form.
//!
//! Spec: TCN 6b64d09, README "Key Derivation"; FIPS 180-4, 5.1.1 and 5.3.3.

use std::ops::ControlFlow;

use tcn_protocol::{RatchetIndex, Report, TemporaryContactNumber};

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
use super::lanes::ShaInstructions;
use super::lanes::{Compute, Lane, Numbers, Portable};

/// Passes every number that `reports` disclose to `visit`, each with the position given
/// with its report and its index; in order within a report, mixed between reports. Ends
/// early when `visit` breaks, with its reason.
///
/// Reports are drawn from `reports` as lanes become free, at most four ahead. Numbers are
/// computed up to 256 ahead of `visit`.
pub fn expand<'a, B>(
    reports: impl IntoIterator<Item = (usize, &'a Report)>,
    visit: impl FnMut(usize, RatchetIndex, TemporaryContactNumber) -> ControlFlow<B>,
) -> ControlFlow<B> {
    ShaKernel::best().expand(reports, visit)
}

/// A way to compute numbers. All give the same numbers, in the same order within a
/// report. They differ in speed and in the processor features they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShaKernel(Implementation);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Implementation {
    #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
    Instructions(ShaInstructions),
    Portable,
}

impl ShaKernel {
    /// The kernel for every processor.
    pub const PORTABLE: Self = Self(Implementation::Portable);

    /// All kernels that this processor can run, the fastest first,
    /// [`ShaKernel::PORTABLE`] last.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
        let special = ShaInstructions::detect().map(Implementation::Instructions);
        #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
        let special = None;
        special
            .into_iter()
            .chain([Implementation::Portable])
            .map(Self)
    }

    /// The fastest kernel here. In a build without optimisation that is the portable
    /// one, by far: it spends its time in `sha2`, which is always optimised.
    pub fn best() -> Self {
        let optimised = !cfg!(debug_assertions);
        let fit = |kernel: &Self| optimised || *kernel == Self::PORTABLE;
        Self::all().find(fit).unwrap_or(Self::PORTABLE)
    }

    /// `"sha-ni"` (x86-64), `"armv8-sha2"` (AArch64) or `"portable"`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
            Implementation::Instructions(_) => ShaInstructions::NAME,
            Implementation::Portable => "portable",
        }
    }

    /// Computes that many compressions of SHA-256 and nothing else, in as many lanes as
    /// [`ShaKernel::expand`]: what a bench compares it with. Returns a number that
    /// depends on all of them.
    pub fn back_to_back(self, compressions: usize) -> u64 {
        match self.0 {
            #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
            Implementation::Instructions(instructions) => instructions.back_to_back(compressions),
            Implementation::Portable => Portable.back_to_back(compressions),
        }
    }

    /// [`expand`], computed this way.
    pub fn expand<'a, B>(
        self,
        reports: impl IntoIterator<Item = (usize, &'a Report)>,
        visit: impl FnMut(usize, RatchetIndex, TemporaryContactNumber) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self.0 {
            #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
            Implementation::Instructions(instructions) => run(instructions, reports, visit),
            Implementation::Portable => run(Portable, reports, visit),
        }
    }
}

/// Turns after which the numbers are passed on, at most. A visitor that looks numbers up
/// then waits for the memory of several at once, and not between two steps of SHA-256.
const STRETCH: usize = 64;

fn run<'a, W: Compute, B>(
    compute: W,
    reports: impl IntoIterator<Item = (usize, &'a Report)>,
    mut visit: impl FnMut(usize, RatchetIndex, TemporaryContactNumber) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut waiting = reports
        .into_iter()
        .filter_map(|(position, report)| Lane::new(compute, position, report));
    let mut lanes: Vec<_> = waiting.by_ref().take(W::LANES).collect();
    let mut stretch = [Numbers::default(); STRETCH];
    while !lanes.is_empty() {
        // As many turns as every lane has.
        let left = lanes.iter().map(|lane| usize::from(lane.left)).min();
        let numbers = &mut stretch[..left.unwrap_or_default().min(STRETCH)];
        compute.turns(&mut lanes, numbers);
        for (at, lane) in lanes.iter_mut().enumerate() {
            for numbers in &*numbers {
                let number = TemporaryContactNumber::from_bytes(numbers[at]);
                visit(lane.position, lane.index, number)?;
                lane.advance();
            }
        }
        lanes.retain_mut(|lane| lane.left > 0 || waiting.next().map(|next| *lane = next).is_some());
    }
    ControlFlow::Continue(())
}
