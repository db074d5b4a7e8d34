//! What another model would have decided of sessions that are stored, and how often each is wrong where a label says so.

use crate::detector::embedded::Model;
use crate::domain::features::Extractor;
use crate::domain::heuristic::{self, Heuristic};
use crate::domain::reason::Reasons;
use crate::domain::result::{Decision, Thresholds, Verdict};
use crate::domain::session::Session;

/// Wrong decisions on labelled sessions that no model made here has learned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Labelled people.
    pub people: u64,
    /// Of them failed.
    pub people_failed: u64,
    /// Of them to be reviewed.
    pub people_reviewed: u64,
    /// Labelled bots.
    pub bots: u64,
    /// Of them passed.
    pub bots_passed: u64,
}

impl Errors {
    pub(super) fn add(&mut self, bot: bool, decision: Decision) {
        let counted = |yes: bool| u64::from(yes);
        if bot {
            self.bots += 1;
            self.bots_passed += counted(decision == Decision::Pass);
        } else {
            self.people += 1;
            self.people_failed += counted(decision == Decision::Fail);
            self.people_reviewed += counted(decision == Decision::Review);
        }
    }

    /// Failed people and passed bots: what costs most.
    pub(super) fn wrong(&self) -> u64 {
        self.people_failed + self.bots_passed
    }
}

/// What a model would change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backtest {
    /// Stored sessions by the decision of the active model and of the other, in the order of [`Decision::ALL`].
    pub moves: [[u64; 3]; 3],
    /// The active model's errors.
    pub active: Errors,
    /// The other's.
    pub other: Errors,
}

/// A session with what is to be kept of its reasons.
pub(super) struct Stored {
    pub(super) session: Session,
    pub(super) others: Reasons,
    pub(super) surely_replayed: bool,
    pub(super) bot: Option<bool>,
}

/// What `model` would decide of a stored session.
pub(super) fn decide(
    model: &Model,
    stored: &Stored,
    thresholds: &Thresholds,
    extractor: &mut Extractor,
    row: &mut Vec<f64>,
) -> Decision {
    let features = extractor.v1(&stored.session);
    let rules = heuristic::reasons_with_notes(Heuristic::judge(&features).reasons, features.total_moves);
    extractor.extract(model.feature_set(), &stored.session, row);
    let known_reasons = rules.union(stored.others).union(heuristic::reservations(&stored.session));
    let verdict: Verdict = model.verdict(row, known_reasons, thresholds);
    let mut basis = verdict.basis.unwrap_or_default();
    basis.surely_replayed = stored.surely_replayed;
    basis.decide(verdict.kind, verdict.anomaly_score, thresholds).decision
}
