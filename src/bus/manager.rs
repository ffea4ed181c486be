//! `Manager`: the daemon's state, and its controls.
//!
//! Properties are state, and public: they show the contents of the [`Snapshot`] and
//! nothing else. Methods are verbs, and pass the [`Bouncer`] first. The documentation
//! of each member is the contract for integrators. zbus puts it into the introspection,
//! and a test compares it with `dbus/interfaces`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zbus::message::Header;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;
use super::log_control::Log;
use super::name_watch::{NameWatcher, WatchError, caller, is_present};
use super::options::{MethodOptions, OptionMap};
use super::tokens;
use crate::daemon::{Check, Handle, PauseRequest, Request, Snapshot};

pub(super) struct ManagerInterface {
    pub(super) handle: Handle,
    pub(super) bouncer: Arc<Bouncer>,
    pub(super) log: Arc<dyn Log>,
    pub(super) held_for: NameWatcher,
}

/// Counts additions to the contract.
const API_LEVEL: u32 = 6;

/// Optional parts of the contract that this build has.
const FEATURES: [&str; 4] = ["import", "export", "publish", "check"];

/// The longest text a caller may give, in bytes.
const MAX_TEXT: usize = 256;

/// How long a reader of CurrentTcnAge waits for a busy driver.
const AGE_DEADLINE: Duration = Duration::from_secs(1);

/// Bits of Reload.
const RELOAD_CONFIG: u32 = 1;
const RELOAD_LOG: u32 = 2;

#[interface(name = "org.tcncoalition.Tcnd1.Manager", introspection_docs = true)]
impl ManagerInterface {
    /// Consents to broadcasting and listening, from now on and after every
    /// restart, until Disable. Fails with Error.Configured if the
    /// configuration says no. There are no options yet. Needs the polkit
    /// action org.tcncoalition.tcnd1.control, as all methods here but Reload
    /// and ConfirmClock.
    async fn enable(
        &self,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        MethodOptions::new(options, &[])?;
        Ok(self.handle.ask(Request::Enable).await?)
    }

