//! The explanations that `journalctl -x` shows below a line, from the table of notices.
//!
//! Format: "The Journal Message Catalogs", systemd.io/CATALOG.

use std::fmt::Write as _;

use tcnd_client::notices::{self, EVENTS, Notice, PROBLEMS};

const HEAD: &str = "\
# Explanations that journalctl -x shows below the lines of tcnd and tcnd-sync. Installed to
# /usr/lib/systemd/catalog; afterwards: journalctl --update-catalog
#
# Generated from crates/tcnd-client/src/notices.rs by: cargo run -p xtask
";

/// Events whose fields have more details. The journal inserts the fields.
const FIELDS: [(Notice, &str); 2] = [
    (notices::NOT_APPLIED, "The faults:\n@TCND_FAULT@\n"),
    (
        notices::SOURCE_FAILED,
        "The source: @TCND_SOURCE@. The problem: @TCND_PROBLEM@, see tcnd-sync(8).\n",
    ),
];

/// The complete catalog.
pub(crate) fn catalog() -> String {
    let mut text = HEAD.to_owned();
    for notice in PROBLEMS.iter().chain(EVENTS) {
        let Some(id) = notice.id else { continue };
        let (subject, cure) = (notice.sentence.trim_end_matches('.'), notice.cure);
        let page = if *notice == notices::SOURCE_FAILED {
            "man:tcnd-sync(8)"
        } else {
            "man:tcnd(8)"
        };
        let fields = FIELDS.iter().find(|(of, _)| of == notice);
        let fields = fields.map_or("", |(_, text)| text);
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n-- {id}\nSubject: {subject}\nDefined-By: tcnd\nDocumentation: {page}\n\n\
             {fields}What helps: {cure}\n"
        );
    }
    text
}
