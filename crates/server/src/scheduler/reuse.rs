//! Scores given at intake: what the present model has said of a session already is not asked again.

use std::collections::HashMap;

use super::asking;
use super::isolate::Judgement;
use crate::detector::embedded::kept::{Kept, Traits};
use crate::detector::{Detector, Outcome};
use crate::domain::id::Seq;
use crate::domain::reason::Reasons;
use crate::store::{FirstScore, Member, Store, StoreResult};

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
            (Some(kept), Some(first)) if kept.stands_by(&first.model) => split.scored.push((member, first)),
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

    /// What the detector would answer about them. A member without telemetry keeps its score and goes without traits.
    pub(super) async fn said(&self, store: &dyn Store) -> StoreResult<Vec<(Seq, Judgement)>> {
        let Some(kept) = &self.kept else { return Ok(Vec::new()) };
        let recalled: Vec<Traits> =
            self.scored.iter().map(|(m, first)| kept.recall(m.seq, &first.calibrated)).collect();
        let from_rows = self.scored.iter().zip(&recalled).filter(|(_, traits)| **traits == Traits::FromRow);
        let from_rows: Vec<&Member> = from_rows.map(|((member, _), _)| *member).collect();
        let rows = asking::rows(store, kept.feature_set(), &from_rows).await?.0;
        let rows: HashMap<Seq, &[f64]> = rows.iter().map(|row| (row.id, &row.features[..])).collect();
        let said = self.scored.iter().zip(recalled).map(|((member, first), traits)| {
            let traits = match (traits, rows.get(&member.seq)) {
                (Traits::Known(traits), _) => traits,
                (Traits::FromRow, Some(row)) => kept.traits(row, &first.calibrated),
                (Traits::FromRow, None) => Reasons::default(),
            };
            (member.seq, judgement(first, traits))
        });
        Ok(said.collect())
    }
}

fn judgement(first: &FirstScore, traits: Reasons) -> Judgement {
    let FirstScore { model, raw, calibrated, class, noted } = first.clone();
    Judgement::Scored(model, Outcome::Calibrated { raw, calibrated, class, notes: noted.union(traits) })
}
