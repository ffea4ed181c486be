//! `tcnctl contacts erase`: destroys contacts.

use serde_json::json;
use tcnd_client::names;

use super::super::wipe::{OVERWRITING_LIMITS, check_permission};
use crate::args::SpanArgs;
use crate::client::Client;
use crate::confirm::{self, Confirmation};
use crate::error::CliError;
use crate::output::CommandOutput;
use crate::time;

pub(crate) async fn erase(
    client: &Client,
    span: SpanArgs,
    yes: bool,
) -> Result<CommandOutput, CliError> {
    let from = span.from.map_or(0, local_time::unix_seconds);
    let to = local_time::unix_seconds(span.to.unwrap_or_else(|| time::now().timestamp()))
        + u64::from(span.to.is_none());
    if from >= to {
        let text = "the time ends before it begins; give a --from that is before --to";
        return Err(CliError::refused(names::error::INVALID_RANGE, text));
    }
    if !yes {
        check_permission(client).await?;
        let now = time::now();
        let which = match (span.from, span.to) {
            (None, None) => "All contacts".to_owned(),
            (None, Some(_)) => format!(
                "All contacts that began before {}",
                local_time::show(to, &now)
            ),
            (Some(_), _) => format!(
                "All contacts that began from {}",
                local_time::show_span(from, to, &now)
            ),
        };
        let text = format!(
            "{which} will be destroyed. Exposures are computed from contacts, so neither\n\
             you nor tcnd can find an exposure in them any more.\n{OVERWRITING_LIMITS}"
        );
        confirm::ask(&text, "Destroy them?", Confirmation::Yes)?;
    }
    let rows = client.map_err(client.contacts().await?.erase(from, to).await)?;
    Ok(client.output(&json!({"erased": rows}), |_| {
        format!("{rows} contacts are destroyed.")
    }))
}
