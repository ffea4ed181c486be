//! `tcnctl report inspect`: the content of a report file, offline.
//!
//! This command uses neither the daemon nor the network. A report may disclose 65535
//! numbers and a file may contain any number of reports. So each item is verified and
//! written when it is read, its numbers are computed while they are written, and no item
//! is kept.
//!
//! The JSON document is stable:
//! `{"reports":[{"valid","error","rvk","j1","j2","memo_type","memo","memo_reading","tcn_count","tcns"}]}`.
//! `error` is null when `valid`. For an item that could not be parsed, all fields but
//! these two are null. For a report with an invalid signature, the fields contain its
//! claims. `memo_reading` is for people, and null if the memo cannot be read. `tcns` is
//! present only on request, and null unless `valid`: numbers are computed only for
//! verified reports.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::ops::ControlFlow;
use std::path::Path;

use serde::ser::{Serialize, Serializer};
use tcn_protocol::file::{self, FileError, Item, ItemError, ItemPosition};
use tcn_protocol::{Report, ReportError};
use thiserror::Error;

use crate::error::{CliError, Exit};
use crate::hex::Hex;
use crate::memo;

/// Inspects a file and writes to standard output. Returns [`Exit::Done`] if every report
/// in the file is valid.
pub(crate) fn print_file(path: &Path, options: InspectOptions) -> Result<Exit, CliError> {
    let unreadable = |source| CliError::File {
        file: path.to_owned(),
        source,
    };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(unreadable)?)
    };
    match inspect(source, options, BufWriter::new(io::stdout().lock())) {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => Ok(Exit::Failed),
        Err(InspectError::File(FileError::Source(source))) => Err(unreadable(source)),
        Err(InspectError::File(error)) => Err(CliError::ReportFile(error)),
        Err(InspectError::Output(error)) => Err(CliError::Output(error)),
    }
}

/// Options of the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct InspectOptions {
    /// The JSON document instead of text for people.
    pub json: bool,
    /// Also the numbers of valid reports.
    pub expand: bool,
}

/// A report file could not be inspected.
#[derive(Debug, Error)]
pub enum InspectError {
    /// It is not a report file, or it ends within a report. Earlier findings are written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The findings could not be written.
    #[error("cannot write the findings")]
    Output(#[source] io::Error),
}

/// Reads and verifies the signed reports of `source` and writes the findings to `out`.
/// Returns whether every item is a report with a valid signature.
///
/// A reader of `out` that stops reading is not an error; the remaining items are then
/// verified without being written.
///
/// # Errors
/// [`InspectError`]; a single bad item is a finding, not an error.
pub fn inspect(
    source: impl Read,
    options: InspectOptions,
    out: impl io::Write,
) -> Result<bool, InspectError> {
    let mut findings = FindingWriter {
        out: Some(out),
        options,
        count: 0,
        all_valid: true,
    };
    let mut written = Ok(());
    let read = file::read(source, |place, item| {
        written = findings.add(place, &InspectedItem::of(item));
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    written
        .and_then(|()| findings.end())
        .map_err(InspectError::Output)?;
    read?;
    Ok(findings.all_valid)
}

/// The findings so far, of which only the last is not yet written.
struct FindingWriter<W> {
    /// `None` once the output has no reader.
    out: Option<W>,
    options: InspectOptions,
    count: u64,
    all_valid: bool,
}

impl<W: io::Write> FindingWriter<W> {
    fn add(&mut self, place: ItemPosition, finding: &InspectedItem) -> io::Result<()> {
        self.count += 1;
        self.all_valid &= finding.error().is_none();
        let (count, options) = (self.count, self.options);
        self.write(|out| {
            if options.json {
                out.write_all(if count == 1 { b"{\"reports\":[" } else { b"," })?;
                Ok(serde_json::to_writer(
                    out,
                    &ReportEntry::of(finding, options.expand),
                )?)
            } else {
                write_text(count, place, finding, options.expand, out)
            }
        })
    }

    /// Ends the document, if it was started.
    fn end(&mut self) -> io::Result<()> {
        let has_document = self.options.json && self.count > 0;
        self.write(|out| {
            if has_document {
                out.write_all(b"]}\n")?;
            }
            out.flush()
        })
    }

    fn write(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        match self.out.as_mut().map_or(Ok(()), write) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.out = None;
                Ok(())
            }
            written => written,
        }
    }
}

/// The finding for one item.
enum InspectedItem {
    Valid(Report),
    Unverified(Report, ReportError),
    Unreadable(ItemError),
}

impl InspectedItem {
    fn of(item: Item) -> Self {
        let signed = match item {
            Ok(signed) => signed,
            Err(error) => return Self::Unreadable(error),
        };
        let claim = signed.claim().clone();
        match signed.verify() {
            Ok(report) => Self::Valid(report),
            Err(error) => Self::Unverified(claim, error),
        }
    }

