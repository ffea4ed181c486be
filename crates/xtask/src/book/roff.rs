//! The parts that all man pages have in common.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// When the pages were last revised, shown in their footer.
pub(super) const EDITION: &str = "2026-11-27";

/// The text beside it in the footer.
pub(super) const SOURCE: &str = concat!("tcnd ", env!("CARGO_PKG_VERSION"));

/// A section with a separate paragraph for each text.
pub(super) fn section(roff: &mut Roff, title: &str, paragraphs: &[&str]) {
    roff.control("SH", [title]);
    for (index, text) in paragraphs.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*text)]);
    }
}

/// A list of terms and their explanations.
pub(super) fn list<'a>(roff: &mut Roff, entries: impl IntoIterator<Item = (Vec<Inline>, &'a str)>) {
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text(term);
        roff.text([roman(text)]);
    }
}

/// Commands to type, each with its purpose.
pub(super) fn examples<'a>(
    roff: &mut Roff,
    examples: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    roff.control("SH", ["EXAMPLES"]);
    for (index, (what, typed)) in examples.into_iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(what)]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        roff.text([roman(typed)]);
        roff.control("fi", []);
        roff.control("RE", []);
    }
}

/// References to other pages and documents.
pub(super) fn see_also(roff: &mut Roff, pages: &[&str], more: &[&str]) {
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for page in pages {
        let (name, number) = page.split_once('(').unwrap_or((page, ""));
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(name), roman(format!("({number}"))]);
    }
    roff.text(line);
    for text in more {
        roff.control("PP", []);
        roff.text([roman(*text)]);
    }
}
