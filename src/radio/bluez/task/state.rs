//! The state of the task, the handles it owns, and the results of its steps.

use std::sync::Arc;
use std::time::Duration;

use bluer::Address;
use bluer::gatt::local::ApplicationHandle;
use futures::future::BoxFuture;
use tcn_protocol::beacon::Frame;
use tcnd_rpa_timeout::Known;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::super::event_queue::EventQueue;
use super::super::advert::{AdvertHandle, RegisterError};
use super::super::bluez_watch::BluezWatch;
use super::super::call::BluezError;
use super::super::capability::{Controller, Evidence};
use super::super::central::CentralError;
use super::super::clock::Stopwatch;
use super::super::discovery::{AdapterEvents, Discovery, SightingSink, UuidOnlyAdvert};
use super::super::gatt_server::{GattAccess, GattService};
use super::super::inbound::{DeviceWatcher, InboundConnections};
use super::super::off_air::OffAir;
use super::super::outbound::OutboundConnections;
use super::super::reconcile::Plan;
use super::super::retry::Retry;
use super::super::rpa_schedule::RpaSchedule;
use super::super::session::{AdapterSnapshot, Advertising, BluezConnection};
use super::super::status::Counters;
use super::super::timers::Timers;
use super::super::{Options, Platform};

/// Time for an advert to end after it was unregistered.
pub(super) const GONE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same after the connection was closed that registered the advert.
pub(super) const CONNECTION_GONE_TIMEOUT: Duration = Duration::from_secs(10);

/// The task and its handles.
pub(in crate::radio::bluez) struct BluezTask {
    pub(super) options: Options,
    pub(super) platform: Platform,
    pub(super) clock: Stopwatch,
    pub(super) sink: SightingSink,
    pub(super) uuid_only: mpsc::Receiver<UuidOnlyAdvert>,
    pub(super) event_queue: EventQueue,
    pub(super) plan: Plan,
    pub(super) counters: Counters,
    pub(super) timers: Timers,
    pub(super) bus: Option<BluezWatch>,
    /// `org.bluez` has an owner.
    pub(super) present: bool,
    pub(super) bluez: Option<BluezConnection>,
    pub(super) connect_retry: Retry,
    pub(super) read_retry: Retry,
    /// The adapter in use cannot advertise, or cannot yet.
    pub(super) advertising_retry: Retry,
    /// The adapter in use, or to be used.
    pub(super) chosen: Option<String>,
    pub(super) discovery: Option<Discovery>,
    pub(super) advert: Option<AdvertHandle>,
    /// Resolves when BlueZ has answered that it dropped the previous advert.
    pub(super) unregistration: Option<Unregistration>,
    /// The registered GATT application, its service, and the accesses by peers.
    pub(super) server: Option<ApplicationHandle>,
    pub(super) gatt: Arc<GattService>,
    pub(super) accesses: mpsc::Receiver<GattAccess>,
    pub(super) inbound: InboundConnections,
    pub(super) outbound: OutboundConnections,
    /// The peer that an outbound connection is made to.
    pub(super) connecting_to: Option<Address>,
    pub(super) rpa_schedule: RpaSchedule,
    pub(super) off_air: OffAir,
    /// One of our frames was on the air, or may have been, at the last check.
    pub(super) was_airing: bool,
    /// The step under way registers an advert.
    pub(super) registering: bool,
    /// The kernel has to be asked again how the controller changes its addresses.
    pub(super) ask_kernel_due: bool,
    /// This epoch uses the address that the controller keeps.
    pub(super) address_taken: bool,
    /// The previous number left the air, or the process started, before the address could
    /// have changed. The next number has to wait for longer than a handover takes.
    pub(super) early: bool,
    /// A peer connected or disconnected so soon after another that the advert is registered
    /// again once for both.
    pub(super) refresh_pending: bool,
    /// When the step under way was started.
    pub(super) step_started: Duration,
    /// How many adverts may be active when ours is gone, and how long that may take.
    pub(super) leaving: (u8, Duration),
    pub(super) stale: Vec<StaleHandle>,
    pub(super) generation: u64,
    /// With the generation, and the count of downs, in which it was started.
    pub(super) step: Option<((u64, u64), BoxFuture<'static, StepResult>)>,
}

/// A handle to a BlueZ, or an adapter, that went away. It is only dropped, and not before
/// BlueZ can be called.
pub(super) enum StaleHandle {
    Advert { _handle: AdvertHandle },
    Discovery { _handle: Discovery },
    Server { _handle: ApplicationHandle },
    DiscoveryStream { _stream: AdapterEvents },
    Connection { _connection: BluezConnection },
}

/// Resolves when BlueZ has answered that it dropped an advert.
pub(super) type Unregistration = JoinHandle<Result<(), BluezError>>;

/// The result of a step.
pub(super) enum StepResult {
    Watching(Result<(BluezWatch, bool), BluezError>),
    Connected(Result<BluezConnection, BluezError>),
    AdapterRead(String, Result<AdapterSnapshot, BluezError>),
    /// For each adapter that could not advertise.
    Advertising(Vec<(String, Option<Advertising>)>),
    KernelAsked(String, PrivacyReport),
    Inspected(Result<Controller, BluezError>, PrivacyReport),
    Served(Result<(ApplicationHandle, DeviceWatcher, Vec<Address>), BluezError>),
    StrangersDisconnected(Vec<Address>),
    /// With the time it took.
    OutboundRead(Address, Duration, Result<Vec<u8>, CentralError>),
    ScanStarted(Result<Discovery, BluezError>),
    ScanStopped(Result<(), BluezError>),
    Registered(Frame, Result<(AdvertHandle, u8), RegisterError>),
    Gone(Result<bool, BluezError>),
    /// Whether our advert is there, and the advertising state of the adapter.
    Verified(Result<(bool, Option<Advertising>), BluezError>),
    Renewed(Result<BluezConnection, BluezError>),
}

/// What is known of the privacy of an adapter, and of the addresses that it makes itself.
#[derive(Clone, Copy)]
pub(super) struct PrivacyReport {
    pub(super) privacy: Evidence,
    pub(super) addresses: Option<Known>,
}
