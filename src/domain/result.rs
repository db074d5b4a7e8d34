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

/// Up to `pass` a score passes, up to `review` it is reviewed, above that it fails. Without a pointer there is no score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// `ANOMALY_THRESHOLD_PASS`.
    pub pass: f64,
    /// `ANOMALY_THRESHOLD_REVIEW`, larger than `pass`.
    pub review: f64,
    /// What becomes of a session without movement.
    pub no_pointer: NoPointer,
}

/// What becomes of a session without movement: of somebody with a keyboard or a screen reader, or of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoPointer {
    /// It gets a second look.
    #[default]
    Review,
    /// It passes: the site asks for something else.
    Pass,
}

impl NoPointer {
    /// The decision.
    #[must_use]
    pub fn decision(self) -> Decision {
        match self {
            Self::Review => Decision::Review,
            Self::Pass => Decision::Pass,
        }
    }

    /// The one with the decision called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Review, Self::Pass].into_iter().find(|one| one.decision().name() == name)
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { pass: 1.0, review: 2.5, no_pointer: NoPointer::Review }
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

/// What a decision follows from, beside the thresholds. Kept with a result, so that it can be decided anew, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DecisionInputs {
    /// What is compared with the thresholds; `None` where the source only flags.
    pub supported: Option<f64>,
    /// Every reason that was known, whether or not it bears on the decision.
    pub noted: Reasons,
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
    /// What the decision follows from; `None` in what versions kept that did not know it.
    pub basis: Option<DecisionInputs>,
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
        // What people with_override comes before what the movement says.
        if let Some(decision) = self.noted.forced() {
            return Decided { decision, confidence: 1.0, ..alone };
        }
        // Of a visitor without a pointer nothing is known, whatever was made of a session without movement.
        if self.noted.contains(Reason::NoPointer) {
            let reasons = [Reason::NoPointer].into_iter().collect();
            let decision = thresholds.no_pointer.decision();
            let nearest = if decision == Decision::Pass { thresholds.pass } else { thresholds.review };
            return Decided { decision, confidence: thresholds.confidence(decision, nearest), reasons };
        }
        // Nothing that is computed from hardly any movement decides, for the session or against it.
        if self.noted.contains(Reason::TooLittleMovement) {
            let mut reasons = alone.reasons.without_traits();
            reasons.remove(Reason::UnfamiliarRecorder);
            let decision = Decision::Review;
            return Decided { decision, confidence: thresholds.confidence(decision, thresholds.review), reasons };
        }
        let machine = kind == ScoreKind::Calibrated && self.no_person_has();
        let decision = match alone.decision {
            _ if self.surely_replayed || machine => Decision::Fail,
            Decision::Pass if self.noted.contains(Reason::ReplayedMovement) => Decision::Review,
            Decision::Pass if self.noted.contains(Reason::OutsidePeople) => Decision::Review,
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
        [Reason::NoJitter, Reason::RoboticTiming].into_iter().all(|rule| self.noted.contains(rule))
    }

    fn by_rules(&self, score: Option<f64>, thresholds: &Thresholds) -> Decided {
        let score = score.unwrap_or(0.0);
        let decision = thresholds.decide(score);
        Decided { decision, confidence: thresholds.confidence(decision, score), reasons: self.noted }
    }

    /// The decision rests on the supported part of the score alone: where only extrapolation would raise it, the milder
    /// decision stands and the reasons say why. A recorder unlike any that the model has seen turns a fail into a review,
    /// and the traits of the movement are told where the session does not pass.
    fn by_score(&self, score: Option<f64>, thresholds: &Thresholds) -> Decided {
        let (score, supported) = (score.unwrap_or(0.0), self.supported.unwrap_or(0.0));
        // A rule that people break too has no effect on a calibrated decision, so it is no reason for one.
        let mut reasons: Reasons = self.noted.iter().filter(|reason| !reason.is_rule()).collect();
        let mut decision = thresholds.decide(supported);
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
        if thresholds.decide(supported) != Decision::Fail && thresholds.decide(score) == Decision::Fail {
            reasons.insert(Reason::CalibrationTooSmall);
        }
        Decided { decision, confidence: thresholds.confidence(decision, score), reasons }
    }

