//! `tcnctl watch`: shows the status, and then each event.
//!
//! A bar shows its module as long as the program behind it runs, so `watch` outlives
//! tcnd: it shows that tcnd has ended, and continues when it is back. It ends with its
//! reader. New exposures and the number of devices nearby are private: `watch` shows
//! them to users who may know them without a password. To other users its output is the
//! same whether there are any or not.

mod event;

use std::pin::pin;
use std::time::Duration;

use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::{Value, json};
use tcnd_client::watch::{Snapshot, Watch};
use tokio::time::{MissedTickBehavior, interval};

use self::event::{Event, events};
use super::answer::{Reader, emit, reader_left, to_json};
use super::args::WatchFormat;
use super::client::Client;
use super::error::{CliError, Exit};
use super::status::Status;

/// How often `watch` asks for state that tcnd does not signal.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// The observed state of tcnd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Seen {
    #[serde(flatten)]
    status: Status,
    /// Numbers heard within the last minute; `None` if the user may not know it.
    nearby: Option<u32>,
    /// When all sources were last checked successfully; `None` likewise.
    #[serde(skip)]
    checked: Option<u64>,
}

/// Tells until the reader or the bus is gone.
pub(super) async fn watch(client: &Client, format: WatchFormat) -> Result<Exit, CliError> {
    let mut left = pin!(reader_left());
    let mut tcnd = client.told(Watch::new(client.connection().clone()).await)?;
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and everything is read now in any case.
    ticks.tick().await;
    let mut teller = Teller::new(format);
    loop {
        let seen = client.told(tcnd.look().await)?.map(Seen::of);
        if teller.tell(seen.as_ref())? == Reader::Gone {
            return Ok(Exit::Done);
        }
        let more = tokio::select! {
            () = &mut left => return Ok(Exit::Done),
            more = tcnd.changed() => more,
            _ = ticks.tick() => {
                tcnd.refresh().await;
                true
            }
        };
        if !more {
            return client.told(Err(zbus::Error::InputOutput(
                std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into(),
            )));
        }
    }
}

/// Says what is new, in one of the formats.
struct Teller {
    format: WatchFormat,
    /// The last observed state; the outer is `None` before the first one.
    last: Option<Option<Seen>>,
    /// The last output.
    said: String,
}

impl Teller {
    const fn new(format: WatchFormat) -> Self {
        Self {
            format,
            last: None,
            said: String::new(),
        }
    }

    fn tell(&mut self, seen: Option<&Seen>) -> Result<Reader, CliError> {
        let text = self.text(seen, &ZonedDateTime::now());
        match text {
            Some(text) => emit(&text),
            None => Ok(Reader::Listening),
        }
    }

    /// The output for a state, if there is any.
    fn text(&mut self, seen: Option<&Seen>, now: &ZonedDateTime) -> Option<String> {
        let essence = seen.map(Seen::timeless);
        let last = self.last.replace(essence.clone());
        if last.as_ref() == Some(&essence) {
            return None;
        }
        let happened = match &last {
            None => Vec::new(),
            Some(before) => events(before.as_ref(), seen, now),
        };
        let text = match self.format {
            // If tcnd comes back, everything is new.
            WatchFormat::Text if matches!(last, None | Some(None)) => first(seen, now),
            WatchFormat::Text => lines(&happened, now),
            WatchFormat::Json => seen.map_or_else(
                || to_json(&json!({"state": "absent"})),
                |seen| document(seen, &happened),
            ),
            WatchFormat::Waybar => to_json(&waybar(seen, now)),
        };
        // A module is updated only if its text changes.
        let repeats = self.format == WatchFormat::Waybar && text == self.said;
        let is_new = !text.is_empty() && !repeats;
        is_new.then(|| {
            self.said.clone_from(&text);
            text
        })
    }
}

impl Seen {
    fn of(snapshot: Snapshot) -> Self {
        Self {
            nearby: snapshot.nearby,
            checked: snapshot.checked,
            status: Status::of(snapshot),
        }
    }

    /// All that does not change by itself from second to second.
    fn timeless(&self) -> Self {
        Self {
            status: self.status.timeless(),
            ..self.clone()
        }
    }
}

/// The status document, with the events since the previous one.
fn document(seen: &Seen, happened: &[Event]) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        #[serde(flatten)]
        seen: &'a Seen,
        events: &'a [Event],
    }
    to_json(&Document {
        seen,
        events: happened,
    })
}

/// The state when watching starts.
fn first(seen: Option<&Seen>, now: &ZonedDateTime) -> String {
    let mut line = format!("{}  {}", now.strftime("%H:%M:%S"), sentence(seen, now));
    let Some(Seen { status, nearby, .. }) = seen else {
        return line;
    };
    let problems = status
        .problems
        .iter()
        .map(|current| current.problem.sentence.clone());
    let near = nearby.map(event::near);
    for more in problems.chain(status.exposed()).chain(near) {
        line.push_str("\n          ");
        line.push_str(&more);
    }
    line
}

/// A line for each event.
fn lines(happened: &[Event], now: &ZonedDateTime) -> String {
    let clock = now.strftime("%H:%M:%S").to_string();
    let lines = happened.iter().filter_map(Event::say);
    let lines: Vec<_> = lines.map(|said| format!("{clock}  {said}")).collect();
    lines.join("\n")
}

/// Waybar: waybar-custom(5), `return-type` "json".
fn waybar(seen: Option<&Seen>, now: &ZonedDateTime) -> Value {
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

fn sentence(seen: Option<&Seen>, now: &ZonedDateTime) -> String {
    seen.map_or_else(
        || "tcnd is not running.".to_owned(),
        |Seen { status, .. }| {
            let simulation = if status.simulated { " (simulated)" } else { "" };
            status.sentence(now) + simulation
        },
    )
}
