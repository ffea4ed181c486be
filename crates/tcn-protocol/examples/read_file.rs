//! Reads a report file of any format, and says of each item what it is.
//!
//! ```console
//! $ cargo run -p tcn-protocol --features files --example read_file report.txt
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs::File;
use std::ops::ControlFlow;

use tcn_protocol::file;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: read_file FILE")?;
    // The file is read as a stream, and a bad item costs only itself.
    let format = file::read(File::open(path)?, |place, item| {
        let verified = item.map(tcn_protocol::SignedReport::verify);
        match verified {
            Ok(Ok(report)) => println!("{place}: it names {} numbers", report.count()),
            Ok(Err(error)) => println!("{place}: {error}"),
            Err(error) => println!("{place}: {error}"),
        }
        ControlFlow::Continue(())
    })?;
    println!("The format is {format:?}.");
    Ok(())
}
