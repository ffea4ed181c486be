//! Errors of commands, with hints.

use std::io;
use std::path::PathBuf;

use tcn_protocol::ReportError;
use tcn_protocol::file::FileError;
use tcnd_client::failure::{is_absence, reply};
use tcnd_client::{BusChoice, Unreachable, names};
use tcnd_config::ConfigError;
use thiserror::Error;

/// The exit status of `tcnctl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command succeeded.
    Done = 0,
    /// The command failed, or its result is negative.
    Failed = 1,
    // 2, wrong usage, is clap's own.
    /// tcnd is not running or does not answer.
    Unreachable = 3,
    /// This user is not authorised.
    NotAuthorized = 4,
}

/// A command failed. `Display` gives the reason, [`CliError::hint`] the remedy.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The bus is not available.
    #[error("cannot connect to the {bus} bus: {}", root_cause(.why))]
    NoBus { bus: BusChoice, why: Unreachable },
    /// The connection to the bus ended.
    #[error("the {bus} bus closed the connection")]
    Disconnected { bus: BusChoice },
    /// No process owns tcnd's name on the bus.
    #[error("tcnd is not running")]
    NotRunning { bus: BusChoice },
    /// The bus, polkit or tcnd refused.
    #[error("not authorised: {}", printable::line(.text))]
    NotAuthorized { bus: BusChoice, text: String },
    /// tcnd replied with another error, or would do so. The text names the cure as well.
    #[error("{}", printable::line(split(.text).0))]
    Refused { name: String, text: String },
    /// The reply has the wrong form.
    #[error("the reply of tcnd is not valid: {}", printable::line(.0))]
    InvalidReply(#[source] zbus::Error),
    /// The configuration has errors.
    #[error("the configuration is not valid:\n{0}")]
    Config(#[source] ConfigError),
    /// A file could not be read.
    #[error("{}: {source}", printable::path(.file))]
    File { file: PathBuf, source: io::Error },
    /// A file cannot be created.
    #[error("cannot create {}: {source}", printable::path(.file))]
    NewFile { file: PathBuf, source: io::Error },
    /// A memo that is not valid.
    #[error("{0}")]
    Memo(#[source] ReportError),
    /// Symptoms that cannot be combined.
    #[error("{0}")]
    Symptoms(String),
    /// A note that tcnd does not accept.
    #[error("{0}")]
    Note(&'static str),
    /// The user declined.
    #[error("nothing was done")]
    NotConfirmed,
    /// There is no terminal to ask for confirmation.
    #[error("nothing was done: there is no terminal to ask for confirmation")]
    NoTerminal,
    /// A file contains no reports.
    #[error("{0}")]
    ReportFile(#[source] FileError),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// The runtime of the program cannot be started.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}

impl CliError {
    /// What tcnd would refuse, with the same name.
    pub(crate) fn refused(name: &str, text: impl Into<String>) -> Self {
        let (name, text) = (name.to_owned(), text.into());
        Self::Refused { name, text }
    }

    /// The error of a call, by the name of the error reply.
    pub(crate) fn from_call(bus: &BusChoice, error: zbus::Error) -> Self {
        let Some((name, text)) = reply(&error) else {
            return if matches!(error, zbus::Error::InputOutput(_)) {
                Self::Disconnected { bus: bus.clone() }
            } else {
                Self::InvalidReply(error)
            };
        };
        if is_absence(&name) {
            Self::NotRunning { bus: bus.clone() }
        } else if is_denial(&name) {
            let bus = bus.clone();
            Self::NotAuthorized { bus, text }
        } else {
            Self::Refused { name, text }
        }
    }

    /// The exit status for this error.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoBus { .. } | Self::Disconnected { .. } | Self::NotRunning { .. } => {
                Exit::Unreachable
            }
            Self::NotAuthorized { .. } => Exit::NotAuthorized,
            Self::Refused { .. }
            | Self::InvalidReply(_)
            | Self::Config(_)
            | Self::ReportFile(_)
            | Self::File { .. }
            | Self::NewFile { .. }
            | Self::Memo(_)
            | Self::Symptoms(_)
            | Self::Note(_)
            | Self::NotConfirmed
            | Self::NoTerminal
            | Self::Output(_)
            | Self::Runtime(_) => Exit::Failed,
        }
    }

    /// The hint, in one line.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoBus { bus, .. } | Self::Disconnected { bus } => match bus {
                BusChoice::System => "start it with: systemctl start dbus".to_owned(),
                BusChoice::Session => {
                    "run this inside a login session, or under dbus-run-session".to_owned()
                }
                BusChoice::Address(_) => "check the address given with --bus".to_owned(),
            },
            Self::NotRunning { bus } => match bus {
                BusChoice::System => "start it with: systemctl start tcnd".to_owned(),
                BusChoice::Session => "start it with: tcnd --bus session".to_owned(),
                BusChoice::Address(address) => format!("start it with: tcnd --bus '{address}'"),
            },
            Self::NotAuthorized { bus, .. } => match bus {
                // The group admits users with a local session, and no others.
                BusChoice::System => "use sudo, or join the group tcnd (usermod -aG tcnd NAME) \
                     and log in at the machine itself"
                    .to_owned(),
                BusChoice::Session | BusChoice::Address(_) => {
                    "run it as the user who started tcnd".to_owned()
                }
            },
            Self::Refused { text, .. } => split(text).1.to_owned(),
            Self::InvalidReply(_) => {
                "use the same version of tcnctl and tcnd; --version shows it".to_owned()
            }
            Self::Config(_) => {
                "the installed tcnd.toml explains every key; correct these and check \
                 again"
                    .to_owned()
            }
            Self::ReportFile(_) => {
                "report files contain signed reports in binary form, as lines of base64 or \
                 hexadecimal digits, or as JSON; each may be compressed with gzip"
                    .to_owned()
            }
            Self::File { .. } => "give a file that can be read, or - for standard input".to_owned(),
            Self::NewFile { .. } => {
                "give a name that does not exist yet, in a folder that you can write to, or - for \
                 standard output"
                    .to_owned()
            }
            Self::Memo(_) => "give at most 255 bytes; all programs can read up to 127".to_owned(),
            Self::Symptoms(_) => "see the symptoms with: tcnctl report create --help".to_owned(),
            Self::Note(_) => "shorten it, in one line".to_owned(),
            Self::NotConfirmed => "to continue, type the words that the question names".to_owned(),
            Self::NoTerminal => "run it at a terminal, or add --yes".to_owned(),
            Self::Output(_) => "free space where standard output is written".to_owned(),
            Self::Runtime(_) => "raise the limit of open files or memory (ulimit -a)".to_owned(),
        }
    }
}

