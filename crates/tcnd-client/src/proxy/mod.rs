//! The daemon as its clients see it: typed proxies for each interface.
//!
//! tcnctl, the indicator and the tests of the bus all speak through these.
//! What a reply holds is described once here and used at both ends.

mod exchange;
mod reports;

use std::collections::HashMap;

use zbus::{
    DeserializeDict, Fd, OwnedObjectPath, OwnedVariant, SerializeDict, Type, Variant, proxy,
};

pub use self::exchange::{Delivered, ExchangeProxy, Source, Upload};
pub use self::reports::{
    Cancelled, Checked, Created, Disclosure, Exposure, ExposureSummary, ExposuresProxy, Imported,
    OwnReport, PrivacyProxy, Published, ReportsProxy, UploadState,
};

/// State and control; see `dbus/interfaces` for the prose.
///
/// Methods let polkit ask the person at the keyboard for a password.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Manager",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Manager {
    /// Consents to broadcasting and listening.
    #[zbus(allow_interactive_auth)]
    fn enable(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;
    /// Takes the consent back.
    #[zbus(allow_interactive_auth)]
    fn disable(&self) -> zbus::Result<()>;
    /// Leaves the air for a while; answers with a cookie.
    #[zbus(allow_interactive_auth)]
    fn pause(
        &self,
        seconds: u64,
        reason: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<u32>;
    /// Ends a pause, or all with 0.
    #[zbus(allow_interactive_auth)]
    fn resume(&self, cookie: u32) -> zbus::Result<()>;
    /// Takes a new number and address now.
    #[zbus(allow_interactive_auth)]
    fn rotate(&self) -> zbus::Result<()>;
    /// Says that the wall clock is right.
    #[zbus(allow_interactive_auth)]
    fn confirm_clock(&self) -> zbus::Result<()>;
    /// Has the daemon look at itself.
    #[zbus(allow_interactive_auth)]
    fn self_test(
        &self,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<Vec<HashMap<String, OwnedVariant>>>;
    /// Reads the configuration (1) or the log's settings (2) again, or all (0).
    #[zbus(allow_interactive_auth)]
    fn reload(&self, flags: u32) -> zbus::Result<()>;

    /// The version of the daemon.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;
    /// Grows with every addition.
    #[zbus(property(emits_changed_signal = "const"))]
    fn api_level(&self) -> zbus::Result<u32>;
    /// Optional parts it has.
    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> zbus::Result<Vec<String>>;
    /// Whether somebody consented.
    #[zbus(property)]
    fn enabled(&self) -> zbus::Result<bool>;
    /// How it came to that.
    #[zbus(property)]
    fn consent(&self) -> zbus::Result<String>;
    /// The daemon in a word.
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    /// What is wrong, as tokens.
    #[zbus(property)]
    fn problems(&self) -> zbus::Result<Vec<String>>;
    /// Each problem with its token, the error of the system, and since when it lasts.
    #[zbus(property)]
    fn problem_details(&self) -> zbus::Result<Vec<(String, String, u64)>>;
    /// How it takes part, in effect.
    #[zbus(property)]
    fn mode(&self) -> zbus::Result<String>;
    /// Whether a number is on the air.
    #[zbus(property)]
    fn advertising(&self) -> zbus::Result<bool>;
    /// Whether others are listened for.
    #[zbus(property)]
    fn scanning(&self) -> zbus::Result<bool>;
    /// How others are listened for.
    #[zbus(property)]
    fn scan_mode(&self) -> zbus::Result<String>;
    /// Whether the neighbourhood is made up.
    #[zbus(property)]
    fn simulated(&self) -> zbus::Result<bool>;
    /// The object of the adapter in use.
    #[zbus(property)]
    fn adapter(&self) -> zbus::Result<OwnedObjectPath>;
    /// Seconds the number on the air has been there.
    #[zbus(property(emits_changed_signal = "false"))]
    fn current_tcn_age(&self) -> zbus::Result<u32>;
    /// When the number on the air was put there.
    #[zbus(property)]
    fn current_tcn_since(&self) -> zbus::Result<u64>;
    /// The longest time of one number on the air, in seconds.
    #[zbus(property)]
    fn rotation_interval(&self) -> zbus::Result<u32>;
    /// When the pause ends.
    #[zbus(property)]
    fn paused_until(&self) -> zbus::Result<u64>;
    /// Who paused and why.
    #[zbus(property)]
    fn pause_holds(&self) -> zbus::Result<Vec<PauseHold>>;
    /// When reports were last checked.
    #[zbus(property)]
    fn reports_checked_at(&self) -> zbus::Result<u64>;
}

/// One Bluetooth adapter; the object manager at the root lists them.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Adapter",
    default_service = "org.tcncoalition.Tcnd1"
)]
pub trait Adapter {
    /// The kernel's name for it.
    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> zbus::Result<String>;
    /// Whether it is switched on.
    #[zbus(property)]
    fn powered(&self) -> zbus::Result<bool>;
    /// Whether it is in use.
    #[zbus(property)]
    fn selected(&self) -> zbus::Result<bool>;
    /// Whether it can broadcast.
    #[zbus(property)]
    fn can_advertise(&self) -> zbus::Result<bool>;
    /// The kind of address it broadcasts under.
    #[zbus(property)]
    fn private_address(&self) -> zbus::Result<String>;
    /// Advertising instances left.
    #[zbus(property)]
    fn adv_instances_free(&self) -> zbus::Result<u8>;
    /// How often it was lost and taken up again.
    #[zbus(property)]
    fn recovery_count(&self) -> zbus::Result<u32>;
    /// The last thing that went wrong with it.
    #[zbus(property)]
    fn last_problem(&self) -> zbus::Result<String>;
}

