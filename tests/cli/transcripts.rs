//! What a person types and sees, word for word, where no daemon is needed.
//!
//! To write them anew after a change: `TRYCMD=overwrite cargo test --test cli`,
//! then read the difference.

#[test]
fn they_are_as_written() {
    trycmd::TestCases::new()
        .env("TZ", "UTC")
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
        .case("tests/cli/transcripts/*.md");
}
