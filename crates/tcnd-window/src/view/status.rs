//! The status page: whether tcnd works, what is wrong and what helps.

use jiff::ZonedDateTime;
use local_time::{duration, show};
use tcnd_client::notices;
use tcnd_client::proxy::PauseHold;
use tcnd_client::state::{Tcnd, TcndState, UNTIL_RESUMED};

use super::{TextRow, counted, foreign, quoted};
use crate::client::Known;

/// The seconds of an hour.
const HOUR: u64 = 3600;

/// The picture beside the state: an icon of the hicolor theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StatusIcon {
    On,
    Paused,
    Problem,
    #[default]
    Off,
}

impl StatusIcon {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::On => "bluetooth-active-symbolic",
            Self::Paused => "media-playback-pause-symbolic",
            Self::Problem => "dialog-warning-symbolic",
            Self::Off => "bluetooth-disabled-symbolic",
        }
    }
}

/// What the page says of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatusView {
    pub(crate) icon: StatusIcon,
    /// The state in a few words, and in a sentence.
    pub(crate) headline: TextRow,
    /// Whether consent was given; `None` if nothing can be switched.
    pub(crate) enabled: Option<bool>,
    /// The devices nearby are not real.
    pub(crate) simulated: bool,
    /// The pauses of all, and whether there are any.
    pub(crate) pauses: Vec<TextRow>,
    pub(crate) problems: Vec<TextRow>,
    /// Checks of servers.
    pub(crate) reports: Option<TextRow>,
    pub(crate) can_check: bool,
    /// tcnd can be paused now.
    pub(crate) can_pause: bool,
}

impl StatusView {
    pub(crate) fn new(known: &Known, now: &ZonedDateTime) -> Self {
        match known {
            Known::Nothing => Self::absent(StatusIcon::Off, "Waiting for tcnd", ""),
            Known::Unreachable(why) => Self::absent(
                StatusIcon::Problem,
                "The message bus cannot be reached",
                &foreign(why),
            ),
            Known::Tcnd(Tcnd::NotRunning) => Self::absent(
                StatusIcon::Off,
                "Contact tracing is not running",
                "The service tcnd does not run. In a terminal: systemctl status tcnd",
            ),
            Known::Tcnd(Tcnd::Silent) => Self::absent(
                StatusIcon::Problem,
                "Contact tracing does not answer",
                "The service tcnd runs, and does not answer. In a terminal: systemctl status tcnd",
            ),
            Known::Tcnd(Tcnd::Running(tcnd)) => Self::running(tcnd, now),
        }
    }

    fn absent(icon: StatusIcon, title: &str, subtitle: &str) -> Self {
        Self {
            icon,
            headline: TextRow::new(title, subtitle),
            ..Self::default()
        }
    }

    fn running(tcnd: &TcndState, now: &ZonedDateTime) -> Self {
        let paused = tcnd.state == "paused";
        Self {
            icon: icon(tcnd),
            headline: headline(tcnd, now),
            // Where the configuration decides, a switch would do nothing.
            enabled: (tcnd.consent != "configured").then_some(tcnd.enabled),
            simulated: tcnd.simulated,
            pauses: tcnd.pauses.iter().map(|it| pause(it, now)).collect(),
            problems: tcnd.problems.iter().map(|it| problem(it)).collect(),
            reports: Some(reports(tcnd)),
            can_check: tcnd.can_check,
            can_pause: tcnd.enabled && !paused,
        }
    }
}

fn icon(tcnd: &TcndState) -> StatusIcon {
    match tcnd.state.as_str() {
        _ if !tcnd.enabled => StatusIcon::Off,
        "running" => StatusIcon::On,
        "paused" => StatusIcon::Paused,
        "degraded" | "idle" => StatusIcon::Problem,
        _ => StatusIcon::Off,
    }
}

