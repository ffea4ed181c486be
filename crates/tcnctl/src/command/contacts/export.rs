//! `tcnctl contacts export`: writes rows of the contact log to a file.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;
use zbus::Variant;

use crate::args::{RowFormat, SpanArgs};
use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;
use crate::output_file::OutputFile;

pub(crate) async fn export(
    client: &Client,
    path: &Path,
    format: RowFormat,
    raw: bool,
    span: SpanArgs,
) -> Result<CommandOutput, CliError> {
    let contacts = client.contacts().await?;
    let file = OutputFile::create(path)?;
    let format = match format {
        RowFormat::Csv => "csv",
        RowFormat::Jsonl => "jsonl",
        RowFormat::Sqlite => "sqlite",
    };
    let mut options = HashMap::from([("format", Variant::from(format)), ("raw", raw.into())]);
    // The same span as `contacts` counts, so that both agree.
    let quarters = local_time::histogram::quarters(span.from, span.to);
    let bounds = [("from", quarters.from), ("to", quarters.to)];
    for (name, at) in bounds {
        options.extend(at.map(|at| (name, at.into())));
    }
    let written = contacts.export_log(file.fd().into(), options).await;
    let rows = match client.map_err(written) {
        Ok(rows) => rows,
        Err(error) => {
            file.discard();
            return Err(error);
        }
    };
    if file.is_standard() {
        return Ok(CommandOutput::none());
    }
    let document =
        json!({"file": path.to_string_lossy(), "format": format, "raw": raw, "rows": rows});
    Ok(client.output(&document, |_| {
        let numbers = if raw {
            "with the numbers themselves: keep it as safe as the log"
        } else {
            "with pseudonyms for the numbers"
        };
        format!(
            "{rows} contacts are in {}, {numbers}.",
            printable::path(path)
        )
    }))
}