    /// Takes the consent back: the radio falls silent at once and stays so
    /// after a restart. The contact log is kept. Fails with Error.Configured
    /// if the configuration says yes.
    async fn disable(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.handle.ask(Request::Disable).await?)
    }

    /// Leaves the air for this many seconds; 0 is until somebody resumes. The
    /// reason, at most 256 bytes, is shown to everybody, with spaces for what
    /// steers a terminal or cannot be seen. Options: hold (b),
    /// true if the pause shall end when the caller leaves the bus;
    /// application_id (s), the name of the caller's desktop file without
    /// .desktop, at most 256 bytes. The cookie, never 0, is for Resume.
    #[zbus(out_args("cookie"))]
    async fn pause(
        &self,
        seconds: u64,
        reason: String,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let (hold, mut request) = pause_request(seconds, &reason, options)?;
        if !hold {
            return Ok(self.ask_pause(request).await?);
        }
        let owner = caller(connection, &call).ok_or_else(not_on_a_bus)?;
        let (handle, name) = (self.handle.clone(), owner.to_string());
        request.owner = Some(name.clone());
        let on_disconnect = async move { handle.client_disconnected(name).await };
        let watch = self.held_for.watch(connection, &owner, on_disconnect);
        watch.await.map_err(watch_error)?;
        let cookie = self.ask_pause(request).await?;
        if !is_present(connection, &owner).await {
            self.handle.client_disconnected(owner.to_string()).await;
        }
        Ok(cookie)
    }

    /// Ends the pause with this cookie, or all pauses if it is 0. The daemon
    /// goes on when no pause is left.
    async fn resume(
        &self,
        cookie: u32,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let resume = |reply| Request::Resume(cookie, reply);
        Ok(self.handle.ask(resume).await?)
    }

    /// Takes a new number and a new device address now. Fails with
    /// Error.NotReady while nothing is on the air.
    async fn rotate(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.handle.ask(Request::Rotate).await?)
    }

    /// Says that the wall clock is right, where no network says so: a person has
    /// looked at it. What is past its retention by this clock is destroyed from
    /// then on. Fails with Error.NotReady if the clock is before the release of
    /// the daemon. Needs the polkit action org.tcncoalition.tcnd1.erase.
    async fn confirm_clock(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.handle.ask(Request::ConfirmClock).await?)
    }

    /// Has the daemon look at itself. Each check has a name (s), a stable
    /// token; a result (s), passed or failed; and a detail (s) for people.
    /// Clients must tolerate other checks and results. There are no options
    /// yet.
    #[zbus(out_args("checks"))]
    async fn self_test(
        &self,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<HashMap<String, OwnedVariant>>, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        MethodOptions::new(options, &[])?;
        let checks = self.handle.ask(Request::SelfTest).await?;
        checks.iter().map(check).collect()
    }

    /// Reads again what can change without a restart: 0 is everything, 1 the
    /// configuration, 2 resets the log to the level and target of the start.
    /// Returns when that is done. Needs the polkit action
    /// org.tcncoalition.tcnd1.reload.
    async fn reload(
        &self,
        flags: u32,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        if flags & !(RELOAD_CONFIG | RELOAD_LOG) != 0 {
            return Err(ErrorReply::InvalidArgs(
                "unknown flag; there are 1 (configuration), 2 (log), and 0 for all".to_owned(),
            ));
        }
        if flags == 0 || flags & RELOAD_CONFIG != 0 {
            self.handle.ask(Request::Reload).await?;
        }
        if flags == 0 || flags & RELOAD_LOG != 0 {
            self.log.reset();
        }
        Ok(())
    }

    /// The version of the daemon.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Grows by one with every addition to this contract.
    #[zbus(property(emits_changed_signal = "const"))]
    fn api_level(&self) -> u32 {
        API_LEVEL
    }

    /// The optional parts of this contract that the daemon has, as tokens:
    /// import, Reports.Import; export, Reports.Export and Contacts.ExportLog;
    /// publish, Reports.Publish; check, Reports.Check. Clients must tolerate
    /// others.
    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> Vec<&'static str> {
        FEATURES.to_vec()
    }

    /// Whether somebody consented, by Enable or in the configuration.
    #[zbus(property)]
    fn enabled(&self) -> bool {
        self.handle.snapshot().enabled
    }

    /// How it came to that: never, nobody has decided yet; given, by Enable;
    /// withdrawn, by Disable; configured, by the configuration, which counts
    /// while it says anything. Clients must tolerate other words.
    #[zbus(property)]
    fn consent(&self) -> &'static str {
        tokens::consent(self.handle.snapshot().consent)
    }

    /// The daemon in a word: starting; running, on the air with nothing wrong,
    /// see Advertising and Scanning; degraded, not all of it works, see Problems;
    /// paused; idle, not enabled or no adapter to use. What cannot mend by
    /// itself ends the daemon. Clients must tolerate other words.
    #[zbus(property)]
    fn state(&self) -> &'static str {
        tokens::state(self.handle.snapshot().state)
    }

    /// Everything that is wrong now, as tokens: bluetoothd-missing,
    /// adapter-missing, adapter-off, adapter-blocked, advertise-unsupported,
    /// advertise-failed, address-not-private, scan-failed,
    /// clock-unsynchronised (the clock cannot be right, or nothing confirms it
    /// after it went ahead by more than the retention: nothing is destroyed for
    /// its age meanwhile), storage-full, storage-corrupt, crowded (more strangers' numbers than there is room for), reports-stale (others'
    /// reports were not checked for two days), sync-failed (a source of reports
    /// could not be gone through, twice in a row). With mode full or relay also
    /// privacy-off and privacy-unknown (nobody may connect, see Mode),
    /// address-held (the controller keeps an address for now, and the next
    /// number, or listening with it, waits for another), address-out-of-step
    /// (it makes its addresses by a timer of its own, and how long each lasts is
    /// not known, so nothing is aired),
    /// bridge-unavailable (numbers of others cannot be carried), connect-failed
    /// (Bluetooth refuses connections). Clients must tolerate others, and show
    /// a general text for them.
    #[zbus(property)]
    fn problems(&self) -> Vec<&'static str> {
        tokens::problems(&self.handle.snapshot().problems)
    }

    /// How the machine takes part, in effect: broadcast, by adverts that nobody
    /// can connect to; full, connectable, so that iPhones can tell their
    /// numbers, which are carried on; relay, the same without a number of its
    /// own; listen, a relay to which nobody may connect. It is less than was
    /// configured while Problems tells why. Clients must tolerate other words.
    #[zbus(property)]
    fn mode(&self) -> &'static str {
        tokens::mode(self.handle.snapshot().mode)
    }

    /// Whether a number is on the air: what was verified, not what was asked.
    /// The moment between one number and the next, ten seconds at most, is
    /// not told.
    #[zbus(property)]
    fn advertising(&self) -> bool {
        self.handle.snapshot().advertising
    }

    /// Whether others are listened for: what was verified, not what was asked.
    /// The moment between one number and the next, ten seconds at most, is
    /// not told.
    #[zbus(property)]
    fn scanning(&self) -> bool {
        self.handle.snapshot().scanning
    }

    /// How others are listened for: active, or off. Clients must tolerate
    /// other words.
    #[zbus(property)]
    fn scan_mode(&self) -> &'static str {
        tokens::scan_mode(&self.handle.snapshot())
    }

    /// Whether the neighbourhood is made up, as by the fake radio. A client
    /// that shows anything has to show this.
    #[zbus(property)]
    fn simulated(&self) -> bool {
        self.handle.snapshot().simulated
    }

    /// The object of the adapter in use, / if there is none.
    #[zbus(property)]
    fn adapter(&self) -> OwnedObjectPath {
        tokens::selected(&self.handle.snapshot().adapters)
    }

    /// Seconds since the number on the air was put there; 0 while none is, see
    /// Advertising. The number itself is never told. No signal when it grows.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn current_tcn_age(&self) -> Result<u32, ErrorReply> {
        let age = timeout(AGE_DEADLINE, self.handle.ask(Request::TcnAge)).await;
        let Ok(age) = age else {
            return Err(ErrorReply::Busy("the daemon is busy; read this again"));
        };
        Ok(seconds(age?.unwrap_or_default()))
    }

    /// When the number on the air was put there, in seconds since 1970-01-01
    /// UTC; 0 while none is.
    #[zbus(property)]
    fn current_tcn_since(&self) -> u64 {
        tokens::airing_since(&self.handle.snapshot())
    }

    /// The longest time one number stays on the air, in seconds.
    #[zbus(property)]
    fn rotation_interval(&self) -> u32 {
        seconds(self.handle.snapshot().rotation_interval)
    }

    /// When the pause ends, in seconds since 1970-01-01 UTC; 0 if not paused,
    /// the greatest number if only Resume ends it.
    #[zbus(property)]
    fn paused_until(&self) -> u64 {
        tokens::paused_until(self.handle.snapshot().paused)
    }

    /// Who paused and why: for each pause a reason (s) and an application_id
    /// (s), empty if none was given. Both are what the caller said.
    #[zbus(property)]
    fn pause_holds(&self) -> Vec<HashMap<String, Variant<'static>>> {
        tokens::holds(&self.handle.snapshot().holds)
    }

    /// When all sources of reports had been gone through well, in seconds
    /// since 1970-01-01 UTC, rounded down to the day; 0 is never.
    #[zbus(property)]
    fn reports_checked_at(&self) -> u64 {
        tokens::checked(&self.handle.snapshot())
    }
}