fn headline(tcnd: &TcndState, now: &ZonedDateTime) -> TextRow {
    let (title, subtitle) = match tcnd.state.as_str() {
        "running" if tcnd.advertising => ("On the air", on_air(tcnd, now)),
        "running" => ("Listening", listening(tcnd)),
        "paused" => ("Paused", pause_end(tcnd.paused_until, now)),
        "degraded" => ("Not all of it works", work(tcnd)),
        "idle" if !tcnd.enabled => ("Off", off(tcnd).to_owned()),
        "idle" => (
            "Not working",
            "There is no Bluetooth adapter that it can use.".to_owned(),
        ),
        _ => ("Starting", String::new()),
    };
    TextRow::new(title, subtitle)
}

fn on_air(tcnd: &TcndState, now: &ZonedDateTime) -> String {
    let number = match tcnd.mode.as_str() {
        "relay" => "Carries the numbers of others, and has none of its own.".to_owned(),
        _ if tcnd.number_since == 0 => "A number is on the air.".to_owned(),
        _ => format!(
            "A number, on the air since {}.",
            show(tcnd.number_since, now)
        ),
    };
    format!("{number} {}", listening(tcnd))
}

fn listening(tcnd: &TcndState) -> String {
    let how = match (tcnd.scanning, tcnd.scan_mode.as_str()) {
        (false, _) => return "It does not listen at the moment.".to_owned(),
        (true, "windows") => "Listens 5 seconds in every 30 at most",
        (true, "short-windows") => "Listens 2 seconds in every 15 at most",
        (true, _) => "Listens all the time",
    };
    let why = match tcnd.scan_mode_reason.as_str() {
        "configured" => ", as it is configured",
        "mains" => ", on mains power",
        "battery" => ", on battery",
        "power-saver" => ", because the power profile saves power",
        "audio" => ", because sound is played over Bluetooth",
        "device" => ", because a paired device uses Bluetooth",
        _ => "",
    };
    let near = match tcnd.nearby {
        None => String::new(),
        Some(0) => " In the last minute it heard no number.".to_owned(),
        Some(near) => format!(
            " In the last minute it heard {}.",
            counted(near.into(), "number")
        ),
    };
    format!("{how}{why}.{near}")
}

/// What still works where something is wrong.
fn work(tcnd: &TcndState) -> String {
    let what = match (tcnd.advertising, tcnd.scanning) {
        (true, true) => "It is on the air, and listens.",
        (true, false) => "It is on the air, and does not listen.",
        (false, true) => "It listens, and is not on the air.",
        (false, false) => "It is not on the air, and does not listen.",
    };
    what.to_owned()
}

fn off(tcnd: &TcndState) -> &'static str {
    match tcnd.consent.as_str() {
        "configured" => "The configuration switches it off: enabled = false in /etc/tcnd/config.d.",
        _ => "Nothing is on the air, and no device is heard.",
    }
}

fn pause_end(until: u64, now: &ZonedDateTime) -> String {
    match until {
        UNTIL_RESUMED => "Until it is resumed. Nothing is on the air.".to_owned(),
        until => format!("Until {}. Nothing is on the air.", show(until, now)),
    }
}

/// One pause: who asked for it, and when it ends. Any user may give any reason.
fn pause(hold: &PauseHold, now: &ZonedDateTime) -> TextRow {
    let by = match (hold.application_id.as_str(), hold.reason.as_str()) {
        ("org.tcncoalition.Tcnd1.Window", _) => "A pause from this window".to_owned(),
        ("org.tcncoalition.Tcnd1.Indicator", _) => "A pause from the panel".to_owned(),
        (_, "") => "A pause without a reason".to_owned(),
        (_, reason) => format!("A pause with the reason {}", quoted(reason)),
    };
    let end = match hold.until {
        None => String::new(),
        Some(UNTIL_RESUMED) => "until it is resumed".to_owned(),
        Some(until) => format!("until {}", show(until, now)),
    };
    TextRow::new(by, end)
}

