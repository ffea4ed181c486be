//! tcnctl(1), and a page for each of its subcommands.
//!
//! clap_mangen writes the text of the help. This module adds sections that the help
//! lacks: exit status, examples, further reading.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold};

use super::page::{EDITION, SOURCE, examples, list, section, see_also};

/// A page, the purpose of the example, and the lines to type.
type Example = (&'static str, &'static str, &'static str);

/// In the order of the pages.
const EXAMPLES: &str = r#"
tcnctl
Show the status and the problems:
tcnctl status

tcnctl
Give consent:
tcnctl enable

tcnctl
Print one JSON document, for scripts:
tcnctl --json status

tcnctl-status
Ask a tcnd that was started by hand:
tcnctl --bus session status

tcnctl-watch
A module for Waybar, with "return-type": "json":
tcnctl watch --format waybar

tcnctl-doctor
Check this machine:
tcnctl doctor

tcnctl-pause
Pause for two hours:
tcnctl pause 2h

tcnctl-pause
Pause until tcnctl resume, with a reason that other users see:
tcnctl pause --reason meeting

tcnctl-contacts
Show the totals of the last three days:
tcnctl contacts --from 3d

tcnctl-contacts-export
Export yesterday's rows, with masked numbers, for a spreadsheet:
tcnctl contacts export --from yesterday --to yesterday contacts.csv

tcnctl-contacts-erase
Destroy the contacts of one day:
tcnctl contacts erase --from 2026-11-23 --to 2026-11-23

tcnctl-report
Make a report and write it to a file:
tcnctl report create --symptoms dry-cough,mild-fever --since yesterday
tcnctl report export 1 report.tcn

tcnctl-report-preview
Show what a report of the last three days would disclose:
tcnctl report preview --from 3d

tcnctl-report-create
Report symptoms, in the form that CoEpi's apps read:
tcnctl report create --symptoms dry-cough,mild-fever --since 3d

tcnctl-report-create
Use another type of memo, without confirmation:
tcnctl report create --memo-type 2 --memo-hex 73796d70746f6d2064617461 --yes

tcnctl-report-export
Write one signed report a line to a file:
tcnctl report export 1 report.txt --format base64

tcnctl-report-publish
Publish on one server only:
tcnctl report publish 1 --to health-office

tcnctl-report-check
Fetch from all servers now:
tcnctl report check

tcnctl-report-import
Match a file from another person:
tcnctl report import report.tcn

tcnctl-report-inspect
Check whether all reports of a file are valid, for scripts:
tcnctl report inspect --json report.tcn

tcnctl-exposures
Show when this computer was near a person who made a report:
tcnctl exposures

tcnctl-exposures-show
Show the details of one exposure:
tcnctl exposures show 1-1795442700

tcnctl-exposures-restore
List a dismissed exposure again:
tcnctl exposures restore 1-1795442700

tcnctl-self-test
Run the self-test, for scripts:
tcnctl self-test --json

tcnctl-config-check
Check a file before you install it:
tcnctl config check new.toml
"#;

/// tests/handbook parses each line to type.
pub(crate) fn all_examples() -> impl Iterator<Item = Example> {
    EXAMPLES.trim().split("\n\n").map(|example| {
        let parts = example.split_once('\n').and_then(|(page, rest)| {
            let (purpose, typed) = rest.split_once('\n')?;
            Some((page, purpose, typed))
        });
        parts.expect("three parts")
    })
}

/// The exit statuses for scripts; docs/tcnctl-json.md has the same.
const EXIT_STATUS: [(&str, &str); 5] = [
    ("0", "Success."),
    ("1", "Failure."),
    ("2", "Wrong usage."),
    ("3", "tcnd, or the bus, cannot be reached."),
    ("4", "Not authorised."),
];

/// Commands that check something, and also fail if the check finds a fault.
const CHECKERS: [&str; 3] = [
    "tcnctl-doctor",
    "tcnctl-config-check",
    "tcnctl-report-inspect",
];

/// References of the pages besides each other.
const ALSO: [&str; 3] = ["tcnd.toml(5)", "org.tcncoalition.Tcnd1(5)", "tcnd(8)"];

/// The programs of the desktop, to which the first page refers.
const DESKTOP: [&str; 2] = ["tcnd-indicator(1)", "tcnd-window(1)"];

const JSON: &str =
    "/usr/share/doc/tcnd/tcnctl-json.md, the documents that the commands print with --json.";

/// Every page, by its path in packaging/.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut root = ::tcnctl::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    collect(&root, None, &mut pages);
    pages
}

fn collect(command: &Command, parent: Option<&Command>, pages: &mut Vec<(String, String)>) {
    let place = format!("man/{}.1", title(command));
    pages.push((place, page(command, parent)));
    for sub in command.get_subcommands() {
        collect(sub, Some(command), pages);
    }
}

/// `tcnctl-report-create`.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &Command, parent: Option<&Command>) -> String {
    let mut roff = Roff::new();
    if let Some(times) = times(command) {
        section(&mut roff, "TIMES", &[&times]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    let status = EXIT_STATUS.map(|(code, text)| match code {
        "1" if CHECKERS.contains(&title(command)) => (code, "Failure, or a check found a fault."),
        _ => (code, text),
    });
    list(
        &mut roff,
        status.map(|(code, text)| (vec![bold(code)], text)),
    );
    let of_this = all_examples().filter(|(page, ..)| *page == title(command));
    let of_this: Vec<_> = of_this.map(|(_, what, typed)| (what, typed)).collect();
    if !of_this.is_empty() {
        examples(&mut roff, of_this);
    }
    let up = parent.map(|parent| format!("{}(1)", title(parent)));
    let first = match &up {
        Some(up) => &[up.as_str()][..],
        None => &DESKTOP,
    };
    let also: Vec<_> = first.iter().copied().chain(ALSO).collect();
    see_also(&mut roff, &also, &[JSON]);
    help(command) + &roff.to_roff()
}

/// The explanation of T for commands whose help lacks it: the last paragraph of the
/// help of `tcnctl contacts`.
fn times(command: &Command) -> Option<String> {
    let mut names = command
        .get_arguments()
        .filter_map(|arg| arg.get_value_names());
    names.find(|names| names[..] == ["T"])?;
    let root = ::tcnctl::command();
    let about = root
        .find_subcommand("contacts")?
        .get_long_about()?
        .to_string();
    let (_, times) = about.rsplit_once("\n\n")?;
    let own = command.get_long_about().map(ToString::to_string);
    (!own.is_some_and(|own| own.contains(times))).then(|| times.to_owned())
}

/// The text of the help.
fn help(command: &Command) -> String {
    // clap's own line shows which values an option takes; clap_mangen's does not.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let man = Man::new(command.clone().override_usage(usage))
        .date(EDITION)
        .source(SOURCE)
        .manual("User Commands");
    let mut text = Vec::new();
    man.render(&mut text)
        .expect("writing to memory does not fail");
    // clap_mangen breaks the line twice where it means a blank line; mandoc warns about
    // it.
    String::from_utf8_lossy(&text).replace(".br\n\n.br\n", ".sp\n")
}
