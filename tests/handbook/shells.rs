//! Completions, asked of the shells themselves.

use std::process::Command;

use crate::{book, path, said};

/// What may follow `tcnctl report`.
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

#[test]
fn bash_completes() {
    let script = "source \"$1\"; COMP_WORDS=(tcnctl report ''); COMP_CWORD=2
        _tcnctl tcnctl '' report; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let file = path("packaging/completions/bash/tcnctl");
    let mut bash = Command::new("bash");
    is_offered(&said(bash.args(["--norc", "-c", script, "bash"]).arg(file)));
}

#[test]
fn fish_completes() {
    let script = "source $argv[1]; complete -C 'tcnctl report '";
    let file = path("packaging/completions/fish/tcnctl.fish");
    let mut fish = Command::new("fish");
    is_offered(&said(fish.args(["--no-config", "-c", script]).arg(file)));
}

/// zsh completes at a prompt only; so it gets one, on a terminal of zsh's own.
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
