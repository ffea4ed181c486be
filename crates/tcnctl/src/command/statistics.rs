//! `tcnctl statistics`: counters of tcnd since its start.

use std::fmt::Write as _;

use serde::Serialize;
use tcnd_client::proxy;

use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

/// The document of `statistics --json`: counters since the start of tcnd.
#[derive(Debug, Serialize)]
struct StatisticsDocument {
    rotations: u64,
    advert_ok: u64,
    advert_fail: u64,
    scan_restarts: u64,
    invalid_frames: u64,
    dropped: u64,
    rows: u64,
    db_bytes: u64,
}

pub(crate) async fn statistics(client: &Client, json: bool) -> Result<CommandOutput, CliError> {
    let _agent = client.start_polkit_agent().await;
    let contacts = client.contacts().await?;
    let counters = client.map_err(contacts.get_statistics().await)?;
    Ok(CommandOutput::new(
        json,
        &StatisticsDocument::new(&counters),
        StatisticsDocument::render,
    ))
}

impl StatisticsDocument {
    fn new(counters: &proxy::DaemonStatistics) -> Self {
        Self {
            rotations: counters.rotations,
            advert_ok: counters.advert_ok,
            advert_fail: counters.advert_fail,
            scan_restarts: counters.scan_restarts,
            invalid_frames: counters.invalid_frames,
            dropped: counters.dropped,
            rows: counters.rows,
            db_bytes: counters.db_bytes,
        }
    }

    fn render(&self) -> String {
        let counts = [
            ("own numbers broadcast", self.rotations),
            ("adverts accepted by the controller", self.advert_ok),
            ("adverts refused by the controller", self.advert_fail),
            ("scan restarts", self.scan_restarts),
            ("frames without a valid number", self.invalid_frames),
            ("sightings dropped because tables were full", self.dropped),
            ("contacts in the log", self.rows),
            ("bytes of the log on disk", self.db_bytes),
        ];
        let mut text = "Since the start of tcnd, and the size of its log:\n".to_owned();
        for (name, count) in counts {
            let _ = writeln!(text, "  {count:>12}  {name}");
        }
        text
    }
}
