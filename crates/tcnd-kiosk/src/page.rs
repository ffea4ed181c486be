//! The page. Pure: state, settings and time in, HTML out.
//!
//! A page has no script, so it cannot tell by itself that it is old. Therefore it says when
//! tcnd was looked at. The browser reads the file again every 30 seconds.

use askama::Template;
use jiff::{Timestamp, ZonedDateTime};
use qrcode::{Color, QrCode};

use crate::settings::PageSettings;
use crate::state::{Tcnd, TcndState};

/// The white margin of a QR code, in modules: ISO/IEC 18004, "Quiet zone".
const QUIET_ZONE: usize = 4;

/// What the page says. The template escapes all text.
#[derive(Debug, Template)]
#[template(path = "page.html")]
pub(crate) struct Page {
    heading: &'static str,
    sentences: Vec<String>,
    /// How many devices were heard, in a word; `None` if tcnd does not listen.
    heard: Option<&'static str>,
    state: String,
    simulated: bool,
    looked_at: String,
    questions: String,
    explanation: String,
    code: Option<QrPath>,
}

impl Page {
    pub(crate) fn new(tcnd: &Tcnd, settings: &PageSettings, now: &ZonedDateTime) -> Self {
        let (heading, sentences) = claims(tcnd);
        let running = match tcnd {
            Tcnd::Running(tcnd) => Some(tcnd),
            Tcnd::NotRunning | Tcnd::Silent | Tcnd::Unreachable => None,
        };
        let hears = running.filter(|tcnd| Work::of(tcnd).hears);
        Self {
            heading,
            sentences,
            heard: hears.map(|tcnd| heard(tcnd.presence.as_deref())),
            state: running.map_or_else(|| absent(tcnd).to_owned(), |tcnd| state(tcnd, now)),
            simulated: running.is_some_and(|tcnd| tcnd.simulated),
            looked_at: now.strftime("%H:%M, %-d %B").to_string(),
            questions: settings.questions.0.clone(),
            explanation: settings.explanation.0.clone(),
            code: QrPath::of(&settings.explanation.0),
        }
    }

    /// The page as HTML.
    ///
    /// # Errors
    /// Those of the template, which writes to memory.
    pub(crate) fn html(&self) -> Result<String, askama::Error> {
        self.render()
    }
}

/// What tcnd does now, whatever its mode promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Work {
    /// It broadcasts a number of this machine.
    broadcasts: bool,
    /// It passes the numbers of others on.
    passes_on: bool,
    hears: bool,
}

impl Work {
    fn of(tcnd: &TcndState) -> Self {
        if !matches!(tcnd.state.as_str(), "running" | "degraded") {
            return Self::default();
        }
        // Each keeps tcnd from taking numbers, or from carrying them.
        let hindrances = ["address-held", "bridge-unavailable", "connect-failed"];
        let hindered = tcnd
            .problems
            .iter()
            .any(|it| hindrances.contains(&it.as_str()));
        let mode = tcnd.mode.as_str();
        Self {
            broadcasts: tcnd.advertising && matches!(mode, "broadcast" | "full"),
            passes_on: tcnd.advertising && !hindered && matches!(mode, "full" | "relay"),
            hears: tcnd.scanning,
        }
    }
}

/// The heading and the sentences below it.
fn claims(tcnd: &Tcnd) -> (&'static str, Vec<String>) {
    let off = "Contact tracing is not at work here";
    let hears_nothing = "This computer hears no numbers now, and passes none on.";
    let tcnd = match tcnd {
        Tcnd::Running(tcnd) => tcnd,
        Tcnd::NotRunning => return (off, vec![hears_nothing.to_owned()]),
        // What was on the air may still be there.
        Tcnd::Silent | Tcnd::Unreachable => {
            let unknown = "Whether contact tracing is at work here is not known";
            return (unknown, Vec::new());
        }
    };
    let work = Work::of(tcnd);
    let heading = match work {
        Work {
            broadcasts: true,
            passes_on: true,
            ..
        } => "This place takes part in contact tracing, and passes numbers on",
        Work {
            broadcasts: true, ..
        } => "This place takes part in contact tracing",
        Work {
            passes_on: true, ..
        } => "This place passes contact numbers on",
        Work { hears: true, .. } => "This place listens for contact numbers",
        Work { hears: false, .. } => return (off, vec![hears_nothing.to_owned()]),
    };
    (heading, sentences(work, tcnd))
}

