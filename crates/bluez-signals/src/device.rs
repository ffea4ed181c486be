//! What the signals of BlueZ say about one device.
//!
//! Only a few properties are read, and of the service data only those of one service. The
//! values borrow from the message.
//!
//! BlueZ: doc/org.bluez.Device.rst; D-Bus specification, "org.freedesktop.DBus.Properties",
//! "org.freedesktop.DBus.ObjectManager".

use super::wire::{Cursor, SIGNAL, message};

/// The interface of a device.
pub const DEVICE: &str = "org.bluez.Device1";
/// The interface whose signal `PropertiesChanged` is read.
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// The interface whose signals `InterfacesAdded` and `InterfacesRemoved` are read.
pub const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// Whose signals are read, and for which service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalFilter {
    /// The unique name of bluetoothd (`:1.7`).
    pub sender: String,
    /// The object path of the adapter (`/org/bluez/hci0`).
    pub adapter: String,
    /// The service UUID, as BlueZ writes it: 36 characters, in lower case.
    pub service: String,
}

/// A signal about a device of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSignal<'m> {
    /// Its address, most significant byte first.
    pub address: [u8; 6],
    /// What happened to it.
    pub change: DeviceChange<'m>,
}

/// What happened to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChange<'m> {
    /// BlueZ did not know it before; all its properties.
    Added(DeviceProperties<'m>),
    /// The properties that changed, or were sent again.
    Changed(DeviceProperties<'m>),
    /// BlueZ forgot it.
    Removed,
}

/// The properties of a device, as far as one signal has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceProperties<'m> {
    /// `RSSI`, in dBm.
    pub rssi: Option<i16>,
    /// The value of the service in `ServiceData`.
    pub service_data: Option<&'m [u8]>,
    /// `UUIDs` has the service.
    pub has_service_uuid: bool,
    /// `Connected`.
    pub connected: Option<bool>,
}

