//! Completions for the shells. clap_complete generates those for zsh and fish, and
//! values that it does not know are inserted. For bash see [`bash`].

use clap::Command;
use clap_complete::{Shell, generate};

use super::bash;
use super::values::{BUSES, RADIOS, TIMES};

/// A file for each shell.
pub(crate) fn completions(mut program: Command) -> Vec<(String, String)> {
    let name = program.get_name().to_owned();
    let mut generated = |shell: Shell| {
        let mut text = Vec::new();
        generate(shell, &mut program, &name, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let (zsh_text, fish_text) = (generated(Shell::Zsh), generated(Shell::Fish));
    program.build();
    let (zsh, fish) = (zsh(&program, &zsh_text), fish(&program, &fish_text));
    vec![
        (format!("completions/bash/{name}"), bash::script(&program)),
        (format!("completions/zsh/_{name}"), zsh),
        (format!("completions/fish/{name}.fish"), fish),
    ]
}

/// Lists the objects of tcnd, for `@_ids` of zsh and fish.
const ASK: &str = "busctl --system --allow-interactive-authorization=no --auto-start=no \
                   --timeout=2 --json=short call org.tcncoalition.Tcnd1 \
                   /org/tcncoalition/Tcnd1 org.tcncoalition.Tcnd1.";

/// The values of the `id` members in that output.
const IDS: &str = "grep -o '\"id\":{\"type\":\"s\",\"data\":\"[^\"]*\"' | cut -d '\"' -f 10";

const ID: &str = "The ID in the list";

/// Every option with a list of words: its name and the words.
fn lists(command: &Command) -> Vec<(String, Vec<String>)> {
    let of = |arg: &clap::Arg| {
        let words = arg.get_possible_values();
        let words: Vec<_> = words
            .iter()
            .map(|word| word.get_name().to_owned())
            .collect();
        let is_list = arg.get_value_delimiter().is_some() && !words.is_empty();
        is_list.then(|| (arg.get_long().unwrap_or_default().to_owned(), words))
    };
    let own = command.get_arguments().filter_map(of);
    own.chain(command.get_subcommands().flat_map(lists))
        .collect()
}

fn zsh(program: &Command, text: &str) -> String {
    let name = program.get_name();
    let mut label = "";
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with('(') && line.ends_with(')') {
            label = line;
        }
        let ids = match label {
            "(show)" | "(dismiss)" => "exposures",
            _ => "reports",
        };
        let mut line = line
            .replace(":BUS:_default", &format!(":BUS:({})", BUSES.join(" ")))
            .replace(":RADIO:_default", &format!(":RADIO:({})", RADIOS.join(" ")))
            .replace(":N:_default", ":N:")
            .replace(":T:_default", &format!(":T:({})", TIMES.join(" ")))
            .replace(":NAME:_default", ":NAME:")
            .replace(":TEXT:_default", ":TEXT:")
            .replace(
                &format!("{ID}:_default"),
                &format!("{ID}:_{name}_ids {ids}"),
            );
        for (option, words) in lists(program) {
            if line.contains(&format!("--{option}=")) {
                let words = words.join(" ");
                line = line.replace(
                    &format!(":({words})"),
                    &format!(":_values -s , word {words}"),
                );
            }
        }
        lines.push(line);
    }
    let text = lines.join("\n") + "\n";
    if !text.contains(&format!("_{name}_ids")) {
        return text;
    }
    let function = format!(
        "_{name}_ids() {{\n    local call='Reports List'\n    \
         [[ $1 == exposures ]] && call='Exposures List a{{sv}} 0'\n    \
         local -a ids\n    ids=(${{(f)\"$({ASK}${{=call}} 2>/dev/null </dev/null | {IDS})\"}})\n    \
         compadd -a ids\n}}\n\n"
    );
    let end = text.rfind("\nif [ ").map_or(text.len(), |at| at + 1);
    format!("{}{function}{}", &text[..end], &text[end..])
}

fn fish(program: &Command, text: &str) -> String {
    let name = program.get_name();
    let mut lines = Vec::new();
    for line in text.lines() {
        let offered = if line.contains(" -l bus ") {
            Some(BUSES.join(" "))
        } else if line.contains(" -l radio ") {
            Some(RADIOS.join(" "))
        } else if [" -l from ", " -l to ", " -l since ", " -l published "]
            .iter()
            .any(|option| line.contains(option))
            && !line.contains("publish\" -l to")
        {
            Some(TIMES.join(" "))
        } else {
            None
        };
        lines.push(match offered.filter(|_| line.ends_with(" -r")) {
            Some(words) => format!("{line} -f -a \"{words}\""),
            None => line.to_owned(),
        });
    }
    let mut text = lines.join("\n") + "\n";
    for (option, words) in lists(program) {
        let from = text.find(&format!(" -l {option} "));
        let from = from.and_then(|at| Some(at + text[at..].find(" -a \"")? + " -a \"".len()));
        if let Some(from) = from
            && let Some(length) = text[from..].find('"')
        {
            let words = format!("(__fish_append , {})", words.join(" "));
            text.replace_range(from..from + length, &words);
        }
    }
    if text.contains(" -l bus ") {
        // clap_complete's own condition fails while the value is missing.
        text.push_str(&format!(
            "complete -c {name} -l bus -x -a \"{}\"\n",
            BUSES.join(" ")
        ));
    }
    if name == "tcnctl" {
        text.push_str(&format!(
            "\nfunction __fish_tcnctl_ids\n    \
             set -l call Reports List\n    \
             test $argv[1] = exposures; and set call Exposures List 'a{{sv}}' 0\n    \
             {ASK}$call[1] $call[2..] 2>/dev/null </dev/null | {IDS}\nend\n"
        ));
        for (of, commands, ids, files) in [
            ("report", "publish delete", "reports", " -f"),
            ("report", "export", "reports", ""),
            ("exposures", "show dismiss", "exposures", " -f"),
        ] {
            text.push_str(&format!(
                "complete -c tcnctl -n \"__fish_tcnctl_using_subcommand {of}; and \
                 __fish_seen_subcommand_from {commands}\"{files} -a \"(__fish_tcnctl_ids {ids})\"\n"
            ));
        }
    }
    text
}
