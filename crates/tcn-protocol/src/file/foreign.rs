//! The kind of a file that holds no reports.
//!
//! A person who imports the wrong file is helped more by the kind of the file than by a
//! list of its items that are no reports. A kind is named only if the first bytes leave
//! no doubt.

use std::error::Error;
use std::fmt;

/// A file of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// `export.bin` of Google's and Apple's system, by itself or in its zip.
    ExposureNotification,
    /// A zip, or a format that is stored in one.
    Zip,
    /// Compressed in a format that is not read here.
    Packed,
    /// A compressed file in a gzip file.
    PackedTwice,
    /// A web page, or other XML.
    Markup,
    /// A PDF document.
    Pdf,
    /// A picture.
    Picture,
    /// A database of SQLite.
    Database,
    /// A program.
    Program,
    /// Text in which no line is a report.
    Text,
}

impl Foreign {
    /// What the file is, and what to do.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ExposureNotification => {
                "this is an Exposure Notification export; its keys are of another system, and no \
                 contact of this one can match them"
            }
            Self::Zip => "this is a zip archive; unpack it, and give the report files in it",
            Self::Packed => "this is packed with zstd, xz, bzip2 or 7-Zip; unpack it first",
            Self::PackedTwice => "this is packed twice; unpack it, and give the file in it",
            Self::Markup => "this is a web page or XML, no report file; fetch the file itself",
            Self::Pdf => "this is a PDF document; give a report file",
            Self::Picture => "this is a picture; give a report file",
            Self::Database => "this is an SQLite database; give a report file",
            Self::Program => "this is a program; give a report file",
            Self::Text => {
                "this is text without a report; no line of it is base64, hexadecimal or JSON"
            }
        }
    }

    /// The kind of a file that begins with `head`, unless a report file can begin with
    /// it. For text, `head` begins after white space.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        const KNOWN: [(&[u8], Foreign); 15] = [
            (b"EK Export v1", Foreign::ExposureNotification),
            (b"PK\x03\x04", Foreign::Zip),
            (b"PK\x05\x06", Foreign::Zip),
            (b"\x28\xb5\x2f\xfd", Foreign::Packed),
            (b"\xfd7zXZ\0", Foreign::Packed),
            (b"BZh91AY&SY", Foreign::Packed),
            (b"7z\xbc\xaf\x27\x1c", Foreign::Packed),
            (b"%PDF-", Foreign::Pdf),
            (b"\x89PNG\r\n\x1a\n", Foreign::Picture),
            (b"\xff\xd8\xff\xe0", Foreign::Picture),
            (b"\xff\xd8\xff\xe1", Foreign::Picture),
            (b"GIF87a", Foreign::Picture),
            (b"GIF89a", Foreign::Picture),
            (b"SQLite format 3\0", Foreign::Database),
            (b"\x7fELF\x02\x01\x01", Foreign::Program),
        ];
        let known = KNOWN.iter().find(|(magic, _)| head.starts_with(magic));
        match known {
            Some((_, Self::Zip)) => Some(zip(head)),
            Some((_, kind)) => Some(*kind),
            None if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") => {
                Some(Self::Picture)
            }
            // Its first box is shorter than 16 MiB (ISO/IEC 14496-12, section 4.2).
            None if head.first() == Some(&0) && head.get(4..8) == Some(b"ftyp") => {
                Some(Self::Picture)
            }
            None => None,
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Error for Foreign {}

/// A zip by the name of the first file in it, which begins at byte 30
/// (APPNOTE.TXT, section 4.3.7).
fn zip(head: &[u8]) -> Foreign {
    let name = head.get(30..).unwrap_or_default();
    if name.starts_with(b"export.bin") || name.starts_with(b"export.sig") {
        Foreign::ExposureNotification
    } else {
        Foreign::Zip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_how_they_begin() {
        let zip = |name: &str| [b"PK\x03\x04", &[0; 26][..], name.as_bytes()].concat();
        for (head, kind) in [
            (zip("export.bin"), Some(Foreign::ExposureNotification)),
            (zip("export.sig"), Some(Foreign::ExposureNotification)),
            (zip("word/document.xml"), Some(Foreign::Zip)),
            (zip(""), Some(Foreign::Zip)),
            (b"PK\x03\x04".to_vec(), Some(Foreign::Zip)),
            (
                b"EK Export v1    \x08".to_vec(),
                Some(Foreign::ExposureNotification),
            ),
            (b"%PDF-1.7".to_vec(), Some(Foreign::Pdf)),
            (b"RIFF\0\0\0\0WEBPVP8 ".to_vec(), Some(Foreign::Picture)),
            (b"\0\0\0\x18ftypheic".to_vec(), Some(Foreign::Picture)),
            (b"RIFF\0\0\0\0WAVE".to_vec(), None),
            (b"[]".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(Foreign::of(&head), kind, "{head:?}");
        }
    }
}