    /// A flag alone is worth a second look, a heuristic rule alone too, both together fail. There is no score, and the
    /// confidence is the least that such a decision has.
    fn by_flag(&self, thresholds: &Thresholds) -> Decided {
        let flagged = self.noted.contains(Reason::Flagged);
        let (decision, nearest) = match (flagged, self.noted.iter().any(Reason::is_rule)) {
            (false, false) => (Decision::Pass, thresholds.pass),
            (true, true) => (Decision::Fail, thresholds.review),
            (true, false) | (false, true) => (Decision::Review, thresholds.review),
        };
        Decided { decision, confidence: thresholds.confidence(decision, nearest), reasons: self.noted }
    }
}

impl Verdict {
    /// The verdict of the fixed rules.
    #[must_use]
    pub fn heuristic(heuristic: &Heuristic, thresholds: &Thresholds) -> Self {
        let score = heuristic.boosted();
        let model = ModelIdentity { id: heuristic::MODEL_ID.to_owned(), version: heuristic::MODEL_VERSION.to_owned() };
        let basis = DecisionInputs { supported: Some(score), noted: heuristic.reasons, surely_replayed: false };
        Self::undecided(ScoreKind::Heuristic, Some(score), Source::Heuristic, model, basis).decided(basis, thresholds)
    }

    /// The verdict on a session without movement: nothing is scored.
    #[must_use]
    pub fn without_pointer(thresholds: &Thresholds) -> Self {
        let model = ModelIdentity { id: heuristic::MODEL_ID.to_owned(), version: heuristic::MODEL_VERSION.to_owned() };
        let noted = [Reason::NoPointer].into_iter().collect();
        let basis = DecisionInputs { supported: None, noted, surely_replayed: false };
        Self::undecided(ScoreKind::Heuristic, None, Source::Heuristic, model, basis).decided(basis, thresholds)
    }

    /// The verdict on a calibrated score. `noted` are the rules that hold and the detector's notes.
    #[must_use]
    pub fn calibrated(
        raw: f64,
        score: &Calibrated,
        class: &str,
        noted: Reasons,
        source: Source,
        model: ModelIdentity,
        thresholds: &Thresholds,
    ) -> Self {
        let basis = DecisionInputs { supported: Some(score.supported), noted, surely_replayed: false };
        let undecided = Self::undecided(ScoreKind::Calibrated, Some(score.score), source, model, basis);
        Self { raw_score: Some(raw), extrapolated: score.extrapolated, class: class.to_owned(), ..undecided }
            .decided(basis, thresholds)
    }

    /// The verdict of a source that only flags.
    #[must_use]
    pub fn flagged(
        flagged: bool,
        heuristic: Reasons,
        source: Source,
        model: ModelIdentity,
        thresholds: &Thresholds,
    ) -> Self {
        let mut noted = heuristic;
        if flagged {
            noted.insert(Reason::Flagged);
        }
        let basis = DecisionInputs { supported: None, noted, surely_replayed: false };
        Self::undecided(ScoreKind::Flag, None, source, model, basis).decided(basis, thresholds)
    }

    fn undecided(
        kind: ScoreKind,
        anomaly_score: Option<f64>,
        source: Source,
        model: ModelIdentity,
        basis: DecisionInputs,
    ) -> Self {
        Self {
            decision: Decision::Review,
            confidence: 0.5,
            anomaly_score,
            raw_score: None,
            kind,
            extrapolated: false,
            source,
            model,
            class: String::new(),
            reasons: basis.noted,
            fallback: false,
            basis: Some(basis),
        }
    }

    /// The verdict with another basis.
    pub(super) fn decided(self, basis: DecisionInputs, thresholds: &Thresholds) -> Self {
        let Decided { decision, confidence, reasons } = basis.decide(self.kind, self.anomaly_score, thresholds);
        Self { decision, confidence, reasons, basis: Some(basis), ..self }
    }

