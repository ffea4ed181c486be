//! Prints how many exposures are new, after each change. polkit does not ask for a
//! password.
//!
//! ```console
//! $ cargo run -p tcnd-client --example watch_exposures [BUS]
//! ```
//!
//! BUS is system, session, or a D-Bus address.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

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
    let mut shown = String::new();
    loop {
        let now = match watch.look().await?.map(|tcnd| tcnd.new_exposures) {
            None => "tcnd is not running".to_owned(),
            Some(None) => "this user may not see exposures".to_owned(),
            Some(Some(new)) => format!("new exposures: {new}"),
        };
        if now != shown {
            println!("{now}");
            shown = now;
        }
        if !watch.changed().await {
            return Err("the bus is gone".into());
        }
    }
}
