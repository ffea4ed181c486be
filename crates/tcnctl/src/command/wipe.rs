//! `tcnctl wipe`: destroys all data of tcnd.

use std::collections::HashMap;

use serde_json::json;
use tcnd_client::names;
use zbus::Variant;

use crate::client::Client;
use crate::confirm::{self, Confirmation};
use crate::error::CliError;
use crate::output::CommandOutput;

pub(crate) async fn wipe(client: &Client, yes: bool) -> Result<CommandOutput, CliError> {
    if !yes {
        check_permission(client).await?;
        let text = format!(
            "All keys, contacts, reports, exposures and decisions will be destroyed, and the\n\
             files that contain them will be overwritten. Reports that you have not exported\n\
             can never be made again. tcnd is then as after its installation: it broadcasts\n\
             nothing until tcnctl enable, unless the configuration says so.\n\
             {OVERWRITING_LIMITS}"
        );
        let confirmation = Confirmation::Phrase(names::WIPE_PHRASE);
        confirm::ask(&text, "Destroy everything?", confirmation)?;
    }
    let privacy = client.privacy().await?;
    client.map_err(privacy.wipe_all(names::WIPE_PHRASE, HashMap::new()).await)?;
    Ok(client.output(&json!({"wiped": true}), |_| {
        "Everything is destroyed. Files that you exported are yours to delete. Snapshots,\n\
         backups and blocks that a drive has put out of use may hold older copies."
            .to_owned()
    }))
}

/// Data that overwriting a file does not reach.
pub(crate) const OVERWRITING_LIMITS: &str = "\
Overwriting reaches the files, not older copies of them: snapshots, file systems that
copy on write (btrfs, ZFS), blocks that an SSD or SD card has put out of use, backups.
An encrypted disk protects those.";

/// Whether the user may destroy data. A refusal comes before any confirmation is asked
/// for.
pub(crate) async fn check_permission(client: &Client) -> Result<(), CliError> {
    let options = HashMap::from([("dry_run", Variant::from(true))]);
    let privacy = client.privacy().await?;
    client.map_err(privacy.wipe_all(names::WIPE_PHRASE, options).await)
}
