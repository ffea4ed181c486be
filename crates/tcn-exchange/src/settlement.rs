//! What a server's answer to an upload means.
//!
//! CoEpi's own client took any answer for a success and lost reports by it
//! (app-backend-rust b332afe, `networking.rs`). Here a part is accepted only if
//! the server said so, and refused only if it said that the report itself is
//! at fault, for a refusal is final. Everything else is tried again: a server
//! that is down, a proxy that wants a password, a page of a hotel.

use std::time::Duration;

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The server has it.
    Accepted,
    /// The server will never take it, and says why.
    Refused {
        /// In its words, made harmless; may be empty.
        reason: String,
    },
    /// Nobody knows; it is tried again.
    Failed {
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
}

/// Longest reason kept, in bytes.
pub const LONGEST_REASON: usize = 256;

impl Settlement {
    /// By the status, the first bytes of the body and the value of
    /// `Retry-After` in seconds. Statuses: coepi-backend-aws 6588865, `TCNHttpHandler`; RFC 9110
    /// section 15.
    pub fn of(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        match status {
            200 => Self::Accepted,
            400 | 401 | 413 | 422 => Self::Refused {
                reason: reason(status, body),
            },
            _ => Self::Failed { retry_after },
        }
    }

    /// The token on the bus.
    pub const fn token(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
        }
    }
}

/// The status and what the server says of it, on one line.
fn reason(status: u16, body: &[u8]) -> String {
    let mut reason = format!("status {status}");
    let text = String::from_utf8_lossy(body);
    let words: Vec<_> = text
        .split(|c: char| !printable::is_printable(c) || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    if !words.is_empty() {
        reason.push_str(": ");
        reason.push_str(&words.join(" "));
    }
    let mut end = reason.len().min(LONGEST_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_200_is_a_success() {
        for status in 0..=999 {
            let settlement = Settlement::of(status, b"", None);
            assert_eq!(
                settlement == Settlement::Accepted,
                status == 200,
                "{status}"
            );
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_report_is_final() {
        let refused: Vec<_> = (0..=999)
            .filter(|status| Settlement::of(*status, b"", None).token() == "refused")
            .collect();
        assert_eq!(refused, [400, 401, 413, 422]);
    }

    #[test]
    fn a_server_may_ask_for_time() {
        let asked = Some(Duration::from_secs(90));
        for status in [429, 503] {
            let failed = Settlement::of(status, b"slow down", asked);
            assert_eq!(failed, Settlement::Failed { retry_after: asked });
        }
    }

    #[test]
    fn its_words_come_on_one_line() {
        let settlement = Settlement::of(400, b"bad\r\n\x1b[31m base64\0 ", None);
        let reason = "status 400: bad [31m base64".to_owned();
        assert_eq!(settlement, Settlement::Refused { reason });
        let turned = Settlement::of(400, "\u{202e}46esab\u{200b}\u{2066}x".as_bytes(), None);
        let reason = "status 400: 46esab x".to_owned();
        assert_eq!(turned, Settlement::Refused { reason });
        let silent = Settlement::of(401, b" \n", None);
        let reason = "status 401".to_owned();
        assert_eq!(silent, Settlement::Refused { reason });
    }

    proptest! {
        #[test]
        fn no_reason_is_long_or_steers_a_terminal(body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let Settlement::Refused { reason } = Settlement::of(400, &body, None) else {
                panic!("not refused");
            };
            prop_assert!(reason.len() <= LONGEST_REASON);
            prop_assert!(printable::is_line(&reason));
        }
    }
}
