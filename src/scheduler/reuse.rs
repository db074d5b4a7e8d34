//! Scores given at intake: what the present model has said of a session already is not asked again.

use super::isolate::Judgement;
use crate::detector::{Detector, Outcome};
use crate::domain::id::Seq;
use crate::store::{FirstScore, Member};

/// What `detector` said of members when they were accepted, and the members that it is still to be asked about.
pub(super) fn split<'m>(detector: &dyn Detector, members: &'m [Member]) -> (Vec<(Seq, Judgement)>, Vec<&'m Member>) {
    let (mut said, mut rest) = (Vec::new(), Vec::with_capacity(members.len()));
    for member in members {
        match &member.scored {
            Some(first) if detector.stands_by(&first.model) => said.push((member.seq, judgement(first.clone()))),
            _ => rest.push(member),
        }
    }
    (said, rest)
}

/// What the detector would answer now.
fn judgement(first: FirstScore) -> Judgement {
    let FirstScore { model, raw, calibrated, class, noted } = first;
    Judgement::Scored(model, Outcome::Calibrated { raw, calibrated, class, notes: noted })
}
