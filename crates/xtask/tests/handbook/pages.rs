//! Manual pages: every reader accepts them, they name exactly the existing flags, and
//! their references exist.

use std::collections::BTreeSet;
use std::process::Command;

use crate::{book, names, path, read, said};

/// Pages of other packages.
const OTHERS: [&str; 7] = [
    "busctl(1)",
    "gdbus-codegen(1)",
    "polkit(8)",
    "sd_notify(3)",
    "systemd(1)",
    "systemd-creds(1)",
    "systemd.exec(5)",
];

fn pages() -> impl Iterator<Item = String> {
    names("packaging/man")
        .into_iter()
        .map(|name| format!("packaging/man/{name}"))
}

/// `tcnd.toml(5)` and the like, for every page.
fn titles() -> BTreeSet<String> {
    let titles = names("packaging/man").into_iter().map(|name| {
        let (title, section) = name.rsplit_once('.').unwrap();
        format!("{title}({section})")
    });
    titles.collect()
}

#[test]
fn mandoc_has_nothing_to_say() {
    for page in pages() {
        let lint = ["-T", "lint", "-W", "warning"];
        assert_eq!(
            said(Command::new("mandoc").args(lint).arg(path(&page))),
            "",
            "{page}"
        );
    }
}

/// The check that lintian makes.
#[test]
fn groff_has_no_warning() {
    for page in pages() {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]);
        man.arg(path(&page))
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80");
        let output = crate::run(&mut man);
        assert!(output.status.success(), "{page}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page}");
    }
}

/// The text by which whatis(1) and apropos(1) find a page.
#[test]
fn every_page_has_its_name_and_what_it_is_about() {
    for page in pages() {
        let name = page.rsplit('/').next().unwrap();
        let title = name.rsplit_once('.').unwrap().0;
        let found = said(Command::new("lexgrog").arg(path(&page)));
        let (_, about) = found.split_once(": \"").unwrap();
        let about = about
            .strip_prefix(&format!("{title} - "))
            .unwrap_or_else(|| panic!("{found}"));
        assert!(about.trim_end().len() > 10, "{found}");
    }
}

/// The flags that a page explains: `.It Fl -bus Ar BUS`.
fn explained(page: &str) -> BTreeSet<String> {
    let text = read(page);
    let flags = text
        .lines()
        .filter_map(|line| line.strip_prefix(".It Fl -"));
    flags
        .map(|rest| rest.split(' ').next().unwrap().to_owned())
        .collect()
}

/// The page of a program: of those for everyone in section 1, of services in section 8.
fn page_of(program: &str) -> String {
    let pages = ["1", "8"].map(|section| format!("packaging/man/{program}.{section}"));
    let mut pages = pages.into_iter().filter(|page| path(page).exists());
    pages
        .next()
        .unwrap_or_else(|| panic!("no page of {program}"))
}

#[test]
fn every_flag_stands_in_its_page_and_no_other_does() {
    let [_tcnctl, programs @ ..] = book::programs();
    for mut program in programs {
        program.build();
        let page = page_of(program.get_name());
        let flags = program.get_arguments().filter_map(|arg| arg.get_long());
        let flags: BTreeSet<_> = flags.map(str::to_owned).collect();
        assert_eq!(explained(&page), flags, "{page}");
        for flag in &flags {
            let shown = read(&page).contains(&format!("\n.Op Fl -{flag}"));
            let general = flag == "help" || flag == "version";
            assert!(shown != general, "{page}: --{flag} in the synopsis");
        }
    }
}

/// Every page that another refers to, as `.Xr tcnd 8` does.
#[test]
fn every_page_that_is_pointed_at_is_there() {
    let known = titles();
    for page in pages() {
        for line in read(&page).lines() {
            let Some(rest) = line.strip_prefix(".Xr ") else {
                continue;
            };
            let mut words = rest.split(' ');
            let title = format!("{}({})", words.next().unwrap(), words.next().unwrap());
            let is_there = known.contains(&title) || OTHERS.contains(&title.as_str());
            assert!(is_there, "{page}: {title}");
        }
    }
}

/// The page that `systemctl help` shows, for every unit.
#[test]
fn units_point_at_pages_that_there_are() {
    let known = titles();
    for unit in names("systemd/system") {
        let text = read(&format!("systemd/system/{unit}"));
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("Documentation="));
        let all: Vec<_> = lines.flat_map(str::split_whitespace).collect();
        let pages: Vec<_> = all
            .iter()
            .filter_map(|uri| uri.strip_prefix("man:"))
            .collect();
        assert!(!pages.is_empty(), "{unit} points at no page");
        assert!(all.iter().any(|uri| uri.starts_with("https://")), "{unit}");
        for page in pages {
            assert!(known.contains(page), "{unit}: {page}");
        }
    }
}
