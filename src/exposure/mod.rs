//! Derives exposures from matched reports, each with its evidence.
//!
//! A report names numbers; the log says when and how strongly each was heard. Sightings
//! of one report that follow each other closely are one exposure. Everything here is a
//! function of its arguments, so that a warning can be explained and repeated: the same
//! log and the same report give the same exposures, by a [`Rule`] that is stored and
//! shown with each.
//!
//! Three mistakes of the deployed programs are avoided here. An exposure ends with the
//! last of its sightings, not with the one that began last. No contact hides another of
//! the same number. A number heard only after its report was published is no exposure,
//! because then any radio may have sent it. Behaviour compared with:
//! Co-Epi/app-backend-rust b332afe, `reports_update/exposure.rs`.

mod distance;

use std::time::Duration;

use tcn_engine::{Contact, Signal};
use tcn_protocol::UnixTime;

pub use distance::{Distance, REFERENCE_RSSI_DBM};

/// The rule by which a list of contacts becomes exposures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Contacts belong to one exposure while less than this passes between the end of
    /// all earlier ones and the start of the next.
    pub gap: Duration,
}

impl Rule {
    /// An hour, as in CoEpi's apps.
    pub const STANDARD: Self = Self {
        gap: Duration::from_secs(3600),
    };

    /// Whether a contact that starts then belongs to the exposure that ended so far.
    fn joins(self, end: UnixTime, start: UnixTime) -> bool {
        start < end.after(self.gap)
    }
}

/// A period of time near the author of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// When the exposure was first heard.
    pub start: UnixTime,
    /// When it was last heard, or the publication of the report if that was earlier.
    pub end: UnixTime,
    /// Time within contacts. Their overlaps count once, the gaps between them not at
    /// all; so at most `end - start`.
    pub duration: Duration,
    /// The sightings and their signals.
    pub signal: Signal,
    /// Which radio was heard.
    pub carried: Carried,
}

/// The radio that carried the numbers of an exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// The person's own, throughout.
    Direct,
    /// In every contact a bridge's, at least in part. Signal and distance say nothing
    /// about the person, who may have been twice as far away.
    Bridged,
    /// Some contacts direct, others bridged.
    Mixed,
}

impl Exposure {
    /// The distance, if the signal was the person's own and measured.
    pub fn distance(&self) -> Option<Distance> {
        let mean = self.signal.mean();
        mean.filter(|_| self.carried == Carried::Direct)
            .map(Distance::of_rssi)
    }
}

/// Start and end of the exposures that [`exposures`] makes of contacts with these starts
/// and ends.
pub fn spans(
    rule: Rule,
    contacts: impl IntoIterator<Item = (UnixTime, UnixTime)>,
    published: UnixTime,
) -> Vec<(UnixTime, UnixTime)> {
    let contacts = contacts.into_iter();
    let mut contacts: Vec<_> = contacts.filter(|(start, _)| *start <= published).collect();
    contacts.sort_unstable();
    let mut spans: Vec<(UnixTime, UnixTime)> = Vec::new();
    for (start, end) in contacts {
        let end = end.max(start).min(published);
        match spans.last_mut() {
            Some((_, open)) if rule.joins(*open, start) => *open = end.max(*open),
            Some(_) | None => spans.push((start, end)),
        }
    }
    spans
}

/// The exposures in `contacts`, all of numbers of one report that was published by
/// `published`, in order of time.
///
/// A contact that began after `published` is left out: from then on, any reader of the
/// report could send its numbers.
pub fn exposures(
    rule: Rule,
    contacts: impl IntoIterator<Item = Contact>,
    published: UnixTime,
) -> Vec<Exposure> {
    let mut contacts: Vec<Contact> = contacts
        .into_iter()
        .filter(|contact| contact.start <= published)
        .collect();
    contacts.sort_by_key(|contact| (contact.start, contact.end, contact.tcn));
    let mut exposures: Vec<Exposure> = Vec::new();
    for mut contact in contacts {
        contact.end = contact.end.max(contact.start).min(published);
        match exposures.last_mut() {
            Some(open) if rule.joins(open.end, contact.start) => open.add(&contact),
            Some(_) | None => exposures.push(Exposure::of(&contact)),
        }
    }
    exposures
}

impl Exposure {
    fn of(contact: &Contact) -> Self {
        Self {
            start: contact.start,
            end: contact.end,
            duration: Duration::from_secs(contact.end.0 - contact.start.0),
            signal: contact.signal,
            carried: carried(contact),
        }
    }

    /// Adds a contact that begins no earlier than the last one added.
    fn add(&mut self, contact: &Contact) {
        let new = contact.end.0.saturating_sub(self.end.max(contact.start).0);
        self.duration += Duration::from_secs(new);
        self.end = self.end.max(contact.end);
        self.signal.merge(&contact.signal);
        if self.carried != carried(contact) {
            self.carried = Carried::Mixed;
        }
    }
}

