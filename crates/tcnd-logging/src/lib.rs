//! The log's target: the journal under systemd, standard error by hand.
//!
//! Level and target can be changed while the program runs, by
//! `systemctl service-log-level` and `service-log-target` (LogControl1(5)). No line at
//! any level holds a number, a key, a contact or an address.
//!
//! In the journal, fields get the prefix TCND_, so that they collide with no other
//! program's. An event with a MESSAGE_ID, by which `journalctl -x` finds an
//! explanation, names its fields exactly as the journal stores them
//! (systemd.journal-fields(7)).

mod setting;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::{FormatFields, format};
use tracing_subscriber::layer::{Context, Layer, Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

pub use setting::{LogLevel, LogTarget};

type Leveled = Layered<reload::Layer<LevelFilter, Registry>, Registry>;
type Boxed = Box<dyn Layer<Leveled> + Send + Sync>;

/// The log and its controls. Level and target are reloaded separately: a filter inside
/// a layer cannot be reloaded.
pub struct Output {
    filter: reload::Handle<LevelFilter, Registry>,
    layer: reload::Handle<Boxed, Leveled>,
    now: Mutex<Setting>,
    first: Setting,
}

#[derive(Clone, Copy)]
struct Setting {
    level: LogLevel,
    target: LogTarget,
}

/// Starts to log at level info.
pub fn start() -> Arc<Output> {
    let target = if sd_notify::booted().unwrap_or(false) && !io::stderr().is_terminal() {
        LogTarget::Journal
    } else {
        LogTarget::Console
    };
    let (target, boxed) = match layer(target) {
        Some(boxed) => (target, boxed),
        None => (LogTarget::Console, console_layer()),
    };
    let first = Setting {
        level: LogLevel::Info,
        target,
    };
    let (level, filter) = reload::Layer::new(filter(first.level));
    let (output, layer) = reload::Layer::new(boxed);
    tracing_subscriber::registry()
        .with(level)
        .with(output)
        // Spans are those of libraries, and are not needed.
        .with(filter_fn(|of| of.is_event()))
        .init();
    Arc::new(Output {
        filter,
        layer,
        now: Mutex::new(first),
        first,
    })
}

/// Logs an error that ends the process, with all its causes.
pub fn fatal(error: &dyn Error) {
    tracing::error!("{}", error_chain(error));
}

/// The text of an error and of all its causes, on one line.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

impl Output {
    fn set(&self, setting: Setting) -> bool {
        let Some(boxed) = layer(setting.target) else {
            return false;
        };
        let level = filter(setting.level);
        let set = self.layer.reload(boxed).is_ok() && self.filter.reload(level).is_ok();
        if set {
            *self.now.lock().unwrap_or_else(PoisonError::into_inner) = setting;
        }
        set
    }

    fn now(&self) -> Setting {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    /// The least important level that is written now.
    pub fn level(&self) -> LogLevel {
        self.now().level
    }

    /// From now on writes this level and all more important ones.
    pub fn set_level(&self, level: LogLevel) {
        self.set(Setting {
            level,
            ..self.now()
        });
    }

    /// Where the log goes now.
    pub fn target(&self) -> LogTarget {
        self.now().target
    }

    /// From now on sends the log to this target; `false` if that is not possible.
    pub fn set_target(&self, target: LogTarget) -> bool {
        self.set(Setting {
            target,
            ..self.now()
        })
    }

    /// Restores the level and the target of the start.
    pub fn reset(&self) {
        self.set(self.first);
    }
}

/// `None` if the journal cannot be reached.
fn layer(target: LogTarget) -> Option<Boxed> {
    match target {
        LogTarget::Console => Some(console_layer()),
        LogTarget::Journal => Some(Journal::open().ok()?.boxed()),
    }
}

/// Fields as text for a console. What others said cannot forge a line, nor move the
/// cursor of a terminal.
pub fn console_fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    format::debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{}", printable::lines(format_args!("{value:?}"))),
        // The field is for programs.
        MESSAGE_ID => Ok(()),
        name => {
            let name = name.trim_start_matches("TCND_").to_lowercase();
            write!(
                writer,
                " {name}={}",
                printable::lines(format_args!("{value:?}"))
            )
        }
    })
}

fn console_layer() -> Boxed {
    fmt::layer()
        .fmt_fields(console_fields())
        .with_writer(io::stderr)
        .with_target(false)
        .boxed()
}

/// tracing has five levels where syslog has eight.
const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Emergency | LogLevel::Alert | LogLevel::Critical | LogLevel::Error => {
            LevelFilter::ERROR
        }
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Notice | LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// The field that identifies an event in the journal, see `tcnd_client::notices`.
const MESSAGE_ID: &str = "MESSAGE_ID";

/// The levels of syslog, rather than each one more important, as by default.
const PRIORITIES: PriorityMappings = PriorityMappings {
    error: Priority::Error,
    warn: Priority::Warning,
    info: Priority::Informational,
    debug: Priority::Debug,
    trace: Priority::Debug,
};

/// The journal, written by two layers that name fields differently.
struct Journal {
    prefixed: tracing_journald::Layer,
    as_named: tracing_journald::Layer,
}

impl Journal {
    fn open() -> io::Result<Self> {
        let layer = |prefix: Option<&str>| {
            let layer = tracing_journald::layer()?.with_priority_mappings(PRIORITIES);
            io::Result::Ok(layer.with_field_prefix(prefix.map(str::to_owned)))
        };
        Ok(Self {
            prefixed: layer(Some("TCND"))?,
            as_named: layer(None)?,
        })
    }
}

impl<S> Layer<S> for Journal
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let is_notice = event.metadata().fields().field(MESSAGE_ID).is_some();
        let layer = if is_notice {
            &self.as_named
        } else {
            &self.prefixed
        };
        layer.on_event(event, context);
    }
}