    fn error(&self) -> Option<&dyn Error> {
        match self {
            Self::Valid(_) => None,
            Self::Unverified(_, error) => Some(error),
            Self::Unreadable(error) => Some(error),
        }
    }

    /// The content of the report, verified or not.
    fn claim(&self) -> Option<&Report> {
        match self {
            Self::Valid(report) | Self::Unverified(report, _) => Some(report),
            Self::Unreadable(_) => None,
        }
    }

    fn verified(&self) -> Option<&Report> {
        match self {
            Self::Valid(report) => Some(report),
            Self::Unverified(..) | Self::Unreadable(_) => None,
        }
    }
}

/// Writes a finding for a person to read, one paragraph.
fn write_text(
    count: u64,
    place: ItemPosition,
    finding: &InspectedItem,
    expand: bool,
    out: &mut impl io::Write,
) -> io::Result<()> {
    match finding.error() {
        None => writeln!(out, "report {count}: valid")?,
        Some(error) => writeln!(
            out,
            "report {count} at {place}: INVALID: {}",
            printable::line(error)
        )?,
    }
    if let Some(report) = finding.claim() {
        write_claim(report, out)?;
    }
    for tcn in finding
        .verified()
        .filter(|_| expand)
        .into_iter()
        .flat_map(Report::temporary_contact_numbers)
    {
        writeln!(out, "    {}", Hex(tcn.as_bytes()))?;
    }
    Ok(())
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
    )?;
    match memo::reading(memo) {
        Some(reading) => writeln!(out, "  says     {}", printable::line(reading)),
        None => Ok(()),
    }
}

/// One element of `reports`, in the order of the document.
#[derive(serde::Serialize)]
struct ReportEntry<'a> {
    valid: bool,
    error: Option<String>,
    rvk: Option<Hex<'a>>,
    j1: Option<u16>,
    j2: Option<u16>,
    memo_type: Option<u8>,
    memo: Option<Hex<'a>>,
    memo_reading: Option<String>,
    tcn_count: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcns: Option<ReportNumbers<'a>>,
}

impl<'a> ReportEntry<'a> {
    fn of(finding: &'a InspectedItem, expand: bool) -> Self {
        let claim = finding.claim();
        Self {
            valid: finding.error().is_none(),
            error: finding.error().map(ToString::to_string),
            rvk: claim.map(|report| Hex(report.rvk().as_bytes())),
            j1: claim.map(|report| report.j1().get()),
            j2: claim.map(Report::j2),
            memo_type: claim.map(|report| report.memo().kind().get()),
            memo: claim.map(|report| Hex(report.memo().data())),
            memo_reading: claim.and_then(|report| memo::reading(report.memo())),
            tcn_count: claim.map(Report::count),
            tcns: expand.then_some(ReportNumbers(finding.verified())),
        }
    }
}

/// The numbers of a verified report, computed as they are written.
struct ReportNumbers<'a>(Option<&'a Report>);

impl Serialize for ReportNumbers<'_> {
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