/// The text of the innermost error; the outer messages repeat what this module says.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn is_denial(name: &str) -> bool {
    const DENIED: [&str; 4] = [
        names::error::NOT_AUTHORIZED,
        "org.freedesktop.DBus.Error.AccessDenied",
        "org.freedesktop.DBus.Error.AuthFailed",
        "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    ];
    DENIED.contains(&name)
}

/// The message and the cure in a text of tcnd. An error of the bus has no cure.
fn split(text: &str) -> (&str, &str) {
    text.split_once("; ").unwrap_or((
        text,
        "find the cause with: tcnctl doctor; journalctl -u tcnd",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn every_error() -> Vec<CliError> {
        let io = || io::Error::from(io::ErrorKind::NotFound);
        let text = String::new;
        let nowhere = BusChoice::Address("unix:path=/nonexistent".into());
        let buses = [BusChoice::System, BusChoice::Session, nowhere.clone()];
        let mut all = Vec::new();
        for bus in buses {
            let why = tcnd_client::connect(&nowhere).await.unwrap_err();
            all.push(CliError::NotRunning { bus: bus.clone() });
            all.push(CliError::Disconnected { bus: bus.clone() });
            all.push(CliError::NotAuthorized {
                bus: bus.clone(),
                text: text(),
            });
            all.push(CliError::NoBus { bus, why });
        }
        all.extend([
            CliError::refused("x.y", text()),
            CliError::InvalidReply(zbus::Error::InvalidReply),
            CliError::Config(tcnd_config::load(&["/nonexistent".into()]).unwrap_err()),
            CliError::ReportFile(FileError::Empty),
            CliError::File {
                file: "f".into(),
                source: io(),
            },
            CliError::NewFile {
                file: "f".into(),
                source: io(),
            },
            CliError::Memo(ReportError::MemoTooLong { have: 256 }),
            CliError::Symptoms("x".to_owned()),
            CliError::Note("x"),
            CliError::NotConfirmed,
            CliError::NoTerminal,
            CliError::Output(io()),
            CliError::Runtime(io()),
        ]);
        all
    }

    #[tokio::test]
    async fn every_error_has_one_line_of_cure_and_no_full_stop() {
        for error in every_error().await {
            let hint = error.hint();
            assert!(!hint.is_empty() && !hint.contains('\n'), "{error:?}");
            assert!(!hint.ends_with('.') && !hint.contains("  "), "{hint}");
        }
    }

    #[test]
    fn the_cure_in_a_text_of_tcnd_is_the_hint() {
        let error = CliError::refused(names::error::BUSY, "it is late; go home; sleep");
        let shown = (error.to_string(), error.hint());
        assert_eq!(
            shown,
            ("it is late".to_owned(), "go home; sleep".to_owned())
        );
    }

    #[test]
    fn the_exit_status_follows_the_name_of_the_reply() {
        let cases = [
            (
                zbus::fdo::Error::ServiceUnknown(String::new()),
                Exit::Unreachable,
            ),
            (
                zbus::fdo::Error::SpawnFailed(String::new()),
                Exit::Unreachable,
            ),
            (
                zbus::fdo::Error::AccessDenied(String::new()),
                Exit::NotAuthorized,
            ),
            (zbus::fdo::Error::InvalidArgs(String::new()), Exit::Failed),
        ];
        for (error, exit) in cases {
            let shown = format!("{error:?}");
            let error = zbus::Error::FDO(Box::new(error));
            assert_eq!(
                CliError::from_call(&BusChoice::System, error).exit(),
                exit,
                "{shown}"
            );
        }
    }
}
