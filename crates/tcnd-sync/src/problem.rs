//! Problems of a source, each with one token.

use std::time::Duration;

/// Why a source, or one of its intervals, was not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// No connection.
    Unreachable,
    /// No data, or no complete response, in time.
    TimedOut,
    /// No trusted certificate proves the server's identity.
    TlsFailed,
    /// A status that is an error, and how long the server asked the client to wait.
    Refused(Option<Duration>),
    /// A response that is not a document of reports, or breaks off.
    WrongAnswer,
    /// More bytes, or more work, than the limits of a source.
    TooLarge,
    /// Its clock and ours differ, so that no interval counts as whole.
    ClockDiffers,
    /// A folder that cannot be read or written.
    Unreadable,
    /// tcnd could not accept it now.
    Busy,
}

impl Problem {
    /// The token on the bus and in the log.
    pub(super) const fn token(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed-out",
            Self::TlsFailed => "tls-failed",
            Self::Refused(_) => "refused",
            Self::WrongAnswer => "wrong-answer",
            Self::TooLarge => "too-large",
            Self::ClockDiffers => "clock-differs",
            Self::Unreadable => "unreadable",
            Self::Busy => "busy",
        }
    }

    /// What to do about it.
    pub(super) const fn cure(self) -> &'static str {
        match self {
            Self::Unreachable => "not reached; check the network, the proxy and url",
            Self::TimedOut => "took too long; raise timeout if the connection is slow",
            Self::TlsFailed => {
                "its certificate is not trusted; check the clock, and the package ca-certificates"
            }
            Self::Refused(_) => "the server does not answer with reports; check url",
            Self::WrongAnswer => "not a complete document of reports; check url and kind",
            Self::TooLarge => "over its limits; raise max_bytes or budget, or ignore it",
            Self::ClockDiffers => {
                "its clock and this machine's are more than ten minutes apart; check this machine's \
                 first (timedatectl), then ask the operator of the server"
            }
            Self::Unreadable => "cannot be used; check path and its permissions",
            Self::Busy => "tcnd was busy; the next run tries again",
        }
    }

    /// Whether the rest of the source would fail too in this run.
    pub(super) const fn ends_the_source(self) -> bool {
        match self {
            Self::Unreachable | Self::TimedOut | Self::TlsFailed | Self::Busy => true,
            Self::Refused(wait) => wait.is_some(),
            Self::WrongAnswer | Self::TooLarge | Self::ClockDiffers | Self::Unreadable => false,
        }
    }
}
