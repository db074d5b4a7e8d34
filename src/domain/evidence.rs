//! Evidence from sessions side by side: what likeness to others may do to a verdict.
//!
//! It never changes a score and never touches the other session. A pass becomes a review; only a likeness that nothing
//! but a replay has fails, and not where the same user may simply have sent the session again.

use super::reason::Reason;
use super::result::{Thresholds, Verdict};
use super::sketch::{SAME, SURELY_SAME};

/// When sessions are looked at side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Whenever the node keeps up with what arrives.
    Auto,
    /// Even where that makes others wait.
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
    /// What is left between the two, as [`super::sketch::Likeness::left`].
    pub left: f64,
    /// Whether it may be the same session sent again under another id: same telemetry to the bit, same user or none
    /// named, same deployment.
    pub resubmitted: bool,
}

impl Verdict {
    /// The verdict once the others are known that were looked up; those not alike enough change nothing.
    #[must_use]
    pub fn beside(self, others: &[Alike], thresholds: &Thresholds) -> Self {
        let same: Vec<&Alike> = others.iter().filter(|other| other.left <= SAME).collect();
        let Some(mut basis) = self.basis.filter(|_| !same.is_empty()) else { return self };
        basis.noted.insert(Reason::ReplayedMovement);
        if same.len() >= CAMPAIGN {
            basis.noted.insert(Reason::Campaign);
        }
        basis.surely_replayed |= same.iter().any(|other| other.left <= SURELY_SAME && !other.resubmitted);
        self.decided(basis, thresholds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::heuristic::Heuristic;
    use crate::domain::reason::Reasons;
    use crate::domain::result::Decision;

    fn decided(score: f64, others: &[(f64, bool)]) -> Verdict {
        let others: Vec<Alike> =
            others.iter().map(|(left, resubmitted)| Alike { left: *left, resubmitted: *resubmitted }).collect();
        let verdict = Verdict::heuristic(&Heuristic { score, reasons: Reasons::default() }, &Thresholds::default());
        let score = verdict.anomaly_score;
        let beside = verdict.beside(&others, &Thresholds::default());
        assert_eq!(beside.anomaly_score, score, "evidence never changes a score");
        beside
    }

    #[test]
    fn a_pass_is_reviewed_and_only_a_sure_replay_fails() {
        assert_eq!(decided(0.0, &[]).decision, Decision::Pass);
        assert_eq!(decided(0.0, &[(SAME + 1e-9, false)]).decision, Decision::Pass);
        assert_eq!(decided(0.0, &[(SAME, false)]).decision, Decision::Review);
        assert_eq!(decided(0.0, &[(SURELY_SAME, false)]).decision, Decision::Fail);
        assert_eq!(decided(9.0, &[(SAME, false)]).decision, Decision::Fail, "never milder");
    }

    #[test]
    fn a_session_sent_again_under_another_id_is_reviewed_at_worst() {
        let again = decided(0.0, &[(0.0, true), (0.0, true)]);
        assert_eq!(again.decision, Decision::Review);
        assert!(again.reasons.contains(Reason::Campaign));
        assert_eq!(decided(0.0, &[(0.0, true), (0.01, false)]).decision, Decision::Fail);
    }

    #[test]
    fn one_other_is_a_replay_and_two_are_a_campaign() {
        let reasons = |others: &[(f64, bool)]| decided(0.0, others).reasons;
        assert!(reasons(&[(0.01, false)]).contains(Reason::ReplayedMovement));
        assert!(!reasons(&[(0.01, false)]).contains(Reason::Campaign));
        assert!(!reasons(&[(0.01, false), (0.1, false)]).contains(Reason::Campaign));
        assert!(reasons(&[(0.01, false), (0.03, false)]).contains(Reason::Campaign));
    }
}