    /// The verdict with a reason that decides by itself: see [`Reason::forces`] and [`Reason::TooLittleMovement`].
    #[must_use]
    pub fn with_override(self, by: Reason, thresholds: &Thresholds) -> Self {
        let mut basis = self.basis.unwrap_or_default();
        basis.noted.insert(by);
        self.decided(basis, thresholds)
    }

    /// The verdict under other thresholds; `None` where it was kept without its basis.
    #[must_use]
    pub fn redecided(&self, thresholds: &Thresholds) -> Option<Self> {
        self.basis.map(|basis| self.clone().decided(basis, thresholds))
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
    fn what_people_ruled_decides_whatever_the_movement_and_the_thresholds() {
        let (odd, plain) = (calibrated(1000, 2e3), calibrated(1000, 1.0));
        assert_eq!((odd.decision, plain.decision), (Decision::Fail, Decision::Pass));
        let thresholds = Thresholds::default();
        for (reason, expected) in [
            (Reason::Allowed, Decision::Pass),
            (Reason::Denied, Decision::Fail),
            (Reason::TestPass, Decision::Pass),
            (Reason::TestReview, Decision::Review),
            (Reason::TestFail, Decision::Fail),
        ] {
            for verdict in [&odd, &plain] {
                let with_override = verdict.clone().with_override(reason, &thresholds);
                assert_eq!((with_override.decision, with_override.anomaly_score), (expected, verdict.anomaly_score), "{reason:?}");
                assert!(with_override.reasons.contains(reason));
                let stricter = Thresholds { pass: 0.0, review: 0.1, ..Thresholds::default() };
                assert_eq!(with_override.redecided(&stricter).unwrap().decision, expected);
            }
        }
        let both = plain.with_override(Reason::Denied, &thresholds).with_override(Reason::TestPass, &thresholds);
        assert_eq!(both.decision, Decision::Pass, "a test key is for tests");
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

    #[test]
    fn a_verdict_decided_anew_is_the_one_it_would_have_been() {
        let set = Calibration::new((0..1000).map(f64::from).collect());
        let grid = [0.3, 0.9, 1.0, 1.7, 2.5, 2.9, 4.0];
        let notes: [&[Reason]; 4] = [
            &[],
            &[Reason::UnfamiliarRecorder, Reason::Turning],
            &[Reason::NoJitter],
            &[Reason::TooLittleMovement, Reason::Turning],
        ];
        let [same, surely] = [crate::domain::sketch::Strength::Same, crate::domain::sketch::Strength::SurelySame];
        let alike = [None, Some((same, false)), Some((surely, false)), Some((surely, true))];
        let mut changed = 0;
        for raw in [1.0, 700.0, 950.0, 998.0, 999.5, 1e4] {
            for (noted, other) in notes.iter().flat_map(|n| alike.iter().map(move |a| (n, a))) {
                let under = |thresholds: &Thresholds| {
                    let model = ModelIdentity { id: "m".into(), version: "1".into() };
                    let (score, noted) = (set.assess(raw), noted.iter().copied().collect());
                    let source = Source::Embedded;
                    let alone = Verdict::calibrated(raw, &score, "pooled", noted, source, model, thresholds);
                    let of = |(strength, resubmitted)| crate::domain::evidence::Alike { strength, resubmitted };
                    let other = other.map(of);
                    alone.beside(other.as_slice(), thresholds)
                };
                for (pass, review) in
                    grid.iter().flat_map(|p| grid.iter().map(move |r| (*p, *r))).filter(|(p, r)| p < r)
                {
                    let new = Thresholds { pass, review, ..Thresholds::default() };
                    let first = under(&Thresholds::default());
                    assert_eq!(first.redecided(&new), Some(under(&new)), "raw {raw}, {new:?}");
                    changed += usize::from(first.decision != under(&new).decision);
                }
            }
        }
        assert!(changed > 100, "{changed}");
    }
}
