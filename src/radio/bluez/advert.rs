//! Our advert: what BlueZ is given, and how it is seen to come and go.
//!
//! Flags, the complete list with one 16-bit UUID and the service data fill
//! the 31 bytes of a legacy advert to the last. BlueZ writes the list and the
//! data from what it is given here; nothing else may be set. A name, a
//! transmit power or a secondary channel would make it an extended advert,
//! which phones do not hear. `Discoverable` is refused for broadcasts; where
//! others can connect it puts the flags into the data, by which the address
//! stays private even while the adapter is discoverable.
//!
//! bluer unregisters in a task of its own when the handle is dropped, and
//! BlueZ does not say when an advert ends by itself. So both are read from
//! `ActiveInstances`.
//!
//! BlueZ: doc/org.bluez.LEAdvertisement.rst, src/advertising.c.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bluer::adv::{Advertisement, AdvertisementHandle, Type};
use bluer::{Adapter, Uuid};
use tokio::time;

use crate::protocol::beacon::{ADVERTISEMENT_LEN, Frame, SERVICE_DATA_LEN, SERVICE_UUID};

use super::reach::Controller;
use super::{Fault, READ, call};

/// The service, as bluer names it.
pub(super) const SERVICE: Uuid = Uuid::from_u128(SERVICE_UUID);

/// Between two adverts. A phone that scans to save power listens half a
/// second in five; within that it hears two of ours. More would fill the air
/// of a crowd and add nothing, since a controller reports a sender about once
/// in ten seconds. Ignored before BlueZ 5.77; without it the kernel takes 100
/// to 150 ms on legacy controllers and 1.28 s on extended ones.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(250));

/// Answers to a registration after four commands to the controller.
const REGISTER: Duration = Duration::from_secs(15);

/// Between two looks at `ActiveInstances`.
const LOOK: Duration = Duration::from_millis(50);

// Flags, UUID list and service data, each with its length and type.
const _: () = assert!(3 + (2 + 2) + (2 + 2 + SERVICE_DATA_LEN) == ADVERTISEMENT_LEN);

/// Why there is no advert.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The adapter is discoverable: the advert would carry its real address.
    Discoverable,
    /// BlueZ said no.
    Refused(Fault),
    /// BlueZ did not answer, or its answer and `ActiveInstances` disagree;
    /// there were `before` adverts before.
    Doubtful { before: u8, fault: Option<Fault> },
}

/// An advert to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) frame: Frame,
    /// Others can connect; nobody asks for that before the kernel's privacy was
    /// seen to be on.
    pub(super) connectable: bool,
    /// A dead man's switch: BlueZ drops the advert after that time even if
    /// nobody tells it to.
    pub(super) lives: Duration,
}

/// Everything BlueZ is told.
fn describe(order: Order) -> Advertisement {
    let Order {
        frame,
        connectable,
        lives,
    } = order;
    Advertisement {
        advertisement_type: if connectable {
            Type::Peripheral
        } else {
            Type::Broadcast
        },
        discoverable: connectable.then_some(true),
        service_uuids: BTreeSet::from([SERVICE]),
        service_data: BTreeMap::from([(SERVICE, frame.service_data().to_vec())]),
        timeout: Some(lives),
        min_interval: Some(INTERVAL.0),
        max_interval: Some(INTERVAL.1),
        ..Advertisement::default()
    }
}

/// Extended controllers name secondary channels, legacy ones none.
pub(super) async fn controller(adapter: &Adapter) -> Result<Controller, Fault> {
    let channels = call(
        "reading SupportedSecondaryChannels",
        READ,
        adapter.supported_advertising_secondary_channels(),
    )
    .await?;
    Ok(match channels {
        Some(channels) if !channels.is_empty() => Controller::Extended,
        Some(_) | None => Controller::Legacy,
    })
}

/// How many adverts BlueZ airs, ours and those of other programs.
pub(super) async fn count(adapter: &Adapter) -> Result<u8, Fault> {
    call(
        "reading ActiveInstances",
        READ,
        adapter.active_advertising_instances(),
    )
    .await
}

/// Puts the frame on the air and sees it there. Returns how many adverts
/// there are then.
pub(super) async fn register(
    adapter: &Adapter,
    order: Order,
) -> Result<(AdvertisementHandle, u8), Refusal> {
    let discoverable = call("reading Discoverable", READ, adapter.is_discoverable());
    if discoverable.await.map_err(Refusal::Refused)? && !order.connectable {
        return Err(Refusal::Discoverable);
    }
    let before = count(adapter).await.map_err(Refusal::Refused)?;
    let advertisement = describe(order);
    let registering = call(
        "registering the advert",
        REGISTER,
        adapter.advertise(advertisement),
    );
    let handle = match registering.await {
        Ok(handle) => handle,
        Err(fault @ Fault::Silent { .. }) => {
            let fault = Some(fault);
            return Err(Refusal::Doubtful { before, fault });
        }
        Err(fault @ Fault::Failed { .. }) => return Err(Refusal::Refused(fault)),
    };
    match count(adapter).await {
        Ok(0) => Err(Refusal::Doubtful {
            before,
            fault: None,
        }),
        Ok(active) => Ok((handle, active)),
        Err(fault) => Err(Refusal::Doubtful {
            before,
            fault: Some(fault),
        }),
    }
}

/// Waits until there are no more than `most` adverts. False if `patience`
/// ends first.
pub(super) async fn confirm_gone(
    adapter: &Adapter,
    most: u8,
    patience: Duration,
) -> Result<bool, Fault> {
    let falling = async {
        let mut look = time::interval(LOOK);
        loop {
            look.tick().await;
            if count(adapter).await? <= most {
                return Ok(());
            }
        }
    };
    match time::timeout(patience, falling).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(fault)) => Err(fault),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::TemporaryContactNumber;

    #[test]
    fn the_advert_holds_the_frame_and_nothing_else() {
        let frame = Frame::own(TemporaryContactNumber::from_bytes([7; 16]));
        let lives = Duration::from_secs(1500);
        let order = |connectable| Order {
            frame,
            connectable,
            lives,
        };
        let broadcast = Advertisement {
            advertisement_type: Type::Broadcast,
            service_uuids: [SERVICE].into(),
            service_data: [(SERVICE, [7; 20].to_vec())].into(),
            timeout: Some(lives),
            min_interval: Some(Duration::from_millis(200)),
            max_interval: Some(Duration::from_millis(250)),
            ..Advertisement::default()
        };
        let connectable = Advertisement {
            advertisement_type: Type::Peripheral,
            discoverable: Some(true),
            ..broadcast.clone()
        };
        assert_eq!(describe(order(false)), broadcast);
        assert_eq!(describe(order(true)), connectable);
    }
}
