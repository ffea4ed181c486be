//! `tcnctl watch`: shows the status, and then each event.
//!
//! A bar shows its module as long as the program behind it runs, so `watch` outlives
//! tcnd: it shows that tcnd has ended, and continues when it is back. It ends with its
//! reader. New exposures and the number of devices nearby are private: `watch` shows
//! them to users who may know them without a password. To other users its output is the
//! same whether there are any or not.

mod event;
mod state;

use std::pin::pin;
use std::time::Duration;

use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::{Value, json};
use tcnd_client::watch::Watch;
use tokio::time::{MissedTickBehavior, interval};

use self::event::{StatusEvent, events};
use self::state::{WatchState, sentence};
use crate::args::WatchFormat;
use crate::client::Client;
use crate::error::{CliError, Exit};
use crate::output::{StdoutState, print, stdout_closed, to_json};
use crate::time;

/// How often `watch` asks for state that tcnd does not signal.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// Prints until standard output has no reader, or the bus is gone.
pub(crate) async fn watch(client: &Client, format: WatchFormat) -> Result<Exit, CliError> {
    let mut closed = pin!(stdout_closed());
    let mut tcnd = client.map_err(Watch::new(client.connection().clone()).await)?;
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and everything is read now in any case.
    ticks.tick().await;
    let mut printer = WatchPrinter::new(format);
    loop {
        let seen = client.map_err(tcnd.look().await)?.map(WatchState::of);
        if printer.print(seen.as_ref())? == StdoutState::Closed {
            return Ok(Exit::Done);
        }
        let more = tokio::select! {
            () = &mut closed => return Ok(Exit::Done),
            more = tcnd.changed() => more,
            _ = ticks.tick() => {
                tcnd.refresh().await;
                true
            }
        };
        if !more {
            return client.map_err(Err(zbus::Error::InputOutput(
                std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into(),
            )));
        }
    }
}

/// Prints changes of the state, in one of the formats.
struct WatchPrinter {
    format: WatchFormat,
    /// The last observed state; the outer is `None` before the first one.
    last: Option<Option<WatchState>>,
    /// The last output.
    printed: String,
}

impl WatchPrinter {
    const fn new(format: WatchFormat) -> Self {
        Self {
            format,
            last: None,
            printed: String::new(),
        }
    }

    fn print(&mut self, seen: Option<&WatchState>) -> Result<StdoutState, CliError> {
        let text = self.text(seen, &time::now());
        match text {
            Some(text) => print(&text),
            None => Ok(StdoutState::Open),
        }
    }

    /// The output for a state, if there is any.
    fn text(&mut self, seen: Option<&WatchState>, now: &ZonedDateTime) -> Option<String> {
        let compared = seen.map(WatchState::timeless);
        let last = self.last.replace(compared.clone());
        if last.as_ref() == Some(&compared) {
            return None;
        }
        let events_since = match &last {
            None => Vec::new(),
            Some(before) => events(before.as_ref(), seen, now),
        };
        let text = match self.format {
            // If tcnd comes back, everything is new.
            WatchFormat::Text if matches!(last, None | Some(None)) => first(seen, now),
            WatchFormat::Text => lines(&events_since, now),
            WatchFormat::Json => seen.map_or_else(
                || to_json(&json!({"state": "absent"})),
                |seen| document(seen, &events_since),
            ),
            WatchFormat::Waybar => to_json(&waybar(seen, now)),
        };
        // A module is updated only if its text changes.
        let repeats = self.format == WatchFormat::Waybar && text == self.printed;
        let is_new = !text.is_empty() && !repeats;
        is_new.then(|| {
            self.printed.clone_from(&text);
            text
        })
    }
}

/// The status document, with the events since the previous one.
fn document(seen: &WatchState, events_since: &[StatusEvent]) -> String {
    #[derive(Serialize)]
    struct WatchDocument<'a> {
        #[serde(flatten)]
        seen: &'a WatchState,
        events: &'a [StatusEvent],
    }
    to_json(&WatchDocument {
        seen,
        events: events_since,
    })
}

/// The state when watching starts.
fn first(seen: Option<&WatchState>, now: &ZonedDateTime) -> String {
    let mut line = format!("{}  {}", now.strftime("%H:%M:%S"), sentence(seen, now));
    let Some(WatchState { status, nearby, .. }) = seen else {
        return line;
    };
    let problems = status
        .problems
        .iter()
        .map(|current| current.problem.sentence.clone());
    let near = nearby.map(event::nearby_text);
    for more in problems.chain(status.exposures_text()).chain(near) {
        line.push_str("\n          ");
        line.push_str(&more);
    }
    line
}

/// One line for each event.
fn lines(events_since: &[StatusEvent], now: &ZonedDateTime) -> String {
    let clock = now.strftime("%H:%M:%S").to_string();
    let lines = events_since.iter().filter_map(StatusEvent::text);
    let lines: Vec<_> = lines.map(|text| format!("{clock}  {text}")).collect();
    lines.join("\n")
}

/// Waybar: waybar-custom(5), `return-type` "json".
fn waybar(seen: Option<&WatchState>, now: &ZonedDateTime) -> Value {
    let status = seen.map(|seen| &seen.status);
    let state = status.map_or("absent", |status| status.state.as_str());
    let mut text = match state {
        "running" => "TCN",
        "degraded" => "TCN!",
        "paused" => "TCN paused",
        _ => "TCN off",
    }
    .to_owned();
    match status.and_then(|status| status.new_exposures) {
        None | Some(0) => {}
        Some(1) => text.push_str(", 1 new exposure"),
        Some(n) => text.push_str(&format!(", {n} new exposures")),
    }
    let tooltip = status.map_or_else(|| sentence(None, now), |status| status.render_lasting(now));
    json!({"text": text, "alt": state, "tooltip": tooltip, "class": state})
}
