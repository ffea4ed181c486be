//! Generates the files of packaging/ that are made from the programs: manual pages,
//! completions, the journal's catalog.
//!
//! ```console
//! $ cargo run -p xtask
//! ```
//!
//! The files are committed, so that a package needs no more than `make install`.
//! tests/handbook beside it fails if one of them differs from the output of this program.

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
