//! `tcnctl watch`: the status again whenever it changed.
//!
//! A bar shows its module as long as the program behind it lives, so `watch`
//! outlives tcnd: it says that tcnd is gone, and goes on when it is back.

use futures::StreamExt;
use jiff::ZonedDateTime;
use serde_json::{Value, json};
use zbus::fdo::DBusProxy;
use zbus::{MatchRule, MessageStream, message};

use super::answer::{Reader, emit, to_json};
use super::args::WatchFormat;
use super::client::Client;
use super::error::{CliError, Exit};
use super::status::Status;
use crate::bus::names;

/// Tells until the reader or the bus is gone.
pub(super) async fn watch(client: &Client, format: WatchFormat) -> Result<Exit, CliError> {
    let bus = client.told(DBusProxy::new(client.connection()).await)?;
    let mut changes = client.told(changes(client).await)?;
    let arguments = [(0, names::BUS)];
    let owners = bus.receive_name_owner_changed_with_args(&arguments).await;
    let mut owners = client.told(owners)?;
    let mut last = None;
    loop {
        let seen = match Status::read(client).await {
            Ok(status) => Some(status),
            Err(CliError::NotRunning { .. }) => None,
            Err(error) => return Err(error),
        };
        let essence = seen.as_ref().map(Status::timeless);
        if last.as_ref() != Some(&essence) {
            if emit(&render(seen.as_ref(), format))? == Reader::Gone {
                return Ok(Exit::Done);
            }
            last = Some(essence);
        }
        let more = tokio::select! {
            change = changes.next() => matches!(change, Some(Ok(_))),
            owner = owners.next() => owner.is_some(),
        };
        if !more {
            return client.told(Err(zbus::Error::InputOutput(
                std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into(),
            )));
        }
    }
}

/// Everything tcnd says unasked: of itself, and of adapters that change, come
/// or go.
async fn changes(client: &Client) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(names::BUS)
        .path_namespace(names::ROOT)
        .build()?;
    MessageStream::for_match_rule(rule, client.connection(), None).await
}

fn render(status: Option<&Status>, format: WatchFormat) -> String {
    let now = ZonedDateTime::now();
    match format {
        WatchFormat::Text => text(status, &now),
        WatchFormat::Json => status.map_or_else(|| to_json(&json!({"state": "absent"})), to_json),
        WatchFormat::Waybar => to_json(&waybar(status, &now)),
    }
}

fn text(status: Option<&Status>, now: &ZonedDateTime) -> String {
    let mut line = format!("{}  {}", now.strftime("%H:%M:%S"), sentence(status, now));
    for problem in status.iter().flat_map(|status| &status.problems) {
        line.push_str("\n          ");
        line.push_str(&problem.sentence);
    }
    line
}

/// Waybar: waybar-custom(5), `return-type` "json".
fn waybar(status: Option<&Status>, now: &ZonedDateTime) -> Value {
    let state = status.map_or("absent", |status| status.state.as_str());
    let text = match state {
        "running" => "TCN",
        "degraded" => "TCN!",
        "paused" => "TCN paused",
        _ => "TCN off",
    };
    let tooltip = status.map_or_else(|| sentence(None, now), |status| status.render(now));
    json!({"text": text, "alt": state, "tooltip": tooltip, "class": state})
}

fn sentence(status: Option<&Status>, now: &ZonedDateTime) -> String {
    status.map_or_else(
        || "tcnd is not running.".to_owned(),
        |status| {
            let simulation = if status.simulated { " (simulated)" } else { "" };
            status.sentence(now) + simulation
        },
    )
}
