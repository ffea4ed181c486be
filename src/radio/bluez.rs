//! BlueZ.
