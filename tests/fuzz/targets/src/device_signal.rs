//! Messages of the bus: nothing panics, and what is read lies within the message.

use bluez_signals::device::{DeviceChange, SignalFilter};
use bluez_signals::wire;

/// Checks that for one input.
pub fn run(bytes: &[u8]) {
    let filter = SignalFilter {
        sender: ":1.7".to_owned(),
        adapter: "/org/bluez/hci0".to_owned(),
        service: "0000c019-0000-1000-8000-00805f9b34fb".to_owned(),
    };
    let length = wire::length(bytes);
    if let Some(signal) = filter.device_signal(bytes)
        && let DeviceChange::Added(properties) | DeviceChange::Changed(properties) = signal.change
        && let Some(data) = properties.service_data
    {
        assert!(bytes.as_ptr_range().contains(&data.as_ptr()) || data.is_empty());
        assert!(data.len() < bytes.len());
    }
    if let Some(call) = wire::with_argument(bytes, "type='signal'") {
        let (_, mut body) = wire::message(&call, wire::METHOD_CALL).expect("still a call");
        assert_eq!(body.string(), Some("type='signal'"));
        assert!(length.is_err() || wire::length(&call) == Ok(Some(call.len())));
    }
    let mut known = 0;
    let _ = filter.managed_devices(bytes, b'l', |_, _| known += 1);
    assert!(known <= bytes.len());
}
