//! The format of a record, one file for each controller below /run/tcnd-rpa-timeout,
//! which only root writes:
//!
//! ```text
//! timeout=60
//! certain_from=1234
//! node=5678
//! ```
//!
//! `timeout` and `certain_from` are in seconds, the latter by the clock that stops
//! during suspend (`CLOCK_MONOTONIC`). A file in any other format says nothing.

use std::fmt;
use std::time::Duration;

use super::timeout::SHORTEST;

/// The result of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The timeout that the kernel and the controller have.
    pub timeout: Duration,
    /// Addresses that were made before may live until then.
    pub certain_from: Duration,
    /// The controller, by its node in sysfs.
    pub node: u64,
}

/// What is known of the addresses that a controller makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// How long the controller uses one address.
    pub timeout: Duration,
    /// After this time, no address made before is still in use.
    pub certain_in: Duration,
}

impl Record {
    /// The record of this text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        const LONGEST: Duration = Duration::from_secs(86_400);
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let timeout = Duration::from_secs(number(lines.next()?, "timeout=")?);
        let record = Self {
            timeout,
            certain_from: Duration::from_secs(number(lines.next()?, "certain_from=")?),
            node: number(lines.next()?, "node=")?,
        };
        let is_one = lines.next().is_none() && (SHORTEST..=LONGEST).contains(&timeout);
        is_one.then_some(record)
    }

    pub(super) fn known(self, now: Duration) -> Known {
        Known {
            timeout: self.timeout,
            certain_in: self.certain_from.saturating_sub(now),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "timeout={}", self.timeout.as_secs())?;
        writeln!(f, "certain_from={}", self.certain_from.as_secs())?;
        writeln!(f, "node={}", self.node)
    }
}

fn number(line: &str, name: &str) -> Option<u64> {
    let digits = line.strip_prefix(name)?;
    let number: u64 = digits.parse().ok()?;
    // Neither a sign nor leading zeros.
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORD: Record = Record {
        timeout: Duration::from_secs(60),
        certain_from: Duration::from_secs(1234),
        node: 5678,
    };

    #[test]
    fn a_record_is_three_lines() {
        let text = "timeout=60\ncertain_from=1234\nnode=5678\n";
        assert_eq!(RECORD.to_string(), text);
        assert_eq!(Record::parse(text), Some(RECORD));
    }

    #[test]
    fn what_is_not_to_the_letter_says_nothing() {
        for text in [
            "",
            "60\n",
            "timeout=60\n",
            "timeout=60\ncertain_from=1234\nnode=5678",
            "timeout=60\ncertain_from=1234\nnode=5678\n\n",
            "timeout=60\ncertain_from=1234\nnode=5678\nmore=1\n",
            "certain_from=1234\ntimeout=60\nnode=5678\n",
            "timeout=60 \ncertain_from=1234\nnode=5678\n",
            "timeout=+60\ncertain_from=1234\nnode=5678\n",
            "timeout=060\ncertain_from=1234\nnode=5678\n",
            "timeout=60\ncertain_from=-1\nnode=5678\n",
            "timeout=60\r\ncertain_from=1234\r\nnode=5678\r\n",
            // The kernel accepts none of these.
            "timeout=0\ncertain_from=1234\nnode=5678\n",
            "timeout=29\ncertain_from=1234\nnode=5678\n",
            "timeout=86401\ncertain_from=1234\nnode=5678\n",
            "timeout=99999999999999999999\ncertain_from=1\nnode=5678\n",
        ] {
            assert_eq!(Record::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn it_is_certain_when_its_time_has_come() {
        let secs = Duration::from_secs;
        assert_eq!(RECORD.known(secs(1200)).certain_in, secs(34));
        assert_eq!(RECORD.known(secs(1300)).certain_in, secs(0));
    }

    proptest! {
        #[test]
        fn every_record_is_read_back(timeout in 30_u64..=86_400, certain: u64, node: u64) {
            let record = Record {
                timeout: Duration::from_secs(timeout),
                certain_from: Duration::from_secs(certain),
                node,
            };
            prop_assert_eq!(Record::parse(&record.to_string()), Some(record));
        }

        #[test]
        fn no_text_is_too_wild(text: String) {
            let _ = Record::parse(&text);
        }
    }
}
