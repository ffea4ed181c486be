//! `Manager`: the daemon's state, and its controls.
//!
//! Properties are public: they show the contents of the [`Snapshot`] and nothing else.
//! Methods pass the [`Bouncer`] first. The documentation
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
const API_LEVEL: u32 = 9;

/// Optional parts of the contract that this build has.
const FEATURES: [&str; 4] = ["import", "export", "publish", "check"];

/// How long a reader of CurrentTcnAge waits for a busy driver.
const AGE_DEADLINE: Duration = Duration::from_secs(1);

/// Bits of Reload.
const RELOAD_CONFIG: u32 = 1;
const RELOAD_LOG: u32 = 2;

#[interface(name = "org.tcncoalition.Tcnd1.Manager", introspection_docs = true)]
impl ManagerInterface {
    /// Gives consent to broadcast and listen, from now on and after every restart,
    /// until Disable. Fails with Error.Configured if the configuration has enabled =
    /// false. There are no options yet. Needs the polkit action
    /// org.tcncoalition.tcnd1.control, as all methods of this interface do except
    /// Reload and ConfirmClock.
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

    /// Withdraws consent: tcnd stops broadcasting and listening at once, and does not
    /// start again after a restart. The contact log is kept. Fails with
    /// Error.Configured if the configuration has enabled = true.
    async fn disable(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.handle.ask(Request::Disable).await?)
    }

    /// Stops broadcasting and listening for this many seconds; 0 means until Resume.
    /// The reason has at most 256 bytes and is shown to every user; control characters
    /// and invisible characters in it become spaces. Options: hold (b), true to end the
    /// pause when the caller leaves the bus; application_id (s), the name of the
    /// caller's desktop file without .desktop, at most 256 bytes. The cookie is for
    /// Resume and is never 0.
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

    /// Ends the pause with this cookie, or all pauses if the cookie is 0. The daemon
    /// resumes when no pause remains.
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

    /// Takes a new number and a new device address now. Fails with Error.NotReady while
    /// no number is on the air.
    async fn rotate(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.handle.ask(Request::Rotate).await?)
    }

    /// Confirms that the wall clock is right, on a machine without a network: a person
    /// has checked it. From then on the daemon destroys the data that is past its
    /// retention by this clock. Fails with Error.NotReady if the clock is before the
    /// release of the daemon. Needs the polkit action org.tcncoalition.tcnd1.erase.
    async fn confirm_clock(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        Ok(self.handle.ask(Request::ConfirmClock).await?)
    }

    /// Runs the self-test of the daemon. Each check has a name (s), a stable token; a
    /// result (s), passed or failed; and a detail (s) for people. Clients must tolerate
    /// other checks and results. There are no options yet.
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

    /// Reloads the settings that can change without a restart. The flag 1 reads the
    /// configuration again, 2 resets the log to its level and target at the start, and
    /// 0 does both. Returns when the reload is done. Needs the polkit action
    /// org.tcncoalition.tcnd1.reload.
    async fn reload(
        &self,
        flags: u32,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        if flags & !(RELOAD_CONFIG | RELOAD_LOG) != 0 {
            return Err(ErrorReply::invalid_args(
                "unknown flag; the flags are 1 (configuration), 2 (log), and 0 for both",
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

    /// The level of this contract. Every addition to the contract raises it by one.
    #[zbus(property(emits_changed_signal = "const"))]
    fn api_level(&self) -> u32 {
        API_LEVEL
    }

    /// The optional parts of this contract that the daemon has, as tokens: import,
    /// Reports.Import; export, Reports.Export and Contacts.ExportLog; publish,
    /// Reports.Publish; check, Reports.Check. Clients must tolerate others.
    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> Vec<&'static str> {
        FEATURES.to_vec()
    }

    /// Whether consent was given, by Enable or in the configuration.
    #[zbus(property)]
    fn enabled(&self) -> bool {
        self.handle.snapshot().enabled
    }

    /// How consent was given or withheld: never, no decision was made yet; given, by
    /// Enable; withdrawn, by Disable; configured, by the configuration, which takes
    /// precedence if it has enabled. Clients must tolerate other tokens.
    #[zbus(property)]
    fn consent(&self) -> &'static str {
        tokens::consent(self.handle.snapshot().consent)
    }

    /// The state of the daemon as a token: starting; running, on the air without a
    /// problem, see Advertising and Scanning; degraded, with a problem, see Problems;
    /// paused; idle, without consent or without an adapter to use. The daemon exits on
    /// an error from which it cannot recover. Clients must tolerate other tokens.
    #[zbus(property)]
    fn state(&self) -> &'static str {
        tokens::state(self.handle.snapshot().state)
    }

    /// All current problems, as tokens: bluetoothd-missing, adapter-missing,
    /// adapter-off, adapter-blocked, advertise-unsupported, advertise-failed,
    /// address-not-private, scan-failed, clock-unsynchronised (the clock shows an
    /// impossible time, or it went ahead by more than the retention and nothing has
    /// confirmed it; meanwhile the daemon destroys nothing for its age), storage-full,
    /// storage-corrupt, crowded (the daemon heard more numbers of other devices than it
    /// can keep), reports-stale (reports of other people were not checked for two
    /// days), sync-failed (a source of reports could not be checked twice in a row). In
    /// mode full or relay also privacy-off and privacy-unknown (the daemon accepts no
    /// connections, see Mode), address-held (the controller keeps its address for now;
    /// the next number, or listening beside it, waits for another address),
    /// address-out-of-step (the controller changes its address by its own timer, and
    /// the daemon does not know how long each address lasts, so it broadcasts nothing),
    /// bridge-unavailable (the daemon cannot carry numbers of other devices),
    /// connect-failed (Bluetooth refuses connections). Clients must tolerate others,
    /// and show a general text for them.
    #[zbus(property)]
    fn problems(&self) -> Vec<&'static str> {
        tokens::problems(&self.handle.snapshot().problems)
    }

    /// What is known about each element of Problems, in the same order: its token (s);
    /// the error message of the system, for example of BlueZ, in English and for
    /// people, at most 256 bytes, empty if there was none (s); the start of the
    /// problem, in seconds since 1970-01-01 UTC, not before the start of this tcnd (t).
    /// Since API level 7.
    #[zbus(property)]
    fn problem_details(&self) -> Vec<(&'static str, String, u64)> {
        tokens::problem_details(&self.handle.snapshot().problems)
    }

    /// The mode that is in effect: broadcast, adverts that accept no connections; full,
    /// connectable adverts, so that iPhones can write their numbers, which the daemon
    /// then carries; relay, as full but without a number of this machine; listen, a
    /// relay that accepts no connections. If this is less than the configured mode,
    /// Problems tells why. Clients must tolerate other tokens.
    #[zbus(property)]
    fn mode(&self) -> &'static str {
        self.handle.snapshot().mode.name()
    }

    /// Whether a number is on the air. The daemon verifies this instead of assuming
    /// that its request succeeded. The gap between one number and the next, at most ten
    /// seconds, is not shown.
    #[zbus(property)]
    fn advertising(&self) -> bool {
        self.handle.snapshot().advertising
    }

    /// Whether the daemon listens for other devices. The daemon verifies this instead
    /// of assuming that its request succeeded. The gap between one number and the next,
    /// at most ten seconds, is not shown, nor are the pauses between two windows, see
    /// ScanMode.
    #[zbus(property)]
    fn scanning(&self) -> bool {
        self.handle.snapshot().scanning
    }

    /// How the daemon listens for other devices: active, all the time; windows, for 5 s
    /// with pauses of at most 23 s; short-windows, for 2 s with pauses of at most 13 s; or
    /// off. Clients must tolerate other tokens.
    #[zbus(property)]
    fn scan_mode(&self) -> &'static str {
        tokens::scan_mode(&self.handle.snapshot())
    }

    /// Why the daemon listens in this way: configured; mains, the computer has mains
    /// power; battery, it runs on battery; power-saver, its power profile saves power;
    /// audio, sound is streamed over Bluetooth; device, a paired device is connected, or
    /// may connect at any time. Empty while the daemon does not listen. Since API level
    /// 7. Clients must tolerate other tokens.
    #[zbus(property)]
    fn scan_mode_reason(&self) -> &'static str {
        tokens::scan_mode_reason(&self.handle.snapshot())
    }

    /// Whether the neighbourhood is simulated, as with the fake radio. A client that
    /// shows any state must show this too.
    #[zbus(property)]
    fn simulated(&self) -> bool {
        self.handle.snapshot().simulated
    }

    /// The object of the adapter in use, or / if there is none.
    #[zbus(property)]
    fn adapter(&self) -> OwnedObjectPath {
        tokens::selected(&self.handle.snapshot().adapters)
    }

    /// How many seconds the current number has been on the air; 0 while none is, see
    /// Advertising. The number itself is never sent. No signal is sent when the age
    /// grows.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn current_tcn_age(&self) -> Result<u32, ErrorReply> {
        let age = timeout(AGE_DEADLINE, self.handle.ask(Request::TcnAge)).await;
        let Ok(age) = age else {
            return Err(ErrorReply::busy("the daemon is busy; read this again"));
        };
        Ok(seconds(age?.unwrap_or_default()))
    }

    /// When the current number went on the air, in seconds since 1970-01-01 UTC; 0
    /// while none is on the air.
    #[zbus(property)]
    fn current_tcn_since(&self) -> u64 {
        tokens::airing_since(&self.handle.snapshot())
    }

    /// The longest time that one number stays on the air, in seconds.
    #[zbus(property)]
    fn rotation_interval(&self) -> u32 {
        seconds(self.handle.snapshot().rotation_interval)
    }

    /// When the pause ends, in seconds since 1970-01-01 UTC; 0 if there is no pause,
    /// and the greatest number if only Resume ends it.
    #[zbus(property)]
    fn paused_until(&self) -> u64 {
        tokens::paused_until(self.handle.snapshot().paused)
    }

    /// All current pauses, each with a reason (s) and an application_id (s), empty if
    /// none was given; both are texts of the caller. Since API level 8 also with its
    /// cookie (u), for Resume, and until (t), when it ends, as in PausedUntil.
    #[zbus(property)]
    fn pause_holds(&self) -> Vec<HashMap<String, Variant<'static>>> {
        tokens::holds(&self.handle.snapshot().holds)
    }

    /// How long the daemon keeps contacts, in seconds. Since API level 8.
    #[zbus(property)]
    fn retention(&self) -> u32 {
        seconds(self.handle.snapshot().retention)
    }

    /// How many sources of reports of other people the last run of tcnd-sync had; while
    /// it is 0, a warning can reach this computer only as a file. Since API level 8.
    #[zbus(property)]
    fn report_sources(&self) -> u32 {
        tokens::report_sources(&self.handle.snapshot())
    }

    /// The last time by which all sources of reports had been checked successfully, in
    /// seconds since 1970-01-01 UTC, rounded down to the day; 0 is never.
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
pub(super) fn announced(snapshot: &Snapshot) -> [(&'static str, Variant<'static>); 19] {
    [
        ("Enabled", snapshot.enabled.into()),
        ("Consent", tokens::consent(snapshot.consent).into()),
        ("CurrentTcnSince", tokens::airing_since(snapshot).into()),
        ("State", tokens::state(snapshot.state).into()),
        ("Problems", tokens::problems(&snapshot.problems).into()),
        (
            "ProblemDetails",
            tokens::problem_details(&snapshot.problems).into(),
        ),
        ("Mode", snapshot.mode.name().into()),
        ("Advertising", snapshot.advertising.into()),
        ("Scanning", snapshot.scanning.into()),
        ("ScanMode", tokens::scan_mode(snapshot).into()),
        ("ScanModeReason", tokens::scan_mode_reason(snapshot).into()),
        ("Simulated", snapshot.simulated.into()),
        ("Adapter", tokens::selected(&snapshot.adapters).into()),
        (
            "RotationInterval",
            seconds(snapshot.rotation_interval).into(),
        ),
        ("Retention", seconds(snapshot.retention).into()),
        ("ReportSources", tokens::report_sources(snapshot).into()),
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
    if reason.len().max(application_id.len()) > printable::MAX_TEXT {
        return Err(ErrorReply::invalid_args(
            "reason or application_id is too long; each may have 256 bytes at most",
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
    ErrorReply::invalid_args("hold needs a message bus; pause without hold")
}

fn watch_error(why: WatchError) -> ErrorReply {
    why.reply(
        "hold a pause; end one of them, or pause without hold",
        "pause without hold",
    )
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
    .map_err(|_| ErrorReply::failed("a text cannot be sent; please report it as a bug"))
}

/// Whole seconds, at most what fits.
fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}
