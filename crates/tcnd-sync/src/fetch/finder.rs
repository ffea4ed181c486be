//! Finds the document of an interval: on a server, a mirror, or in a folder.

use std::path::Path;

use reqwest::{Client, Url};
use tcn_exchange::filter::Expected;
use tcn_exchange::interval::Interval;
use tcn_exchange::source::{IntervalFormat, ServerUrl, Source, SourceLocation};
use tcn_protocol::file::Foreign;

use crate::clock;
use crate::date::ServerTime;
use crate::error::SyncError;
use crate::folder::{FileWithLength, Folder};
use crate::http::{self, FetchError, FetchResponse};
use crate::problem::Problem;
use crate::state::{SourceState, Validator};
use crate::unpack::{FetchedDocument, UnpackError};

/// The media types requested: JSON, and a stream of reports.
const JSON: &str = "application/json";
const STREAM: &str = "application/octet-stream";

/// An opened source, by its kind.
pub(super) enum OpenSource {
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
    pub(super) document: FetchedDocument,
    /// No more reports could be added to the interval when the document was made: our
    /// clock and the server's agree on that.
    pub(super) over: bool,
    pub(super) validator: Option<Validator>,
}

impl FoundDocument {
    /// A file in a folder. Its time is unknown: the file system has the time of the
    /// copy, by an unknown clock.
    pub(super) const fn in_folder(document: FetchedDocument) -> Self {
        Self {
            document,
            over: false,
            validator: None,
        }
    }
}

/// The interval to fetch.
#[derive(Clone, Copy)]
pub(super) struct IntervalRequest {
    pub(super) interval: Interval,
    /// Whether it was over by our clock when the request started.
    pub(super) over: bool,
}

/// Why an interval was not fetched.
pub(super) enum FetchStop {
    Source(Problem),
    /// A file of another kind.
    Foreign(Foreign),
    Run(SyncError),
}

impl From<SyncError> for FetchStop {
    fn from(error: SyncError) -> Self {
        Self::Run(error)
    }
}

impl From<UnpackError> for FetchStop {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Document(problem) => Self::Source(problem),
            UnpackError::Foreign(foreign) => Self::Foreign(foreign),
            UnpackError::Machine(error) => Self::Run(error),
        }
    }
}

/// Finds the documents of one source.
pub(super) struct Finder<'a> {
    pub(super) source: &'a Source,
    pub(super) directory: &'a Path,
    /// The state that the last run left, with changes of this run.
    pub(super) state: SourceState,
    /// How far the server's clock is ahead of the local clock, in seconds. It is taken
    /// from the freshest response, for a cache may have held others for long.
    pub(super) ahead: Option<i64>,
    /// Bytes that may still be fetched.
    pub(super) bytes: u64,
}

impl<'a> Finder<'a> {
    pub(super) fn new(source: &'a Source, directory: &'a Path, state: SourceState) -> Self {
        Self {
            source,
            directory,
            state,
            ahead: None,
            bytes: source.limits.run_bytes(),
        }
    }

    /// Opens the source for requests.
    pub(super) fn open(&self) -> Result<OpenSource, Problem> {
        let client = |server: &ServerUrl| http::client(server.url(), &self.source.limits);
        Ok(match &self.source.location {
            SourceLocation::CoepiV4(server) => OpenSource::CoepiV4(client(server)?, server.clone()),
            SourceLocation::Mirror(server) => {
                OpenSource::Mirror(client(server)?, server.clone(), None)
            }
            SourceLocation::Folder(path) => {
                OpenSource::Folder(Folder::open(path).map_err(|_| Problem::Unreadable)?)
            }
        })
    }

