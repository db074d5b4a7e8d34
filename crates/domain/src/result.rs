//! Verdicts: thresholds turn a score into a decision and a confidence; nothing here knows where a score came from.

use super::calibration::Calibrated;
use super::heuristic::{self, Heuristic};
use super::reason::{Reason, Reasons};

pub use super::decision::{Decision, NoPointer, Thresholds};
pub use super::decision_inputs::{Decided, DecisionInputs, ScoreKind};

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
    /// What the decision follows from; `None` in what versions kept that did not know it.
    pub basis: Option<DecisionInputs>,
    /// The thresholds by which the session was decided when it was scored; `None` in what versions kept that did not know
    /// them, and of first verdicts that a batch follows.
    pub thresholds: Option<Thresholds>,
}

/// The decision that a session got when it was scored, whatever became of it since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AsScored {
    /// The thresholds that held.
    pub thresholds: Thresholds,
    /// What else it followed from.
    pub basis: DecisionInputs,
    /// What it was.
    pub decided: Decided,
}

impl Verdict {
    /// The verdict of the fixed rules.
    #[must_use]
    pub fn heuristic(heuristic: &Heuristic, thresholds: &Thresholds) -> Self {
        let score = heuristic.boosted();
        let model = ModelIdentity { id: heuristic::MODEL_ID.to_owned(), version: heuristic::MODEL_VERSION.to_owned() };
        let basis =
            DecisionInputs { supported_score: Some(score), known_reasons: heuristic.reasons, surely_replayed: false };
        Self::undecided(ScoreKind::Heuristic, Some(score), Source::Heuristic, model, basis).decided(basis, thresholds)
    }

    /// The verdict on a session without movement: nothing is scored.
    #[must_use]
    pub fn without_pointer(thresholds: &Thresholds) -> Self {
        let model = ModelIdentity { id: heuristic::MODEL_ID.to_owned(), version: heuristic::MODEL_VERSION.to_owned() };
        let known_reasons = [Reason::NoPointer].into_iter().collect();
        let basis = DecisionInputs { supported_score: None, known_reasons, surely_replayed: false };
        Self::undecided(ScoreKind::Heuristic, None, Source::Heuristic, model, basis).decided(basis, thresholds)
    }

    /// The verdict on a calibrated score. `noted` are the rules that hold and the detector's notes.
    #[must_use]
    pub fn calibrated(
        raw: f64,
        score: &Calibrated,
        class: &str,
        known_reasons: Reasons,
        source: Source,
        model: ModelIdentity,
        thresholds: &Thresholds,
    ) -> Self {
        let basis =
            DecisionInputs { supported_score: Some(score.supported_score), known_reasons, surely_replayed: false };
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
        let mut known_reasons = heuristic;
        if flagged {
            known_reasons.insert(Reason::Flagged);
        }
        let basis = DecisionInputs { supported_score: None, known_reasons, surely_replayed: false };
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
            reasons: basis.known_reasons,
            fallback: false,
            basis: Some(basis),
            thresholds: None,
        }
    }

    /// The verdict with another basis.
    pub(super) fn decided(self, basis: DecisionInputs, thresholds: &Thresholds) -> Self {
        let Decided { decision, confidence, reasons } = basis.decide(self.kind, self.anomaly_score, thresholds);
        Self { decision, confidence, reasons, basis: Some(basis), thresholds: Some(*thresholds), ..self }
    }

    /// The verdict with a reason that decides by itself: see [`Reason::forces`] and [`Reason::TooLittleMovement`].
    #[must_use]
    pub fn with_override(self, by: Reason, thresholds: &Thresholds) -> Self {
        let mut basis = self.basis.unwrap_or_default();
        basis.known_reasons.insert(by);
        self.decided(basis, thresholds)
    }

    /// The verdict under other thresholds; `None` where it was kept without its basis.
    #[must_use]
    pub fn redecided(&self, thresholds: &Thresholds) -> Option<Self> {
        self.basis.map(|basis| self.clone().decided(basis, thresholds))
    }

    /// The decision with all that it followed from, for keeping; `None` where that is not known.
    #[must_use]
    pub fn as_scored(&self) -> Option<AsScored> {
        let Self { decision, confidence, reasons, .. } = *self;
        let decided = Decided { decision, confidence, reasons };
        Some(AsScored { thresholds: self.thresholds?, basis: self.basis?, decided })
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
    use crate::calibration::Calibration;

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
                let ruled = verdict.clone().with_override(reason, &thresholds);
                assert_eq!((ruled.decision, ruled.anomaly_score), (expected, verdict.anomaly_score), "{reason:?}");
                assert!(ruled.reasons.contains(reason));
                let stricter = Thresholds { pass: 0.0, review: 0.1, ..Thresholds::default() };
                assert_eq!(ruled.redecided(&stricter).unwrap().decision, expected);
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
        let [same, surely] = [crate::sketch::Strength::Same, crate::sketch::Strength::SurelySame];
        let alike = [None, Some((same, false)), Some((surely, false)), Some((surely, true))];
        let mut changed = 0;
        for raw in [1.0, 700.0, 950.0, 998.0, 999.5, 1e4] {
            for (known_reasons, other) in notes.iter().flat_map(|n| alike.iter().map(move |a| (n, a))) {
                let under = |thresholds: &Thresholds| {
                    let model = ModelIdentity { id: "m".into(), version: "1".into() };
                    let (score, known_reasons) = (set.assess(raw), known_reasons.iter().copied().collect());
                    let source = Source::Embedded;
                    let alone = Verdict::calibrated(raw, &score, "pooled", known_reasons, source, model, thresholds);
                    let of = |(strength, resubmitted)| crate::evidence::Alike { strength, resubmitted };
                    let other = other.map(of);
                    alone.with_replay_evidence(other.as_slice(), thresholds)
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
