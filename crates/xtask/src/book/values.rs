//! The possible values of a program's options and arguments, for all shells.

use clap::{Arg, ValueHint};

/// The values a shell offers.
pub(super) enum Value {
    /// One of these words.
    Words(Vec<String>),
    /// A file.
    Files,
    /// A folder.
    Folders,
    /// An own report, by its id.
    Reports,
    /// An exposure, by its id.
    Exposures,
    /// Any text, so nothing is offered.
    Free,
}

/// Buses with a name.
pub(super) const BUSES: [&str; 2] = ["system", "session"];

/// Radios that are named by one word.
pub(super) const RADIOS: [&str; 2] = ["bluez", "fake"];

/// Times with a name.
pub(super) const TIMES: [&str; 3] = ["now", "today", "yesterday"];

/// The values that `arg` of the command at `path` takes.
pub(super) fn value(arg: &Arg, path: &str) -> Value {
    let words =
        |words: &[&str]| Value::Words(words.iter().map(|word| (*word).to_owned()).collect());
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        return Value::Words(shown.map(|value| value.get_name().to_owned()).collect());
    }
    let name = arg.get_value_names().and_then(|names| names.first());
    match (name.map(|name| name.as_str()), arg.get_value_hint()) {
        (Some("BUS"), _) => words(&BUSES),
        (Some("RADIO"), _) => words(&RADIOS),
        (Some("T"), _) => words(&TIMES),
        (_, ValueHint::DirPath) => Value::Folders,
        (Some("DIR"), _) => Value::Folders,
        (_, ValueHint::AnyPath | ValueHint::FilePath) => Value::Files,
        _ if arg.get_id() == "id" && path.starts_with("tcnctl report ") => Value::Reports,
        _ if arg.get_id() == "id" && path.starts_with("tcnctl exposures ") => Value::Exposures,
        _ => Value::Free,
    }
}
