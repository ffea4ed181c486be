//! Typed proxies for each interface of tcnd, and the types of the replies.
//!
//! tcnctl, tcnd-sync and the tests use these proxies. The daemon builds its replies from
//! the same types.

/// Defines a reply that is a dictionary of counts.
macro_rules! counts {
    ($(#[$attribute:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
        #[zbus(signature = "dict")]
        pub struct $name {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl $name {
            /// Serialises the counts without D-Bus variants, for other formats.
            ///
            /// # Errors
            /// Those of the serializer.
            pub fn serialize_plain<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_map([$((stringify!($field), self.$field)),*])
            }
        }
    };
}

mod exchange;
mod reports;

use std::collections::HashMap;

use zbus::{
    DeserializeDict, Fd, OwnedObjectPath, OwnedVariant, SerializeDict, Type, Variant, proxy,
};

pub use self::exchange::{DeliveryCounts, ExchangeProxy, SourceInfo, UploadPart};
pub use self::reports::{
    CancelPublishReply, CheckReply, CreateReply, Disclosure, ExposureInfo, ExposureSummary,
    ExposuresProxy, ImportCounts, OwnReportInfo, PrivacyProxy, PublishReply, ReportsProxy,
    UploadStatus,
};

/// State and control; `dbus/interfaces` has the documentation.
///
/// Methods let polkit ask the person at the screen for a password.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Manager",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Manager {
    /// Gives consent to broadcast and listen.
    #[zbus(allow_interactive_auth)]
    fn enable(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;
    /// Withdraws consent.
    #[zbus(allow_interactive_auth)]
    fn disable(&self) -> zbus::Result<()>;
    /// Stops broadcasting and listening for a while; returns a cookie.
    #[zbus(allow_interactive_auth)]
    fn pause(
        &self,
        seconds: u64,
        reason: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<u32>;
    /// Ends one pause, or all with 0.
    #[zbus(allow_interactive_auth)]
    fn resume(&self, cookie: u32) -> zbus::Result<()>;
    /// Takes a new number and address now.
    #[zbus(allow_interactive_auth)]
    fn rotate(&self) -> zbus::Result<()>;
    /// Confirms that the wall clock is right.
    #[zbus(allow_interactive_auth)]
    fn confirm_clock(&self) -> zbus::Result<()>;
    /// Runs the self-test of the daemon.
    #[zbus(allow_interactive_auth)]
    fn self_test(
        &self,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<Vec<HashMap<String, OwnedVariant>>>;
    /// Reloads the configuration (1), resets the log (2), or does both (0).
    #[zbus(allow_interactive_auth)]
    fn reload(&self, flags: u32) -> zbus::Result<()>;

    /// The version of the daemon.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;
    /// The level of the contract, which grows with every addition.
    #[zbus(property(emits_changed_signal = "const"))]
    fn api_level(&self) -> zbus::Result<u32>;
    /// The optional parts of the contract that the daemon has.
    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> zbus::Result<Vec<String>>;
    /// Whether consent was given.
    #[zbus(property)]
    fn enabled(&self) -> zbus::Result<bool>;
    /// How consent was given or withheld, a token.
    #[zbus(property)]
    fn consent(&self) -> zbus::Result<String>;
    /// The state of the daemon, a token.
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    /// All current problems, as tokens.
    #[zbus(property)]
    fn problems(&self) -> zbus::Result<Vec<String>>;
    /// Each problem with its token, the error of the system, and since when it lasts.
    #[zbus(property)]
    fn problem_details(&self) -> zbus::Result<Vec<(String, String, u64)>>;
    /// The mode in effect, a token.
    #[zbus(property)]
    fn mode(&self) -> zbus::Result<String>;
    /// Whether a number is on the air.
    #[zbus(property)]
    fn advertising(&self) -> zbus::Result<bool>;
    /// Whether the daemon listens for other devices.
    #[zbus(property)]
    fn scanning(&self) -> zbus::Result<bool>;
    /// How the daemon listens for other devices, a token.
    #[zbus(property)]
    fn scan_mode(&self) -> zbus::Result<String>;
    /// Why the daemon listens in this way, a token.
    #[zbus(property)]
    fn scan_mode_reason(&self) -> zbus::Result<String>;
    /// Whether the neighbourhood is simulated.
    #[zbus(property)]
    fn simulated(&self) -> zbus::Result<bool>;
    /// The object of the adapter in use.
    #[zbus(property)]
    fn adapter(&self) -> zbus::Result<OwnedObjectPath>;
    /// How many seconds the current number has been on the air.
    #[zbus(property(emits_changed_signal = "false"))]
    fn current_tcn_age(&self) -> zbus::Result<u32>;
    /// When the current number went on the air.
    #[zbus(property)]
    fn current_tcn_since(&self) -> zbus::Result<u64>;
    /// The longest time that one number stays on the air, in seconds.
    #[zbus(property)]
    fn rotation_interval(&self) -> zbus::Result<u32>;
    /// When the pause ends.
    #[zbus(property)]
    fn paused_until(&self) -> zbus::Result<u64>;
    /// All current pauses.
    #[zbus(property)]
    fn pause_holds(&self) -> zbus::Result<Vec<PauseHold>>;
    /// How long contacts are kept, in seconds. Since API level 8.
    #[zbus(property)]
    fn retention(&self) -> zbus::Result<u32>;
    /// How many sources of reports there are. Since API level 8.
    #[zbus(property)]
    fn report_sources(&self) -> zbus::Result<u32>;
    /// The last time by which all sources had been checked successfully.
    #[zbus(property)]
    fn reports_checked_at(&self) -> zbus::Result<u64>;
}

/// One Bluetooth adapter; the object manager at the root lists them.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Adapter",
    default_service = "org.tcncoalition.Tcnd1"
)]
pub trait Adapter {
    /// The kernel's name of the adapter.
    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> zbus::Result<String>;
    /// Whether the adapter is switched on.
    #[zbus(property)]
    fn powered(&self) -> zbus::Result<bool>;
    /// Whether tcnd uses this adapter.
    #[zbus(property)]
    fn selected(&self) -> zbus::Result<bool>;
    /// Whether the adapter can broadcast.
    #[zbus(property)]
    fn can_advertise(&self) -> zbus::Result<bool>;
    /// The kind of device address under which numbers are broadcast.
    #[zbus(property)]
    fn private_address(&self) -> zbus::Result<String>;
    /// Advertising instances that other programs do not use.
    #[zbus(property)]
    fn adv_instances_free(&self) -> zbus::Result<u8>;
    /// How often tcnd lost this adapter and used it again.
    #[zbus(property)]
    fn recovery_count(&self) -> zbus::Result<u32>;
    /// The last problem with this adapter, a token.
    #[zbus(property)]
    fn last_problem(&self) -> zbus::Result<String>;
}

/// Totals and export of the contact log.
#[proxy(
    interface = "org.tcncoalition.Tcnd1.Contacts",
    default_service = "org.tcncoalition.Tcnd1",
    default_path = "/org/tcncoalition/Tcnd1"
)]
pub trait Contacts {
    /// Totals; options `from` and `to`, both u64.
    #[zbus(allow_interactive_auth)]
    fn get_summary(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<ContactSummary>;
    /// The bars of a histogram: start, numbers, sightings.
    #[zbus(allow_interactive_auth)]
    fn get_histogram(
        &self,
        from: u64,
        to: u64,
        bucket_s: u32,
    ) -> zbus::Result<Vec<(u64, u32, u32)>>;
    /// Counters, and the size of the log.
    #[zbus(allow_interactive_auth)]
    fn get_statistics(&self) -> zbus::Result<DaemonStatistics>;
    /// Numbers heard within the last minute. polkit does not ask for a password.
    fn count_nearby(&self) -> zbus::Result<u32>;
    /// How long this machine was on the air: the start of each quarter of an hour, and
    /// seconds. Since API level 8.
    #[zbus(allow_interactive_auth)]
    fn get_activity(&self, from: u64, to: u64) -> zbus::Result<Vec<(u64, u32)>>;
    /// How many numbers were heard within the last quarter of an hour, a token. polkit does
    /// not ask for a password. Since API level 8.
    fn get_presence(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<String>;
    /// Writes the rows to a file; options `format`, `raw`, `from`, `to`. Returns their
    /// number.
    #[zbus(allow_interactive_auth)]
    fn export_log(&self, file: Fd<'_>, options: HashMap<&str, Variant<'_>>) -> zbus::Result<u64>;
    /// Destroys the contacts that began in a span. Returns their number.
    #[zbus(allow_interactive_auth)]
    fn erase(&self, from: u64, to: u64) -> zbus::Result<u64>;
}

/// The reply of `Contacts.GetSummary`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct ContactSummary {
    /// Distinct numbers.
    pub numbers: u32,
    /// Sightings of them.
    pub sightings: u32,
    /// The quarter of an hour of the first contact, in seconds since 1970.
    pub oldest: Option<u64>,
    /// Per UTC day: start in seconds since 1970, numbers, sightings.
    pub per_day: Vec<(u64, u32, u32)>,
    /// Measured sightings by attenuation: the upper bound in dB (255: the rest), the count.
    pub attenuation: Vec<(u8, u32)>,
}

counts! {
    /// The reply of `Contacts.GetStatistics`.
    DaemonStatistics {
        /// Numbers of this machine that went on the air.
        rotations,
        /// Adverts that the controller accepted.
        advert_ok,
        /// Adverts that the controller refused.
        advert_fail,
        /// How often discovery was restarted.
        scan_restarts,
        /// Frames that were not TCN frames.
        invalid_frames,
        /// Sightings that were dropped because there was no space.
        dropped,
        /// Contacts in the log.
        rows,
        /// Size of the database and its journal, in bytes.
        db_bytes,
    }
}

/// One element of `Manager.PauseHolds`.
#[derive(Clone, Debug, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PauseHold {
    /// The reason, as the caller gave it.
    pub reason: String,
    /// The name of the desktop file of the caller, or empty.
    pub application_id: String,
    /// What ends it, see [`ManagerProxy::resume`]; absent before API level 8.
    pub cookie: Option<u32>,
    /// When it ends, in seconds since 1970, the greatest number if only that ends it;
    /// absent before API level 8.
    pub until: Option<u64>,
}
