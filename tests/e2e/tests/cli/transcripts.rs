//! Transcripts of commands and their exact output, where no daemon is needed.
//!
//! To update them after a change: `TRYCMD=overwrite cargo test -p e2e --test cli`, then
//! read the difference.

use std::path::PathBuf;

#[test]
fn they_are_as_written() {
    trycmd::TestCases::new()
        .register_bin("tcnctl", PathBuf::from(e2e::program("tcnctl")))
        .env("TZ", "UTC")
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
        .case("tests/cli/transcripts/*.md");
}
