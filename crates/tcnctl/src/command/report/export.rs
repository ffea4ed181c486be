//! `tcnctl report export`: writes an own report to a file.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;
use zbus::Variant;

use crate::args::ReportFormat;
use crate::client::Client;
use crate::error::CliError;
use crate::output::CommandOutput;
use crate::output_file::OutputFile;

pub(crate) async fn export(
    client: &Client,
    id: &str,
    path: &Path,
    format: ReportFormat,
) -> Result<CommandOutput, CliError> {
    let reports = client.reports().await?;
    let file = OutputFile::create(path)?;
    let format = match format {
        ReportFormat::Tcn => "tcn",
        ReportFormat::Base64 => "base64",
        ReportFormat::Json => "json",
    };
    let options = HashMap::from([("format", Variant::from(format))]);
    let written = reports.export(id, file.fd().into(), options).await;
    let bytes = match client.map_err(written) {
        Ok(bytes) => bytes,
        Err(error) => {
            file.discard();
            return Err(error);
        }
    };
    let document =
        json!({"id": id, "file": path.to_string_lossy(), "format": format, "bytes": bytes});
    if file.is_standard() {
        return Ok(CommandOutput::none());
    }
    Ok(client.output(&document, |_| {
        format!(
            "Report {id} is in {}, {bytes} bytes. Give it to the people whom you want to warn.",
            printable::path(path)
        )
    }))
}
