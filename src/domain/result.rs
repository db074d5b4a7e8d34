//! Verdicts: thresholds turn a score into a decision and a confidence; nothing here knows where a score came from.

use super::calibration::Calibrated;
use super::heuristic::{self, Heuristic};
use super::reason::{Reason, Reasons};

/// What a site should do with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Looks human.
    Pass,
    /// Odd enough for a second look.
    Review,
    /// Not human by the stated error rate.
    Fail,
}

impl Decision {
    /// Every decision, in the order in which stores number them.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Review, Self::Fail];

    /// The name used in answers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Review => "review",
            Self::Fail => "fail",
        }
    }

    /// The decision called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }
}

/// Who scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The fixed rules that answer at once.
    Heuristic,
    /// The model inside this program.
    Embedded,
    /// The Woodwide service.
    Woodwide,
}

impl Source {
    /// Every source, in the order in which stores number them.
    pub const ALL: [Self; 3] = [Self::Heuristic, Self::Embedded, Self::Woodwide];

    /// The name used in answers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Heuristic => "heuristic",
            Self::Embedded => "embedded",
            Self::Woodwide => "woodwide",
        }
    }

    /// The source called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

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

/// Up to `pass` a score passes, up to `review` it is reviewed, above that it fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// `ANOMALY_THRESHOLD_PASS`.
    pub pass: f64,
    /// `ANOMALY_THRESHOLD_REVIEW`, larger than `pass`.
    pub review: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { pass: 1.0, review: 2.5 }
    }
}

impl Thresholds {
    /// The decision for a score.
    #[must_use]
    pub fn decide(&self, score: f64) -> Decision {
        if score <= self.pass {
            Decision::Pass
        } else if score <= self.review {
            Decision::Review
        } else {
            Decision::Fail
        }
    }

    /// Confidence in `decision` at `score`, as clients of the original know it: 0.7 to 1 for a pass, 0.7 falling to 0.5
    /// across review, 0.7 rising to 0.95 for a fail. A score beyond the decision's range counts as its nearest end.
    #[must_use]
    pub fn confidence(&self, decision: Decision, score: f64) -> f64 {
        match decision {
            Decision::Pass => (1.0 - 0.3 * score.min(self.pass)).max(0.7),
            Decision::Review => {
                0.7 - 0.2 * (score.clamp(self.pass, self.review) - self.pass) / (self.review - self.pass)
            }
            Decision::Fail => (0.7 + 0.1 * (score - self.review).max(0.0)).min(0.95),
        }
    }
}

/// Which model said so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelIdentity {
    /// Stable name of the model.
    pub id: String,
    /// Version of that model.
    pub version: String,
}

/// A decision with everything needed to explain it; the one form in which results are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Pass, review or fail.
    pub decision: Decision,
    /// 0.5 to 1.
    pub confidence: f64,
    /// The score as answered; `None` when the source only flags.
    pub anomaly_score: Option<f64>,
    /// Uncalibrated, fine-grained; `None` when the source gives none.
    pub raw_score: Option<f64>,
    /// What `anomaly_score` is.
    pub kind: ScoreKind,
    /// Whether the score lies beyond what the calibration set resolves.
    pub extrapolated: bool,
    /// Who scored.
    pub source: Source,
    /// Which model.
    pub model: ModelIdentity,
    /// The calibration class used, such as `pooled`; empty for uncalibrated verdicts.
    pub class: String,
    /// Why.
    pub reasons: Reasons,
    /// Whether the configured detector was replaced because it was away too long.
    pub fallback: bool,
}

impl Verdict {
    /// The verdict of the fixed rules.
    #[must_use]
    pub fn heuristic(heuristic: &Heuristic, thresholds: &Thresholds) -> Self {
        let score = heuristic.boosted();
        let decision = thresholds.decide(score);
        Self {
            decision,
            confidence: thresholds.confidence(decision, score),
            anomaly_score: Some(score),
            raw_score: None,
            kind: ScoreKind::Heuristic,
            extrapolated: false,
            source: Source::Heuristic,
            model: ModelIdentity { id: heuristic::MODEL_ID.to_owned(), version: heuristic::MODEL_VERSION.to_owned() },
            class: String::new(),
            reasons: heuristic.reasons,
            fallback: false,
        }
    }

    /// The verdict on a calibrated score. The decision rests on the supported part of the score alone: where only
    /// extrapolation would raise it, the milder decision stands and the verdict says why. `reasons` are the rules that
    /// hold and the detector's notes: a recorder unlike any that the model has seen turns a fail into a review, and the
    /// traits of the movement are told where the session does not pass.
    #[must_use]
    pub fn calibrated(
        raw: f64,
        score: &Calibrated,
        class: &str,
        mut reasons: Reasons,
        source: Source,
        model: ModelIdentity,
        thresholds: &Thresholds,
    ) -> Self {
        let mut decision = thresholds.decide(score.supported);
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
        let supported = thresholds.decide(score.supported);
        if supported != Decision::Fail && thresholds.decide(score.score) == Decision::Fail {
            reasons.insert(Reason::CalibrationTooSmall);
        }
        Self {
            decision,
            confidence: thresholds.confidence(decision, score.score),
            anomaly_score: Some(score.score),
            raw_score: Some(raw),
            kind: ScoreKind::Calibrated,
            extrapolated: score.extrapolated,
            source,
            model,
            class: class.to_owned(),
            reasons,
            fallback: false,
        }
    }

