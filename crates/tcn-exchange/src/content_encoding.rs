//! Compressed documents: gzip and zstd, decoded as a stream.
//!
//! A kilobyte of compressed data may hold a megabyte, so the reader has to bound what
//! comes out. Only the window of the format is held: 32 KiB for gzip, 8 MiB for zstd.

use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use tcn_protocol::file::is_gzip;

/// The content coding of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// Not compressed.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// The largest zstd window, 8 MiB: the limit of RFC 9659 for the web.
#[cfg(feature = "zstd")]
const WINDOW_LOG: u32 = 23;

impl ContentEncoding {
    /// From the value of `Content-Encoding` (RFC 9110, section 8.4), or its absence. `None`
    /// for a coding that is not supported.
    pub fn from_header(name: Option<&str>) -> Option<Self> {
        match name.map(str::trim) {
            None | Some("" | "identity") => Some(Self::Identity),
            Some("gzip" | "x-gzip") => Some(Self::Gzip),
            #[cfg(feature = "zstd")]
            Some("zstd") => Some(Self::Zstd),
            Some(_) => None,
        }
    }

    /// From the first bytes of a file; four suffice. Of files that begin with a random
    /// key, one in 2²⁷ looks compressed.
    pub fn detect(head: &[u8]) -> Self {
        match head {
            _ if is_gzip(head) => Self::Gzip,
            #[cfg(feature = "zstd")]
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Identity,
        }
    }

    /// A reader of what is in `source`, decoded as it is read.
    ///
    /// # Errors
    /// There is no memory for the window.
    pub fn reader<'a>(self, source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Identity => Box::new(source),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(source))),
            #[cfg(feature = "zstd")]
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(source)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_packed_if_it_begins_so() {
        for (head, encoding) in [
            (&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], ContentEncoding::Gzip),
            (b"\x1f\x8b\x08\x08", ContentEncoding::Gzip),
            (b"\x1f\x8b\x08\xe0", ContentEncoding::Identity),
            (b"\x1f\x8b\x07\0\0", ContentEncoding::Identity),
            (b"\x1f\x8b\x08", ContentEncoding::Identity),
            (b"", ContentEncoding::Identity),
            (b"[]", ContentEncoding::Identity),
            #[cfg(feature = "zstd")]
            (b"\x28\xb5\x2f\xfd\x04", ContentEncoding::Zstd),
        ] {
            assert_eq!(ContentEncoding::detect(head), encoding, "{head:?}");
        }
    }
}
