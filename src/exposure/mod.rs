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
//! because then any radio may have sent it.
//!
//! Where discovery pauses, a device may be near and unheard. A pause between two contacts
//! counts as time near if both may have lasted into it. The pauses before the first and after
//! the last contact are the difference between [`Exposure::least`] and [`Exposure::most`].
//! Behaviour compared with:
//! Co-Epi/app-backend-rust b332afe, `reports_update/exposure.rs`.

mod distance;

use std::cmp::Ordering;
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
    /// Time near, at least: within contacts, and in pauses of discovery between two of them.
    /// Overlaps count once, other gaps not at all; so at most `end - start`.
    pub least: Duration,
    /// Time near, at most: the pauses count in which it may have begun or ended.
    pub most: Duration,
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
    /// The estimated time near: a pause in which it began or ended counts by half.
    pub fn duration(&self) -> Duration {
        self.least + (self.most - self.least) / 2
    }

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
    let mut exposures: Vec<Growing> = Vec::new();
    for mut contact in contacts {
        contact.end = contact.end.max(contact.start);
        let left = published.0.saturating_sub(contact.end.0);
        contact.unheard.after = contact
            .unheard
            .after
            .min(u8::try_from(left).unwrap_or(u8::MAX));
        contact.end = contact.end.min(published);
        match exposures.last_mut() {
            Some(open) if rule.joins(open.exposure.end, contact.start) => open.add(&contact),
            Some(_) | None => exposures.push(Growing::of(&contact)),
        }
    }
    exposures.into_iter().map(Growing::finish).collect()
}

/// An exposure to which contacts are added.
struct Growing {
    exposure: Exposure,
    /// Seconds unheard after the latest end.
    after: u8,
}

impl Growing {
    fn of(contact: &Contact) -> Self {
        let heard = Duration::from_secs(contact.end.0 - contact.start.0);
        let exposure = Exposure {
            start: contact.start,
            end: contact.end,
            least: heard,
            most: heard + seconds(contact.unheard.before),
            signal: contact.signal,
            carried: carried(contact),
        };
        Self {
            exposure,
            after: contact.unheard.after,
        }
    }

    /// Adds a contact that begins no earlier than the last one added.
    fn add(&mut self, contact: &Contact) {
        let exposure = &mut self.exposure;
        let gap = Duration::from_secs(contact.start.0.saturating_sub(exposure.end.0));
        let unheard = seconds(self.after) + seconds(contact.unheard.before);
        let new = contact
            .end
            .0
            .saturating_sub(exposure.end.max(contact.start).0);
        exposure.least += Duration::from_secs(new);
        exposure.most += Duration::from_secs(new) + gap.min(unheard);
        if gap <= unheard {
            exposure.least += gap;
        }
        self.after = match contact.end.cmp(&exposure.end) {
            Ordering::Less => self.after,
            Ordering::Equal => self.after.max(contact.unheard.after),
            Ordering::Greater => contact.unheard.after,
        };
        exposure.end = exposure.end.max(contact.end);
        exposure.signal.merge(&contact.signal);
        if exposure.carried != carried(contact) {
            exposure.carried = Carried::Mixed;
        }
    }

    fn finish(mut self) -> Exposure {
        self.exposure.most += seconds(self.after);
        self.exposure
    }
}

fn seconds(count: u8) -> Duration {
    Duration::from_secs(u64::from(count))
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
    use tcn_engine::Unheard;
    use tcn_protocol::TemporaryContactNumber;

    use super::*;

    const EVER: UnixTime = UnixTime(u64::MAX);

    fn contact(n: u8, start: u64, end: u64) -> Contact {
        Contact {
            tcn: TemporaryContactNumber::from_bytes([n; 16]),
            start: UnixTime(start),
            end: UnixTime(end),
            unheard: Unheard::default(),
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
        assert_eq!(found[0].duration(), Duration::from_secs(4001));
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

    /// A neighbour whose number changes in a pause was near throughout.
    #[test]
    fn a_pause_between_two_contacts_counts_and_those_at_the_ends_by_half() {
        let unheard = |before, after, contact: Contact| Contact {
            unheard: Unheard { before, after },
            ..contact
        };
        let met = [
            unheard(20, 24, contact(1, 1000, 1880)),
            unheard(23, 10, contact(2, 1903, 2000)),
        ];
        let minutes = |contacts: &[Contact], published| {
            let found = exposures(Rule::STANDARD, contacts.to_vec(), published)[0];
            let seconds = [found.least, found.duration(), found.most].map(|time| time.as_secs());
            (found.end.0 - found.start.0, seconds)
        };
        assert_eq!(minutes(&met, EVER), (1000, [1000, 1015, 1030]));
        assert_eq!(minutes(&met, UnixTime(2004)), (1000, [1000, 1012, 1024]));
        let apart = [met[0], unheard(23, 10, contact(2, 2000, 2100))];
        // 880 s and 100 s heard; 120 s between them, of which 47 s in pauses.
        assert_eq!(
            minutes(&apart, EVER),
            (1100, [980, (980 + 1057) / 2, 980 + 20 + 47 + 10])
        );
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
        fn any_contact()(
            n: u8,
            start in 0u64..100_000,
            length in 0u64..5000,
            bridged: bool,
            (before, after) in (0u8..60, 0u8..60),
        ) -> Contact {
            let unheard = Unheard { before, after };
            Contact { bridged, unheard, ..contact(n, start, start + length) }
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
                prop_assert!(exposure.least.as_secs() <= exposure.end.0 - exposure.start.0);
                prop_assert!(exposure.least <= exposure.most);
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
