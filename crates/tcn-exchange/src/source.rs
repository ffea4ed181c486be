//! Sources: servers, mirrors and folders that reports come from, and may be sent to.
//!
//! The owner decides whom to trust, for each source by itself: which memo types are taken
//! from it, how much work and how many bytes it may cost, and whether the owner's reports
//! may be published there. This module does not talk to a source. The types check their
//! values when they are made, so no value exists unchecked.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tcn_matching::cost;
use tcn_protocol::MemoType;
use thiserror::Error;
use url::{Host, Url};

use super::help::Help;
use super::interval::Interval;

/// A source, as the owner configured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name in the configuration.
    pub name: SourceName,
    /// Where it is.
    pub location: SourceLocation,
    /// The name that people see beside an exposure.
    pub label: String,
    /// Where people find help who see it beside an exposure.
    pub help: Help,
    /// The memo types taken from it.
    pub memo_types: MemoTypes,
    /// Whether the owner's reports may be published there.
    pub publish: bool,
    /// Bounds on what it may cost.
    pub limits: Limits,
}

/// Bounds on what a source may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What its documents may cost in one run, in units of [`cost`].
    pub budget: u64,
    /// Bytes of one interval as they are sent, and of its reports as they are passed on.
    pub max_bytes: u64,
    /// How long it may take to connect, and how long it may send nothing.
    pub timeout: Duration,
}

impl Limits {
    /// How many [`timeout`](Self::timeout)s one answer may take from first to last byte,
    /// which also bounds a server that sends byte by byte.
    const TIMEOUTS_AN_ANSWER: u32 = 20;

    /// How many times [`max_bytes`](Self::max_bytes) one run may fetch.
    const INTERVALS_WORTH: u64 = 8;

    /// How many times [`max_bytes`](Self::max_bytes) is read of one decoded document:
    /// text may be longer than the reports in it.
    const UNPACKED_WORTH: u64 = 8;

    /// How many times [`max_bytes`](Self::max_bytes) one run may decode.
    const RUN_UNPACKED_WORTH: u64 = 64;

    /// How long one answer may take.
    pub fn longest_answer(&self) -> Duration {
        self.timeout * Self::TIMEOUTS_AN_ANSWER
    }

    /// Bytes that one run may fetch; the rest waits for the next run.
    pub const fn run_bytes(&self) -> u64 {
        self.max_bytes.saturating_mul(Self::INTERVALS_WORTH)
    }

    /// Bytes of one decoded document that are read.
    pub const fn unpacked_bytes(&self) -> u64 {
        self.max_bytes.saturating_mul(Self::UNPACKED_WORTH)
    }

    /// Bytes of decoded documents that one run may read.
    pub const fn run_unpacked_bytes(&self) -> u64 {
        self.max_bytes.saturating_mul(Self::RUN_UNPACKED_WORTH)
    }
}

impl Default for Limits {
    /// As much work as tcnd gives any source, and enough bytes for an interval of a
    /// country of ten million.
    fn default() -> Self {
        Self {
            budget: cost::BUDGET,
            max_bytes: 64 << 20,
            timeout: Duration::from_secs(30),
        }
    }
}

/// The name of a source: a token, since it appears in logs and on the bus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName(String);

/// The text is not a valid name of a source.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("use 1 to 64 of a-z, 0-9 and -, the first one no -")]
pub struct InvalidSourceName;

impl SourceName {
    /// Longest name, in bytes.
    pub const LONGEST: usize = 64;

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = InvalidSourceName;

    fn from_str(text: &str) -> Result<Self, InvalidSourceName> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let valid = (1..=Self::LONGEST).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(fits);
        valid
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidSourceName)
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a source is, and which protocol it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceLocation {
    /// A server that speaks CoEpi's API, version 4.
    CoepiV4(ServerUrl),
    /// Intervals as files behind any web server or cache.
    Mirror(ServerUrl),
    /// A directory of this machine, such as a USB stick that people pass on.
    Folder(PathBuf),
}

/// The path of the folder in a mirror that holds finished intervals.
pub const MIRROR_PATH: [&str; 2] = ["tcnreport", "21600"];

/// The file format of an interval in a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalFormat {
    /// Signed reports one after another.
    Tcn,
    /// An array of base64 strings.
    Json,
}

impl IntervalFormat {
    /// The extension of its file name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Tcn => "tcn",
            Self::Json => "json",
        }
    }

    /// The file name of an interval.
    pub fn file_name(self, interval: Interval) -> String {
        format!("{interval}.{}", self.extension())
    }
}

/// The address of a server that may be contacted: https, or http where no third party is
/// on the way or the owner allowed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(Url);

/// The address may not be used for a server.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ServerUrlError {
    /// It cannot be parsed.
    #[error("not an address; write it like \"https://reports.example.org/v4/tcnreport/0.4.0\"")]
    Malformed,
    /// Neither https nor http.
    #[error("only https, and http where it is allowed; a directory is kind \"folder\" with path")]
    Scheme,
    /// http over a network, and not allowed.
    #[error(
        "everyone on the path can read and change http traffic; use https, or set \
         allow_http = true"
    )]
    Http,
    /// It has a user name or password.
    #[error("remove the user name and the password: they would identify the client")]
    Credentials,
    /// It has `?` or `#`.
    #[error("remove ? or # and the text after it: the program adds the query")]
    Query,
}

