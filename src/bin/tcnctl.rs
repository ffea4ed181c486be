//! tcnctl.

fn main() {}
