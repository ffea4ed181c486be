//! Makes a report authorization key, and shows the first numbers that it gives.
//!
//! ```console
//! $ cargo run -p tcn-protocol --example make_key
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use tcn_protocol::{Ratchet, ReportAuthorizationKey};

fn main() {
    // The crate has no randomness of its own.
    let authorization = ReportAuthorizationKey::generate(&mut UnwrapErr(SysRng));
    let mut key = authorization.first_temporary_contact_key();
    for _ in 0..4 {
        // A number is broadcast for a quarter of an hour at most. The key that it comes
        // from is replaced, so that nothing leads back to it.
        let number = key.temporary_contact_number();
        println!("tcn_{} = {}", key.index(), hex(number.as_bytes()));
        let Ratchet::Next(next) = key.ratchet() else {
            break;
        };
        key = next;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
