//! Symptoms by name: the answers of CoEpi's questionnaire, one token each.
//!
//! The tokens are stable, since programs store and compare them.

use std::fmt;

use thiserror::Error;

use super::coepi::{CoEpiMemo, Cough, EarlyMemo, Fever, Symptoms};

/// One symptom of CoEpi's memo, or the statement that there is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symptom {
    /// Said outright: no symptoms.
    None,
    /// A cough of a kind that was not said.
    Cough,
    /// A dry cough.
    DryCough,
    /// A wet cough.
    WetCough,
    /// A fever of a grade that was not said. Only the layout of 11 bytes has it.
    Fever,
    /// A temperature above 98.6 °F (37 °C).
    MildFever,
    /// A temperature above 100.6 °F (38.1 °C).
    SeriousFever,
    /// Shortness of breath.
    Breathlessness,
    /// Muscle aches.
    MuscleAches,
    /// Loss of smell or taste.
    LossOfSmellOrTaste,
    /// Diarrhea.
    Diarrhea,
    /// A runny nose.
    RunnyNose,
    /// Something not listed.
    Other,
}

/// Why symptoms cannot be said together.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SymptomConflict {
    /// Two kinds of cough.
    #[error("a cough is either dry or wet, or just a cough")]
    Coughs,
    /// Two grades of fever, or none.
    #[error("a fever is either mild or serious")]
    Fevers,
    /// None, beside another.
    #[error("\"none\" cannot be combined with other symptoms")]
    NoneAndOthers,
}

impl Symptom {
    /// All that a memo can be written with, in the order of the questionnaire.
    pub const WRITABLE: [Self; 12] = [
        Self::None,
        Self::Cough,
        Self::DryCough,
        Self::WetCough,
        Self::MildFever,
        Self::SeriousFever,
        Self::Breathlessness,
        Self::MuscleAches,
        Self::LossOfSmellOrTaste,
        Self::Diarrhea,
        Self::RunnyNose,
        Self::Other,
    ];

    /// Its name for programs.
    pub const fn token(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cough => "cough",
            Self::DryCough => "dry-cough",
            Self::WetCough => "wet-cough",
            Self::Fever => "fever",
            Self::MildFever => "mild-fever",
            Self::SeriousFever => "serious-fever",
            Self::Breathlessness => "breathlessness",
            Self::MuscleAches => "muscle-aches",
            Self::LossOfSmellOrTaste => "loss-of-smell-or-taste",
            Self::Diarrhea => "diarrhea",
            Self::RunnyNose => "runny-nose",
            Self::Other => "other",
        }
    }

    /// The symptom of this token, if a memo can be written with it.
    pub fn writable(token: &str) -> Option<Self> {
        let mut all = Self::WRITABLE.into_iter();
        all.find(|symptom| symptom.token() == token)
    }
}

