//! Problems of tcnd for people: the text for each token.
//!
//! The tokens are a stable interface (`org.tcncoalition.Tcnd1.Manager.Problems`). A
//! newer tcnd may have tokens that [`notices`] lacks; tcnctl shows these too.

use serde::Serialize;
use tcnd_client::notices;

/// A problem for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProblemText {
    /// The token itself.
    pub(crate) token: String,
    /// What it means.
    pub(crate) sentence: String,
    /// The remedy.
    pub(crate) cure: String,
}

impl ProblemText {
    /// The problem that a token stands for.
    pub(crate) fn new(token: &str) -> Self {
        let (sentence, cure) = notices::problem(token).map_or_else(
            || {
                (
                    format!(
                        "tcnd reports a problem that this tcnctl does not know: {}.",
                        printable::line(token)
                    ),
                    "use a tcnctl of the same version as tcnd; journalctl -u tcnd".to_owned(),
                )
            },
            |known| (known.sentence.to_owned(), known.cure.to_owned()),
        );
        Self {
            token: token.to_owned(),
            sentence,
            cure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_token_is_shown_all_the_same() {
        let unknown = ProblemText::new("adapter-on-fire");
        assert!(unknown.sentence.contains("adapter-on-fire"));
        assert!(!unknown.cure.is_empty());
    }
}
