//! Reads one `[[source]]` and one `[[memo_type]]`.
//!
//! Each function reads all of its keys, so that every error is reported at once, and
//! returns `None` if there was one.

use std::path::PathBuf;

use tcn_exchange::help::{Help, HelpPhone, HelpUrl};
use tcn_exchange::source::{Limits, MemoTypes, ServerUrl, Source, SourceLocation, SourceName};
use tcn_protocol::MemoType;
use toml::de::DeValue;

use super::super::parse_duration;
use super::super::table::Table;
use super::SourceDiagnostic;

/// One `[[source]]`; `None` after an error.
pub(super) fn source(table: &mut Table<'_, '_>, types: &[(String, MemoType)]) -> Option<Source> {
    table.require("name");
    table.require("kind");
    let name = table.text("name").and_then(|text| {
        let name = text.parse::<SourceName>().map_err(SourceDiagnostic::Name);
        table.check("name", name)
    });
    let place = place(table);
    let publish = table.boolean("publish").unwrap_or(false);
    if publish && matches!(place, Some(SourceLocation::Mirror(_))) {
        table.diagnostic("publish", SourceDiagnostic::MirrorTakesNothing);
    }
    let label = table.text("label");
    if label.is_some_and(|label| !is_line(label, printable::MAX_TEXT)) {
        table.diagnostic("label", SourceDiagnostic::Label);
    }
    let help = help(table);
    let memo_types = memo_types(table, types);
    let limits = limits(table);
    let (name, place) = (name?, place?);
    table.is_sound().then(|| Source {
        label: label.unwrap_or(name.as_str()).to_owned(),
        name,
        location: place,
        help,
        memo_types,
        publish,
        limits,
    })
}

fn help(table: &mut Table<'_, '_>) -> Help {
    let url = table.text("help_url").map(HelpUrl::new);
    let phone = table.text("help_phone").map(HelpPhone::new);
    let url = url.and_then(|url| table.check("help_url", url.map_err(SourceDiagnostic::HelpUrl)));
    let phone = phone
        .and_then(|phone| table.check("help_phone", phone.map_err(SourceDiagnostic::HelpPhone)));
    Help { url, phone }
}

/// Whether a text can be shown on one line.
fn is_line(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && printable::is_line(text)
}

fn place(table: &mut Table<'_, '_>) -> Option<SourceLocation> {
    let kind = table.text("kind")?;
    let server: Option<fn(ServerUrl) -> SourceLocation> = match kind {
        "coepi-v4" => Some(SourceLocation::CoepiV4),
        "mirror" => Some(SourceLocation::Mirror),
        "folder" => None,
        _ => {
            table.diagnostic("kind", SourceDiagnostic::Kind(kind.to_owned()));
            return None;
        }
    };
    let (wanted, others) = match server {
        Some(_) => ("url", ["path"].as_slice()),
        None => ("path", ["url", "allow_http"].as_slice()),
    };
    for &key in others {
        if table.has(key) {
            let kind = kind.to_owned();
            table.diagnostic(key, SourceDiagnostic::NotForKind { key, kind });
        }
    }
    table.require(wanted);
    let text = table.text(wanted)?;
    let Some(server) = server else {
        let path = PathBuf::from(text);
        let absolute = path.is_absolute().then_some(path);
        let path = table.check(wanted, absolute.ok_or(SourceDiagnostic::RelativePath))?;
        return Some(SourceLocation::Folder(path));
    };
    let allow_http = table.boolean("allow_http").unwrap_or(false);
    let url = ServerUrl::new(text, allow_http).map_err(SourceDiagnostic::Url);
    table.check(wanted, url).map(server)
}

fn memo_types(table: &mut Table<'_, '_>, types: &[(String, MemoType)]) -> MemoTypes {
    let Some(list) = table.list("memo_types") else {
        return MemoTypes::ALL;
    };
    let mut wanted = MemoTypes::NONE;
    for value in list {
        let kind = match value.get_ref() {
            DeValue::String(name) => named(name, types),
            DeValue::Integer(number) => u8::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(MemoType::new),
            DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        match kind {
            Some(kind) => wanted = wanted.with(kind),
            None => table.diagnostic("memo_types", SourceDiagnostic::NoSuchType),
        }
    }
    wanted
}

/// The type of this name: of the specification's registry, or of the configured ones.
pub(super) fn named(name: &str, types: &[(String, MemoType)]) -> Option<MemoType> {
    let registered = (0..=u8::MAX)
        .map(MemoType::new)
        .find(|kind| kind.name() == Some(name));
    let own = || {
        types
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, kind)| *kind)
    };
    registered.or_else(own)
}

fn limits(table: &mut Table<'_, '_>) -> Limits {
    let default = Limits::default();
    let timeout = table.text("timeout").and_then(|text| {
        let duration = parse_duration(text).ok();
        let in_range = duration.filter(|duration| (1..=600).contains(&duration.as_secs()));
        table.check("timeout", in_range.ok_or(SourceDiagnostic::Timeout))
    });
    // The least is the longest report without its constant, the most is what tcnd gives
    // any source.
    let budget = table.number("budget", 65_535..=default.budget);
    let max_bytes = table.number("max_bytes", 1024..=1 << 30);
    Limits {
        budget: budget.unwrap_or(default.budget),
        max_bytes: max_bytes.unwrap_or(default.max_bytes),
        timeout: timeout.unwrap_or(default.timeout),
    }
}

/// One `[[memo_type]]`; `None` after an error.
pub(super) fn memo_type(table: &mut Table<'_, '_>) -> Option<(String, MemoType)> {
    table.require("name");
    table.require("number");
    let name = table.text("name");
    if name.is_some_and(|name| !is_line(name, SourceName::LONGEST)) {
        table.diagnostic("name", SourceDiagnostic::TypeName);
    }
    let number = table.number("number", 0..=255)?;
    let kind = MemoType::new(u8::try_from(number).ok()?);
    if let Some(theirs) = kind.name() {
        table.diagnostic("number", SourceDiagnostic::Registered(theirs));
    }
    let name = name?.to_owned();
    table.is_sound().then_some((name, kind))
}
