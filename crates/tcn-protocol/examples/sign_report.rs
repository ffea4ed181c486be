//! Makes a signed report, and writes it to standard output as a line of base64.
//!
//! ```console
//! $ cargo run -p tcn-protocol --features files --example sign_report >report.txt
//! ```

use std::error::Error;
use std::io::{self, Write as _};

use rand::rngs::SysRng;
use rand_core::UnwrapErr;
use tcn_protocol::file::{self, Format};
use tcn_protocol::memo::coepi::{Cough, Day, SymptomMemo, Symptoms};
use tcn_protocol::{RatchetIndex, ReportAuthorizationKey, ReportSpan, SignedReport};

fn main() -> Result<(), Box<dyn Error>> {
    let authorization = ReportAuthorizationKey::generate(&mut UnwrapErr(SysRng));
    // The report names the numbers from the first to the 24th: six hours. After that
    // the key must not be used any more, since later numbers follow from the report.
    let last = RatchetIndex::new(24).ok_or("an index is not 0")?;
    let span = ReportSpan::new(RatchetIndex::FIRST, last)?;
    let symptoms = Symptoms {
        cough: Cough::Dry,
        ..Symptoms::default()
    };
    // Days and not seconds: times that are exact would tell who it was.
    let memo = SymptomMemo::new(Day::of(1_800_000_000), None, symptoms).to_memo();
    let report = SignedReport::create(&authorization, span, memo);
    io::stdout().write_all(&file::write(Format::Base64, &[report]))?;
    Ok(())
}
