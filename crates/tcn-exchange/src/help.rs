//! Where a source says that people find help: a web page, a telephone number, or both.
//!
//! Both are shown to a person who may be ill, and the page may be opened. So a page is
//! https only, and both are short and hold no character that could make them look like
//! something else. The types check that when they are made.

use thiserror::Error;
use url::Url;

/// Where a source says that people find help.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help {
    /// A web page.
    pub url: Option<HelpUrl>,
    /// A telephone number.
    pub phone: Option<HelpPhone>,
}

impl Help {
    /// Whether there is neither.
    pub const fn is_none(&self) -> bool {
        self.url.is_none() && self.phone.is_none()
    }
}

/// The address of a web page where people find help, in ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpUrl(String);

/// The address may not be shown as that of help.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HelpUrlError {
    /// It cannot be parsed.
    #[error("not an address; write it like \"https://health.example.org/contacts\"")]
    Malformed,
    /// Not https.
    #[error("only https: everyone on the path can read and change other traffic")]
    Scheme,
    /// It has a user name or password.
    #[error("remove the user name and the password: they would identify the person")]
    Credentials,
    /// It has `?` or `#`.
    #[error("remove ? or # and the text after it; name a page whose address has neither")]
    Query,
    /// It is too long to be read.
    #[error("use at most 256 bytes, in which a letter outside ASCII counts as several")]
    Long,
}

impl HelpUrl {
    /// Longest address, in bytes of ASCII.
    pub const LONGEST: usize = 256;

    /// Parses and checks an address.
    ///
    /// # Errors
    /// A [`HelpUrlError`], whose text names the cure.
    pub fn new(text: &str) -> Result<Self, HelpUrlError> {
        // The parser needs no more time for a long text that a caller sends.
        if text.len() > Self::LONGEST {
            return Err(HelpUrlError::Long);
        }
        let url = Url::parse(text).map_err(|_| HelpUrlError::Malformed)?;
        if url.scheme() != "https" {
            return Err(HelpUrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HelpUrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(HelpUrlError::Query);
        }
        // The parser writes ASCII: it encodes all other letters.
        let ascii = url.as_str();
        (ascii.len() <= Self::LONGEST)
            .then(|| Self(ascii.to_owned()))
            .ok_or(HelpUrlError::Long)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A telephone number where people find help, as it is written for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpPhone(String);

/// The text is not a telephone number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("use 1 to 32 of the digits 0 to 9, spaces and + - ( ) /, with a digit among them")]
pub struct InvalidHelpPhone;

impl HelpPhone {
    /// Longest number, in characters.
    pub const LONGEST: usize = 32;

    /// Checks a telephone number.
    ///
    /// # Errors
    /// If it has another character, no digit, or is too long.
    pub fn new(text: &str) -> Result<Self, InvalidHelpPhone> {
        let fits = |b: u8| b.is_ascii_digit() || b" +-()/".contains(&b);
        let valid = text.len() <= Self::LONGEST
            && text.bytes().all(fits)
            && text.bytes().any(|b| b.is_ascii_digit());
        valid.then(|| Self(text.to_owned())).ok_or(InvalidHelpPhone)
    }

    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn help_is_at_a_plain_address_of_https() {
        for (text, shown) in [
            ("https://a.example.org/help", "https://a.example.org/help"),
            ("https://a.example.org", "https://a.example.org/"),
            (
                "https://ä.example.org/ü",
                "https://xn--4ca.example.org/%C3%BC",
            ),
        ] {
            assert_eq!(HelpUrl::new(text).unwrap().as_str(), shown);
        }
        let long = format!("https://a.example.org/{}", "ä".repeat(100));
        for (text, flaw) in [
            ("", HelpUrlError::Malformed),
            ("a.example.org", HelpUrlError::Malformed),
            ("http://a.example.org", HelpUrlError::Scheme),
            ("http://localhost/", HelpUrlError::Scheme),
            ("javascript:alert(1)", HelpUrlError::Scheme),
            ("file:///etc/passwd", HelpUrlError::Scheme),
            ("https://me@a.example.org", HelpUrlError::Credentials),
            ("https://a.example.org/?id=1", HelpUrlError::Query),
            ("https://a.example.org/#help", HelpUrlError::Query),
            (&long, HelpUrlError::Long),
            (&"x".repeat(257), HelpUrlError::Long),
        ] {
            assert_eq!(HelpUrl::new(text), Err(flaw), "{text}");
        }
    }

    #[test]
    fn a_telephone_number_has_digits_and_what_stands_between_them() {
        for text in ["116117", "+49 (30) 90-28/28", &"1".repeat(32)] {
            assert_eq!(HelpPhone::new(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "+",
            "- ()",
            "1\n2",
            "1\t2",
            "0x12",
            "１",
            &"1".repeat(33),
        ] {
            assert_eq!(HelpPhone::new(text), Err(InvalidHelpPhone), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_safe_to_show_and_is_accepted_again(text in "https://a\\PC{0,80}|.{0,80}") {
            if let Ok(url) = HelpUrl::new(&text) {
                prop_assert!(url.as_str().starts_with("https://"));
                prop_assert!(url.as_str().bytes().all(|b| b.is_ascii_graphic()), "{url:?}");
                prop_assert_eq!(HelpUrl::new(url.as_str()), Ok(url));
            }
            if let Ok(phone) = HelpPhone::new(&text) {
                prop_assert!(printable::is_line(phone.as_str()));
            }
        }
    }
}