impl SignalFilter {
    /// What a whole message says about a device; `None` if it is not a signal of this sender
    /// about a device of this adapter.
    #[must_use]
    pub fn device_signal<'m>(&self, bytes: &'m [u8]) -> Option<DeviceSignal<'m>> {
        let (header, mut body) = message(bytes, SIGNAL)?;
        if header.sender != self.sender {
            return None;
        }
        let (path, change) = match (header.interface, header.member) {
            (PROPERTIES, "PropertiesChanged") if body.string()? == DEVICE => {
                let properties = self.properties(&mut body)?;
                (header.path, DeviceChange::Changed(properties))
            }
            (OBJECT_MANAGER, "InterfacesAdded") => {
                let path = body.string()?;
                (
                    path,
                    DeviceChange::Added(self.device_properties(&mut body)?),
                )
            }
            (OBJECT_MANAGER, "InterfacesRemoved") => {
                let path = body.string()?;
                let mut interfaces = body.array(4)?;
                while interfaces.string()? != DEVICE {}
                (path, DeviceChange::Removed)
            }
            _ => return None,
        };
        let address = self.address_of(path)?;
        Some(DeviceSignal { address, change })
    }

    /// Calls `found` for each device of the adapter in the body of a reply to
    /// `GetManagedObjects`. `endian` is the first byte of the reply. `None` if the body is
    /// malformed.
    pub fn managed_devices(
        &self,
        body: &[u8],
        endian: u8,
        mut found: impl FnMut([u8; 6], DeviceProperties<'_>),
    ) -> Option<()> {
        let mut objects = Cursor::new(body, endian).array(8)?;
        while !objects.is_empty() {
            objects.align(8)?;
            let path = objects.string()?;
            let properties = self.device_properties(&mut objects);
            if let (Some(address), Some(properties)) = (self.address_of(path), properties) {
                found(address, properties);
            }
        }
        Some(())
    }

    /// The properties of the device in a dictionary of interfaces.
    fn device_properties<'m>(&self, cursor: &mut Cursor<'m>) -> Option<DeviceProperties<'m>> {
        let mut interfaces = cursor.array(8)?;
        while !interfaces.is_empty() {
            interfaces.align(8)?;
            if interfaces.string()? == DEVICE {
                return self.properties(&mut interfaces);
            }
            interfaces.array(8)?;
        }
        None
    }

    fn properties<'m>(&self, cursor: &mut Cursor<'m>) -> Option<DeviceProperties<'m>> {
        let mut found = DeviceProperties::default();
        let mut entries = cursor.array(8)?;
        while !entries.is_empty() {
            entries.align(8)?;
            let name = entries.string()?;
            let signature = entries.signature()?;
            match (name, signature) {
                ("RSSI", b"n") => found.rssi = Some(entries.i16()?),
                ("Connected", b"b") => found.connected = Some(entries.boolean()?),
                ("UUIDs", b"as") => {
                    let mut uuids = entries.array(4)?;
                    while !uuids.is_empty() {
                        found.has_service_uuid |= uuids.string()? == self.service;
                    }
                }
                ("ServiceData", b"a{sv}") => {
                    found.service_data = self.service_data(&mut entries)?
                }
                _ => entries.skip(signature)?,
            }
        }
        Some(found)
    }

    /// The data of the service; `Some(None)` if there are only those of other services.
    fn service_data<'m>(&self, cursor: &mut Cursor<'m>) -> Option<Option<&'m [u8]>> {
        let mut services = cursor.array(8)?;
        let mut found = None;
        while !services.is_empty() {
            services.align(8)?;
            let service = services.string()?;
            let signature = services.signature()?;
            if service == self.service && signature == b"ay" {
                found = Some(services.byte_array()?);
            } else {
                services.skip(signature)?;
            }
        }
        Some(found)
    }

    /// The address in the path of a device of the adapter. Objects below a device have none.
    fn address_of(&self, path: &str) -> Option<[u8; 6]> {
        let name = path.strip_prefix(&self.adapter)?.strip_prefix("/dev_")?;
        let mut address = [0; 6];
        let mut parts = name.split('_');
        for byte in &mut address {
            let part = parts.next().filter(|part| part.len() == 2)?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use zbus::message::Message;
    use zbus::{ObjectPath, Variant};

    use super::*;

    const ADAPTER: &str = "/org/bluez/hci0";
    const SERVICE: &str = "0000c019-0000-1000-8000-00805f9b34fb";
    const PATH: &str = "/org/bluez/hci0/dev_4A_00_00_00_00_01";
    const ADDRESS: [u8; 6] = [0x4a, 0, 0, 0, 0, 1];
    const OTHER: &str = "0000feaa-0000-1000-8000-00805f9b34fb";

    type Properties<'v> = BTreeMap<&'v str, Variant<'v>>;

    fn service_data<'v>(services: &[(&'v str, &'v [u8])]) -> Variant<'v> {
        let data = services
            .iter()
            .map(|(uuid, data)| (*uuid, Variant::from(*data)));
        Variant::from(data.collect::<BTreeMap<_, _>>())
    }

    fn properties<'v>(data: &'v [u8]) -> Properties<'v> {
        BTreeMap::from([
            ("Address", Variant::from("4A:00:00:00:00:01")),
            ("Connected", Variant::from(true)),
            (
                "ManufacturerData",
                Variant::from(BTreeMap::from([(76u16, Variant::from(vec![1u8]))])),
            ),
            ("RSSI", Variant::from(-60i16)),
            (
                "ServiceData",
                service_data(&[(OTHER, &[9; 3]), (SERVICE, data)]),
            ),
            ("UUIDs", Variant::from(vec![OTHER, SERVICE])),
        ])
    }

    fn changed(path: &str, interface: &str, properties: &Properties<'_>) -> Message {
        let body = (interface, properties, Vec::<&str>::new());
        let signal = Message::signal(path, PROPERTIES, "PropertiesChanged").sender(":1.7");
        signal.build(&body).unwrap()
    }

    fn filter(sender: &str) -> SignalFilter {
        SignalFilter {
            sender: sender.to_owned(),
            adapter: ADAPTER.to_owned(),
            service: SERVICE.to_owned(),
        }
    }

    fn of(message: &Message) -> Option<DeviceSignal<'_>> {
        filter(":1.7").device_signal(message.data())
    }

    fn about_the_device(change: DeviceChange<'_>) -> Option<DeviceSignal<'_>> {
        let address = ADDRESS;
        Some(DeviceSignal { address, change })
    }

    fn all(data: &[u8]) -> DeviceProperties<'_> {
        DeviceProperties {
            rssi: Some(-60),
            service_data: Some(data),
            has_service_uuid: true,
            connected: Some(true),
        }
    }

    #[test]
    fn a_change_is_read_with_all_its_properties() {
        let data = [7; 20];
        let message = changed(PATH, DEVICE, &properties(&data));
        let change = DeviceChange::Changed(all(&data));
        assert_eq!(of(&message), about_the_device(change));
    }

    #[test]
    fn what_is_no_signal_of_bluez_about_a_device_of_the_adapter_is_left() {
        let data = [7; 20];
        let properties = properties(&data);
        for (path, interface) in [
            ("/org/bluez/hci1/dev_4A_00_00_00_00_01", DEVICE),
            ("/org/bluez/hci0/dev_4A_00_00_00_00_01/service0001", DEVICE),
            ("/org/bluez/hci0/dev_4A_00_00_00_00", DEVICE),
            ("/org/bluez/hci0", DEVICE),
            (PATH, "org.bluez.Battery1"),
        ] {
            assert_eq!(
                of(&changed(path, interface, &properties)),
                None,
                "{path} {interface}"
            );
        }
        let message = changed(PATH, DEVICE, &properties);
        assert_eq!(filter(":1.8").device_signal(message.data()), None);
    }

    /// A foreign type in place of a known one is as if the property were not there.
    #[test]
    fn a_property_of_another_type_is_left() {
        let message = changed(
            PATH,
            DEVICE,
            &BTreeMap::from([
                ("Connected", Variant::from("yes")),
                ("RSSI", Variant::from(60u32)),
                ("ServiceData", Variant::from(vec![1u8])),
                ("UUIDs", Variant::from(SERVICE)),
            ]),
        );
        let change = DeviceChange::Changed(DeviceProperties::default());
        assert_eq!(of(&message), about_the_device(change));
        let text = BTreeMap::from([(SERVICE, Variant::from("text"))]);
        let text = BTreeMap::from([("ServiceData", Variant::from(text))]);
        let message = changed(PATH, DEVICE, &text);
        assert_eq!(of(&message), about_the_device(change));
    }

    #[test]
    fn a_device_comes_and_goes() {
        let data = [7; 20];
        let path = ObjectPath::try_from(PATH).unwrap();
        let interfaces = BTreeMap::from([
            (
                "org.bluez.Battery1",
                BTreeMap::from([("Percentage", Variant::from(9u8))]),
            ),
            (DEVICE, properties(&data)),
        ]);
        let signal = |member| Message::signal("/", OBJECT_MANAGER, member).sender(":1.7");
        let added = signal("InterfacesAdded")
            .build(&(&path, &interfaces))
            .unwrap();
        let change = DeviceChange::Added(all(&data));
        assert_eq!(of(&added), about_the_device(change));
        let removed = |interfaces: &[&str]| {
            let body = (&path, interfaces);
            signal("InterfacesRemoved").build(&body).unwrap()
        };
        let change = DeviceChange::Removed;
        let gone = removed(&["org.freedesktop.DBus.Properties", DEVICE]);
        assert_eq!(of(&gone), about_the_device(change));
        assert_eq!(of(&removed(&["org.bluez.Battery1"])), None);
    }

    #[test]
    fn known_devices_are_those_of_the_adapter() {
        let data = [7; 20];
        let object = |path| {
            (
                ObjectPath::try_from(path).unwrap(),
                BTreeMap::from([(DEVICE, properties(&data))]),
            )
        };
        let adapter = BTreeMap::from([("org.bluez.Adapter1", Properties::new())]);
        let objects = BTreeMap::from([
            (ObjectPath::try_from(ADAPTER).unwrap(), adapter),
            object(PATH),
            object("/org/bluez/hci1/dev_4A_00_00_00_00_02"),
        ]);
        let reply = Message::method_call("/", "Any").build(&(objects,)).unwrap();
        let (body, endian) = (reply.body(), reply.data()[0]);
        let mut found = Vec::new();
        let read = filter(":1.7").managed_devices(body.data(), endian, |address, properties| {
            assert_eq!(properties, all(&data));
            found.push(address);
        });
        assert_eq!((read, found), (Some(()), vec![ADDRESS]));
    }
}
