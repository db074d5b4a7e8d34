//! What would change under other thresholds: decisions made anew from what results keep, and counted.

use super::result::{Decided, Decision, DecisionInputs, ScoreKind, Thresholds};

/// How many decisions stand, and how many would stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redecision {
    /// Sessions by the decision as it stands and as it would be, in the order of [`Decision::ALL`].
    pub moves: [[u64; 3]; 3],
    /// Of them those that keep theirs because somebody said what they are.
    pub labelled: u64,
    /// Of them those that keep theirs because it is not known what it followed from.
    pub undecidable: u64,
}

/// The place of a decision in [`Redecision::moves`].
fn place(decision: Decision) -> usize {
    match decision {
        Decision::Pass => 0,
        Decision::Review => 1,
        Decision::Fail => 2,
    }
}

impl Redecision {
    /// Counts a session; its new decision where that is another one.
    pub fn add(
        &mut self,
        kind: ScoreKind,
        score: Option<f64>,
        basis: Option<&DecisionInputs>,
        decision: Decision,
        labelled: bool,
        thresholds: &Thresholds,
    ) -> Option<Decided> {
        let decided = match basis {
            _ if labelled => {
                self.labelled += 1;
                None
            }
            None => {
                self.undecidable += 1;
                None
            }
            Some(basis) => Some(basis.decide(kind, score, thresholds)),
        };
        let later = decided.map_or(decision, |decided| decided.decision);
        self.moves[place(decision)][place(later)] += 1;
        decided.filter(|_| later != decision)
    }

    /// Sessions counted.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.moves.iter().flatten().sum()
    }

    /// Those whose decision changes.
    #[must_use]
    pub fn flips(&self) -> u64 {
        self.sessions() - (0..3).map(|i| self.moves[i][i]).sum::<u64>()
    }

    /// Sessions with this decision as it stands.
    #[must_use]
    pub fn before(&self, decision: Decision) -> u64 {
        self.moves[place(decision)].iter().sum()
    }

    /// Sessions with this decision as it would be.
    #[must_use]
    pub fn after(&self, decision: Decision) -> u64 {
        self.moves.iter().map(|row| row[place(decision)]).sum()
    }

    /// Sessions that go from one decision to another.
    #[must_use]
    pub fn moved(&self, earlier: Decision, later: Decision) -> u64 {
        self.moves[place(earlier)][place(later)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_decided_by_thresholds_moves() {
        let mut all = Redecision::default();
        let strict = Thresholds { pass: 0.5, review: 1.0, ..Thresholds::default() };
        let basis = DecisionInputs { supported_score: Some(0.7), ..DecisionInputs::default() };
        let mut add = |basis: Option<&DecisionInputs>, labelled| {
            let added = all.add(ScoreKind::Calibrated, Some(0.7), basis, Decision::Pass, labelled, &strict);
            added.map(|decided| decided.decision)
        };
        assert_eq!(add(Some(&basis), false), Some(Decision::Review));
        assert_eq!(add(Some(&basis), true), None, "a label stands");
        assert_eq!(add(None, false), None);
        let replayed = DecisionInputs { surely_replayed: true, ..basis };
        assert_eq!(add(Some(&replayed), false), Some(Decision::Fail));
        assert_eq!((all.sessions(), all.flips(), all.labelled, all.undecidable), (4, 2, 1, 1));
        assert_eq!((all.before(Decision::Pass), all.after(Decision::Pass)), (4, 2));
        assert_eq!(all.moved(Decision::Pass, Decision::Fail), 1);
    }
}
