//! Sessions side by side: what a batch's members are like, among themselves and to those settled before.
//!
//! Batches are looked up and settled one after the other, so that of two sessions alike one always finds the other:
//! the one that is settled later, within a batch the one that was accepted later.

use std::collections::HashMap;

use super::engine::Engine;
use crate::domain::evidence::{Alike, NAMED};
use crate::domain::id::Seq;
use crate::domain::record;
use crate::domain::result::Verdict;
use crate::domain::session::Session;
use crate::domain::sketch::{Index, Likeness, Movement, SAME, SURELY_SAME};
use crate::store::{Candidate, Claim, MemberOutcome, NewSketch, Settlement, StoreError, StoreResult};

/// A member that has a movement to be known by.
struct Looked {
    seq: Seq,
    user_id: Option<String>,
    movement: Movement,
}

/// Another session that a member is like.
struct Other {
    seq: Seq,
    like: Likeness,
    same_user: bool,
}

/// Looks the scored members up and writes what is found into their verdicts, and their sketches into the settlement.
pub(super) async fn add(
    engine: &Engine,
    claim: &Claim,
    settlement: &mut Settlement,
    verdicts: &mut [(Seq, Verdict)],
) -> StoreResult<()> {
    let seqs: Vec<Seq> = verdicts.iter().map(|(seq, _)| *seq).collect();
    let records = engine.parts.store.telemetry(seqs.clone()).await?;
    let deployments: HashMap<Seq, String> = claim.members.iter().map(|m| (m.seq, m.key.deployment.clone())).collect();
    let members = off_thread(move || movements(&seqs, records, &deployments)).await?;
    let asked = members.iter().map(|member| member.movement.asked()).collect();
    let candidates = engine.parts.store.alike(asked).await?;
    let found = off_thread(move || compare(&members, &candidates)).await?;
    let mut places: HashMap<Seq, usize> = HashMap::new();
    for (place, (seq, _)) in verdicts.iter().enumerate() {
        places.insert(*seq, place);
    }
    for (sketch, alike) in found {
        if let Some(place) = places.get(&sketch.seq) {
            let verdict = &mut verdicts[*place].1;
            *verdict = verdict.clone().beside(&alike, &engine.settings.thresholds);
            engine.parts.metrics.evidence(verdict.reasons);
        }
        settlement.sketches.push(sketch);
    }
    for (seq, outcome) in &mut settlement.outcomes {
        if let (MemberOutcome::Scored(verdict), Some(place)) = (outcome, places.get(seq)) {
            **verdict = verdicts[*place].1.clone();
        }
    }
    Ok(())
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> StoreResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| StoreError::Unavailable(format!("sessions could not be compared: {e}")))
}

/// The movements of sessions that have one to be known by, in order of acceptance.
fn movements(seqs: &[Seq], records: Vec<Option<Vec<u8>>>, deployments: &HashMap<Seq, String>) -> Vec<Looked> {
    let mut members: Vec<Looked> = Vec::with_capacity(seqs.len());
    for (seq, record) in seqs.iter().zip(records) {
        // What cannot be read has no sketch; its score stands by itself.
        let Some(session) = record.and_then(|record| record::decode(&record).ok()) else { continue };
        let deployment_id = deployments.get(seq).cloned().unwrap_or_default();
        let session = Session { deployment_id, ..session };
        if let Some(movement) = Movement::of(&session) {
            members.push(Looked { seq: *seq, user_id: session.user_id, movement });
        }
    }
    members.sort_by_key(|member| member.seq.0);
    members
}

/// Each member's sketch, with those it is like, stored ones and earlier ones of the batch.
fn compare(members: &[Looked], candidates: &[Vec<Candidate>]) -> Vec<(NewSketch, Vec<Alike>)> {
    let mut batch = Index::default();
    let mut found = Vec::with_capacity(members.len());
    for (member, candidates) in members.iter().zip(candidates) {
        let mut others = stored(member, candidates);
        for (place, like) in batch.find(&member.movement) {
            let Some(other) = usize::try_from(place).ok().and_then(|place| members.get(place)) else { continue };
            others.push(Other { seq: other.seq, like, same_user: other.user_id == member.user_id });
        }
        others.retain(|other| other.like.left <= SAME);
        others.sort_by(|a, b| a.like.left.total_cmp(&b.like.left).then(a.seq.0.cmp(&b.seq.0)));
        others.truncate(NAMED);
        let alike =
            |other: &Other| Alike { left: other.like.left, resubmitted: other.like.identical && other.same_user };
        let sketch = NewSketch {
            seq: member.seq,
            sketch: member.movement.sketch(),
            matches: others.iter().map(|other| other.seq).collect(),
        };
        batch.insert(sketch.sketch.clone());
        found.push((sketch, others.iter().map(alike).collect()));
    }
    found
}

/// The stored sessions that a member is like; it ends early where as many as are named surely are.
fn stored(member: &Looked, candidates: &[Candidate]) -> Vec<Other> {
    let mut others = Vec::new();
    let mut sure = 0;
    for candidate in candidates {
        // A session that is settled again after its worker died never matches itself.
        if candidate.seq == member.seq {
            continue;
        }
        let Some(like) = member.movement.compare(&candidate.sketch) else { continue };
        others.push(Other { seq: candidate.seq, like, same_user: candidate.user_id == member.user_id });
        sure += usize::from(like.left <= SURELY_SAME && !(like.identical && candidate.user_id == member.user_id));
        if sure >= NAMED {
            break;
        }
    }
    others
}
