//! tcnd.

fn main() {}
