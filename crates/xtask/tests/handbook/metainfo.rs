//! The metadata that software centres and desktops read.

use std::process::Command;

use roxmltree::Document;

use crate::{names, path, programs, read, said};

const FOLDER: &str = "packaging/metainfo";
const SERVICE: &str = "packaging/metainfo/org.tcncoalition.Tcnd1.metainfo.xml";
/// Of the window: its bus name, and the names of its files.
const WINDOW: &str = "org.tcncoalition.Tcnd1.Window";
/// The namespace of files about types.
const MIME: &str = "http://www.freedesktop.org/standards/shared-mime-info";

/// The text of the first element of a name.
fn first<'a>(document: &'a Document<'_>, tag: &str) -> &'a str {
    let node = document.descendants().find(|node| node.has_tag_name(tag));
    node.and_then(|node| node.text())
        .unwrap_or_else(|| panic!("no {tag}"))
}

/// The value of a key of a desktop entry, or of a service of a bus.
fn value<'a>(entry: &'a str, key: &str) -> &'a str {
    let mut values = entry
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.next().unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn appstream_takes_them() {
    for file in names(FOLDER) {
        let mut validate = Command::new("appstreamcli");
        validate.args(["validate", "--no-net"]);
        said(validate.arg(path(FOLDER).join(file)));
    }
}

#[test]
fn desktops_take_what_starts_with_them_and_what_they_list() {
    for folder in ["packaging/autostart", "packaging/applications"] {
        for file in names(folder) {
            let mut validate = Command::new("desktop-file-validate");
            said(validate.arg(path(folder).join(&file)));
            let entry = read(&format!("{folder}/{file}"));
            let exec = value(&entry, "Exec").trim_start_matches("/usr/bin/");
            let program = exec.split(' ').next().unwrap();
            assert!(programs().contains(&program.to_owned()), "{file}");
        }
    }
}

/// The session starts the window by its name, and desktops open report files with it.
#[test]
fn the_window_has_one_name() {
    let entry = read(&format!("packaging/applications/{WINDOW}.desktop"));
    let service = read(&format!("dbus/services/{WINDOW}.service"));
    assert_eq!(value(&entry, "DBusActivatable"), "true");
    assert_eq!(value(&service, "Name"), WINDOW);
    let started = "/usr/bin/tcnd-window --gapplication-service";
    assert_eq!(value(&service, "Exec"), started);
    let text = read(&format!("{FOLDER}/{WINDOW}.metainfo.xml"));
    let document = Document::parse(&text).unwrap();
    assert_eq!(first(&document, "id"), WINDOW);
    assert_eq!(first(&document, "dbus"), WINDOW);
    let launched = format!("{WINDOW}.desktop");
    assert_eq!(first(&document, "launchable"), launched);
    assert!(programs().contains(&first(&document, "binary").to_owned()));
    let kind = first(&document, "mediatype");
    assert_eq!(value(&entry, "MimeType"), format!("{kind};"));
    let text = read("packaging/mime/org.tcncoalition.Tcnd1.xml");
    let document = Document::parse(&text).unwrap();
    let mut types = document.descendants();
    let of = types.find(|node| node.has_tag_name((MIME, "mime-type")));
    assert_eq!(of.unwrap().attribute("type"), Some(kind));
}

#[test]
fn the_service_names_what_is_there() {
    let text = read(SERVICE);
    let document = Document::parse(&text).unwrap();
    let text = |tag| first(&document, tag);
    assert!(path("systemd/system").join(text("launchable")).exists());
    assert!(programs().contains(&text("binary").to_owned()));
    assert_eq!(text("dbus"), tcnd_client::names::BUS);
    assert_eq!(text("id"), tcnd_client::names::BUS);
}

#[test]
fn their_licence_is_that_of_the_manifest() {
    let manifest = read("Cargo.toml");
    for file in names(FOLDER) {
        let text = read(&format!("{FOLDER}/{file}"));
        let document = Document::parse(&text).unwrap();
        let licence = first(&document, "project_license");
        assert!(
            manifest.contains(&format!("\nlicense = \"{licence}\"\n")),
            "{file}"
        );
    }
}

/// The newest release is this version, and every version of the changelog is a
/// release of the same day.
#[test]
fn their_releases_are_those_of_the_changelog() {
    for file in names(FOLDER) {
        releases_are_those_of_the_changelog(&format!("{FOLDER}/{file}"));
    }
}

fn releases_are_those_of_the_changelog(file: &str) {
    let text = read(file);
    let document = Document::parse(&text).unwrap();
    let releases: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("release"))
        .map(|node| {
            (
                node.attribute("version").unwrap(),
                node.attribute("date").unwrap(),
            )
        })
        .collect();
    assert_eq!(releases[0].0, env!("CARGO_PKG_VERSION"));
    let changelog = read("CHANGELOG.md");
    let headings = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## ["));
    let versions = headings.filter_map(|heading| heading.split_once("] - "));
    let versions: Vec<_> = versions.collect();
    // This version may not be released yet.
    let past = if versions
        .first()
        .is_some_and(|(version, _)| *version == releases[0].0)
    {
        &releases[..]
    } else {
        &releases[1..]
    };
    assert_eq!(past, versions);
}
