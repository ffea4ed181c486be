//! All generated files, by their path in packaging/.

mod bash;
mod bus;
mod catalog;
mod shells;
pub(crate) mod tcnctl;
mod values;

use clap::{Command, CommandFactory};
use clap_mangen::roff::{Inline, Roff, bold, roman};
use tcnd::run::DaemonFlags;

/// When the pages were last revised, shown in their footer.
const EDITION: &str = "2026-11-27";

/// The text beside it in the footer.
const SOURCE: &str = concat!("tcnd ", env!("CARGO_PKG_VERSION"));

/// The files, each with its path below packaging/ and its text.
pub(crate) fn files() -> Vec<(String, String)> {
    let mut files = tcnctl::pages();
    files.push(("man/org.tcncoalition.Tcnd1.5".to_owned(), bus::page()));
    files.push(("catalog/tcnd.catalog".to_owned(), catalog::catalog()));
    files.extend(programs().into_iter().flat_map(shells::completions));
    files
}

/// Every program, as a clap command.
pub(crate) fn programs() -> [Command; 4] {
    [
        ::tcnctl::command(),
        DaemonFlags::command(),
        tcnd_sync::Flags::command(),
        tcn_reportd::Flags::command(),
    ]
}

/// A section with a separate paragraph for each text.
fn section(roff: &mut Roff, title: &str, paragraphs: &[&str]) {
    roff.control("SH", [title]);
    for (index, text) in paragraphs.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*text)]);
    }
}

/// A list of terms and their explanations.
fn list<'a>(roff: &mut Roff, entries: impl IntoIterator<Item = (Vec<Inline>, &'a str)>) {
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text(term);
        roff.text([roman(text)]);
    }
}

/// Commands to type, each with its purpose.
fn examples<'a>(roff: &mut Roff, examples: impl IntoIterator<Item = (&'a str, &'a str)>) {
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
fn see_also(roff: &mut Roff, pages: &[&str], more: &[&str]) {
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
