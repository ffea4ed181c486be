//! `tcnctl statistics`: counters of tcnd since its start.

use std::fmt::Write as _;

use serde::Serialize;
use tcnd_client::proxy::DaemonStatistics;

use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;

/// The document of `statistics --json`: counters since the start of tcnd.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct StatisticsDocument {
    #[serde(serialize_with = "DaemonStatistics::serialize_plain")]
    counters: DaemonStatistics,
}

pub(crate) async fn statistics(client: &Client) -> Result<CommandOutput, CliError> {
    let contacts = client.contacts().await?;
    let counters = client.map_err(contacts.get_statistics().await)?;
    Ok(client.output(&StatisticsDocument { counters }, StatisticsDocument::render))
}

impl StatisticsDocument {
    fn render(&self) -> String {
        let counters = &self.counters;
        let counts = [
            ("own numbers broadcast", counters.rotations),
            ("adverts accepted by the controller", counters.advert_ok),
            ("adverts refused by the controller", counters.advert_fail),
            ("scan restarts", counters.scan_restarts),
            ("frames without a valid number", counters.invalid_frames),
            (
                "sightings dropped because tables were full",
                counters.dropped,
            ),
            ("contacts in the log", counters.rows),
            ("bytes of the log on disk", counters.db_bytes),
        ];
        let mut text = "Since the start of tcnd, and the size of its log:\n".to_owned();
        for (name, count) in counts {
            let _ = writeln!(text, "  {count:>12}  {name}");
        }
        text
    }
}
