//! All programs report the same about a configuration.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::process::Command;

/// The exit status and output of each program for a file.
fn checks(file: &std::path::Path) -> Vec<(i32, String, String)> {
    let daemons = [
        (e2e::program("tcnd"), "--config"),
        (e2e::program("tcnd-sync"), "--sources"),
        (e2e::program("tcn-reportd"), "--config"),
    ];
    let daemons = daemons.map(|(program, flag)| {
        let mut command = Command::new(program);
        command.arg("--check-config").arg(flag).arg(file);
        command
    });
    let mut tcnctl = Command::new(e2e::program("tcnctl"));
    tcnctl.args(["config", "check"]).arg(file);
    let mut commands = Vec::from(daemons);
    commands.push(tcnctl);
    let said = commands.into_iter().map(|mut command| {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (code, text(output.stdout), text(output.stderr))
    });
    said.collect()
}

#[test]
fn all_programs_say_the_same_of_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.toml");
    std::fs::write(&file, "").unwrap();
    let valid = format!("The configuration is valid:\n  {}\n", file.display());
    for (code, out, err) in checks(&file) {
        assert_eq!((code, &*out, &*err), (0, &*valid, ""));
    }
    std::fs::write(&file, "\nno_such_key = 1\n").unwrap();
    let codes = checks(&file).into_iter().map(|(code, out, err)| {
        assert_eq!(out, "");
        let line = format!("{}:2: ", file.display());
        assert!(err.contains(&line), "{err}");
        assert!(err.contains("no_such_key"), "{err}");
        code
    });
    // sysexits(3) for services; tcnctl uses the same statuses for all its commands.
    assert_eq!(codes.collect::<Vec<_>>(), [78, 78, 78, 1]);
}