impl Symptoms {
    /// The symptoms of a memo, from those that a person named.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn new(named: &[Symptom]) -> Result<Self, SymptomConflict> {
        let mut symptoms = Self::default();
        for symptom in named {
            match symptom {
                Symptom::None => symptoms.no_symptoms = true,
                Symptom::Cough => symptoms.add_cough(Cough::Existing)?,
                Symptom::DryCough => symptoms.add_cough(Cough::Dry)?,
                Symptom::WetCough => symptoms.add_cough(Cough::Wet)?,
                Symptom::Fever => return Err(SymptomConflict::Fevers),
                Symptom::MildFever => symptoms.add_fever(Fever::Mild)?,
                Symptom::SeriousFever => symptoms.add_fever(Fever::Serious)?,
                Symptom::Breathlessness => symptoms.breathlessness = true,
                Symptom::MuscleAches => symptoms.muscle_aches = true,
                Symptom::LossOfSmellOrTaste => symptoms.loss_of_smell_or_taste = true,
                Symptom::Diarrhea => symptoms.diarrhea = true,
                Symptom::RunnyNose => symptoms.runny_nose = true,
                Symptom::Other => symptoms.other = true,
            }
        }
        if symptoms.no_symptoms && named.len() > 1 {
            return Err(SymptomConflict::NoneAndOthers);
        }
        Ok(symptoms)
    }

    /// What is set, in the order of the memo.
    pub fn named(&self) -> impl Iterator<Item = Symptom> + use<> {
        let cough = match self.cough {
            Cough::None => None,
            Cough::Existing => Some(Symptom::Cough),
            Cough::Dry => Some(Symptom::DryCough),
            Cough::Wet => Some(Symptom::WetCough),
        };
        let fever = match self.fever {
            Fever::None => None,
            Fever::Mild => Some(Symptom::MildFever),
            Fever::Serious => Some(Symptom::SeriousFever),
        };
        let flags = set([
            (self.breathlessness, Symptom::Breathlessness),
            (self.muscle_aches, Symptom::MuscleAches),
            (self.loss_of_smell_or_taste, Symptom::LossOfSmellOrTaste),
            (self.diarrhea, Symptom::Diarrhea),
            (self.runny_nose, Symptom::RunnyNose),
            (self.other, Symptom::Other),
            (self.no_symptoms, Symptom::None),
        ]);
        cough.into_iter().chain(fever).chain(flags)
    }

    fn add_cough(&mut self, kind: Cough) -> Result<(), SymptomConflict> {
        match std::mem::replace(&mut self.cough, kind) {
            Cough::None => Ok(()),
            Cough::Existing | Cough::Dry | Cough::Wet => Err(SymptomConflict::Coughs),
        }
    }

    fn add_fever(&mut self, grade: Fever) -> Result<(), SymptomConflict> {
        match std::mem::replace(&mut self.fever, grade) {
            Fever::None => Ok(()),
            Fever::Mild | Fever::Serious => Err(SymptomConflict::Fevers),
        }
    }
}

impl EarlyMemo {
    /// What is set, in the order of the later layout.
    pub fn named(&self) -> impl Iterator<Item = Symptom> + use<> {
        set([
            (self.cough, Symptom::Cough),
            (self.fever, Symptom::Fever),
            (self.breathlessness, Symptom::Breathlessness),
            (self.other, Symptom::Other),
            (self.no_symptoms, Symptom::None),
        ])
    }
}

impl CoEpiMemo<'_> {
    /// The symptoms that it names; none if it is text or unknown.
    pub fn symptoms(&self) -> Vec<Symptom> {
        match self {
            Self::V1(memo) => memo.symptoms().named().collect(),
            Self::Early(memo) => memo.named().collect(),
            Self::Text(_) | Self::Unknown => Vec::new(),
        }
    }
}

fn set<const N: usize>(flags: [(bool, Symptom); N]) -> impl Iterator<Item = Symptom> {
    let set = |(is_set, symptom): (bool, Symptom)| is_set.then_some(symptom);
    flags.into_iter().filter_map(set)
}

impl fmt::Debug for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Symptom([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(symptoms: &[Symptom]) -> Vec<&'static str> {
        symptoms.iter().map(|symptom| symptom.token()).collect()
    }

    #[test]
    fn each_symptom_that_is_written_is_read() {
        for symptom in Symptom::WRITABLE {
            let symptoms = Symptoms::new(&[symptom]).unwrap();
            let named: Vec<_> = symptoms.named().collect();
            assert_eq!(tokens(&named), [symptom.token()]);
            assert!(Symptom::writable(symptom.token()) == Some(symptom));
        }
        assert!(Symptom::writable(Symptom::Fever.token()).is_none());
    }

    #[test]
    fn a_fever_without_a_grade_gets_none() {
        let early = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0b1_0110];
        let memo = CoEpiMemo::decode(&early);
        assert_eq!(tokens(&memo.symptoms()), ["cough", "fever", "other"]);
        assert_eq!(
            Symptoms::new(&memo.symptoms()),
            Err(SymptomConflict::Fevers)
        );
    }

    #[test]
    fn contradictions_are_refused() {
        use Symptom::*;
        for (named, conflict) in [
            ([DryCough, WetCough], SymptomConflict::Coughs),
            ([MildFever, SeriousFever], SymptomConflict::Fevers),
            ([None, Other], SymptomConflict::NoneAndOthers),
        ] {
            assert_eq!(Symptoms::new(&named), Err(conflict));
        }
        assert!(CoEpiMemo::decode(b"High Fever").symptoms().is_empty());
    }
}
