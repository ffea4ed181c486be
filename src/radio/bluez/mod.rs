//! org.bluez.
