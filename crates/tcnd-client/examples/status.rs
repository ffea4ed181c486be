//! Shows the state and the problems of tcnd.
//!
//! ```console
//! $ cargo run -p tcnd-client --example status [BUS]
//! ```
//!
//! BUS is system, session, or a D-Bus address.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use tcnd_client::notices::problem;
use tcnd_client::watch::Watch;
use tcnd_client::{BusChoice, connect};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let bus: BusChoice = std::env::args()
        .nth(1)
        .as_deref()
        .unwrap_or("system")
        .parse()?;
    let mut watch = Watch::new(connect(&bus).await?).await?;
    let Some(mut tcnd) = watch.look().await? else {
        println!("tcnd is not running");
        return Ok(());
    };
    println!(
        "state: {}",
        tcnd.take::<String>("State").unwrap_or_default()
    );
    for token in tcnd.take::<Vec<String>>("Problems").unwrap_or_default() {
        match problem(&token) {
            Some(notice) => println!("{} Cure: {}", notice.sentence, notice.cure),
            // tcnd may be newer than this program.
            None => println!("problem: {token}"),
        }
    }
    if let Some(new) = tcnd.new_exposures {
        println!("new exposures: {new}");
    }
    Ok(())
}
