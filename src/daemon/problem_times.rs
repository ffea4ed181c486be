//! Since when each problem lasts.
//!
//! Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use tcn_engine::Moment;
use tcn_protocol::UnixTime;
use tcnd_client::Problem;

use super::clock;

/// What is known of a problem besides its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemDetails {
    /// The error that the system gave, such as that of BlueZ; empty if it gave none. At
    /// most 256 bytes, and not made for programs.
    pub detail: String,
    /// Since when the problem lasts, no longer than this process.
    pub since: UnixTime,
}

/// When each current problem began.
#[derive(Debug, Default)]
pub(super) struct ProblemTimes(BTreeMap<Problem, (Duration, UnixTime)>);

impl ProblemTimes {
    /// Adds to each of the current problems since when it lasts, the same each time.
    pub(super) fn date(
        &mut self,
        problems: BTreeMap<Problem, String>,
        now: Moment,
    ) -> BTreeMap<Problem, ProblemDetails> {
        self.0.retain(|problem, _| problems.contains_key(problem));
        let dated = problems.into_iter().map(|(problem, detail)| {
            let (_, since) = *self.0.entry(problem).or_insert((now.boot, now.wall));
            (problem, ProblemDetails { detail, since })
        });
        dated.collect()
    }

    /// The wall clock was set: says the times by the new one.
    pub(super) fn redate(&mut self, now: Moment) {
        for (boot, wall) in self.0.values_mut() {
            *wall = clock::wall_at(now, *boot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_time_when_it_began() {
        let at = |boot, wall| Moment::new(Duration::from_secs(boot), UnixTime(wall));
        let is = |problem| BTreeMap::from([(problem, "why".to_owned())]);
        let mut times = ProblemTimes::default();
        let mut since = |problem, now| {
            let dated = times.date(is(problem), now);
            assert_eq!(dated[&problem].detail, "why");
            dated[&problem].since.0
        };
        assert_eq!(since(Problem::ScanFailed, at(1000, 50)), 50);
        assert_eq!(since(Problem::ScanFailed, at(1010, 60)), 50);
        assert_eq!(since(Problem::AdapterOff, at(1020, 70)), 70);
        assert_eq!(since(Problem::ScanFailed, at(1030, 80)), 80, "it went");
        times.redate(at(1040, 2_000_000_000));
        let dated = times.date(is(Problem::ScanFailed), at(1041, 2_000_000_001));
        assert_eq!(dated[&Problem::ScanFailed].since.0, 1_999_999_990);
    }
}
