//! The state that outlives bluetoothd: adapters, what went on the air, which calls came.

use std::collections::BTreeMap;

use zbus::{OwnedObjectPath, OwnedVariant, Variant};

const SERVICE: &str = "0000c019-0000-1000-8000-00805f9b34fb";
pub(super) const ADAPTER: &str = "org.bluez.Adapter1";
pub(super) const ADVERTISING: &str = "org.bluez.LEAdvertisingManager1";
pub(super) const DEVICE: &str = "org.bluez.Device1";

/// Another program that advertises.
pub(super) const OTHER: &str = "another program";

pub(crate) type Properties = BTreeMap<String, OwnedVariant>;
pub(super) type Interfaces = BTreeMap<String, Properties>;

/// A device that BlueZ knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) rssi: Option<i16>,
    /// It is another kind of device: it does not name service 0xC019.
    pub(crate) foreign: bool,
    pub(crate) connected: bool,
    pub(crate) paired: bool,
    /// Its address is a public one, and not random.
    pub(crate) public: bool,
}

/// A controller, and what BlueZ holds on it.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    pub(crate) address: String,
    pub(crate) extended: bool,
    pub(crate) advertises: bool,
    pub(crate) powered: bool,
    pub(crate) power_state: Option<&'static str>,
    /// It ends in the version of bluetoothd; none where `DeviceID = false`.
    pub(crate) modalias: Option<&'static str>,
    pub(crate) discoverable: bool,
    pub(crate) discovering: Option<String>,
    pub(crate) adverts: Vec<(String, OwnedObjectPath)>,
    pub(crate) devices: BTreeMap<String, Device>,
}

impl Adapter {
    pub(crate) fn new(last: u8, extended: bool) -> Self {
        Self {
            address: format!("02:00:00:00:00:{last:02X}"),
            extended,
            advertises: true,
            powered: true,
            power_state: None,
            modalias: Some("usb:v1D6Bp0246d0552"), // 5.82
            discoverable: false,
            discovering: None,
            adverts: Vec::new(),
            devices: BTreeMap::new(),
        }
    }

    pub(crate) fn scanning(&self) -> bool {
        self.discovering.is_some()
    }

    pub(crate) fn adverts(&self) -> usize {
        self.adverts.len()
    }

    /// As after a restart of bluetoothd.
    pub(super) fn reset(&mut self) {
        self.discovering = None;
        self.adverts.clear();
        self.devices.clear();
    }

    /// Another program's advert is on the air.
    pub(crate) fn beside(mut self, others: usize) -> Self {
        let path = OwnedObjectPath::try_from("/other").unwrap();
        let other = (OTHER.to_owned(), path);
        self.adverts.extend(vec![other; others]);
        self
    }

    /// Our adverts on the air.
    pub(crate) fn own(&self) -> usize {
        let own = self.adverts.iter().filter(|(sender, _)| sender != OTHER);
        own.count()
    }

    pub(super) fn interfaces(&self) -> Interfaces {
        let mut all = BTreeMap::from([(ADAPTER.to_owned(), self.properties())]);
        if self.advertises {
            all.insert(ADVERTISING.to_owned(), self.advertising());
        }
        all
    }

    fn properties(&self) -> Properties {
        let mut all = properties([
            ("Address", Variant::from(self.address.clone())),
            ("Powered", Variant::from(self.powered)),
            ("Discoverable", Variant::from(self.discoverable)),
            ("Discovering", Variant::from(self.scanning())),
        ]);
        if let Some(state) = self.power_state {
            all.extend(properties([("PowerState", Variant::from(state))]));
        }
        if let Some(modalias) = self.modalias {
            all.extend(properties([("Modalias", Variant::from(modalias))]));
        }
        all
    }

    pub(super) fn advertising(&self) -> Properties {
        let active = u8::try_from(self.adverts.len()).unwrap();
        let channels: Vec<&str> = if self.extended {
            vec!["1M", "2M"]
        } else {
            vec![]
        };
        properties([
            ("ActiveInstances", Variant::from(active)),
            ("SupportedInstances", Variant::from(5 - active)),
            ("SupportedSecondaryChannels", Variant::from(channels)),
        ])
    }
}

impl Device {
    pub(super) fn properties(&self) -> Properties {
        let mut all = properties([
            ("Connected", Variant::from(self.connected)),
            ("Paired", Variant::from(self.paired)),
            ("Trusted", Variant::from(false)),
            (
                "AddressType",
                Variant::from(if self.public { "public" } else { "random" }),
            ),
        ]);
        if !self.foreign {
            all.extend(properties([("UUIDs", Variant::from(vec![SERVICE]))]));
        }
        if let Some(data) = &self.data {
            all.extend(service_data(data));
        }
        if let Some(rssi) = self.rssi {
            all.extend(properties([("RSSI", Variant::from(rssi))]));
        }
        all
    }
}

pub(super) fn properties<const N: usize>(list: [(&str, Variant<'_>); N]) -> Properties {
    list.into_iter()
        .map(|(name, value)| (name.to_owned(), value.try_to_owned().unwrap()))
        .collect()
}

pub(super) fn service_data(data: &[u8]) -> Properties {
    data_of(SERVICE, data)
}

pub(super) fn data_of(service: &str, data: &[u8]) -> Properties {
    let map = BTreeMap::from([(service.to_owned(), Variant::from(data.to_vec()))]);
    properties([("ServiceData", Variant::from(map))])
}

/// The machine: what outlives bluetoothd, and what the test wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) adapters: BTreeMap<String, Adapter>,
    /// Calls that change something, in the order they came.
    pub(crate) log: Vec<String>,
    /// All calls of any kind.
    pub(crate) calls: usize,
    /// What was registered, whole.
    pub(crate) registered: Vec<Properties>,
    pub(crate) filters: Vec<Properties>,
    /// Registrations to refuse from now on.
    pub(crate) refuse_adverts: usize,
    /// Discoveries to refuse from now on.
    pub(crate) refuse_scans: usize,
    /// GATT applications to refuse from now on.
    pub(crate) refuse_servers: usize,
    /// Who registered a GATT application, and the path of its characteristic.
    pub(crate) server: Option<(String, OwnedObjectPath)>,
    /// Registrations put the advert on the air and are never answered.
    pub(crate) swallow_registrations: bool,
    /// Adverts stay, though they were unregistered, until this is false.
    pub(crate) hold_adverts: bool,
}

impl Machine {
    pub(crate) fn extended() -> Self {
        Self::of([("hci0", Adapter::new(1, true))])
    }

    pub(crate) fn legacy() -> Self {
        Self::of([("hci0", Adapter::new(1, false))])
    }

    pub(crate) fn of<const N: usize>(adapters: [(&str, Adapter); N]) -> Self {
        Self {
            adapters: adapters
                .map(|(name, adapter)| (name.to_owned(), adapter))
                .into(),
            ..Self::default()
        }
    }

    /// The only adapter.
    pub(crate) fn adapter(&self) -> &Adapter {
        assert_eq!(self.adapters.len(), 1);
        self.adapters.values().next().unwrap()
    }

    /// The same after a restart of bluetoothd.
    pub(crate) fn cleared(mut self) -> Self {
        self.adapters.values_mut().for_each(Adapter::reset);
        self
    }

    /// How often this was called.
    pub(crate) fn count(&self, call: &str) -> usize {
        self.log.iter().filter(|logged| *logged == call).count()
    }
}
