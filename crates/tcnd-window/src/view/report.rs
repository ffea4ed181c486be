//! Making a report: what it would give away, the symptoms, and the consent.
//!
//! The person sees in numbers, in times and to whom, before anything is made; and tcnd makes
//! what was shown, or nothing.

use jiff::ZonedDateTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use local_time::{duration, show_span};
use tcn_protocol::Memo;
use tcn_protocol::memo::coepi::{Day, SymptomMemo, Symptoms};
use tcn_protocol::memo::{Symptom, SymptomConflict};
use tcnd_client::proxy::{Disclosure, PublishReply};
use tcnd_client::{failure, symptoms};

use super::{TextRow, counted, foreign};

/// The days that a report covers.
pub(crate) const DAYS: u64 = 14;

/// The furthest back that a first symptom may be, in days.
pub(crate) const MAX_SYMPTOM_DAYS: u8 = 14;

/// What a report would give away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PreviewView {
    /// Why there is nothing to report, or empty.
    pub(crate) nothing: String,
    pub(crate) rows: Vec<TextRow>,
}

impl PreviewView {
    pub(crate) fn new(disclosure: &Disclosure, now: &ZonedDateTime) -> Self {
        let (Some(from), Some(to)) = (disclosure.from, disclosure.to) else {
            let reported = disclosure.reported > 0;
            return Self {
                nothing: format!(
                    "Nothing to report: {}.",
                    failure::nothing_to_report(reported)
                ),
                rows: Vec::new(),
            };
        };
        let numbers = format!(
            "{} on the air, in {}",
            counted(disclosure.numbers, "number"),
            counted(disclosure.parts.into(), "signed report")
        );
        let mut rows = vec![
            TextRow::new("When", show_span(from, to, now)),
            TextRow::new("How much", numbers),
            TextRow::new(
                "Whom it concerns",
                "Everybody who used this computer in that time, not you alone.",
            ),
            TextRow::new(
                "Who learns what",
                "Everyone who heard one of these numbers can learn that this computer was there, \
                 and can be warned. Everyone who has the report can tell that its numbers belong \
                 together.",
            ),
            TextRow::new(
                "What it does not give away",
                "Your name, where you were, whom you met, and numbers that come after it.",
            ),
        ];
        if !disclosure.gaps.is_empty() {
            let silent = disclosure
                .gaps
                .iter()
                .map(|(from, to)| to.saturating_sub(*from))
                .sum();
            let silent = format!(
                "For {} no number was on the air: it warns no one of that time.",
                duration(silent)
            );
            rows.push(TextRow::new("Silences", silent));
        }
        Self {
            nothing: String::new(),
            rows,
        }
    }
}

/// The symptoms that a person can choose, with their names.
pub(crate) fn choices() -> impl Iterator<Item = (Symptom, &'static str)> {
    let name = |symptom: Symptom| {
        (
            symptom,
            symptoms::name(symptom.token()).unwrap_or_else(|| symptom.token()),
        )
    };
    Symptom::WRITABLE.into_iter().map(name)
}

/// The memo of a report of today.
///
/// # Errors
/// When symptoms contradict each other, or none is named; the text is for people.
pub(crate) fn memo(chosen: &[Symptom], days_ago: Option<u8>, today: Date) -> Result<Memo, String> {
    if chosen.is_empty() {
        return Err("Choose at least one symptom, or “no symptoms”.".to_owned());
    }
    let symptoms = Symptoms::new(chosen).map_err(contradiction)?;
    let felt = days_ago.filter(|_| !symptoms.no_symptoms);
    let felt = felt.map(|days| day(today.saturating_sub(jiff::Span::new().days(days))));
    Ok(SymptomMemo::new(day(today), felt, symptoms).to_memo())
}

fn contradiction(conflict: SymptomConflict) -> String {
    match conflict {
        SymptomConflict::Coughs => "A cough is either dry or wet, or just a cough.",
        SymptomConflict::Fevers => "A fever is either mild or serious.",
        SymptomConflict::NoneAndOthers => "“No symptoms” cannot be combined with other symptoms.",
    }
    .to_owned()
}

/// A day of the local calendar in the form of memos: by the second at which it begins in UTC.
fn day(date: Date) -> Day {
    let start = date.to_zoned_datetime(TimeZone::UTC);
    Day::of(start.map_or(0, |start| local_time::unix_seconds(start.timestamp())))
}

