//! The representations of an interval, and which one a client prefers.
//!
//! | representation | content | media type |
//! |---|---|---|
//! | JSON | an array of padded base64 strings, as CoEpi's servers answer | `application/json` |
//! | TCN | signed reports one after another | `application/octet-stream` |
//!
//! JSON is also stored as gzip and zstd. Compressed JSON is shorter than the stream:
//! a quarter of base64 is redundant, and memos resemble each other. The stream is sent
//! uncompressed, for clients that cannot decompress. Headers are read by RFC 9110,
//! 12.5; elements that cannot be parsed are ignored.

/// One representation of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Representation {
    /// The array.
    Json,
    /// The array in gzip.
    JsonGzip,
    /// The array in zstd.
    JsonZstd,
    /// The stream.
    Tcn,
}

impl Representation {
    /// All representations.
    pub(super) const ALL: [Self; 4] = [Self::Json, Self::JsonGzip, Self::JsonZstd, Self::Tcn];

    /// The ending of its file name, after the interval's number.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Json => ".json",
            Self::JsonGzip => ".json.gz",
            Self::JsonZstd => ".json.zst",
            Self::Tcn => ".tcn",
        }
    }

    /// Its Content-Type.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::JsonGzip | Self::JsonZstd => "application/json",
            Self::Tcn => "application/octet-stream",
        }
    }

    /// Its Content-Encoding, if it has one.
    pub(super) const fn encoding(self) -> Option<&'static str> {
        match self {
            Self::Json | Self::Tcn => None,
            Self::JsonGzip => Some("gzip"),
            Self::JsonZstd => Some("zstd"),
        }
    }

    /// JSON in the encoding that this Accept-Encoding prefers. With equal weights, zstd
    /// comes before gzip, and both before plain JSON.
    pub(super) fn json(accept_encoding: &str) -> Self {
        let weight = |name| weight(accept_encoding, name, &["*"]);
        let (zstd, gzip) = (weight("zstd"), weight("gzip"));
        // Plain JSON is acceptable unless it is ruled out (RFC 9110, 12.5.3).
        if zstd > 0 && zstd >= gzip {
            Self::JsonZstd
        } else if gzip > 0 {
            Self::JsonGzip
        } else {
            Self::Json
        }
    }

    /// Whether this Accept prefers the stream to JSON.
    pub(super) fn stream_is_wanted(accept: &str) -> bool {
        let wildcards = ["application/*", "*/*"];
        weight(accept, "application/octet-stream", &wildcards)
            > weight(accept, "application/json", &wildcards)
    }
}

/// The weight of `name` in a list such as `gzip;q=0.5, *`, in thousandths. If `name` is
/// not listed, the weight of the first of `wildcards` that is.
fn weight(list: &str, name: &str, wildcards: &[&str]) -> u16 {
    let named = |wanted: &str| {
        let mut members = list.split(',').map(|member| member.split(';'));
        members.find_map(|mut parts| {
            let is_it = parts.next()?.trim().eq_ignore_ascii_case(wanted);
            is_it.then(|| parts.find_map(quality).unwrap_or(1000))
        })
    };
    named(name)
        .or_else(|| wildcards.iter().find_map(|wildcard| named(wildcard)))
        .unwrap_or(0)
}

/// `q=0.25` is 250.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(0);
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" => Some(1000),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_liked_best_is_chosen() {
        for (header, expected) in [
            ("", Representation::Json),
            ("gzip", Representation::JsonGzip),
            ("gzip, deflate, br, zstd", Representation::JsonZstd),
            ("GZIP;q=0.5", Representation::JsonGzip),
            ("zstd;q=0.2, gzip;q=0.9", Representation::JsonGzip),
            ("zstd;q=0, gzip;q=0.000", Representation::Json),
            ("*", Representation::JsonZstd),
            ("zstd;q=0, *", Representation::JsonGzip),
            ("identity", Representation::Json),
            ("gzip;q=nonsense", Representation::Json),
            ("gzip;level=9;q=1.000", Representation::JsonGzip),
        ] {
            assert_eq!(Representation::json(header), expected, "{header}");
        }
    }

    #[test]
    fn the_stream_is_for_those_who_ask_for_it() {
        for (header, wanted) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("application/octet-stream", true),
            ("application/octet-stream;q=0.5, application/json", false),
            ("application/octet-stream, */*;q=0.1", true),
            ("text/html", false),
        ] {
            assert_eq!(Representation::stream_is_wanted(header), wanted, "{header}");
        }
    }
}