/// The contact log in sums.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Contacts",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Contacts {
    /// Totals; options `from` and `to`, both u64.
    #[zbus(allow_interactive_auth)]
    fn get_summary(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Summary>;
    /// Bars: start, numbers, sightings.
    #[zbus(allow_interactive_auth)]
    fn get_histogram(
        &self,
        from: u64,
        to: u64,
        bucket_s: u32,
    ) -> zbus::Result<Vec<(u64, u32, u32)>>;
    /// Counters and sizes.
    #[zbus(allow_interactive_auth)]
    fn get_statistics(&self) -> zbus::Result<Statistics>;
    /// Numbers heard within the last minute. Nobody is asked for a password.
    fn count_nearby(&self) -> zbus::Result<u32>;
    /// Writes the rows to a file; options `format`, `raw`, `from`, `to`.
    /// Answers with how many.
    #[zbus(allow_interactive_auth)]
    fn export_log(&self, file: Fd<'_>, options: HashMap<&str, Variant<'_>>) -> zbus::Result<u64>;
    /// Destroys the contacts that began in a span; answers with how many.
    #[zbus(allow_interactive_auth)]
    fn erase(&self, from: u64, to: u64) -> zbus::Result<u64>;
}

/// The answer of `Contacts.GetSummary`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Summary {
    /// Distinct numbers.
    pub numbers: u32,
    /// Sightings of them.
    pub sightings: u32,
    /// The quarter of an hour of the first contact, in seconds since 1970.
    pub oldest: Option<u64>,
    /// Per UTC day: start in seconds since 1970, numbers, sightings.
    pub per_day: Vec<(u64, u32, u32)>,
    /// Measured sightings: up to so many dB (255: the rest), how many.
    pub attenuation: Vec<(u8, u32)>,
}

/// The answer of `Contacts.GetStatistics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Statistics {
    /// Own numbers put on the air.
    pub rotations: u64,
    /// Adverts the controller took.
    pub advert_ok: u64,
    /// Adverts it refused.
    pub advert_fail: u64,
    /// Times discovery was started anew.
    pub scan_restarts: u64,
    /// Frames that were no TCN frames.
    pub invalid_frames: u64,
    /// Sightings dropped for want of room.
    pub dropped: u64,
    /// Size of the database and its journal, in bytes.
    pub db_bytes: u64,
    /// Contacts in the log.
    pub rows: u64,
}

/// One element of `Manager.PauseHolds`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PauseHold {
    /// Why.
    pub reason: String,
    /// Desktop file name of the holder, or empty.
    pub application_id: String,
}