/// What a tcnd at work does.
fn sentences(work: Work, tcnd: &TcndState) -> Vec<String> {
    let mut sentences = Vec::new();
    if work.passes_on {
        sentences.push("Phones that cannot hear each other hear of each other here.".to_owned());
    }
    if work.broadcasts {
        sentences.push(format!(
            "This computer broadcasts a random number of its own, which changes after {} at the \
             latest, and knows no names.",
            duration(tcnd.rotation_interval),
        ));
    } else if matches!(tcnd.mode.as_str(), "relay" | "listen") {
        let anonymous = "This computer has no number of its own, and knows no names.";
        sentences.push(anonymous.to_owned());
    }
    if work.hears || work.passes_on {
        let kept = duration(tcnd.retention);
        sentences.push(format!(
            "This computer keeps the numbers that it hears for {kept}."
        ));
    }
    sentences
}

/// A word, since an exact number would tell when somebody is alone.
fn heard(presence: Option<&str>) -> &'static str {
    match presence {
        Some("none") => "none",
        Some("few") => "a few",
        Some("some") => "some",
        Some("many") => "many",
        _ => "not known",
    }
}

fn absent(tcnd: &Tcnd) -> &'static str {
    match tcnd {
        Tcnd::Silent => "does not answer",
        Tcnd::Unreachable => "not known",
        Tcnd::NotRunning | Tcnd::Running(_) => "not running",
    }
}

fn state(tcnd: &TcndState, now: &ZonedDateTime) -> String {
    match tcnd.state.as_str() {
        "running" => "working".to_owned(),
        "degraded" => "not all of it works".to_owned(),
        "paused" => paused(tcnd.paused_until, now),
        "idle" if !tcnd.enabled => "off".to_owned(),
        "idle" => "not working".to_owned(),
        _ => "starting".to_owned(),
    }
}

/// A pause with its end in local time. The greatest time, which no calendar has, means that
/// only `Resume` ends it.
fn paused(until: u64, now: &ZonedDateTime) -> String {
    let end = i64::try_from(until).ok();
    let Some(end) = end.and_then(|end| Timestamp::from_second(end).ok()) else {
        return "paused".to_owned();
    };
    let end = end.to_zoned_datetime(now.time_zone().clone());
    let format = if end.date() == now.date() {
        "paused until %H:%M"
    } else {
        "paused until %-d %B"
    };
    end.strftime(format).to_string()
}

