//! What a decision follows from. The first decision about a session and every later one are made here.

use super::decision::{Decision, Thresholds};
use super::reason::{Reason, Reasons};

/// What the number in `anomalyScore` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScoreKind {
    /// The heuristic's additive scale.
    Heuristic,
    /// `-log10 p`, 0 to 6.
    Calibrated,
    /// No number, only flagged or not.
    Flag,
}

impl ScoreKind {
    /// Every kind, in the order in which stores number them.
    pub const ALL: [Self; 3] = [Self::Heuristic, Self::Calibrated, Self::Flag];

    /// The name used in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Heuristic => "heuristic",
            Self::Calibrated => "calibrated",
            Self::Flag => "flag",
        }
    }
}

/// What a decision follows from, beside the thresholds. Kept with a result, so that it can be decided anew, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DecisionInputs {
    /// What is compared with the thresholds; `None` where the source only flags.
    pub supported_score: Option<f64>,
    /// Every reason that was known, whether or not it bears on the decision.
    pub known_reasons: Reasons,
    /// Whether the movement is surely that of another session.
    pub surely_replayed: bool,
}

/// What thresholds make of a score and its [`DecisionInputs`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decided {
    /// Pass, review or fail.
    pub decision: Decision,
    /// 0.5 to 1.
    pub confidence: f64,
    /// Those of the noted reasons that the decision shows, with those that it gives.
    pub reasons: Reasons,
}

impl DecisionInputs {
    /// The decision for a score of `kind` with this basis. The first decision about a session and every later one are
    /// made here.
    #[must_use]
    pub fn decide(&self, kind: ScoreKind, score: Option<f64>, thresholds: &Thresholds) -> Decided {
        let alone = match kind {
            ScoreKind::Heuristic => self.by_rules(score, thresholds),
            ScoreKind::Calibrated => self.by_score(score, thresholds),
            ScoreKind::Flag => self.by_flag(thresholds),
        };
        // What people ruled comes before what the movement says.
        if let Some(decision) = self.known_reasons.forced() {
            return Decided { decision, confidence: 1.0, ..alone };
        }
        // Of a visitor without a pointer nothing is known, whatever was made of a session without movement.
        if self.known_reasons.contains(Reason::NoPointer) {
            let reasons = [Reason::NoPointer].into_iter().collect();
            let decision = thresholds.no_pointer.decision();
            let nearest = if decision == Decision::Pass { thresholds.pass } else { thresholds.review };
            return Decided { decision, confidence: thresholds.confidence(decision, nearest), reasons };
        }
        // Nothing that is computed from hardly any movement decides, for the session or against it.
        if self.known_reasons.contains(Reason::TooLittleMovement) {
            let mut reasons = alone.reasons.without_traits();
            reasons.remove(Reason::UnfamiliarRecorder);
            let decision = Decision::Review;
            return Decided { decision, confidence: thresholds.confidence(decision, thresholds.review), reasons };
        }
        let machine = kind == ScoreKind::Calibrated && self.no_person_has();
        let decision = match alone.decision {
            _ if self.surely_replayed || machine => Decision::Fail,
            Decision::Pass if self.known_reasons.contains(Reason::ReplayedMovement) => Decision::Review,
            Decision::Pass if self.known_reasons.contains(Reason::OutsidePeople) => Decision::Review,
            Decision::Pass if self.known_reasons.contains(Reason::UntrustedEvents) => Decision::Review,
            decision => decision,
        };
        let mut reasons = alone.reasons;
        if machine {
            reasons.insert(Reason::MachineMotion);
        }
        if decision == alone.decision {
            return Decided { reasons, ..alone };
        }
        // There is no score that says so: the least confidence that such a decision has.
        Decided { decision, confidence: thresholds.confidence(decision, thresholds.review), reasons }
    }

    /// Whether rules hold together that no person of the calibration has together. MODEL.md states how many people that
    /// is, and the error that so many leave possible.
    fn no_person_has(&self) -> bool {
        [Reason::NoJitter, Reason::RoboticTiming].into_iter().all(|rule| self.known_reasons.contains(rule))
    }

    fn by_rules(&self, score: Option<f64>, thresholds: &Thresholds) -> Decided {
        let score = score.unwrap_or(0.0);
        let decision = thresholds.decide(score);
        Decided { decision, confidence: thresholds.confidence(decision, score), reasons: self.known_reasons }
    }

    /// The decision rests on the supported part of the score alone: where only extrapolation would raise it, the milder
    /// decision stands and the reasons say why. A recorder unlike any that the model has seen turns a fail into a review,
    /// and the traits of the movement are told where the session does not pass.
    fn by_score(&self, score: Option<f64>, thresholds: &Thresholds) -> Decided {
        let (score, supported_score) = (score.unwrap_or(0.0), self.supported_score.unwrap_or(0.0));
        // A rule that people break too has no effect on a calibrated decision, so it is no reason for one.
        let mut reasons: Reasons = self.known_reasons.iter().filter(|reason| !reason.is_rule()).collect();
        let mut decision = thresholds.decide(supported_score);
        if decision == Decision::Fail && reasons.contains(Reason::UnfamiliarRecorder) {
            decision = Decision::Review;
        } else {
            reasons.remove(Reason::UnfamiliarRecorder);
        }
        if decision == Decision::Pass {
            reasons = reasons.without_traits();
        } else {
            reasons.insert(Reason::UnlikeHumans);
        }
        if thresholds.decide(supported_score) != Decision::Fail && thresholds.decide(score) == Decision::Fail {
            reasons.insert(Reason::CalibrationTooSmall);
        }
        Decided { decision, confidence: thresholds.confidence(decision, score), reasons }
    }

    /// A flag alone is worth a second look, a heuristic rule alone too, both together fail. There is no score, and the
    /// confidence is the least that such a decision has.
    fn by_flag(&self, thresholds: &Thresholds) -> Decided {
        let flagged = self.known_reasons.contains(Reason::Flagged);
        let (decision, nearest) = match (flagged, self.known_reasons.iter().any(Reason::is_rule)) {
            (false, false) => (Decision::Pass, thresholds.pass),
            (true, true) => (Decision::Fail, thresholds.review),
            (true, false) | (false, true) => (Decision::Review, thresholds.review),
        };
        Decided { decision, confidence: thresholds.confidence(decision, nearest), reasons: self.known_reasons }
    }
}
