//! Expansion of many reports at once.
//!
//! A number costs three compressions of SHA-256, two for `H_tck` and one for `H_tcn`.
//! Inside a report each waits for the one before; reports do not wait for each other.
//! So four reports are expanded side by side, each in a lane. When a report ends, the
//! next takes its lane.
//!
//! The numbers are those of `Report::temporary_contact_numbers`, which is the readable
//! form.
//!
//! Spec: TCN 6b64d09, README "Key Derivation"; FIPS 180-4, 5.1.1 and 5.3.3.

use std::ops::ControlFlow;

use tcn_protocol::{RatchetIndex, Report, TemporaryContactNumber};

#[cfg(target_arch = "x86_64")]
use super::lanes::ShaNi;
use super::lanes::{ABREAST, Compute, Lane, Portable};

/// Passes every number that `reports` disclose to `visit`, each with the position given
/// with its report and its index; in order within a report, mixed between reports. Ends
/// early when `visit` breaks, with its reason.
///
/// Reports are drawn from `reports` as lanes become free, at most four ahead.
pub fn expand<'a, B>(
    reports: impl IntoIterator<Item = (usize, &'a Report)>,
    visit: impl FnMut(usize, RatchetIndex, TemporaryContactNumber) -> ControlFlow<B>,
) -> ControlFlow<B> {
    ShaKernel::best().expand(reports, visit)
}

/// A way to compute numbers. All give the same numbers in the same order. They differ
/// in speed and in the processor features they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShaKernel(Way);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    #[cfg(target_arch = "x86_64")]
    ShaNi(ShaNi),
    Portable,
}

impl ShaKernel {
    /// The kernel for every processor.
    pub const PORTABLE: Self = Self(Way::Portable);

    /// All kernels that this processor can run, the fastest first,
    /// [`ShaKernel::PORTABLE`] last.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = ShaNi::detect().map(Way::ShaNi);
        #[cfg(not(target_arch = "x86_64"))]
        let special = None;
        special.into_iter().chain([Way::Portable]).map(Self)
    }

    /// The fastest kernel here. In a build without optimisation that is the portable
    /// one, by far: it spends its time in `sha2`, which is always optimised.
    pub fn best() -> Self {
        let optimised = !cfg!(debug_assertions);
        let fit = |kernel: &Self| optimised || *kernel == Self::PORTABLE;
        Self::all().find(fit).unwrap_or(Self::PORTABLE)
    }

    /// `"sha-ni"` or `"portable"`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::ShaNi(_) => "sha-ni",
            Way::Portable => "portable",
        }
    }

    /// [`expand`], computed this way.
    pub fn expand<'a, B>(
        self,
        reports: impl IntoIterator<Item = (usize, &'a Report)>,
        visit: impl FnMut(usize, RatchetIndex, TemporaryContactNumber) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::ShaNi(way) => run(way, reports, visit),
            Way::Portable => run(Portable, reports, visit),
        }
    }
}

fn run<'a, B>(
    way: impl Compute,
    reports: impl IntoIterator<Item = (usize, &'a Report)>,
    mut visit: impl FnMut(usize, RatchetIndex, TemporaryContactNumber) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut waiting = reports
        .into_iter()
        .filter_map(|(position, report)| Lane::new(way, position, report));
    let mut lanes: Vec<_> = waiting.by_ref().take(ABREAST).collect();
    while !lanes.is_empty() {
        let numbers = way.numbers(&mut lanes);
        for (lane, number) in lanes.iter().zip(numbers) {
            visit(lane.position, lane.index, number)?;
        }
        lanes.retain_mut(|lane| lane.go_on() || waiting.next().map(|next| *lane = next).is_some());
    }
    ControlFlow::Continue(())
}
