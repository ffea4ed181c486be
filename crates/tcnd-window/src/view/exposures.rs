//! The exposures page: when this computer was near a person who made a report, why tcnd says
//! so, and what to do.
//!
//! There is no score: no one checked who made a report, and no exposure is not safety.

use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use local_time::{local_in, needs_offset, show};
use tcnd_client::proxy::{ExposureInfo, ExposureSummary};
use tcnd_client::symptoms;

use super::{TextRow, counted, foreign, quoted};

/// How many exposures are shown before the person asks for more.
pub(crate) const SHOWN: usize = 100;

/// What to do after an exposure, whatever it says. Sources: WHO and ECDC advise the same to
/// contacts of respiratory diseases.
pub(crate) const ADVICE: &str = "What to do now: watch for symptoms for two weeks, keep away from \
     people who fall ill easily, and test yourself if there is a test. If you feel ill, stay at \
     home and call a doctor or your health office before you go there.";

/// One exposure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExposureView {
    pub(crate) id: String,
    /// When.
    pub(crate) title: String,
    /// How long and how far.
    pub(crate) subtitle: String,
    pub(crate) seen: bool,
    /// Why tcnd says so, and what the report says.
    pub(crate) details: Vec<TextRow>,
    /// Web pages where people find help, which can be opened.
    pub(crate) pages: Vec<HelpPage>,
}

/// The web page of a source where people find help.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HelpPage {
    /// Whose it is.
    pub(crate) label: String,
    /// Its address, which is safe to show and to open.
    pub(crate) url: String,
}

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExposuresView {
    /// The newest first, at most as many as were asked for.
    pub(crate) exposures: Vec<ExposureView>,
    /// How many more there are.
    pub(crate) more: usize,
    /// How complete the list is.
    pub(crate) coverage: String,
    /// Sources that could not be checked, and reports that wait.
    pub(crate) gaps: Vec<String>,
}

impl ExposuresView {
    pub(crate) fn new(
        mut exposures: Vec<ExposureInfo>,
        summary: &ExposureSummary,
        shown: usize,
        now: &ZonedDateTime,
    ) -> Self {
        exposures.sort_by(|a, b| (b.from, &b.id).cmp(&(a.from, &a.id)));
        let more = exposures.len().saturating_sub(shown);
        exposures.truncate(shown);
        Self {
            coverage: coverage(summary, exposures.is_empty()),
            gaps: gaps(summary),
            exposures: exposures
                .iter()
                .map(|it| ExposureView::new(it, now))
                .collect(),
            more,
        }
    }
}

fn coverage(summary: &ExposureSummary, none: bool) -> String {
    let checked = match (summary.sources, summary.checked) {
        (0, _) => {
            "No server is configured: only reports that were opened here were looked at.".to_owned()
        }
        (_, None) => "No server was checked yet.".to_owned(),
        (1, Some(at)) => format!(
            "The reports of 1 server were looked at, last on {}.",
            local_time::day(at)
        ),
        (sources, Some(at)) => format!(
            "The reports of {sources} servers were looked at, all last on {}.",
            local_time::day(at)
        ),
    };
    match none {
        true => format!("None known. That is not the same as none. {checked}"),
        false => checked,
    }
}

fn gaps(summary: &ExposureSummary) -> Vec<String> {
    let failed = summary.failed.iter().map(|(label, problem)| {
        format!(
            "{} could not be checked: {}.",
            quoted(label),
            foreign(problem)
        )
    });
    let waiting = summary
        .waiting
        .then(|| "Some reports were not looked at yet.".to_owned());
    failed.chain(waiting).collect()
}