    /// The document of an interval.
    pub(super) async fn find(
        &mut self,
        opened: &mut OpenSource,
        request: IntervalRequest,
    ) -> Result<Found, FetchStop> {
        match opened {
            OpenSource::CoepiV4(client, server) => {
                let url = server.coepi(request.interval);
                match self.get(client, url, Expected::JsonArray, request).await? {
                    // Its servers answer for every interval there may be.
                    Found::Absent => Err(FetchStop::Source(Problem::Refused(None))),
                    Found::Denied(problem) => Err(FetchStop::Source(problem)),
                    found @ (Found::Document(_) | Found::Unchanged) => Ok(found),
                }
            }
            OpenSource::Mirror(client, server, known) => {
                let mut denied = None;
                for (ending, expected) in [
                    (IntervalFormat::Tcn, Expected::Stream),
                    (IntervalFormat::Json, Expected::JsonArray),
                ] {
                    if known.is_some_and(|known| known != ending) {
                        continue;
                    }
                    let url = server.mirror(request.interval, ending);
                    match self.get(client, url, expected, request).await? {
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
            OpenSource::Folder(folder) => {
                let found = folder.interval(request.interval);
                let found = found.map_err(|_| FetchStop::Source(Problem::Unreadable))?;
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
        (file, length): FileWithLength,
        expected: Expected,
    ) -> Result<FetchedDocument, FetchStop> {
        let most = self.source.limits.max_bytes;
        let document = FetchedDocument::of_file(file, length, most, expected);
        let document = document.map_err(|_| FetchStop::Source(Problem::Unreadable))?;
        self.bytes = self.bytes.saturating_sub(document.length);
        Ok(document)
    }

    /// Notes the clock of a server.
    fn notice(&mut self, time: Option<ServerTime>) {
        let ahead = time.map(|time| time.ahead_of(clock::now()));
        self.ahead = self.ahead.max(ahead);
    }

    /// Requests an interval from a server. The request is conditional only for an
    /// interval that is not over by our clock. The final version is fetched in any
    /// case, and an unchanged document never counts as whole.
    async fn get(
        &mut self,
        client: &Client,
        url: Url,
        expected: Expected,
        request: IntervalRequest,
    ) -> Result<Found, FetchStop> {
        let address = url.to_string();
        let tag = self.state.tag(request.interval, &address);
        let tag = tag.filter(|_| !request.over);
        let accept = if expected == Expected::Stream {
            STREAM
        } else {
            JSON
        };
        let most = self.source.limits.max_bytes;
        let response = http::get(client, url, accept, tag, most, self.directory).await;
        let time = response.as_ref().ok().and_then(|(_, time)| *time);
        self.notice(time);
        let download = match response {
            Ok((FetchResponse::Document(download), _)) => download,
            Ok((FetchResponse::Unchanged, _)) => return Ok(Found::Unchanged),
            Ok((FetchResponse::Absent, _)) => return Ok(Found::Absent),
            Ok((FetchResponse::Denied, _)) => return Ok(Found::Denied(Problem::Refused(None))),
            Ok((FetchResponse::Page, _)) => return Ok(Found::Denied(Problem::WrongAnswer)),
            Err(FetchError::Source(problem)) => return Err(FetchStop::Source(problem)),
            Err(FetchError::Machine(error)) => return Err(FetchStop::Run(error)),
        };
        self.bytes = self.bytes.saturating_sub(download.bytes);
        if expected == Expected::Stream && !download.delimited && !download.is_part {
            return Err(FetchStop::Source(Problem::WrongAnswer));
        }
        let validator = download.tag.filter(|_| !request.over).map(|tag| Validator {
            interval: request.interval.number(),
            url: address,
            tag,
        });
        let document = FetchedDocument {
            file: download.file,
            length: download.bytes,
            encoding: download.encoding,
            expected,
            is_part: download.is_part,
        };
        // By the server's clock, when it made the response. Without a `Date` this is
        // unknown.
        let over = request.over && time.is_some_and(|time| request.interval.is_over(time.made));
        Ok(Found::Document(FoundDocument {
            document,
            over,
            validator,
        }))
    }
}
