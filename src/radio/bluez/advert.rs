//! Our advert: the properties that BlueZ reads, and how its start and end are observed.
//!
//! Flags, the complete list with one 16-bit UUID, and the service data fill the 31 bytes of
//! a legacy advert exactly. BlueZ writes the list and the data from the properties served
//! here, and nothing else may be set. A name, a transmit power or a secondary channel would
//! make it an extended advert, which phones do not receive. `Discoverable` is refused for
//! broadcasts. For connectable adverts it puts the flags into the data, by which the address
//! stays private even while the adapter is discoverable.
//!
//! BlueZ drops an advert by itself at its timeout and when it loses the adapter, and then
//! calls `Release` on the object. bluer does not offer this method, so the object is served
//! here, on a connection of its own. An advert that is lost without `Release` lowers
//! `ActiveInstances`. That property counts the adverts of all programs, so
//! [`AdvertHandle::check`] asks about ours: a registration of the same object is refused
//! with `AlreadyExists` while BlueZ has it.
//!
//! All calls go to the unique name of bluetoothd: a call to `org.bluez` would make the bus
//! start a bluetoothd that was stopped.
//!
//! BlueZ: doc/org.bluez.LEAdvertisement.rst, src/advertising.c
//! `register_advertisement`, `client_release`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bluer::{Adapter, Uuid};
use tcn_protocol::beacon::{ADVERTISEMENT_LEN, Frame, SERVICE_DATA_LEN, SERVICE_UUID};
use tokio::runtime::Handle as Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time;
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant, Variant, fdo, interface};

use super::call::{BluezError, Cause, READ_TIMEOUT, call, connect};
use super::capability::Controller;

/// The service UUID, as a type of bluer.
pub(super) const SERVICE: Uuid = Uuid::from_u128(SERVICE_UUID);

/// Shortest and longest time between two adverts. A phone that scans in low-power mode
/// listens half a second in five, and receives two of these adverts in it. A shorter interval would fill
/// the air in a crowd and add nothing, since a controller reports a sender about once in ten
/// seconds. Ignored before BlueZ 5.77: there the kernel uses 100 to 150 ms on legacy
/// controllers and 1.28 s on extended ones.
const ADVERT_INTERVAL: (Duration, Duration) =
    (Duration::from_millis(200), Duration::from_millis(250));

/// Time to answer a registration, which takes four commands to the controller.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(15);

/// Time to answer that an advert is dropped.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between two reads of `ActiveInstances`.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The interface of an adapter that registers adverts.
pub(super) const MANAGER: &str = "org.bluez.LEAdvertisingManager1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const ALREADY_EXISTS: &str = "org.bluez.Error.AlreadyExists";
const DOES_NOT_EXIST: &str = "org.bluez.Error.DoesNotExist";

// Flags, UUID list and service data, each with its length and type.
const _: () = assert!(3 + (2 + 2) + (2 + 2 + SERVICE_DATA_LEN) == ADVERTISEMENT_LEN);

/// Why an advert was not registered.
#[derive(Debug)]
pub(super) enum RegisterError {
    /// The adapter is discoverable: the advert would carry its real address.
    Discoverable,
    /// BlueZ refused it.
    Refused(BluezError),
    /// BlueZ did not answer, or its answer contradicts `ActiveInstances`. `before` adverts
    /// were active before.
    Uncertain {
        before: u8,
        error: Option<BluezError>,
    },
}

/// An advert to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdvertParams {
    pub(super) frame: Frame,
    /// Peers can connect. Set only after the kernel's privacy was seen to be on.
    pub(super) connectable: bool,
    /// A dead man's switch: BlueZ drops the advert after this time without being asked.
    pub(super) timeout: Duration,
}

/// The D-Bus connection that registers adverts. BlueZ drops them when it ends.
#[derive(Clone, Debug)]
pub(super) struct Registrar {
    connection: Connection,
    bluetoothd: OwnedUniqueName,
    registered: Arc<AtomicU64>,
}