/// Seconds in the largest unit that leaves no rest.
fn duration(seconds: u32) -> String {
    let units = [
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let whole = |(unit, _): &(u32, _)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let (unit, name) = units.into_iter().find(whole).unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

/// A QR code as the path of an SVG, in which a module is one unit.
#[derive(Debug)]
struct QrPath {
    /// Width and height, with the quiet zone.
    size: usize,
    path: String,
}

impl QrPath {
    /// `None` if the text is too long for a QR code.
    fn of(text: &str) -> Option<Self> {
        let code = QrCode::new(text).ok()?;
        let width = code.width();
        let modules = code.to_colors();
        let dark = modules
            .iter()
            .enumerate()
            .filter(|(_, it)| **it == Color::Dark);
        let path = dark.map(|(at, _)| {
            let (x, y) = (at % width + QUIET_ZONE, at / width + QUIET_ZONE);
            format!("M{x} {y}h1v1h-1z")
        });
        Some(Self {
            size: width + 2 * QUIET_ZONE,
            path: path.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::settings::{Address, Line};

    const STATES: [&str; 5] = ["running", "degraded", "paused", "idle", "starting"];
    const MODES: [&str; 5] = ["broadcast", "full", "relay", "listen", "other"];

    /// 2026-11-28 21:31 in Berlin.
    fn now() -> ZonedDateTime {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now = Timestamp::from_second(1_795_897_860).unwrap();
        now.to_zoned_datetime(zone)
    }

    fn tcnd(state: &str, mode: &str) -> TcndState {
        TcndState {
            state: state.to_owned(),
            enabled: true,
            advertising: true,
            scanning: true,
            mode: mode.to_owned(),
            retention: 14 * 86_400,
            rotation_interval: 900,
            presence: Some("some".to_owned()),
            ..TcndState::default()
        }
    }

    fn html(tcnd: &Tcnd, settings: &PageSettings) -> String {
        Page::new(tcnd, settings, &now()).html().unwrap()
    }

    fn page(tcnd: TcndState) -> String {
        html(&Tcnd::Running(tcnd), &PageSettings::default())
    }

    /// The text between these tags.
    fn between<'a>(page: &'a str, start: &str, end: &str) -> Option<&'a str> {
        page.split_once(start)?.1.split_once(end).map(|it| it.0)
    }

    fn value<'a>(page: &'a str, name: &str) -> Option<&'a str> {
        between(page, &format!("<dt>{name}</dt><dd>"), "</dd>")
    }

    const HEARD: &str = "Devices heard in the last 15 minutes";

    #[test]
    fn each_state_is_named() {
        let told = |tcnd| value(&page(tcnd), "State").unwrap().to_owned();
        assert_eq!(told(tcnd("running", "full")), "working");
        assert_eq!(told(tcnd("degraded", "full")), "not all of it works");
        assert_eq!(told(tcnd("starting", "full")), "starting");
        assert_eq!(told(tcnd("idle", "full")), "not working");
        let off = TcndState {
            enabled: false,
            ..tcnd("idle", "full")
        };
        assert_eq!(told(off), "off");
        let page = page(tcnd("running", "full"));
        assert_eq!(value(&page, "Looked at"), Some("21:31, 28 November"));
    }

    /// In every state and mode, whatever works and whatever hinders it.
    #[test]
    fn the_page_claims_what_tcnd_does_and_no_more() {
        let problems = [
            "",
            "address-held",
            "bridge-unavailable",
            "connect-failed",
            "crowded",
        ];
        for state in STATES {
            for mode in MODES {
                for problem in problems {
                    for (advertising, scanning) in
                        [(false, false), (false, true), (true, false), (true, true)]
                    {
                        let page = page(TcndState {
                            advertising,
                            scanning,
                            problems: vec![problem.to_owned()],
                            ..tcnd(state, mode)
                        });
                        let at_work = matches!(state, "running" | "degraded");
                        let on_air = at_work && advertising;
                        let own = on_air && matches!(mode, "broadcast" | "full");
                        let free = matches!(problem, "" | "crowded");
                        let carries = on_air && free && matches!(mode, "full" | "relay");
                        let hears = at_work && scanning;
                        let what = format!("{state} {mode} {problem} {advertising} {scanning}");
                        let says = |words| page.contains(words);
                        assert_eq!(says("broadcasts a random number"), own, "{what}");
                        assert_eq!(says("hear of each other here"), carries, "{what}");
                        assert_eq!(says("passes numbers on"), own && carries, "{what}");
                        assert_eq!(says("passes contact numbers on"), carries && !own, "{what}");
                        assert_eq!(
                            says("keeps the numbers that it hears"),
                            hears || carries,
                            "{what}"
                        );
                        assert_eq!(value(&page, HEARD).is_some(), hears, "{what}");
                        let idle = !own && !carries && !hears;
                        assert_eq!(says("is not at work here"), idle, "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_known_is_not_claimed() {
        for (tcnd, state, heading) in [
            (
                Tcnd::NotRunning,
                "not running",
                "Contact tracing is not at work here",
            ),
            (Tcnd::Silent, "does not answer", "is not known"),
            (Tcnd::Unreachable, "not known", "is not known"),
        ] {
            let page = html(&tcnd, &PageSettings::default());
            assert_eq!(value(&page, "State"), Some(state));
            assert_eq!(value(&page, HEARD), None);
            assert!(between(&page, "<h1>", "</h1>").unwrap().contains(heading));
            assert_eq!(
                page.contains("hears no numbers now"),
                tcnd == Tcnd::NotRunning
            );
        }
    }

    #[test]
    fn a_pause_ends_at_a_local_time_or_is_open() {
        let until = |paused_until| {
            let paused = TcndState {
                paused_until,
                ..tcnd("paused", "relay")
            };
            value(&page(paused), "State").unwrap().to_owned()
        };
        assert_eq!(until(1_795_897_860 + 3600), "paused until 22:31");
        assert_eq!(until(1_795_897_860 + 3 * 86_400), "paused until 1 December");
        assert_eq!(until(u64::MAX), "paused");
    }

    #[test]
    fn presence_is_a_word_whatever_tcnd_says() {
        let shown = |presence: Option<&str>| {
            let tcnd = TcndState {
                presence: presence.map(str::to_owned),
                ..tcnd("running", "relay")
            };
            value(&page(tcnd), HEARD).unwrap().to_owned()
        };
        assert_eq!(shown(Some("none")), "none");
        assert_eq!(shown(Some("few")), "a few");
        assert_eq!(shown(Some("some")), "some");
        assert_eq!(shown(Some("many")), "many");
        for other in [None, Some("3"), Some("<b>"), Some("")] {
            assert_eq!(shown(other), "not known");
        }
    }

    #[test]
    fn a_relay_has_no_number_and_says_what_it_keeps() {
        let relay = page(tcnd("running", "relay"));
        assert!(relay.contains("This computer has no number of its own"));
        assert!(relay.contains("This computer keeps the numbers that it hears for 14 days."));
        let full = page(tcnd("running", "full"));
        assert!(!full.contains("no number of its own"));
        assert!(full.contains("changes after 15 minutes at the latest"));
    }

    #[test]
    fn a_simulation_says_so() {
        let simulated = TcndState {
            simulated: true,
            ..tcnd("running", "relay")
        };
        assert!(page(simulated).contains("This is a simulation"));
        assert!(!page(tcnd("running", "relay")).contains("simulation:"));
    }

    #[test]
    fn text_is_never_markup_and_nothing_is_fetched_or_run() {
        let settings = PageSettings {
            questions: Line("<script>alert('1')</script> & \"more\"".to_owned()),
            explanation: Address("https://example.org/?a=1&b=<i>".to_owned()),
        };
        let page = html(&Tcnd::Running(tcnd("running", "full")), &settings);
        assert!(
            page.contains("&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62; &#38; &#34;more")
        );
        assert!(page.contains("https://example.org/?a=1&#38;b=&#60;i&#62;"));
        for active in ["<script", "src=", "href=", "url(", "@import", "onload"] {
            assert!(!page.contains(active), "{active}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn questions_are_left_out_if_there_are_none() {
        assert!(!page(tcnd("running", "full")).contains("Questions"));
    }

    #[test]
    fn durations_are_in_the_largest_unit() {
        for (seconds, words) in [
            (14 * 86_400, "14 days"),
            (86_400, "1 day"),
            (6 * 3600, "6 hours"),
            (900, "15 minutes"),
            (90, "90 seconds"),
            (1, "1 second"),
            (0, "0 seconds"),
        ] {
            assert_eq!(duration(seconds), words);
        }
    }

    #[test]
    fn a_code_has_its_finder_patterns_inside_the_quiet_zone() {
        let code = QrPath::of("https://example.org").unwrap();
        // Version 2 has 25 modules.
        assert_eq!(code.size, 25 + 2 * QUIET_ZONE);
        for corner in ["M4 4h", "M28 4h", "M4 28h"] {
            assert!(code.path.contains(corner), "{corner}");
        }
        assert!(!code.path.contains("M3 ") && !code.path.contains("M29 "));
        assert!(QrPath::of(&"x".repeat(5000)).is_none());
    }
}