const fn carried(contact: &Contact) -> Carried {
    if contact.bridged {
        Carried::Bridged
    } else {
        Carried::Direct
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tcn_protocol::TemporaryContactNumber;

    use super::*;

    const EVER: UnixTime = UnixTime(u64::MAX);

    fn contact(n: u8, start: u64, end: u64) -> Contact {
        Contact {
            tcn: TemporaryContactNumber::from_bytes([n; 16]),
            start: UnixTime(start),
            end: UnixTime(end),
            signal: Signal {
                max: Some(-60),
                sum: -140,
                attenuation: [0, 1, 1, 0],
                unmeasured: 0,
            },
            bridged: false,
        }
    }

    fn times(exposures: &[Exposure]) -> Vec<(u64, u64)> {
        exposures.iter().map(|e| (e.start.0, e.end.0)).collect()
    }

    /// CoEpi's own cases; where its end is wrong, the file has the correct one.
    #[test]
    fn grouping_is_coepis_with_the_true_end() {
        let file: serde_json::Value = serde_json::from_str(include_str!(
            "../../crates/tcn-protocol/tests/protocol/vectors/coepi_exposures.json"
        ))
        .unwrap();
        let cases = file["cases"].as_array().unwrap();
        let mut corrected = 0;
        for case in cases {
            let number = |value: &serde_json::Value, name: &str| value[name].as_u64().unwrap();
            let contacts = case["tcns"].as_array().unwrap().iter().map(|tcn| {
                let n = u8::try_from(number(tcn, "tcn")).unwrap();
                let mut of = contact(n, number(tcn, "start"), number(tcn, "end"));
                of.signal = Signal {
                    unmeasured: u32::try_from(number(tcn, "count")).unwrap(),
                    ..Signal::default()
                };
                of
            });
            let found = exposures(Rule::STANDARD, contacts, EVER);
            let expected = case["exposures"].as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "{case}");
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.start.0, number(expected, "start"));
                assert_eq!(found.end.0, number(expected, "greatest_end"));
                assert_eq!(
                    u64::from(found.signal.sightings()),
                    number(expected, "count")
                );
                corrected += usize::from(expected["end"] != expected["greatest_end"]);
            }
        }
        assert_eq!((cases.len(), corrected), (15, 1));
    }

    #[test]
    fn the_gap_is_strict() {
        let two = |gap: u64| [contact(1, 1000, 1100), contact(2, 1100 + gap, 1200 + gap)];
        assert_eq!(
            times(&exposures(Rule::STANDARD, two(3599), EVER)),
            [(1000, 4799)]
        );
        let apart = exposures(Rule::STANDARD, two(3600), EVER);
        assert_eq!(times(&apart), [(1000, 1100), (4700, 4800)]);
    }

    #[test]
    fn a_contact_within_another_shortens_nothing() {
        let around = [
            contact(1, 1000, 5000),
            contact(2, 2000, 2100),
            contact(3, 8599, 8600),
        ];
        let found = exposures(Rule::STANDARD, around, EVER);
        assert_eq!(times(&found), [(1000, 8600)]);
        assert_eq!(found[0].duration, Duration::from_secs(4001));
        let signal = found[0].signal;
        assert_eq!((signal.mean(), signal.max), (Some(-70), Some(-60)));
        assert_eq!(signal.attenuation, [0, 3, 3, 0]);
    }

    #[test]
    fn what_began_after_publication_is_none_of_it() {
        let heard = [
            contact(1, 1000, 1100),
            contact(2, 1500, 1900),
            contact(3, 1801, 1900),
        ];
        let found = exposures(Rule::STANDARD, heard, UnixTime(1800));
        assert_eq!(
            times(&found),
            [(1000, 1800)],
            "and what went on is cut there"
        );
        assert_eq!(found[0].signal.sightings(), 4);
        assert_eq!(exposures(Rule::STANDARD, heard, UnixTime(999)), []);
    }

    #[test]
    fn only_the_persons_own_signal_tells_a_distance() {
        let bridged = Contact {
            bridged: true,
            ..contact(1, 1000, 1100)
        };
        let of = |contacts: &[Contact]| exposures(Rule::STANDARD, contacts.to_vec(), EVER)[0];
        assert_eq!(of(&[contact(1, 1000, 1100)]).carried, Carried::Direct);
        assert!(of(&[contact(1, 1000, 1100)]).distance().is_some());
        assert_eq!(of(&[bridged, bridged]).carried, Carried::Bridged);
        assert_eq!(of(&[bridged]).distance(), None);
        assert_eq!(
            of(&[bridged, contact(2, 1001, 1002)]).carried,
            Carried::Mixed
        );
        assert_eq!(of(&[bridged, contact(2, 1001, 1002)]).distance(), None);
        let unmeasured = Contact {
            signal: Signal {
                unmeasured: 2,
                ..Signal::default()
            },
            ..contact(3, 1000, 1100)
        };
        assert_eq!(of(&[unmeasured]).distance(), None);
        let both = of(&[unmeasured, contact(2, 1001, 1002)]);
        assert_eq!(
            (both.signal.mean(), both.signal.max),
            (Some(-70), Some(-60))
        );
    }

    prop_compose! {
        fn any_contact()(n: u8, start in 0u64..100_000, length in 0u64..5000, bridged: bool) -> Contact {
            Contact { bridged, ..contact(n, start, start + length) }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_overlaps(
            contacts in proptest::collection::vec(any_contact(), 0..40),
            published in 0u64..120_000,
        ) {
            let published = UnixTime(published);
            let found = exposures(Rule::STANDARD, contacts.clone(), published);
            let counted: u32 = found.iter().map(|e| e.signal.sightings()).sum();
            let before = contacts.iter().filter(|c| c.start <= published);
            prop_assert_eq!(counted, before.map(|c| c.signal.sightings()).sum::<u32>());
            for exposure in &found {
                prop_assert!(exposure.duration.as_secs() <= exposure.end.0 - exposure.start.0);
                prop_assert!(exposure.end <= published);
            }
            for pair in found.windows(2) {
                prop_assert!(pair[1].start.0 - pair[0].end.0 >= 3600);
            }
            let times = contacts.iter().map(|contact| (contact.start, contact.end));
            let expected: Vec<_> = found.iter().map(|e| (e.start, e.end)).collect();
            prop_assert_eq!(spans(Rule::STANDARD, times, published), expected);
            let mut reversed = contacts;
            reversed.reverse();
            prop_assert_eq!(exposures(Rule::STANDARD, reversed, published), found);
        }
    }
}
