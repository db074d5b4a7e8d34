//! Scores given at intake: what the present model has said of a session already is not asked again.

use std::collections::HashMap;

use super::isolate::Judgement;
use super::records::Records;
use crate::detector::embedded::kept::{Kept, Traits};
use crate::detector::{Detector, Outcome};
use crate::domain::id::Seq;
use crate::domain::reason::Reasons;
use crate::store::{FirstScore, Member};

/// Members of a batch, by whether the detector's model has scored them.
pub(super) struct Split<'m> {
    kept: Option<Kept>,
    scored: Vec<(&'m Member, &'m FirstScore)>,
    /// The members that the detector is still to be asked about.
    pub(super) unscored: Vec<&'m Member>,
}

/// Tells the members whose score stands from the others.
pub(super) fn split<'m>(detector: &dyn Detector, members: &'m [Member]) -> Split<'m> {
    let kept = detector.kept();
    let mut split = Split { kept, scored: Vec::new(), unscored: Vec::with_capacity(members.len()) };
    for member in members {
        match (&split.kept, &member.scored) {
            (Some(kept), Some(first)) if kept.stands_by(&member.key.deployment, &first.model) => {
                split.scored.push((member, first));
            }
            _ => split.unscored.push(member),
        }
    }
    split
}

impl Split<'_> {
    /// What the detector would answer about the members that have their score, but for the traits of their movement.
    pub(super) fn briefly(&self) -> impl Iterator<Item = (Seq, Judgement)> {
        self.scored.iter().map(|(member, first)| (member.seq, judgement(first, Reasons::default())))
    }

    /// The traits of their movements as far as they are remembered; asked once.
    pub(super) fn recall(&self) -> HashMap<Seq, Traits> {
        let Some(kept) = &self.kept else { return HashMap::new() };
        self.scored.iter().map(|(m, first)| (m.seq, kept.recall(&m.key.deployment, m.seq, &first.calibrated))).collect()
    }

    /// What the detector would answer about them. A member without telemetry keeps its score and goes without traits.
    pub(super) fn said(&self, recalled: &HashMap<Seq, Traits>, records: &Records) -> Vec<(Seq, Judgement)> {
        let Some(kept) = &self.kept else { return Vec::new() };
        let said = self.scored.iter().map(|(member, first)| {
            let traits = match (recalled.get(&member.seq), records.features(member.seq)) {
                (Some(Traits::Known(traits)), _) => *traits,
                (_, Some(row)) => kept.traits(&member.key.deployment, row, &first.calibrated),
                (_, None) => Reasons::default(),
            };
            (member.seq, judgement(first, traits))
        });
        said.collect()
    }
}

fn judgement(first: &FirstScore, traits: Reasons) -> Judgement {
    let FirstScore { model, raw, calibrated, class, known_reasons } = first.clone();
    Judgement::Scored(model, Outcome::Calibrated { raw, calibrated, class, notes: known_reasons.union(traits) })
}
