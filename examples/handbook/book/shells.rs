//! What the shells complete, by clap_complete.

use clap::Command;
use clap_complete::{Shell, generate};

/// Where a program's file is in packaging/.
type Place = fn(&str) -> String;

const SHELLS: [(Shell, Place); 3] = [
    (Shell::Bash, |name| format!("completions/bash/{name}")),
    (Shell::Zsh, |name| format!("completions/zsh/_{name}")),
    (Shell::Fish, |name| format!("completions/fish/{name}.fish")),
];

/// A file for each shell.
pub(crate) fn completions(mut program: Command) -> Vec<(String, String)> {
    let name = program.get_name().to_owned();
    let file = |(shell, place): (Shell, Place)| {
        let mut text = Vec::new();
        generate(shell, &mut program, &name, &mut text);
        (place(&name), String::from_utf8_lossy(&text).into_owned())
    };
    SHELLS.map(file).into()
}
