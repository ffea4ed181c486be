//! The metadata that software centres and desktops read.

use std::process::Command;

use roxmltree::Document;

use crate::{path, programs, read, said};

const FILE: &str = "packaging/metainfo/org.tcncoalition.Tcnd1.metainfo.xml";

#[test]
fn appstream_takes_it() {
    let mut validate = Command::new("appstreamcli");
    said(validate.args(["validate", "--no-net"]).arg(path(FILE)));
}

#[test]
fn desktops_take_what_starts_with_them() {
    let folder = "packaging/autostart";
    for file in crate::names(folder) {
        let mut validate = Command::new("desktop-file-validate");
        said(validate.arg(path(folder).join(&file)));
        let entry = read(&format!("{folder}/{file}"));
        let exec = entry
            .lines()
            .find_map(|line| line.strip_prefix("Exec=/usr/bin/"));
        assert!(programs().contains(&exec.unwrap().to_owned()), "{file}");
        let icon = entry.lines().find_map(|line| line.strip_prefix("Icon="));
        let icon = format!("packaging/icons/{}.svg", icon.unwrap());
        assert!(path(&icon).exists(), "{icon}");
    }
}

#[test]
fn it_names_what_is_there() {
    let text = read(FILE);
    let document = Document::parse(&text).unwrap();
    let text = |tag: &str| {
        let node = document.descendants().find(|node| node.has_tag_name(tag));
        node.and_then(|node| node.text())
            .unwrap_or_else(|| panic!("no {tag}"))
    };
    assert!(path("systemd/system").join(text("launchable")).exists());
    assert!(programs().contains(&text("binary").to_owned()));
    assert_eq!(text("dbus"), tcnd_client::names::BUS);
    assert_eq!(text("id"), tcnd_client::names::BUS);
    let manifest = read("Cargo.toml");
    assert!(manifest.contains(&format!("\nlicense = \"{}\"\n", text("project_license"))));
}

/// The newest release is this version, and every version of the changelog is a
/// release of the same day.
#[test]
fn its_releases_are_those_of_the_changelog() {
    let text = read(FILE);
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
