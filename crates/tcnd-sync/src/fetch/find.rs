//! Finds the document of an interval: on a server, a mirror, or in a folder.

use reqwest::{Client, Url};
use tcn_exchange::filter::Expected;
use tcn_exchange::source::{IntervalFormat, ServerUrl, SourceLocation};

use super::super::folder::{Folder, Found as FoundFile};
use super::super::http::{self, Answer, NoAnswer};
use super::super::memory::Validator;
use super::super::problem::Problem;
use super::super::unpack::Document;
use super::{Fetch, Stop, Turn};

/// The media types requested: JSON, and a stream of reports.
const JSON: &str = "application/json";
const STREAM: &str = "application/octet-stream";

/// An opened source, by its kind.
pub(super) enum Opened {
    CoepiV4(Client, ServerUrl),
    Mirror(Client, ServerUrl, Option<IntervalFormat>),
    Folder(Folder),
}

/// The result for an interval.
pub(super) enum Found {
    Document(FoundDocument),
    Unchanged,
    Absent,
    /// The server denies access, or answers with a web page. Whether that means that
    /// the document does not exist, only the rest of the source tells.
    Denied(Problem),
}

/// A document, and its metadata.
pub(super) struct FoundDocument {
    pub(super) document: Document,
    /// No more reports could be added to the interval when the document was made: our
    /// clock and the server's agree on that.
    pub(super) over: bool,
    pub(super) validator: Option<Validator>,
}

impl FoundDocument {
    /// A file in a folder. Its time is unknown: the file system has the time of the
    /// copy, by an unknown clock.
    pub(super) const fn in_folder(document: Document) -> Self {
        Self {
            document,
            over: false,
            validator: None,
        }
    }
}

impl Fetch<'_> {
    /// Opens the source for requests.
    pub(super) fn open(&self) -> Result<Opened, Problem> {
        let client = |server: &ServerUrl| http::client(server.url(), &self.source.limits);
        Ok(match &self.source.location {
            SourceLocation::CoepiV4(server) => Opened::CoepiV4(client(server)?, server.clone()),
            SourceLocation::Mirror(server) => Opened::Mirror(client(server)?, server.clone(), None),
            SourceLocation::Folder(path) => {
                Opened::Folder(Folder::open(path).map_err(|_| Problem::Unreadable)?)
            }
        })
    }

    /// The document of an interval.
    pub(super) async fn find(&mut self, opened: &mut Opened, turn: Turn) -> Result<Found, Stop> {
        match opened {
            Opened::CoepiV4(client, server) => {
                let url = server.coepi(turn.interval);
                match self.get(client, url, Expected::JsonArray, turn).await? {
                    // Its servers answer for every interval there may be.
                    Found::Absent => Err(Stop::Source(Problem::Refused(None))),
                    Found::Denied(problem) => Err(Stop::Source(problem)),
                    found @ (Found::Document(_) | Found::Unchanged) => Ok(found),
                }
            }
            Opened::Mirror(client, server, known) => {
                let mut denied = None;
                for (ending, expected) in [
                    (IntervalFormat::Tcn, Expected::Stream),
                    (IntervalFormat::Json, Expected::JsonArray),
                ] {
                    if known.is_some_and(|known| known != ending) {
                        continue;
                    }
                    let url = server.mirror(turn.interval, ending);
                    match self.get(client, url, expected, turn).await? {
                        Found::Absent => {}
                        Found::Denied(problem) => denied = Some(problem),
                        found @ (Found::Document(_) | Found::Unchanged) => {
                            *known = Some(ending);
                            return Ok(found);
                        }
                    }
                }
                Ok(denied.map_or(Found::Absent, Found::Denied))
            }
            Opened::Folder(folder) => {
                let found = folder.interval(turn.interval);
                let found = found.map_err(|_| Stop::Source(Problem::Unreadable))?;
                let Some((file, expected)) = found else {
                    return Ok(Found::Absent);
                };
                let document = self.document_of(file, expected)?;
                Ok(Found::Document(FoundDocument::in_folder(document)))
            }
        }
    }

    /// The document in a file of a folder.
    pub(super) fn document_of(
        &mut self,
        (file, length): FoundFile,
        expected: Expected,
    ) -> Result<Document, Stop> {
        let most = self.source.limits.max_bytes;
        let document = Document::of_file(file, length, most, expected);
        let document = document.map_err(|_| Stop::Source(Problem::Unreadable))?;
        self.bytes = self.bytes.saturating_sub(document.length);
        Ok(document)
    }

    /// Requests an interval from a server. The request is conditional only for an
    /// interval that is not over by our clock. The final version is fetched in any
    /// case, and an unchanged document never counts as whole.
    async fn get(
        &mut self,
        client: &Client,
        url: Url,
        expected: Expected,
        turn: Turn,
    ) -> Result<Found, Stop> {
        let address = url.to_string();
        let tag = self.remembered.tag(turn.interval, &address);
        let tag = tag.filter(|_| !turn.over);
        let accept = if expected == Expected::Stream {
            STREAM
        } else {
            JSON
        };
        let most = self.source.limits.max_bytes;
        let answer = http::get(client, url, accept, tag, most, self.directory).await;
        let time = answer.as_ref().ok().and_then(|(_, time)| *time);
        self.notice(time);
        let got = match answer {
            Ok((Answer::Document(got), _)) => got,
            Ok((Answer::Unchanged, _)) => return Ok(Found::Unchanged),
            Ok((Answer::Absent, _)) => return Ok(Found::Absent),
            Ok((Answer::Denied, _)) => return Ok(Found::Denied(Problem::Refused(None))),
            Ok((Answer::Page, _)) => return Ok(Found::Denied(Problem::WrongAnswer)),
            Err(NoAnswer::Source(problem)) => return Err(Stop::Source(problem)),
            Err(NoAnswer::Machine(fault)) => return Err(Stop::Run(fault)),
        };
        self.bytes = self.bytes.saturating_sub(got.bytes);
        if expected == Expected::Stream && !got.delimited && !got.is_part {
            return Err(Stop::Source(Problem::WrongAnswer));
        }
        let validator = got.tag.filter(|_| !turn.over).map(|tag| Validator {
            interval: turn.interval.number(),
            url: address,
            tag,
        });
        let document = Document {
            file: got.file,
            length: got.bytes,
            packing: got.packing,
            expected,
            is_part: got.is_part,
        };
        // By the server's clock, when it made the response. Without a `Date` this is
        // unknown.
        let over = turn.over && time.is_some_and(|time| turn.interval.is_over(time.made));
        Ok(Found::Document(FoundDocument {
            document,
            over,
            validator,
        }))
    }
}