impl Registrar {
    pub(super) async fn connect() -> Result<Self, BluezError> {
        call("connecting to advertise", READ_TIMEOUT, async {
            let connection = connect().await?;
            let bus = fdo::DBusProxy::new(&connection).await?;
            let bluetoothd = bus.get_name_owner(BusName::try_from("org.bluez")?).await;
            Ok::<_, zbus::Error>(Self {
                connection,
                bluetoothd: bluetoothd?,
                registered: Arc::default(),
            })
        })
        .await
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends the connection, and with it all adverts registered from it.
    pub(super) async fn close(self) {
        // An error means that it is closed already.
        let _ = time::timeout(READ_TIMEOUT, self.connection.close()).await;
    }

    /// A property of `LEAdvertisingManager1`.
    pub(super) async fn read<T: TryFrom<OwnedVariant>>(
        &self,
        adapter: &str,
        property: &'static str,
    ) -> Result<T, BluezError>
    where
        T::Error: Into<zbus::Error>,
    {
        let path = adapter_path(adapter);
        call("reading adverts", READ_TIMEOUT, async {
            let body = (MANAGER, property);
            let to = Some(self.bluetoothd.as_str());
            let asking = self
                .connection
                .call_method(to, path, Some(PROPERTIES), "Get", &body);
            let reply = asking.await?;
            let value: OwnedVariant = reply.body().deserialize()?;
            T::try_from(value).map_err(Into::into)
        })
        .await
    }

    /// How many adverts are active, ours and those of other programs.
    pub(super) async fn count(&self, adapter: &str) -> Result<u8, BluezError> {
        self.read(adapter, "ActiveInstances").await
    }

    /// Puts the frame on the air and checks that it is there. Returns how many adverts are
    /// active then.
    pub(super) async fn register(
        &self,
        adapter: &Adapter,
        params: AdvertParams,
    ) -> Result<(AdvertHandle, u8), RegisterError> {
        let discoverable = call(
            "reading Discoverable",
            READ_TIMEOUT,
            adapter.is_discoverable(),
        );
        if discoverable.await.map_err(RegisterError::Refused)? && !params.connectable {
            return Err(RegisterError::Discoverable);
        }
        let name = adapter.name();
        let before = self.count(name).await.map_err(RegisterError::Refused)?;
        let handle = self
            .serve(name, params)
            .await
            .map_err(RegisterError::Refused)?;
        let registering = call(
            "registering the advert",
            REGISTER_TIMEOUT,
            handle.advert.registering(),
        );
        match registering.await {
            Ok(_) => {}
            Err(error @ BluezError::NoAnswer { .. }) => {
                // BlueZ may still register it. It ends with the connection.
                handle.forget();
                let error = Some(error);
                return Err(RegisterError::Uncertain { before, error });
            }
            Err(error @ BluezError::Failed { .. }) => {
                handle.forget();
                return Err(RegisterError::Refused(error));
            }
        }
        match self.count(name).await {
            Ok(0) => Err(RegisterError::Uncertain {
                before,
                error: None,
            }),
            Ok(active) => Ok((handle, active)),
            Err(error) => Err(RegisterError::Uncertain {
                before,
                error: Some(error),
            }),
        }
    }

    /// Serves the object that BlueZ reads the advert from.
    async fn serve(&self, adapter: &str, params: AdvertParams) -> Result<AdvertHandle, BluezError> {
        let number = self.registered.fetch_add(1, Ordering::Relaxed);
        let (release, released) = watch::channel(false);
        let checking = Arc::new(AtomicBool::new(false));
        let object = AdvertObject {
            params,
            bluetoothd: self.bluetoothd.clone(),
            checking: Arc::clone(&checking),
            release,
        };
        let path = call("serving the advert", READ_TIMEOUT, async {
            let path = format!("/org/tcncoalition/advert/{number}");
            let path = OwnedObjectPath::try_from(path)?;
            let server = self.connection.object_server();
            server.at(path.clone(), object).await?;
            Ok::<_, zbus::Error>(path)
        });
        let advert = RegisteredAdvert {
            registrar: self.clone(),
            adapter: adapter_path(adapter),
            path: path.await?,
            checking,
            gone: AtomicBool::new(false),
        };
        Ok(AdvertHandle {
            advert: Arc::new(advert),
            released,
            reported: false,
        })
    }

    /// Waits until at most `most` adverts are active. False if `limit` passes first.
    pub(super) async fn confirm_gone(
        &self,
        adapter: &str,
        most: u8,
        limit: Duration,
    ) -> Result<bool, BluezError> {
        let falling = async {
            let mut look = time::interval(POLL_INTERVAL);
            loop {
                look.tick().await;
                if self.count(adapter).await? <= most {
                    return Ok(());
                }
            }
        };
        match time::timeout(limit, falling).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}

fn adapter_path(adapter: &str) -> String {
    format!("/org/bluez/{adapter}")
}

/// A registered advert. Unregistered when dropped.
#[derive(Debug)]
pub(super) struct AdvertHandle {
    advert: Arc<RegisteredAdvert>,
    released: watch::Receiver<bool>,
    reported: bool,
}

#[derive(Debug)]
struct RegisteredAdvert {
    registrar: Registrar,
    adapter: String,
    path: OwnedObjectPath,
    /// A check is under way, and BlueZ must not put it on the air.
    checking: Arc<AtomicBool>,
    /// BlueZ no longer has it.
    gone: AtomicBool,
}

impl AdvertHandle {
    /// Waits until BlueZ says that it dropped the advert; for ever once this was reported. May
    /// be dropped while it waits.
    pub(super) async fn released(&mut self) {
        if self.reported || self.released.wait_for(|released| *released).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.reported = true;
    }

    /// Whether BlueZ still has the advert. Puts nothing on the air.
    pub(super) fn check(&self) -> impl Future<Output = Result<bool, BluezError>> + Send + 'static {
        let (advert, released) = (Arc::clone(&self.advert), *self.released.borrow());
        async move {
            if !released && advert.is_known().await? {
                return Ok(true);
            }
            advert.gone.store(true, Ordering::Relaxed);
            Ok(false)
        }
    }

    /// Makes BlueZ drop the advert, also if the caller does not wait. The task ends when BlueZ
    /// has answered.
    pub(super) fn leave(self) -> JoinHandle<Result<(), BluezError>> {
        tokio::spawn(Arc::clone(&self.advert).end())
    }

    /// Does not unregister: there is no advert, or it is not known whether there is.
    fn forget(self) {
        self.advert.gone.store(true, Ordering::Relaxed);
    }
}

impl Drop for AdvertHandle {
    fn drop(&mut self) {
        let advert = Arc::clone(&self.advert);
        // At the end of the process there is no runtime, and BlueZ sees the end by itself.
        if let Ok(runtime) = Runtime::try_current() {
            runtime.spawn(advert.end());
        }
    }
}

impl RegisteredAdvert {
    async fn registering(&self) -> zbus::Result<Message> {
        let options = HashMap::<&str, Variant<'_>>::new();
        let body = (&self.path, options);
        let (bus, path) = (&self.registrar.connection, self.adapter.as_str());
        let to = Some(self.registrar.bluetoothd.as_str());
        bus.call_method(to, path, Some(MANAGER), "RegisterAdvertisement", &body)
            .await
    }

