//! Files that ship beside the programs agree with them: manual pages, completions, the
//! journal's catalog, metainfo, and their paths on a system.
//!
//! The tests run the tools that read these files: mandoc, man, lexgrog, bash, zsh,
//! fish, journalctl, appstreamcli, make. A missing tool fails its test.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../../src/book/mod.rs"]
mod book;
mod catalog;
mod generated;
mod install;
mod metainfo;
mod pages;
mod settings;
mod shells;

use std::path::PathBuf;
use std::process::{Command, Output};

/// A path in the source tree.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

/// The names of the files in a folder of the source tree.
fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(path(folder)).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The programs, as the manifests name them.
fn programs() -> Vec<String> {
    let crates = names("crates").into_iter();
    let manifests = crates.map(|name| format!("crates/{name}/Cargo.toml"));
    let mut programs = Vec::new();
    for manifest in manifests.chain(["Cargo.toml".to_owned()]) {
        let text = read(&manifest);
        let sections = text.split("[[bin]]\nname = \"").skip(1);
        programs.extend(sections.map(|section| section.split('"').next().unwrap().to_owned()));
    }
    assert_eq!(programs.len(), 8, "{programs:?}");
    programs
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|fault| {
        let program = command.get_program().display();
        panic!("{program}: {fault}; `scripts/packages quick` installs what tests need")
    })
}

/// The output of a tool that must succeed.
fn said(command: &mut Command) -> String {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{text}{errors}");
    text
}
