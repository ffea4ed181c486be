//! Documents that come packed: gzip and zstd, read as a stream.
//!
//! A packed kilobyte may be a megabyte, so whoever reads one says how much may
//! come out of it. Nothing is held but the window of the format: 32 KiB of gzip,
//! 8 MiB of zstd.

use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use tcn_protocol::file::is_gzip;

/// How a document is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// By gzip, RFC 1952.
    Gzip,
    /// By zstd, RFC 8878.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// The greatest window of zstd, 8 MiB, as RFC 9659 has it for the web.
#[cfg(feature = "zstd")]
const WINDOW_LOG: u32 = 23;

impl Packing {
    /// By the value of `Content-Encoding` (RFC 9110, section 8.4), or its
    /// absence.
    pub fn named(name: Option<&str>) -> Option<Self> {
        match name.map(str::trim) {
            None | Some("" | "identity") => Some(Self::Plain),
            Some("gzip" | "x-gzip") => Some(Self::Gzip),
            #[cfg(feature = "zstd")]
            Some("zstd") => Some(Self::Zstd),
            Some(_) => None,
        }
    }

    /// By the first bytes of a file, of which four suffice. Of files that begin
    /// with a random key one in 2²⁷ looks packed.
    pub fn of(head: &[u8]) -> Self {
        match head {
            _ if is_gzip(head) => Self::Gzip,
            #[cfg(feature = "zstd")]
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// What is in `source`, unpacked as it is read.
    ///
    /// # Errors
    /// No memory for the window.
    pub fn reader<'a>(self, source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Plain => Box::new(source),
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
        for (head, packing) in [
            (&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], Packing::Gzip),
            (b"\x1f\x8b\x08\x08", Packing::Gzip),
            (b"\x1f\x8b\x08\xe0", Packing::Plain),
            (b"\x1f\x8b\x07\0\0", Packing::Plain),
            (b"\x1f\x8b\x08", Packing::Plain),
            (b"", Packing::Plain),
            (b"[]", Packing::Plain),
            #[cfg(feature = "zstd")]
            (b"\x28\xb5\x2f\xfd\x04", Packing::Zstd),
        ] {
            assert_eq!(Packing::of(head), packing, "{head:?}");
        }
    }
}