/// What the report will say, in words.
pub(crate) fn says(chosen: &[Symptom], days_ago: Option<u8>) -> String {
    let names: Vec<_> = choices()
        .filter(|(symptom, _)| chosen.contains(symptom))
        .map(|(_, name)| name)
        .collect();
    let since = match days_ago.filter(|_| !chosen.contains(&Symptom::None)) {
        None => String::new(),
        Some(0) => ", since today".to_owned(),
        Some(1) => ", since yesterday".to_owned(),
        Some(days) => format!(", since {days} days ago"),
    };
    format!("{}{since}", names.join(", "))
}

/// What the person should reconsider about a memo in this number of signed reports.
pub(crate) fn concerns(memo: &Memo, parts: u32) -> Vec<String> {
    let parts = usize::try_from(parts).unwrap_or(usize::MAX);
    let concerns = memo.concerns(parts).into_iter();
    concerns
        .map(|concern| format!("Note: {concern}."))
        .collect()
}

/// What the person agrees to.
pub(crate) const CONSENT: [&str; 4] = [
    "The report names the numbers that this computer broadcast in that time.",
    "It stays on this computer until you hand it out or publish it.",
    "Once it has left this computer, it cannot be taken back.",
    "It concerns everybody who used this computer in that time.",
];

/// What publishing means, before it is done.
pub(crate) fn publish_question(preview: &PublishReply) -> String {
    let labels: Vec<_> = preview.labels.iter().map(|label| foreign(label)).collect();
    format!(
        "{} would be sent to {}, where everyone can fetch them. They leave one by one, in random \
         order over hours, while this computer is on. The operator of the server sees the address \
         that sent each. A published report cannot be taken back.",
        counted(preview.parts.into(), "signed report"),
        labels.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use tcn_protocol::memo::CoEpiMemo;

    use super::*;

    fn now() -> ZonedDateTime {
        "2026-11-28T18:00:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    #[test]
    fn a_preview_says_when_how_much_whom_and_to_whom() {
        let disclosure = Disclosure {
            parts: 2,
            numbers: 48,
            from: Some(1_795_798_800),
            to: Some(1_795_885_200),
            gaps: vec![(0, 3600), (7200, 10_800)],
            ..Disclosure::default()
        };
        let view = PreviewView::new(&disclosure, &now());
        assert_eq!(view.nothing, "");
        assert_eq!(view.rows[0].subtitle, "2026-11-27 18:00 to 18:00");
        assert_eq!(
            view.rows[1].subtitle,
            "48 numbers on the air, in 2 signed reports"
        );
        assert!(
            view.rows[2]
                .subtitle
                .contains("Everybody who used this computer")
        );
        let silences = view.rows.last().unwrap();
        assert!(silences.subtitle.starts_with("For 2 hours"), "{silences:?}");
    }

    #[test]
    fn nothing_to_report_says_why() {
        let says = |reported| {
            let disclosure = Disclosure {
                reported,
                ..Disclosure::default()
            };
            PreviewView::new(&disclosure, &now()).nothing
        };
        assert_ne!(says(0), says(1));
        assert!(says(0).starts_with("Nothing to report: "));
    }

    #[test]
    fn a_memo_says_what_was_chosen_by_local_days() {
        let today = "2026-11-28".parse().unwrap();
        let chosen = [Symptom::DryCough, Symptom::MildFever];
        let memo = memo(&chosen, Some(3), today).unwrap();
        let read = CoEpiMemo::read(&memo).unwrap();
        assert_eq!(read.symptoms(), chosen);
        assert_eq!(read.since(), Some(1_795_824_000 - 3 * 86_400));
        assert_eq!(
            says(&chosen, Some(3)),
            "dry cough, mild fever, since 3 days ago"
        );
        assert_eq!(says(&chosen, Some(0)), "dry cough, mild fever, since today");
    }

    #[test]
    fn what_contradicts_itself_is_refused_and_no_symptoms_have_no_day() {
        let today = "2026-11-28".parse().unwrap();
        assert!(memo(&[], None, today).is_err());
        assert!(memo(&[Symptom::DryCough, Symptom::WetCough], None, today).is_err());
        let none = memo(&[Symptom::None], Some(3), today).unwrap();
        assert_eq!(CoEpiMemo::read(&none).unwrap().since(), None);
        assert_eq!(says(&[Symptom::None], Some(3)), "no symptoms");
    }

    #[test]
    fn every_choice_has_a_name() {
        assert_eq!(choices().count(), Symptom::WRITABLE.len());
        assert!(choices().all(|(symptom, name)| symptoms::name(symptom.token()) == Some(name)));
    }
}
