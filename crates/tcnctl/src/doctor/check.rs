//! The result of one check of `tcnctl doctor`.

use serde::Serialize;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DoctorCheck {
    /// A stable token.
    pub(crate) name: &'static str,
    pub(crate) verdict: CheckVerdict,
    /// The finding, for people.
    pub(crate) found: String,
    /// The remedy; present with every warning and failure.
    pub(crate) cure: Option<String>,
}

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CheckVerdict {
    /// No fault.
    Ok,
    /// tcnd works, but the user should know this.
    Warn,
    /// tcnd does not work, or only in part.
    Fail,
    /// It could not be found out.
    Unchecked,
}

impl DoctorCheck {
    pub(crate) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: CheckVerdict::Ok,
            found: found.into(),
            cure: None,
        }
    }

    pub(crate) fn warn(
        name: &'static str,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            verdict: CheckVerdict::Warn,
            cure: Some(cure.into()),
            ..Self::ok(name, found)
        }
    }

    pub(crate) fn fail(
        name: &'static str,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            verdict: CheckVerdict::Fail,
            ..Self::warn(name, found, cure)
        }
    }

    pub(crate) fn unchecked(name: &'static str, why: impl Into<String>) -> Self {
        Self {
            verdict: CheckVerdict::Unchecked,
            ..Self::ok(name, why)
        }
    }

    pub(crate) fn render(&self) -> String {
        let mark = match self.verdict {
            CheckVerdict::Ok => "ok",
            CheckVerdict::Warn => "warn",
            CheckVerdict::Fail => "FAIL",
            CheckVerdict::Unchecked => "-",
        };
        let mut text = format!("{mark:<5} {:<14} {}\n", self.name, self.found);
        if let Some(cure) = &self.cure {
            text.push_str(&format!("{:<21}cure: {cure}\n", ""));
        }
        text
    }
}