    /// Unregisters the advert, unless that was done before, and stops serving the object.
    async fn end(self: Arc<Self>) -> Result<(), BluezError> {
        let left = match self.gone.swap(true, Ordering::Relaxed) {
            true => Ok(()),
            false => self.unregister().await,
        };
        let server = self.registrar.connection.object_server();
        // On a closed connection there is nothing to remove.
        let _ = server.remove::<AdvertObject, _>(&self.path).await;
        left
    }

    async fn unregister(&self) -> Result<(), BluezError> {
        let body = (&self.path,);
        let (bus, path) = (&self.registrar.connection, self.adapter.as_str());
        let to = Some(self.registrar.bluetoothd.as_str());
        let asking = bus.call_method(to, path, Some(MANAGER), "UnregisterAdvertisement", &body);
        match call("dropping the advert", UNREGISTER_TIMEOUT, asking).await {
            Err(BluezError::Failed {
                source: Cause::Bus(error),
                ..
            }) if says_gone(&error) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Asks by a second registration, while the served properties cannot be parsed: so an
    /// advert that is gone does not come back by it.
    async fn is_known(&self) -> Result<bool, BluezError> {
        self.checking.store(true, Ordering::Relaxed);
        let answer = call(
            "asking about the advert",
            REGISTER_TIMEOUT,
            self.registering(),
        )
        .await;
        self.checking.store(false, Ordering::Relaxed);
        match answer {
            Err(BluezError::Failed {
                source: Cause::Bus(zbus::Error::MethodError(name, ..)),
                ..
            }) => Ok(name.as_str() == ALREADY_EXISTS),
            Err(BluezError::Failed {
                source: Cause::Bus(error),
                ..
            }) if says_gone(&error) => Ok(false),
            Err(error) => Err(error),
            // It was gone, and is registered now.
            Ok(_) => self.unregister().await.map(|()| false),
        }
    }
}

/// Whether BlueZ says that it has no such advert, or no object that could have one.
fn says_gone(error: &zbus::Error) -> bool {
    if let zbus::Error::MethodError(name, ..) = error {
        return name.as_str() == DOES_NOT_EXIST;
    }
    let zbus::Error::FDO(error) = error else {
        return false;
    };
    matches!(
        **error,
        fdo::Error::UnknownObject(_)
            | fdo::Error::UnknownInterface(_)
            | fdo::Error::UnknownMethod(_)
    )
}

/// The D-Bus object that BlueZ reads: the frame and nothing else.
struct AdvertObject {
    params: AdvertParams,
    bluetoothd: OwnedUniqueName,
    checking: Arc<AtomicBool>,
    release: watch::Sender<bool>,
}

#[interface(name = "org.bluez.LEAdvertisement1")]
impl AdvertObject {
    #[zbus(property(emits_changed_signal = "false"), name = "Type")]
    fn kind(&self) -> &'static str {
        match self.params.connectable {
            _ if self.checking.load(Ordering::Relaxed) => "none",
            true => "peripheral",
            false => "broadcast",
        }
    }

    #[zbus(property(emits_changed_signal = "false"), name = "ServiceUUIDs")]
    fn services(&self) -> Vec<String> {
        vec![SERVICE.to_string()]
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn service_data(&self) -> HashMap<String, Variant<'static>> {
        let data = self.params.frame.service_data().to_vec();
        HashMap::from([(SERVICE.to_string(), Variant::from(data))])
    }

    /// Absent for broadcasts.
    #[zbus(property(emits_changed_signal = "false"))]
    fn discoverable(&self) -> fdo::Result<bool> {
        let absent = || fdo::Error::UnknownProperty("no property of a broadcast".into());
        self.params.connectable.then_some(true).ok_or_else(absent)
    }

    /// In seconds.
    #[zbus(property(emits_changed_signal = "false"))]
    fn timeout(&self) -> u16 {
        u16::try_from(self.params.timeout.as_secs()).unwrap_or(u16::MAX)
    }

    /// In milliseconds.
    #[zbus(property(emits_changed_signal = "false"))]
    fn min_interval(&self) -> u32 {
        milliseconds(ADVERT_INTERVAL.0)
    }

    /// In milliseconds.
    #[zbus(property(emits_changed_signal = "false"))]
    fn max_interval(&self) -> u32 {
        milliseconds(ADVERT_INTERVAL.1)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "zbus gives a header by value"
    )]
    fn release(&self, #[zbus(header)] call: Header<'_>) -> fdo::Result<()> {
        let sender = call.sender().map(|sender| sender.as_str());
        if sender != Some(self.bluetoothd.as_str()) {
            return Err(fdo::Error::AccessDenied("bluetoothd alone may".into()));
        }
        self.release.send_replace(true);
        Ok(())
    }
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// The kind of controller: extended ones have secondary channels, legacy ones none.
pub(super) async fn controller(adapter: &Adapter) -> Result<Controller, BluezError> {
    let channels = call(
        "reading SupportedSecondaryChannels",
        READ_TIMEOUT,
        adapter.supported_advertising_secondary_channels(),
    )
    .await?;
    Ok(match channels {
        Some(channels) if !channels.is_empty() => Controller::Extended,
        Some(_) | None => Controller::Legacy,
    })
}