impl ServerUrl {
    /// Parses and checks an address.
    ///
    /// # Errors
    /// A [`ServerUrlError`], whose text names the cure.
    pub fn new(text: &str, allow_http: bool) -> Result<Self, ServerUrlError> {
        let url = Url::parse(text).map_err(|_| ServerUrlError::Malformed)?;
        let host = match url.scheme() {
            "https" | "http" => url.host().ok_or(ServerUrlError::Malformed)?,
            _ => return Err(ServerUrlError::Scheme),
        };
        if url.scheme() == "http" && !allow_http && !is_private(&host) {
            return Err(ServerUrlError::Http);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ServerUrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ServerUrlError::Query);
        }
        Ok(Self(url))
    }

    /// The address itself.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The URL at which CoEpi's API serves this interval.
    pub fn coepi(&self, interval: Interval) -> Url {
        let mut url = self.0.clone();
        url.query_pairs_mut()
            .append_pair("intervalNumber", &interval.to_string())
            .append_pair("intervalLength", &Interval::SECONDS.to_string());
        url
    }

    /// The URL at which a mirror has this interval.
    pub fn mirror(&self, interval: Interval, format: IntervalFormat) -> Url {
        let mut url = self.0.clone();
        // A URL with a host has a path that can be extended.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(MIRROR_PATH)
                .push(&format.file_name(interval));
        }
        url
    }
}

/// Whether traffic to this host stays on the machine, or is encrypted by the network
/// (RFC 7686).
fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => Ipv4Addr::is_loopback(address),
        Host::Ipv6(address) => Ipv6Addr::is_loopback(address),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost") || name.ends_with(".onion")
        }
    }
}

/// A set of memo types.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MemoTypes([u64; 4]);

impl MemoTypes {
    /// Every possible type.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// None at all.
    pub const NONE: Self = Self([0; 4]);

    /// The set with this type added.
    #[must_use]
    pub const fn with(mut self, kind: MemoType) -> Self {
        let byte = kind.get();
        self.0[byte as usize / 64] |= 1 << (byte % 64);
        self
    }

    /// Whether `kind` is one of them.
    pub const fn contains(&self, kind: MemoType) -> bool {
        let byte = kind.get();
        self.0[byte as usize / 64] & (1 << (byte % 64)) != 0
    }
}

impl fmt::Debug for MemoTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("MemoTypes::ALL");
        }
        let types = (0..=u8::MAX).filter(|byte| self.contains(MemoType::new(*byte)));
        f.debug_set().entries(types).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Result<ServerUrl, ServerUrlError> {
        ServerUrl::new(text, false)
    }

    #[test]
    fn a_name_is_a_token() {
        for name in ["a", "example-1", &"a".repeat(64)] {
            assert_eq!(name.parse::<SourceName>().unwrap().as_str(), name);
        }
        for name in ["", "-a", "A", "a b", "ä", "a/b", "a\n", &"a".repeat(65)] {
            assert_eq!(
                name.parse::<SourceName>(),
                Err(InvalidSourceName),
                "{name:?}"
            );
        }
    }

    #[test]
    fn http_is_for_where_nobody_is_on_the_way() {
        for text in [
            "https://example.org",
            "http://localhost:8080/x",
            "http://127.0.0.9/",
            "http://[::1]:80/",
            "http://abc.onion/v4",
        ] {
            url(text).unwrap();
        }
        for text in [
            "http://example.org",
            "http://10.0.0.1/",
            "http://onion/",
            "http://localhost.example.org/",
        ] {
            assert_eq!(url(text), Err(ServerUrlError::Http), "{text}");
            ServerUrl::new(text, true).unwrap();
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for (text, flaw) in [
            ("", ServerUrlError::Malformed),
            ("reports.example.org", ServerUrlError::Malformed),
            ("file:///etc/passwd", ServerUrlError::Scheme),
            ("ftp://example.org", ServerUrlError::Scheme),
            ("https://me@example.org", ServerUrlError::Credentials),
            ("https://:pw@example.org", ServerUrlError::Credentials),
            ("https://example.org/?a=b", ServerUrlError::Query),
            ("https://example.org/#a", ServerUrlError::Query),
        ] {
            assert_eq!(url(text), Err(flaw), "{text}");
        }
    }

    #[test]
    fn intervals_are_asked_for_as_the_servers_expect() {
        let interval = Interval::new(74_359).unwrap();
        let server = url("https://example.org/v4/tcnreport/0.4.0").unwrap();
        assert_eq!(
            server.coepi(interval).as_str(),
            "https://example.org/v4/tcnreport/0.4.0?intervalNumber=74359&intervalLength=21600"
        );
        for base in ["https://example.org/m", "https://example.org/m/"] {
            assert_eq!(
                url(base)
                    .unwrap()
                    .mirror(interval, IntervalFormat::Tcn)
                    .as_str(),
                "https://example.org/m/tcnreport/21600/74359.tcn"
            );
        }
        let root = url("https://example.org").unwrap();
        assert_eq!(
            root.mirror(interval, IntervalFormat::Json).as_str(),
            "https://example.org/tcnreport/21600/74359.json"
        );
    }

    proptest! {
        #[test]
        fn a_set_of_types_holds_what_was_put_in(bytes in proptest::collection::btree_set(any::<u8>(), 0..20)) {
            let set = bytes.iter().fold(MemoTypes::NONE, |set, byte| set.with(MemoType::new(*byte)));
            for byte in 0..=u8::MAX {
                prop_assert_eq!(set.contains(MemoType::new(byte)), bytes.contains(&byte));
                prop_assert!(MemoTypes::ALL.contains(MemoType::new(byte)));
            }
        }

        #[test]
        fn no_address_panics(text in ".{0,80}") {
            let _ = url(&text);
        }
    }
}
