//! Writes what packaging/ has of the programs' own words: manual pages,
//! completions, the journal's catalog.
//!
//! ```console
//! $ cargo run -p xtask
//! ```
//!
//! They are committed, so that a package needs no more than `make install`;
//! tests/handbook fails when one of them is not what is written here.

mod book;

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    for (name, text) in book::files() {
        let file = packaging.join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(&packaging))?;
        std::fs::write(file, text)?;
    }
    Ok(())
}
