//! The names of symptoms, for people.
//!
//! `Exposures.List` and `Get` give symptoms as tokens, those of
//! `tcnctl report create --symptoms`, and `fever` where a memo has no grade.

/// The name of a symptom in English; `None` for a token that this version does not know.
pub fn name(token: &str) -> Option<&'static str> {
    Some(match token {
        "none" => "no symptoms",
        "cough" => "cough",
        "dry-cough" => "dry cough",
        "wet-cough" => "wet cough",
        "fever" => "fever",
        "mild-fever" => "mild fever",
        "serious-fever" => "serious fever",
        "breathlessness" => "breathlessness",
        "muscle-aches" => "muscle aches",
        "loss-of-smell-or-taste" => "loss of smell or taste",
        "diarrhea" => "diarrhea",
        "runny-nose" => "runny nose",
        "other" => "another symptom",
        _ => return None,
    })
}
