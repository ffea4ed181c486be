//! Where the log goes: the journal under systemd, standard error by hand.
//!
//! Level and target can be changed while running, by `systemctl
//! service-log-level` and `service-log-target` (LogControl1(5)). No line at
//! any level holds a number, a key, a contact or an address.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::bus::{Log, LogLevel, LogTarget};

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// The log as it can be steered.
pub(super) struct Output {
    layer: reload::Handle<Boxed, Registry>,
    now: Mutex<Setting>,
    first: Setting,
}

#[derive(Clone, Copy)]
struct Setting {
    level: LogLevel,
    target: LogTarget,
}

/// Starts to log at level info.
pub(super) fn start() -> Arc<Output> {
    let target = if sd_notify::booted().unwrap_or(false) && !io::stderr().is_terminal() {
        LogTarget::Journal
    } else {
        LogTarget::Console
    };
    let first = Setting {
        level: LogLevel::Info,
        target,
    };
    let (first, boxed) = match layer(first) {
        Some(boxed) => (first, boxed),
        None => {
            let console = Setting {
                target: LogTarget::Console,
                ..first
            };
            (console, console_layer(console.level))
        }
    };
    let (layer, handle) = reload::Layer::new(boxed);
    tracing_subscriber::registry().with(layer).init();
    Arc::new(Output {
        layer: handle,
        now: Mutex::new(first),
        first,
    })
}

/// Prints a fault that ends the process, with all its causes.
pub(super) fn fault(fault: &dyn Error) {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    tracing::error!("{text}");
}

impl Output {
    fn set(&self, setting: Setting) -> bool {
        let Some(boxed) = layer(setting) else {
            return false;
        };
        let set = self.layer.reload(boxed).is_ok();
        if set {
            *self.now.lock().unwrap_or_else(PoisonError::into_inner) = setting;
        }
        set
    }

    fn now(&self) -> Setting {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Output {
    fn level(&self) -> LogLevel {
        self.now().level
    }

    fn set_level(&self, level: LogLevel) {
        self.set(Setting {
            level,
            ..self.now()
        });
    }

    fn target(&self) -> LogTarget {
        self.now().target
    }

    fn set_target(&self, target: LogTarget) -> bool {
        self.set(Setting {
            target,
            ..self.now()
        })
    }

    fn reset(&self) {
        self.set(self.first);
    }
}

/// `None` if the journal cannot be reached.
fn layer(setting: Setting) -> Option<Boxed> {
    match setting.target {
        LogTarget::Console => Some(console_layer(setting.level)),
        LogTarget::Journal => {
            let journal = tracing_journald::layer()
                .ok()?
                .with_field_prefix(Some("TCND".to_owned()));
            Some(journal.with_filter(filter(setting.level)).boxed())
        }
    }
}

fn console_layer(level: LogLevel) -> Boxed {
    fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_filter(filter(level))
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
