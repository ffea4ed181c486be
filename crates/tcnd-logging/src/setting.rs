//! The settings of a log that can change while it runs, in the terms of LogControl1(5).

/// The levels of syslog(3), most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `emerg`
    Emergency,
    /// `alert`
    Alert,
    /// `crit`
    Critical,
    /// `err`
    Error,
    /// `warning`
    Warning,
    /// `notice`
    Notice,
    /// `info`
    Info,
    /// `debug`
    Debug,
}

impl LogLevel {
    /// All of them, most important first.
    pub const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// Its token in LogControl1(5).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Emergency => "emerg",
            Self::Alert => "alert",
            Self::Critical => "crit",
            Self::Error => "err",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The target of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error.
    Console,
    /// The systemd journal.
    Journal,
}

impl LogTarget {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Console, Self::Journal];

    /// Its token in LogControl1(5).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Journal => "journal",
        }
    }
}
