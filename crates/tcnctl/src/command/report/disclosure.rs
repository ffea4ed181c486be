//! What a report discloses, in numbers, in times and to whom.

use std::fmt::Write as _;

use tcn_protocol::UnixTime;
use tcnd_client::proxy::Disclosure;

use crate::args::SpanArgs;
use crate::output::counted;
use crate::time;

/// The days that a report covers by default.
const DAYS: u64 = 14;

/// From and to in seconds since 1970.
pub(crate) fn span(args: SpanArgs) -> (u64, u64) {
    let now = local_time::unix_seconds(time::now().timestamp());
    let from = args.from.map(local_time::unix_seconds);
    // The daemon takes only seconds that are over; the current one is not.
    let to = args.to.map_or(now + 1, local_time::unix_seconds);
    (from.unwrap_or(now.saturating_sub(DAYS * UnixTime::DAY)), to)
}

/// What a report would disclose, and to whom, in words.
pub(crate) fn text(disclosure: &Disclosure) -> String {
    let now = time::now();
    let (Some(from), Some(to)) = (disclosure.from, disclosure.to) else {
        return match disclosure.reported {
            0 => "No number of yours was on the air in that time: there is nothing to report.\n"
                .into(),
            _ => "Your earlier reports already cover every number of that time.\n".into(),
        };
    };
    let mut text = format!(
        "A report discloses {numbers} in {parts}: every number that was on the air\n\
         from {span}.\n  \
         A key is disclosed whole, so the report may reach up to six hours beyond the\n  \
         time that you chose.\n",
        numbers = counted(disclosure.numbers, "number"),
        parts = counted(disclosure.parts.into(), "signed report"),
        span = local_time::show_span(from, to, &now),
    );
    if disclosure.on_air {
        text.push_str("  A number is on the air now; it counts until the report is made.\n");
    }
    let _ = writeln!(
        text,
        "  It names {}, of which {} never on the air and never will be.",
        counted(disclosure.named, "number"),
        match disclosure.named.saturating_sub(disclosure.numbers) {
            1 => "1 was".to_owned(),
            unaired => format!("{unaired} were"),
        }
    );
    text.push_str(
        "  It concerns everyone who used this computer in that time, not you alone.\n  \
         Everyone who heard one of these numbers can learn that this computer was there, and\n  \
         can be warned. Everyone who has the report can tell that the numbers of one signed\n  \
         report belong together; everyone who has the whole file, that all of them do.\n  \
         Numbers that are broadcast after the report is made cannot be computed from it.\n",
    );
    if disclosure.reported > 0 {
        let _ = writeln!(
            text,
            "  Earlier reports of yours already cover {} from this period.",
            counted(disclosure.reported.into(), "more key")
        );
    }
    if !disclosure.gaps.is_empty() {
        let silent: u64 = disclosure.gaps.iter().map(|(from, to)| to - from).sum();
        let _ = writeln!(
            text,
            "  During {} of this period no number was on the air, so the report warns no one of \
             that time.",
            local_time::duration(silent)
        );
    }
    text
}
