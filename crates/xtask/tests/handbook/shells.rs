//! Completions, tested in the shells themselves.

use std::process::Command;

use crate::{book, path, said};

/// The words that may follow `tcnctl report`.
const ALL: [&str; 9] = [
    "check", "create", "delete", "export", "import", "inspect", "list", "preview", "publish",
];

fn is_offered(offered: &str) {
    for word in ALL {
        let is_there = offered
            .lines()
            .any(|line| line.split('\t').next() == Some(word));
        assert!(is_there, "{word} is not among:\n{offered}");
    }
}

#[test]
fn every_file_is_read_by_its_shell() {
    for program in book::programs() {
        let name = program.get_name();
        for (shell, file) in [
            ("bash", format!("bash/{name}")),
            ("zsh", format!("zsh/_{name}")),
            ("fish", format!("fish/{name}.fish")),
        ] {
            said(
                Command::new(shell)
                    .arg("-n")
                    .arg(path("packaging/completions").join(file)),
            );
        }
    }
}

/// The words that bash offers after these words, the last of which is incomplete.
/// `busctl` is a mock that knows two reports.
fn bash_offers(words: &[&str]) -> Vec<String> {
    let script = r#"busctl() { printf '%s' '{"type":"aa{sv}","data":[[{"id":{"type":"s","data":"3"},"note":{"type":"s","data":"\"id\""}},{"id":{"type":"s","data":"12"}}]]}'; }
        source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _tcnctl tcnctl "${COMP_WORDS[COMP_CWORD]}" ""; printf '%s\n' "${COMPREPLY[@]}""#;
    let file = path("packaging/completions/bash/tcnctl");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]).arg(file);
    bash.arg("tcnctl").args(words);
    bash.current_dir(path("packaging/completions"));
    let offered = said(&mut bash);
    let offered = offered.lines().filter(|line| !line.is_empty());
    offered.map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    is_offered(&bash_offers(&["report", ""]).join("\n"));
    let files = ["bash", "fish", "zsh"];
    let symptoms = ["cough,dry-cough", "cough,diarrhea"];
    let cases: [(&[&str], &[&str]); 19] = [
        (&["report", "import", ""], &files),
        (&["report", "import", "zsh", "b"], &["bash"]),
        (&["report", "import", "--sou"], &["--source"]),
        (&["report", "inspect", "--expand", "f"], &["fish"]),
        (&["--bus", ""], &["system", "session"]),
        (&["report", "list", "--bus", "se"], &["session"]),
        (&["--bus", "=", "sy"], &["system"]),
        (&["contacts", "--from", ""], &["now", "today", "yesterday"]),
        (&["contacts", "--from", "f"], &[]),
        (&["report", "import", "--published", "y"], &["yesterday"]),
        (&["report", "create", "--since", "t"], &["today"]),
        (&["report", "create", "--symptoms", "cough,d"], &symptoms),
        (&["report", "create", "--symptoms", "co"], &["cough"]),
        (&["report", "create", "--note", ""], &[]),
        (&["report", "export", ""], &["3", "12"]),
        (&["report", "export", "3", "z"], &["zsh"]),
        (&["report", "delete", "1"], &["12"]),
        (&["status", ""], &[]),
        (&["--bus", "unix", ":", "path", "=", "/x", "wa"], &["watch"]),
    ];
    for (words, expected) in cases {
        let mut offered = bash_offers(words);
        let mut expected = expected.to_vec();
        offered.sort();
        expected.sort_unstable();
        assert_eq!(offered, expected, "{words:?}");
    }
    // An option that is present already is not offered again.
    let more = bash_offers(&["report", "create", "--symptoms", "cough,fever,co"]);
    assert_eq!(more, [""; 0]);
}

#[test]
fn fish_completes() {
    let script = "source $argv[1]; complete -C 'tcnctl report '";
    let file = path("packaging/completions/fish/tcnctl.fish");
    let mut fish = Command::new("fish");
    is_offered(&said(fish.args(["--no-config", "-c", script]).arg(&file)));
    for (typed, word, not) in [
        ("tcnctl --bus ", "session", "fish"),
        ("tcnctl contacts --from ", "yesterday", "fish"),
        (
            "tcnctl report create --symptoms cough,di",
            "cough,diarrhea",
            "fish",
        ),
    ] {
        let script = format!("source $argv[1]; complete -C '{typed}'");
        let mut fish = Command::new("fish");
        fish.current_dir(path("packaging/completions"));
        let offered = said(fish.args(["--no-config", "-c", &script]).arg(&file));
        let mut words = offered.lines().filter_map(|line| line.split('\t').next());
        assert!(
            words.clone().any(|offered| offered == word),
            "{typed}: {offered}"
        );
        assert!(
            words.all(|offered| !offered.starts_with(not)),
            "{typed}: {offered}"
        );
    }
}

/// zsh completes only at a prompt, so the test runs it on its own terminal.
#[test]
fn zsh_completes() {
    let script = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PROMPT=ready'> '; fpath=($1 \$fpath); autoload -Uz compinit; compinit -D -u; bindkey '^I' complete-word"
        zpty -r -m shell output $'*ready> *'
        zpty -w -n shell $'tcnctl report prev\t'
        zpty -r -m shell output '*prev*iew*'
        zpty -d shell
        print done"#;
    let mut zsh = Command::new("timeout");
    zsh.args(["60", "zsh", "-f", "-c", script, "zsh"]);
    zsh.arg(path("packaging/completions/zsh"));
    assert_eq!(said(&mut zsh), "done\n");
}
