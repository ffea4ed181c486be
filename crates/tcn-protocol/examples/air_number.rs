//! Shows what is broadcast for a number, and reads it back as a scanner would.
//!
//! ```console
//! $ cargo run -p tcn-protocol --example air_number
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use tcn_protocol::ReportAuthorizationKey;
use tcn_protocol::beacon::{BeaconError, Frame, SERVICE_UUID16};

fn main() -> Result<(), BeaconError> {
    let authorization = ReportAuthorizationKey::generate(&mut UnwrapErr(SysRng));
    let key = authorization.first_temporary_contact_key();
    let frame = Frame::own(key.temporary_contact_number());
    println!(
        "service data of {SERVICE_UUID16:#06x}: {}",
        hex(&frame.service_data())
    );
    println!("the whole advert: {}", hex(&frame.advertisement()));

    let heard = Frame::from_advertisement(&frame.advertisement())?;
    println!("heard: {}", hex(heard.tcn.as_bytes()));
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
