//! The handbook's page on running a server agrees with the server: the tests run its
//! commands as written, and check that its examples fit together.

use std::io::Write as _;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::child;
use super::durable::config;
use super::harness::report;

const PAGE: &str = include_str!("../../../../docs/reportd.md");

/// The code blocks of the page in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let rest = PAGE.split(&*fence).skip(1);
    rest.map(|rest| rest.split("```").next().unwrap()).collect()
}

fn run(line: &str, directory: &std::path::Path) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(directory);
    shell.output().unwrap()
}

#[test]
fn its_commands_upload_what_tcnctl_exports() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = child::start(directory.path(), &config(directory.path()));
    let mut file = std::fs::File::create(directory.path().join("report.base64")).unwrap();
    let parts = [report(1), report(2)].map(|part| STANDARD.encode(part));
    for part in &parts {
        writeln!(file, "{part}").unwrap();
    }
    let lines = blocks("console")
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("$ "))
        .filter(|line| line.contains("curl"));
    let mut said = Vec::new();
    for line in lines {
        assert!(line.contains("http://127.0.0.1:8080/"), "{line}");
        let here = line.replace("127.0.0.1:8080", &server.address.to_string());
        let output = run(&here, directory.path());
        assert!(output.status.success(), "{line}: {output:?}");
        said.push(String::from_utf8(output.stdout).unwrap());
    }
    assert_eq!(said.len(), 3);
    for part in &parts {
        assert!(said[1].contains(&**part), "{}", said[1]);
    }
    assert!(said[2].contains("ready"));
    server.terminate();
    assert!(server.wait().0.success());
}

#[test]
fn its_settings_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("reportd.toml");
    let of_a_proxy = blocks("toml")
        .into_iter()
        .find(|block| block.contains("trusted_proxies"));
    std::fs::write(&file, of_a_proxy.unwrap()).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_tcn-reportd"));
    let output = program.arg("--check-config").arg("--config").arg(&file);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = format!("The configuration is valid:\n  {}\n", file.display());
    assert_eq!(said, expected);
    assert!(output.stderr.is_empty());
    assert!(!directory.path().join("state").exists());
}

#[test]
fn faulty_settings_are_named_and_nothing_is_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("reportd.toml");
    std::fs::write(&file, "\nconections = 7\n").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_tcn-reportd"));
    let output = program.arg("--check-config").arg("--config").arg(&file);
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("reportd.toml:2: "), "{said}");
}

/// The blocks of an nginx configuration: the line that opens each, and its content.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut word = String::new();
    let plain = text.lines().map(|line| line.split('#').next().unwrap());
    for character in plain.collect::<Vec<_>>().join("\n").chars() {
        match character {
            '{' => {
                sections.push((word.trim().to_owned(), String::new()));
                open.push(sections.len() - 1);
                word.clear();
            }
            '}' => {
                assert!(word.trim().is_empty(), "not ended: {word}");
                open.pop().expect("a block that was opened");
            }
            ';' => {
                let last = open.last().expect("all stands in a block");
                sections[*last].1.push_str(word.trim());
                sections[*last].1.push('\n');
                word.clear();
            }
            other => word.push(other),
        }
    }
    assert!(open.is_empty() && word.trim().is_empty(), "{word}");
    sections
}

#[test]
fn its_nginx_has_every_location_it_names_and_shows_no_metrics() {
    let [text] = blocks("nginx")[..] else {
        panic!("there is one whole example");
    };
    let sections = sections(text);
    let named = |name: &str| {
        let mut found = sections.iter().filter(|(opens, _)| opens == name);
        let body = found.next().map(|(_, body)| body.clone());
        assert!(found.next().is_none(), "{name} twice");
        body.unwrap_or_else(|| panic!("no {name}"))
    };
    for (_, body) in &sections {
        for line in body.lines().filter(|line| line.starts_with("try_files")) {
            let fallback = line.rsplit(' ').next().unwrap();
            assert!(fallback.starts_with('@'), "{line}");
            let _is_there = named(&format!("location {fallback}"));
        }
    }
    assert!(named("location = /metrics").contains("return 404"));
    let stream = named("location ~ ^/tcnreport/21600/[0-9]+\\.tcn$");
    assert!(stream.contains("default_type application/octet-stream"));
    assert!(text.contains("ssl_certificate ") && text.contains("ssl_certificate_key "));
    for proxied in ["location /", "location @reportd"] {
        assert!(named(proxied).contains("X-Forwarded-For"), "{proxied}");
    }
    let [caddy] = blocks("caddyfile")[..] else {
        panic!("there is one whole example");
    };
    assert!(caddy.contains("respond /metrics 404"));
}