fn problem(token: &str) -> TextRow {
    match notices::problem(token) {
        Some(notice) => TextRow::new(notice.sentence, notice.cure),
        None => TextRow::new(
            format!("Another problem: {}", foreign(token)),
            "This window does not know it. In a terminal: tcnctl doctor",
        ),
    }
}

/// Whether this computer can be warned.
fn reports(tcnd: &TcndState) -> TextRow {
    let title = "Reports of others";
    match (tcnd.sources, tcnd.checked) {
        (Some(0), _) => TextRow::new(
            title,
            "No one can warn you yet, because no server is configured. Ask the office that you \
             trust for its file for /etc/tcnd/sources.d, or open a report that you were given.",
        ),
        (_, 0) => TextRow::new(title, "No server was checked yet."),
        (_, at) => TextRow::new(
            title,
            format!("All servers were checked on {}.", local_time::day(at)),
        ),
    }
}

/// Whether it is really working: what was on the air and what was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EvidenceView {
    pub(crate) rows: Vec<TextRow>,
}

impl EvidenceView {
    /// `activity` has the seconds on the air of each quarter of an hour, `heard` the numbers
    /// and sightings of each; both since `from`.
    pub(crate) fn new(
        from: u64,
        activity: &[(u64, u32)],
        heard: &[(u64, u32, u32)],
        now: &ZonedDateTime,
    ) -> Self {
        let on_air: u64 = activity
            .iter()
            .map(|(_, seconds)| u64::from(*seconds))
            .sum();
        let all = local_time::unix_seconds(now.timestamp()).saturating_sub(from);
        let aired = match on_air / HOUR {
            0 if on_air == 0 => "Never".to_owned(),
            0 => duration(on_air),
            hours => format!("{hours} of {}", counted(all / HOUR, "hour")),
        };
        let last = heard.iter().filter(|(_, numbers, _)| *numbers > 0);
        let last = last.map(|(start, ..)| *start).max();
        let last = last.map_or_else(
            || "Never".to_owned(),
            |start| local_time::show_span(start, start + local_time::QUARTER, now),
        );
        Self {
            rows: vec![
                TextRow::new(format!("On the air in the last {}", duration(all)), aired),
                TextRow::new("A new number was last heard", last),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> ZonedDateTime {
        "2026-11-28T18:00:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    fn running() -> TcndState {
        TcndState {
            state: "running".to_owned(),
            enabled: true,
            consent: "given".to_owned(),
            mode: "broadcast".to_owned(),
            advertising: true,
            scanning: true,
            scan_mode: "windows".to_owned(),
            scan_mode_reason: "battery".to_owned(),
            number_since: 1_795_884_600,
            sources: Some(1),
            ..TcndState::default()
        }
    }

    fn view(tcnd: TcndState) -> StatusView {
        StatusView::new(&Known::Tcnd(Tcnd::Running(tcnd)), &now())
    }

    #[test]
    fn every_state_has_words_and_an_icon() {
        let of = |state: &str, enabled, advertising| {
            let view = view(TcndState {
                state: state.to_owned(),
                enabled,
                advertising,
                ..running()
            });
            (view.headline.title, view.icon)
        };
        assert_eq!(
            of("running", true, true),
            ("On the air".into(), StatusIcon::On)
        );
        assert_eq!(
            of("running", true, false),
            ("Listening".into(), StatusIcon::On)
        );
        assert_eq!(
            of("paused", true, false),
            ("Paused".into(), StatusIcon::Paused)
        );
        assert_eq!(
            of("degraded", true, false),
            ("Not all of it works".into(), StatusIcon::Problem)
        );
        assert_eq!(
            of("idle", true, false),
            ("Not working".into(), StatusIcon::Problem)
        );
        assert_eq!(of("idle", false, false), ("Off".into(), StatusIcon::Off));
        assert_eq!(
            of("starting", true, false),
            ("Starting".into(), StatusIcon::Off)
        );
        assert_eq!(
            of("new\u{1b}", true, false),
            ("Starting".into(), StatusIcon::Off)
        );
    }

    #[test]
    fn what_is_absent_is_named_with_its_cure() {
        for (known, title) in [
            (Known::Nothing, "Waiting for tcnd"),
            (
                Known::Unreachable("no\u{202e}".to_owned()),
                "The message bus cannot be reached",
            ),
            (
                Known::Tcnd(Tcnd::NotRunning),
                "Contact tracing is not running",
            ),
            (Known::Tcnd(Tcnd::Silent), "Contact tracing does not answer"),
        ] {
            let view = StatusView::new(&known, &now());
            assert_eq!(view.headline.title, title);
            assert_eq!(
                (view.enabled, view.can_check, view.can_pause),
                (None, false, false)
            );
            assert!(!view.headline.subtitle.contains('\u{202e}'));
        }
    }

    #[test]
    fn a_number_has_a_time_and_no_digits_of_its_own() {
        let view = view(TcndState {
            nearby: Some(2),
            ..running()
        });
        assert_eq!(
            view.headline.subtitle,
            "A number, on the air since 17:50. Listens 5 seconds in every 30 at most, on battery. \
             In the last minute it heard 2 numbers."
        );
    }

    #[test]
    fn each_problem_comes_with_its_cure() {
        let view = view(TcndState {
            problems: vec!["adapter-off".to_owned(), "new\n".to_owned()],
            ..running()
        });
        let known = notices::problem("adapter-off").unwrap();
        assert_eq!(view.problems[0], TextRow::new(known.sentence, known.cure));
        assert_eq!(view.problems[1].title, "Another problem: new ");
    }

    #[test]
    fn pauses_of_others_are_told_apart_and_their_reasons_are_quoted() {
        let hold = |application_id: &str, reason: &str, until| PauseHold {
            application_id: application_id.to_owned(),
            reason: reason.to_owned(),
            cookie: Some(1),
            until: Some(until),
        };
        let view = view(TcndState {
            state: "paused".to_owned(),
            paused_until: UNTIL_RESUMED,
            pauses: vec![
                hold("org.tcncoalition.Tcnd1.Window", "x", 1_795_888_800),
                hold("", "<b>\u{202e}", UNTIL_RESUMED),
            ],
            ..running()
        });
        assert_eq!(
            view.pauses[0],
            TextRow::new("A pause from this window", "until 19:00")
        );
        assert_eq!(view.pauses[1].title, "A pause with the reason “<b> ”");
        assert!(!view.can_pause);
    }

    #[test]
    fn who_cannot_be_warned_is_told() {
        let says = |sources, checked| {
            let tcnd = TcndState {
                sources,
                checked,
                ..running()
            };
            view(tcnd).reports.unwrap().subtitle
        };
        assert!(says(Some(0), 0).starts_with("No one can warn you yet"));
        assert_eq!(says(Some(2), 0), "No server was checked yet.");
        assert_eq!(
            says(None, 1_795_824_000),
            "All servers were checked on 2026-11-28."
        );
    }

    #[test]
    fn nothing_is_switched_where_the_configuration_decides() {
        let tcnd = TcndState {
            consent: "configured".to_owned(),
            ..running()
        };
        assert_eq!(view(tcnd).enabled, None);
        assert_eq!(view(running()).enabled, Some(true));
    }

    #[test]
    fn evidence_is_in_hours() {
        let from = 1_795_885_200 - 14 * 86_400;
        let heard = [(1_795_880_700, 2, 9), (1_795_884_300, 0, 1)];
        let rows = EvidenceView::new(from, &[(from, 900), (from + 900, 7200)], &heard, &now()).rows;
        assert_eq!(
            rows[0],
            TextRow::new("On the air in the last 14 days", "2 of 336 hours")
        );
        assert_eq!(rows[1].subtitle, "16:45 to 17:00");
        let none = EvidenceView::new(from, &[], &[], &now()).rows;
        assert_eq!(
            (none[0].subtitle.as_str(), none[1].subtitle.as_str()),
            ("Never", "Never")
        );
    }
}
