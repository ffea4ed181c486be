//! What a server's answer to an upload means.
//!
//! CoEpi's own client took any answer for a success and lost reports by it
//! (app-backend-rust b332afe, `networking.rs`). Here a part is accepted only if the server
//! said so. It is refused only if the server said that the report itself is wrong, for a
//! refusal is final. After any other answer the upload is tried again: the server may be
//! down, a proxy may want a password, a hotel may answer with its own page.

use std::time::Duration;

/// The result of the upload of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadResult {
    /// The server has it.
    Accepted,
    /// The server will never take it, and says why.
    Refused {
        /// In the server's words, made printable; may be empty.
        reason: String,
    },
    /// Not known; the upload is tried again.
    Failed {
        /// A token of lower-case letters and hyphens, such as `unreachable`.
        reason: String,
        /// The wait that the server asked for.
        retry_after: Option<Duration>,
    },
}

/// Longest reason kept, in bytes.
pub const LONGEST_REASON: usize = printable::MAX_TEXT;

impl UploadResult {
    /// From the status, the first bytes of the body and the value of `Retry-After`.
    /// Statuses: coepi-backend-aws 6588865, `TCNHttpHandler`; RFC 9110 section 15.
    pub fn from_response(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        match status {
            200 => Self::Accepted,
            400 | 401 | 413 | 422 => Self::Refused {
                reason: reason(status, body),
            },
            _ => Self::failed("refused", retry_after),
        }
    }

    /// A failure for this reason.
    pub fn failed(reason: &str, retry_after: Option<Duration>) -> Self {
        Self::Failed {
            reason: reason.to_owned(),
            retry_after,
        }
    }

    /// The result with this [token](Self::token); `None` if there is none.
    pub fn from_token(token: &str, reason: String, retry_after: Option<Duration>) -> Option<Self> {
        Some(match token {
            "accepted" => Self::Accepted,
            "refused" => Self::Refused { reason },
            "failed" => Self::Failed {
                reason,
                retry_after,
            },
            _ => return None,
        })
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

/// The status and the server's explanation, on one line.
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
    printable::shorten(&mut reason);
    reason
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_200_is_a_success() {
        for status in 0..=999 {
            let result = UploadResult::from_response(status, b"", None);
            assert_eq!(result == UploadResult::Accepted, status == 200, "{status}");
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_report_is_final() {
        let refused: Vec<_> = (0..=999)
            .filter(|status| UploadResult::from_response(*status, b"", None).token() == "refused")
            .collect();
        assert_eq!(refused, [400, 401, 413, 422]);
    }

    #[test]
    fn a_server_may_ask_for_time() {
        let asked = Some(Duration::from_secs(90));
        for status in [429, 503] {
            let failed = UploadResult::from_response(status, b"slow down", asked);
            assert_eq!(failed, UploadResult::failed("refused", asked));
        }
    }

    #[test]
    fn its_words_come_on_one_line() {
        let result = UploadResult::from_response(400, b"bad\r\n\x1b[31m base64\0 ", None);
        let reason = "status 400: bad [31m base64".to_owned();
        assert_eq!(result, UploadResult::Refused { reason });
        let turned =
            UploadResult::from_response(400, "\u{202e}46esab\u{200b}\u{2066}x".as_bytes(), None);
        let reason = "status 400: 46esab x".to_owned();
        assert_eq!(turned, UploadResult::Refused { reason });
        let silent = UploadResult::from_response(401, b" \n", None);
        let reason = "status 401".to_owned();
        assert_eq!(silent, UploadResult::Refused { reason });
    }

    proptest! {
        #[test]
        fn no_reason_is_long_or_steers_a_terminal(body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let UploadResult::Refused { reason } = UploadResult::from_response(400, &body, None) else {
                panic!("not refused");
            };
            prop_assert!(reason.len() <= LONGEST_REASON);
            prop_assert!(printable::is_line(&reason));
        }
    }
}