impl ManagerInterface {
    async fn ask_pause(&self, request: PauseRequest) -> Result<u32, crate::daemon::Refusal> {
        self.handle
            .ask(|reply| Request::Pause(request, reply))
            .await
    }
}

/// The properties that are signalled, with their values in `snapshot`.
pub(super) fn announced(snapshot: &Snapshot) -> [(&'static str, Variant<'static>); 15] {
    [
        ("Enabled", snapshot.enabled.into()),
        ("Consent", tokens::consent(snapshot.consent).into()),
        ("CurrentTcnSince", tokens::airing_since(snapshot).into()),
        ("State", tokens::state(snapshot.state).into()),
        ("Problems", tokens::problems(&snapshot.problems).into()),
        ("Mode", tokens::mode(snapshot.mode).into()),
        ("Advertising", snapshot.advertising.into()),
        ("Scanning", snapshot.scanning.into()),
        ("ScanMode", tokens::scan_mode(snapshot).into()),
        ("Simulated", snapshot.simulated.into()),
        ("Adapter", tokens::selected(&snapshot.adapters).into()),
        (
            "RotationInterval",
            seconds(snapshot.rotation_interval).into(),
        ),
        ("PausedUntil", tokens::paused_until(snapshot.paused).into()),
        ("PauseHolds", tokens::holds(&snapshot.holds).into()),
        ("ReportsCheckedAt", tokens::checked(snapshot).into()),
    ]
}

fn pause_request(
    seconds: u64,
    reason: &str,
    options: OptionMap,
) -> Result<(bool, PauseRequest), ErrorReply> {
    let mut options = MethodOptions::new(options, &[("hold", "b"), ("application_id", "s")])?;
    let hold = options.take("hold")?.unwrap_or(false);
    let application_id: String = options.take("application_id")?.unwrap_or_default();
    if reason.len() > MAX_TEXT || application_id.len() > MAX_TEXT {
        return Err(ErrorReply::InvalidArgs(
            "reason and application_id may have 256 bytes at most".to_owned(),
        ));
    }
    let request = PauseRequest {
        duration: Duration::from_secs(seconds),
        // Pausing keeps a person off the air, so a bad text is cleaned and not refused.
        reason: printable::clean(reason),
        application_id: printable::clean(&application_id),
        owner: None,
    };
    Ok((hold, request))
}

fn not_on_a_bus() -> ErrorReply {
    ErrorReply::InvalidArgs("hold needs a message bus between us; pause without".to_owned())
}

fn watch_error(why: WatchError) -> ErrorReply {
    match why {
        WatchError::TooMany => ErrorReply::Busy(
            "too many programs hold a pause; end one of them, or pause without hold",
        ),
        WatchError::Unavailable => {
            ErrorReply::Failed("the bus does not tell when you leave it; pause without hold")
        }
    }
}

fn check(check: &Check) -> Result<HashMap<String, OwnedVariant>, ErrorReply> {
    let result = if check.passed { "passed" } else { "failed" };
    [
        ("name", check.name),
        ("result", result),
        ("detail", &check.detail),
    ]
    .into_iter()
    .map(|(key, value)| {
        Ok((
            key.to_owned(),
            OwnedVariant::try_from(Variant::from(value))?,
        ))
    })
    .collect::<zbus::Result<_>>()
    .map_err(|_| ErrorReply::Failed("a text cannot be sent; please report it as a fault"))
}

/// Whole seconds, at most what fits.
fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}
