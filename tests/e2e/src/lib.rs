//! Paths of the programs, for tests that run several of them.
//!
//! Cargo gives a test only the paths of programs of its own package. So this module
//! looks beside the test, where Cargo puts all programs of the workspace.

/// The program of this name, as the test was built: `target/debug/NAME`.
///
/// # Panics
/// If it was not built, or the path of its folder is not Unicode.
pub fn program(name: &str) -> String {
    let test = std::env::current_exe().expect("a process knows its program");
    let built = test
        .ancestors()
        .nth(2)
        .expect("a test is in target/PROFILE/deps");
    let program = built.join(name);
    assert!(
        program.exists(),
        "there is no {name} beside the tests: cargo build --workspace --bins (with --release for a bench)"
    );
    let program = program.into_os_string().into_string();
    program.expect("the folder is named in Unicode")
}