    /// The verdict of a source that only flags. A flag alone is worth a second look, a heuristic rule alone too, both
    /// together fail. There is no score, and the confidence is the least that such a decision has.
    #[must_use]
    pub fn flagged(
        flagged: bool,
        heuristic: Reasons,
        source: Source,
        model: ModelIdentity,
        thresholds: &Thresholds,
    ) -> Self {
        let (decision, nearest) = match (flagged, heuristic.iter().any(Reason::is_rule)) {
            (false, false) => (Decision::Pass, thresholds.pass),
            (true, true) => (Decision::Fail, thresholds.review),
            (true, false) | (false, true) => (Decision::Review, thresholds.review),
        };
        let mut reasons = heuristic;
        if flagged {
            reasons.insert(Reason::Flagged);
        }
        Self {
            decision,
            confidence: thresholds.confidence(decision, nearest),
            anomaly_score: None,
            raw_score: None,
            kind: ScoreKind::Flag,
            extrapolated: false,
            source,
            model,
            class: String::new(),
            reasons,
            fallback: false,
        }
    }

    /// Whether the answer's `isAnomaly` is set: the decision is fail.
    #[must_use]
    pub fn is_anomaly(&self) -> bool {
        self.decision == Decision::Fail
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calibration::Calibration;

    #[test]
    fn decisions_change_just_above_the_thresholds() {
        let t = Thresholds::default();
        let decide = |s: f64| t.decide(s).name();
        assert_eq!(
            [decide(0.0), decide(1.0), decide(1.001), decide(2.5), decide(2.501)],
            ["pass", "pass", "review", "review", "fail"]
        );
    }

    #[test]
    fn confidences_are_those_that_clients_know() {
        let t = Thresholds::default();
        let confidence = |s: f64| (t.confidence(t.decide(s), s) * 1e9).round() / 1e9;
        assert_eq!([confidence(0.0), confidence(0.5), confidence(1.0)], [1.0, 0.85, 0.7]);
        assert_eq!([confidence(1.75), confidence(2.5)], [0.6, 0.5]);
        assert_eq!([confidence(3.5), confidence(6.0)], [0.8, 0.95]);
    }

    fn calibrated(n: u32, raw: f64) -> Verdict {
        let set = Calibration::new((0..n).map(f64::from).collect());
        let model = ModelIdentity { id: "m".into(), version: "1".into() };
        Verdict::calibrated(
            raw,
            &set.assess(raw),
            "pooled",
            Reasons::default(),
            Source::Embedded,
            model,
            &Thresholds::default(),
        )
    }

    #[test]
    fn an_unknown_recorder_turns_a_fail_into_a_review_and_nothing_else() {
        let set = Calibration::new((0..1000).map(f64::from).collect());
        let verdict = |raw: f64, notes: &[Reason]| {
            let model = ModelIdentity { id: "m".into(), version: "1".into() };
            let (score, reasons) = (set.assess(raw), notes.iter().copied().collect());
            Verdict::calibrated(raw, &score, "pooled", reasons, Source::Embedded, model, &Thresholds::default())
        };
        let notes = [Reason::UnfamiliarRecorder, Reason::Turning];
        let (failed, reviewed, passed) = (verdict(2e3, &notes), verdict(950.0, &notes), verdict(10.0, &notes));
        assert_eq!(verdict(2e3, &[]).decision, Decision::Fail);
        assert_eq!(
            [failed.decision, reviewed.decision, passed.decision].map(Decision::name),
            ["review", "review", "pass"]
        );
        assert!(failed.reasons.contains(Reason::UnfamiliarRecorder), "it says why");
        assert!(!reviewed.reasons.contains(Reason::UnfamiliarRecorder), "it changed nothing");
        assert!(failed.reasons.contains(Reason::Turning) && passed.reasons.is_empty());
        assert_eq!(failed.anomaly_score, verdict(2e3, &[]).anomaly_score, "the score stays");
    }

    #[test]
    fn a_flag_or_a_rule_is_reviewed_and_both_fail() {
        let verdict = |flagged, reasons: &[Reason]| {
            let model = ModelIdentity { id: "remote".into(), version: "1".into() };
            let reasons = reasons.iter().copied().collect();
            Verdict::flagged(flagged, reasons, Source::Woodwide, model, &Thresholds::default())
        };
        let decided = |flagged, reasons| {
            let verdict = verdict(flagged, reasons);
            (verdict.decision, verdict.confidence)
        };
        assert_eq!(decided(false, &[]), (Decision::Pass, 0.7));
        assert_eq!(decided(false, &[Reason::NoJitter]).0, Decision::Review);
        assert_eq!(decided(true, &[]).0, Decision::Review);
        assert_eq!(decided(true, &[Reason::NoJitter]), (Decision::Fail, 0.7));
        assert_eq!(decided(true, &[Reason::TooFewMovements]).0, Decision::Review, "a note is no rule");
        let flagged = verdict(true, &[Reason::NoJitter]);
        assert_eq!((flagged.anomaly_score, flagged.raw_score, flagged.kind.name()), (None, None, "flag"));
        assert!(flagged.reasons.contains(Reason::Flagged) && flagged.reasons.contains(Reason::NoJitter));
        assert!(verdict(false, &[]).reasons.is_empty());
    }

    #[test]
    fn extrapolation_alone_never_fails_anybody() {
        let far = calibrated(200, 1e6);
        assert_eq!((far.decision, far.extrapolated, far.is_anomaly()), (Decision::Review, true, false));
        assert!(far.reasons.contains(Reason::CalibrationTooSmall));
        assert!(far.anomaly_score.unwrap() > 2.5, "the score still ranks");
        let enough = calibrated(400, 1e6);
        assert_eq!((enough.decision, enough.is_anomaly()), (Decision::Fail, true));
        assert!(!enough.reasons.contains(Reason::CalibrationTooSmall));
    }
}
