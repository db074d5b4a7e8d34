//! Evidence from sessions side by side: what likeness to others may do to a verdict.
//!
//! It never changes a score and never touches the other session. A pass becomes a review; only a likeness that nothing
//! but a replay has fails, and not where the same user may simply have sent the session again, or where a page alone says
//! that there was an earlier one: whoever captures a movement and sends it first with a submit key fails nobody.

use super::reason::{Reason, Reasons};
use super::result::{DecisionInputs, Thresholds, Verdict};
use super::sketch::Strength;

/// When sessions are looked at side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Before the verdict where the node keeps up with what arrives, else after it.
    Auto,
    /// Before the verdict, even where that makes others wait.
    Always,
    /// Never.
    Never,
}

/// Most other sessions that a result names.
pub const NAMED: usize = 5;
/// So many others with one movement are a campaign: with the session itself, three.
const CAMPAIGN: usize = 2;

/// Another session with the same movement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alike {
    /// How sure it is.
    pub strength: Strength,
    /// Whether it may be the same session sent again under another id: same telemetry to the bit, same user or none
    /// named, same deployment. Or whether it came by a submit key alone, and the session beside it did not.
    pub resubmitted: bool,
}

impl Verdict {
    /// The verdict once the others are known that were looked up; those not alike enough change nothing.
    #[must_use]
    pub fn with_replay_evidence(self, others: &[Alike], thresholds: &Thresholds) -> Self {
        match self.basis.filter(|_| !others.is_empty()) {
            Some(basis) => self.decided(with_similar(basis, others), thresholds),
            None => self,
        }
    }
}

/// Those of the reasons that likeness to others has added.
#[must_use]
pub fn by_others(reasons: Reasons) -> Reasons {
    reasons.iter().filter(|reason| matches!(reason, Reason::ReplayedMovement | Reason::Campaign)).collect()
}

/// What a decision follows from once the others are known that a session is like.
#[must_use]
pub fn with_similar(mut basis: DecisionInputs, others: &[Alike]) -> DecisionInputs {
    if !others.is_empty() {
        basis.known_reasons.insert(Reason::ReplayedMovement);
    }
    if others.len() >= CAMPAIGN {
        basis.known_reasons.insert(Reason::Campaign);
    }
    basis.surely_replayed |= others.iter().any(|other| other.strength == Strength::SurelySame && !other.resubmitted);
    basis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heuristic::Heuristic;
    use crate::result::Decision;

    use Strength::{Same, SurelySame};

    fn decided(score: f64, others: &[(Strength, bool)]) -> Verdict {
        let of = |(strength, resubmitted): &(Strength, bool)| Alike { strength: *strength, resubmitted: *resubmitted };
        let others: Vec<Alike> = others.iter().map(of).collect();
        let verdict = Verdict::heuristic(&Heuristic { score, reasons: Reasons::default() }, &Thresholds::default());
        let score = verdict.anomaly_score;
        let beside = verdict.with_replay_evidence(&others, &Thresholds::default());
        assert_eq!(beside.anomaly_score, score, "evidence never changes a score");
        beside
    }

    #[test]
    fn a_pass_is_reviewed_and_only_a_sure_replay_fails() {
        assert_eq!(decided(0.0, &[]).decision, Decision::Pass);
        assert_eq!(decided(0.0, &[(Same, false)]).decision, Decision::Review);
        assert_eq!(decided(0.0, &[(SurelySame, false)]).decision, Decision::Fail);
        assert_eq!(decided(9.0, &[(Same, false)]).decision, Decision::Fail, "never milder");
    }

    #[test]
    fn a_session_sent_again_under_another_id_is_reviewed_at_worst() {
        let again = decided(0.0, &[(SurelySame, true), (SurelySame, true)]);
        assert_eq!(again.decision, Decision::Review);
        assert!(again.reasons.contains(Reason::Campaign));
        assert_eq!(decided(0.0, &[(SurelySame, true), (SurelySame, false)]).decision, Decision::Fail);
    }

    #[test]
    fn one_other_is_a_replay_and_two_are_a_campaign() {
        let reasons = |others: &[(Strength, bool)]| decided(0.0, others).reasons;
        assert!(reasons(&[(SurelySame, false)]).contains(Reason::ReplayedMovement));
        assert!(!reasons(&[(SurelySame, false)]).contains(Reason::Campaign));
        assert!(reasons(&[(SurelySame, false), (Same, false)]).contains(Reason::Campaign));
    }
}