impl ExposureView {
    fn new(exposure: &ExposureInfo, now: &ZonedDateTime) -> Self {
        Self {
            id: exposure.id.clone(),
            title: when(exposure, now.time_zone()),
            subtitle: format!("{} near, {}", how_long(exposure), how_far(exposure)),
            seen: exposure.seen,
            pages: pages(exposure),
            details: [
                Some(TextRow::new("The report says", says(exposure))),
                help(exposure).map(|help| TextRow::new("Where to ask", help)),
                Some(TextRow::new(
                    "Why",
                    format!(
                        "Numbers of this report were heard here before it was public, {}. No one \
                         checked who made it.",
                        carried(exposure)
                    ),
                )),
                Some(TextRow::new("From", sources(exposure, now))),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }
}

fn when(exposure: &ExposureInfo, zone: &TimeZone) -> String {
    let ends = [exposure.from, exposure.to].map(|end| local_in(end, zone));
    let [Some(from), Some(to)] = ends else {
        return "At a time outside the range of the calendar".to_owned();
    };
    let offset = if needs_offset(&[&from, &to]) {
        " %:z"
    } else {
        ""
    };
    let day = if from.date() == to.date() {
        ""
    } else {
        "%A, %-d %B, "
    };
    format!(
        "{} to {}",
        from.strftime(&format!("%A, %-d %B, %H:%M{offset}")),
        to.strftime(&format!("{day}%H:%M{offset}"))
    )
}

fn how_long(exposure: &ExposureInfo) -> String {
    match (exposure.duration_least_s, exposure.duration_most_s) {
        (Some(least), Some(most)) => format!("Between {} and {} min", least / 60, most / 60),
        (_, _) if exposure.duration_s < 60 => "Less than a minute".to_owned(),
        (_, _) => format!("{} min", exposure.duration_s / 60),
    }
}

fn how_far(exposure: &ExposureInfo) -> String {
    let distances = (exposure.distance_least, exposure.distance_most);
    match (distances, exposure.carried.as_str()) {
        ((Some(least), Some(most)), _) => format!("{least:.0} to {most:.0} m away"),
        (_, "bridged" | "mixed") => "heard through another radio".to_owned(),
        (_, _) => "at an unknown distance".to_owned(),
    }
}

fn carried(exposure: &ExposureInfo) -> &'static str {
    match exposure.carried.as_str() {
        "bridged" => "passed on by another device",
        "mixed" => "in part passed on by another device",
        _ => "from the device of that person",
    }
}

/// What the memo says. It comes from a stranger.
fn says(exposure: &ExposureInfo) -> String {
    if let Some(text) = &exposure.text {
        return format!("The text of a stranger: {}", quoted(text));
    }
    let tokens = exposure.symptoms.iter().flatten();
    let name = |token: &String| match symptoms::name(token) {
        Some(name) => name.to_owned(),
        None => foreign(token),
    };
    let names: Vec<_> = tokens.map(name).collect();
    let since = exposure
        .since
        .map(|since| format!("since {}", local_time::day(since)));
    match (names.is_empty(), since) {
        (true, None) => "Nothing that can be read".to_owned(),
        (true, Some(since)) => format!("No symptom, {since}"),
        (false, since) => names
            .into_iter()
            .chain(since)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn sources(exposure: &ExposureInfo, now: &ZonedDateTime) -> String {
    let labels: Vec<_> = exposure
        .sources
        .iter()
        .map(|label| foreign(label))
        .collect();
    format!(
        "{}; public by {}, received {}",
        match labels.len() {
            0..=3 => labels.join(", "),
            more => format!(
                "{} and {}",
                labels[..3].join(", "),
                counted((more - 3) as u64, "other")
            ),
        },
        show(exposure.published, now),
        show(exposure.received, now)
    )
}

/// How many sources of one report are named where people can ask.
const ASKED: usize = 3;

/// Where the sources of the report say that people find help.
fn help(exposure: &ExposureInfo) -> Option<String> {
    let told = exposure.help.iter().flatten().take(ASKED);
    let told: Vec<_> = told
        .map(|(label, url, phone)| {
            let places = [phone, url].into_iter().filter(|place| !place.is_empty());
            let places: Vec<_> = places.map(|place| foreign(place)).collect();
            format!("{}: {}", foreign(label), places.join(", "))
        })
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// The web pages among them. tcnd checked the addresses; this looks again, since they are
/// opened.
fn pages(exposure: &ExposureInfo) -> Vec<HelpPage> {
    let told = exposure.help.iter().flatten().take(ASKED);
    let safe = told.filter(|(_, url, _)| is_page(url));
    safe.map(|(label, url, _)| HelpPage {
        label: foreign(label),
        url: url.clone(),
    })
    .collect()
}

/// Whether this is an address of https that can be shown whole.
fn is_page(url: &str) -> bool {
    let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    url.starts_with("https://") && printable && url.len() <= 256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> ZonedDateTime {
        "2026-11-29T18:00:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    fn exposure(id: &str) -> ExposureInfo {
        ExposureInfo {
            id: id.to_owned(),
            from: 1_795_889_100,
            to: 1_795_892_100,
            duration_s: 2700,
            carried: "direct".to_owned(),
            sources: vec!["Office".to_owned()],
            published: 1_795_910_400,
            received: 1_795_914_000,
            symptoms: Some(vec!["dry-cough".to_owned()]),
            ..ExposureInfo::default()
        }
    }

    fn view(exposure: ExposureInfo) -> ExposureView {
        let summary = ExposureSummary::default();
        let view = ExposuresView::new(vec![exposure], &summary, 10, &now());
        view.exposures.into_iter().next().unwrap()
    }

    #[test]
    fn an_exposure_has_its_time_length_and_distance() {
        let near = view(exposure("a"));
        assert_eq!(near.title, "Saturday, 28 November, 19:05 to 19:55");
        assert_eq!(near.subtitle, "45 min near, at an unknown distance");
        assert_eq!(near.details[0].subtitle, "dry cough");
        let measured = view(ExposureInfo {
            duration_least_s: Some(2400),
            duration_most_s: Some(3000),
            distance: Some(2.0),
            distance_least: Some(1.0),
            distance_most: Some(3.4),
            ..exposure("a")
        });
        assert_eq!(
            measured.subtitle,
            "Between 40 and 50 min near, 1 to 3 m away"
        );
        let short = view(ExposureInfo {
            duration_s: 59,
            ..exposure("a")
        });
        assert!(short.subtitle.starts_with("Less than a minute near, "));
        let carried = view(ExposureInfo {
            carried: "bridged".to_owned(),
            ..exposure("a")
        });
        assert!(carried.subtitle.ends_with("heard through another radio"));
    }

    #[test]
    fn what_strangers_wrote_is_quoted_and_short() {
        let hostile = "<b>\u{202e}\u{1b}[2J".to_owned() + &"x".repeat(4096);
        let exposure = ExposureInfo {
            text: Some(hostile.clone()),
            sources: vec![hostile; 9],
            ..exposure("a")
        };
        for row in view(exposure).details {
            assert!(row.subtitle.chars().count() < 800, "{}", row.subtitle.len());
            assert!(!row.subtitle.contains(['\u{202e}', '\u{1b}']));
        }
        let unknown = view(ExposureInfo {
            symptoms: Some(vec!["new-\u{7}token".to_owned()]),
            ..self::exposure("a")
        });
        assert_eq!(unknown.details[0].subtitle, "new- token");
        let unread = view(ExposureInfo {
            symptoms: None,
            ..self::exposure("a")
        });
        assert_eq!(unread.details[0].subtitle, "Nothing that can be read");
    }

    #[test]
    fn who_was_near_is_told_where_to_ask() {
        let said = |url: &str, phone: &str| ("Office".to_owned(), url.to_owned(), phone.to_owned());
        let with = |help| {
            view(ExposureInfo {
                help: Some(help),
                ..exposure("a")
            })
        };
        let page = "https://a.example.org/help";
        let both = with(vec![said(page, "116 117"), said("", "112")]);
        assert_eq!(
            both.details[1],
            TextRow::new(
                "Where to ask",
                "Office: 116 117, https://a.example.org/help; Office: 112"
            )
        );
        let expected = HelpPage {
            label: "Office".to_owned(),
            url: page.to_owned(),
        };
        assert_eq!(both.pages, [expected]);
        for nothing in [view(exposure("a")), with(Vec::new())] {
            assert_eq!(nothing.details[1].title, "Why");
            assert_eq!(nothing.pages, []);
        }
        for odd in ["http://a.example.org/", "file:///a", "https://a/\u{202e}"] {
            let shown = with(vec![said(odd, "")]);
            assert_eq!(shown.pages, [], "{odd}");
            assert!(!shown.details[1].subtitle.contains('\u{202e}'));
        }
    }

    #[test]
    fn of_ten_thousand_some_are_shown_and_the_rest_is_counted() {
        let exposures = (0..10_000).map(|n| ExposureInfo {
            from: n,
            ..exposure(&n.to_string())
        });
        let view = ExposuresView::new(
            exposures.collect(),
            &ExposureSummary::default(),
            SHOWN,
            &now(),
        );
        assert_eq!((view.exposures.len(), view.more), (SHOWN, 10_000 - SHOWN));
        assert_eq!(view.exposures[0].id, "9999", "the newest first");
    }

    #[test]
    fn an_empty_list_says_what_it_rests_on() {
        let summary = |sources, checked| ExposureSummary {
            sources,
            checked,
            ..ExposureSummary::default()
        };
        let says = |summary| ExposuresView::new(Vec::new(), &summary, 10, &now()).coverage;
        let none = "None known. That is not the same as none. ";
        for (sources, checked, rests_on) in [
            (
                0,
                None,
                "No server is configured: only reports that were opened here were looked at.",
            ),
            (2, None, "No server was checked yet."),
            (
                1,
                Some(1_795_824_000),
                "The reports of 1 server were looked at, last on 2026-11-28.",
            ),
            (
                2,
                Some(1_795_824_000),
                "The reports of 2 servers were looked at, all last on 2026-11-28.",
            ),
        ] {
            assert_eq!(says(summary(sources, checked)), format!("{none}{rests_on}"));
        }
        let failed = ExposureSummary {
            failed: vec![("A\u{202e}".to_owned(), "timeout".to_owned())],
            waiting: true,
            ..ExposureSummary::default()
        };
        let view = ExposuresView::new(Vec::new(), &failed, 10, &now());
        assert_eq!(
            view.gaps,
            [
                "“A ” could not be checked: timeout.",
                "Some reports were not looked at yet."
            ]
        );
    }
}
