//! `tcnctl report inspect`: what is in a report file, offline.
//!
//! Nothing here asks the daemon or the network: bytes in, findings out. A
//! report may disclose 65535 numbers and a file may hold half a million
//! reports, so numbers are computed while they are written and never stand in
//! memory together.
//!
//! The JSON document is stable:
//! `{"reports":[{"valid","error","rvk","j1","j2","memo_type","memo","tcn_count","tcns"}]}`.
//! `error` is null when `valid`. Of an item that could not be read at all,
//! everything but these two is null. Of a report whose signature does not
//! hold, the fields are what it claims. `tcns` is there only on request, and
//! null unless `valid`: numbers are computed of verified reports alone.

use std::error::Error;
use std::fmt;
use std::io;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::exchange::file::{self, FileError, Item, ItemError};
use crate::protocol::{Report, ReportError};

/// What was found in a report file.
#[derive(Debug)]
pub struct Inspection {
    findings: Vec<Finding>,
    expand: bool,
}

/// What was found of one item.
#[derive(Debug)]
enum Finding {
    Valid(Report),
    Forged(Report, ReportError),
    Unreadable(ItemError),
}

/// Reads, verifies and, if `expand`, expands the signed reports in `input`.
///
/// # Errors
/// [`FileError`] if `input` is no report file as a whole; a single bad item is
/// a finding and no error.
pub fn inspect(input: &[u8], expand: bool) -> Result<Inspection, FileError> {
    let findings = file::read(input)?
        .items
        .into_iter()
        .map(Finding::of)
        .collect();
    Ok(Inspection { findings, expand })
}

impl Inspection {
    /// Whether every item is a report whose signature holds.
    pub fn all_valid(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| matches!(finding, Finding::Valid(_)))
    }

    /// Writes the findings for a person to read, one paragraph an item.
    ///
    /// # Errors
    /// Whatever `out` answers.
    pub fn write_text(&self, out: &mut impl io::Write) -> io::Result<()> {
        for (number, finding) in (1..).zip(&self.findings) {
            match finding.error() {
                None => writeln!(out, "report {number}: valid")?,
                Some(error) => writeln!(out, "report {number}: INVALID: {error}")?,
            }
            if let Some(report) = finding.claim() {
                write_claim(report, out)?;
            }
            for tcn in finding
                .verified()
                .filter(|_| self.expand)
                .into_iter()
                .flat_map(Report::temporary_contact_numbers)
            {
                writeln!(out, "    {}", Hex(tcn.as_bytes()))?;
            }
        }
        Ok(())
    }
}

impl Finding {
    fn of(item: Item) -> Self {
        let signed = match item {
            Ok(signed) => signed,
            Err(error) => return Self::Unreadable(error),
        };
        let claim = signed.claim().clone();
        match signed.verify() {
            Ok(report) => Self::Valid(report),
            Err(error) => Self::Forged(claim, error),
        }
    }

    fn error(&self) -> Option<&dyn Error> {
        match self {
            Self::Valid(_) => None,
            Self::Forged(_, error) => Some(error),
            Self::Unreadable(error) => Some(error),
        }
    }

    /// What the report says, verified or not.
    fn claim(&self) -> Option<&Report> {
        match self {
            Self::Valid(report) | Self::Forged(report, _) => Some(report),
            Self::Unreadable(_) => None,
        }
    }

    fn verified(&self) -> Option<&Report> {
        match self {
            Self::Valid(report) => Some(report),
            Self::Forged(..) | Self::Unreadable(_) => None,
        }
    }
}

fn write_claim(report: &Report, out: &mut impl io::Write) -> io::Result<()> {
    let (rvk, memo) = (report.rvk(), report.memo());
    writeln!(out, "  key      {}", Hex(rvk.as_bytes()))?;
    writeln!(
        out,
        "  numbers  {} to {}, {} in all",
        report.j1(),
        report.j2(),
        report.count()
    )?;
    let kind = memo.kind();
    writeln!(
        out,
        "  memo     type {} ({}), {} bytes {}",
        kind.get(),
        kind.name().unwrap_or("unknown"),
        memo.data().len(),
        Hex(memo.data())
    )
}

impl Serialize for Inspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Inspection", 1)?;
        document.serialize_field("reports", &Entries(self))?;
        document.end()
    }
}

struct Entries<'a>(&'a Inspection);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Inspection { findings, expand } = self.0;
        serializer.collect_seq(findings.iter().map(|finding| Entry::of(finding, *expand)))
    }
}

/// One element of `reports`, in the order of the document.
#[derive(serde::Serialize)]
struct Entry<'a> {
    valid: bool,
    error: Option<String>,
    rvk: Option<Hex<'a>>,
    j1: Option<u16>,
    j2: Option<u16>,
    memo_type: Option<u8>,
    memo: Option<Hex<'a>>,
    tcn_count: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcns: Option<Numbers<'a>>,
}

impl<'a> Entry<'a> {
    fn of(finding: &'a Finding, expand: bool) -> Self {
        let claim = finding.claim();
        Self {
            valid: finding.error().is_none(),
            error: finding.error().map(ToString::to_string),
            rvk: claim.map(|report| Hex(report.rvk().as_bytes())),
            j1: claim.map(|report| report.j1().get()),
            j2: claim.map(Report::j2),
            memo_type: claim.map(|report| report.memo().kind().get()),
            memo: claim.map(|report| Hex(report.memo().data())),
            tcn_count: claim.map(Report::count),
            tcns: expand.then_some(Numbers(finding.verified())),
        }
    }
}

/// The numbers of a verified report, computed as they are written.
struct Numbers<'a>(Option<&'a Report>);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_none(),
            Some(report) => serializer.collect_seq(
                report
                    .temporary_contact_numbers()
                    .map(|tcn| Hex(tcn.as_bytes()).to_string()),
            ),
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
