//! Sessions side by side: what a batch's members are like, among themselves and to those settled before.
//!
//! A batch says what it is about to settle before it looks around, and takes it back when it is settled. So of two
//! sessions alike in batches of one node that run at once, whichever speaks second finds the other, and never each the
//! other; within a batch, the one that was accepted later. Batches of two nodes that overlap by those milliseconds may
//! miss each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::engine::Engine;
use crate::domain::batch::Trigger;
use crate::domain::evidence::{Alike, Evidence, NAMED};
use crate::domain::id::Seq;
use crate::domain::record;
use crate::domain::result::{Thresholds, Verdict};
use crate::domain::session::Session;
use crate::domain::sketch::{Index, Likeness, Movement, SAME, SURELY_SAME, Sketch};
use crate::store::{Candidate, Claim, MemberOutcome, NewSketch, Settlement, StoreError, StoreResult};

/// A node of which full batches wait longer than this to be claimed is behind.
const BEHIND: Duration = Duration::from_secs(1);

/// Whether the members of a batch that was just claimed are to be compared.
pub(super) fn wanted(engine: &Engine, claim: &Claim, trigger: Trigger) -> bool {
    match engine.settings.evidence {
        Evidence::Always => true,
        Evidence::Never => false,
        // A full batch runs as soon as its last member is there; where that one waited, more is there than can be done.
        Evidence::Auto => {
            let now = engine.parts.clock.now().wall;
            let latest = claim.members.iter().map(|member| member.accepted_at).max();
            trigger != Trigger::Full || latest.is_none_or(|latest| now.since(latest) <= BEHIND)
        }
    }
}

/// A member that has a movement to be known by.
struct Looked {
    seq: Seq,
    user_id: Option<String>,
    movement: Movement,
}

/// What a batch is about to settle.
struct Announced {
    number: u64,
    members: Vec<(Seq, Option<String>)>,
    sketches: Vec<Sketch>,
    index: Index,
}

/// Batches between look-up and settlement, in the order in which they spoke.
#[derive(Default)]
pub(super) struct Unsettled {
    batches: Mutex<Vec<Arc<Announced>>>,
    spoken: AtomicU64,
}

impl Unsettled {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Announced>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch's place among those unsettled; it ends with this.
pub(super) struct Beside<'e> {
    unsettled: &'e Unsettled,
    number: u64,
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.unsettled.lock().retain(|batch| batch.number != self.number);
    }
}

/// Another session that a member is like.
struct Other {
    seq: Seq,
    like: Likeness,
    same_user: bool,
}

/// Looks the scored members up and writes what is found into their verdicts, and their sketches into the settlement.
/// What it returns is to be kept until that is committed.
pub(super) async fn add<'e>(
    engine: &'e Engine,
    claim: &Claim,
    settlement: &mut Settlement,
    verdicts: &mut [(Seq, Verdict)],
) -> StoreResult<Beside<'e>> {
    let number = engine.unsettled.spoken.fetch_add(1, Ordering::Relaxed);
    let beside = Beside { unsettled: &engine.unsettled, number };
    if verdicts.is_empty() {
        return Ok(beside);
    }
    let seqs: Vec<Seq> = verdicts.iter().map(|(seq, _)| *seq).collect();
    let records = engine.parts.store.telemetry(seqs.clone()).await?;
    let thresholds: HashMap<Seq, Thresholds> =
        claim.members.iter().map(|m| (m.seq, engine.parts.thresholds.of(&m.key.deployment))).collect();
    let deployments: HashMap<Seq, String> = claim.members.iter().map(|m| (m.seq, m.key.deployment.clone())).collect();
    let (members, announced) = off_thread(move || {
        let members = movements(&seqs, records, &deployments);
        let announced = Arc::new(Announced::new(number, &members));
        (members, announced)
    })
    .await?;
    let others = {
        let mut unsettled = engine.unsettled.lock();
        let others = unsettled.clone();
        unsettled.push(Arc::clone(&announced));
        others
    };
    let asked = members.iter().map(|member| member.movement.asked()).collect();
    let candidates = engine.parts.store.alike(asked).await?;
    let found = off_thread(move || compare(&members, &candidates, &others, &announced)).await?;
    let mut places: HashMap<Seq, usize> = HashMap::new();
    for (place, (seq, _)) in verdicts.iter().enumerate() {
        places.insert(*seq, place);
    }
    for (sketch, alike) in found {
        if let (Some(place), Some(thresholds)) = (places.get(&sketch.seq), thresholds.get(&sketch.seq)) {
            let verdict = &mut verdicts[*place].1;
            *verdict = verdict.clone().beside(&alike, thresholds);
            engine.parts.metrics.evidence(verdict.reasons);
        }
        settlement.sketches.push(sketch);
    }
    for (seq, outcome) in &mut settlement.outcomes {
        if let (MemberOutcome::Scored(verdict), Some(place)) = (outcome, places.get(seq)) {
            **verdict = verdicts[*place].1.clone();
        }
    }
    Ok(beside)
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> StoreResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| StoreError::Unavailable(format!("sessions could not be compared: {e}")))
}

impl Announced {
    fn new(number: u64, members: &[Looked]) -> Self {
        let sketches: Vec<Sketch> = members.iter().map(|member| member.movement.sketch()).collect();
        let mut index = Index::default();
        for sketch in &sketches {
            index.insert(sketch.clone());
        }
        let members = members.iter().map(|member| (member.seq, member.user_id.clone())).collect();
        Self { number, members, sketches, index }
    }

    /// The first `count` members, those that a movement is like.
    fn like<'a>(&'a self, member: &'a Looked, count: usize) -> impl Iterator<Item = Other> + 'a {
        self.index.find(&member.movement).into_iter().filter_map(move |(place, like)| {
            let place = usize::try_from(place).ok().filter(|place| *place < count)?;
            let (seq, user_id) = self.members.get(place)?;
            Some(Other { seq: *seq, like, same_user: *user_id == member.user_id })
        })
    }
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

/// Each member's sketch, with those it is like: settled ones, those about to be, and earlier ones of the batch.
fn compare(
    members: &[Looked],
    candidates: &[Vec<Candidate>],
    others: &[Arc<Announced>],
    batch: &Announced,
) -> Vec<(NewSketch, Vec<Alike>)> {
    let mut found = Vec::with_capacity(members.len());
    for (place, (member, candidates)) in members.iter().zip(candidates).enumerate() {
        let mut alike = stored(member, candidates);
        for other in others {
            alike.extend(other.like(member, other.members.len()));
        }
        alike.extend(batch.like(member, place));
        alike.retain(|other| other.like.left <= SAME && other.seq != member.seq);
        alike.sort_by(|a, b| a.seq.0.cmp(&b.seq.0).then(a.like.left.total_cmp(&b.like.left)));
        // One that was settled in between is found both ways.
        alike.dedup_by_key(|other| other.seq);
        alike.sort_by(|a, b| a.like.left.total_cmp(&b.like.left).then(a.seq.0.cmp(&b.seq.0)));
        alike.truncate(NAMED);
        let sketch = NewSketch {
            seq: member.seq,
            sketch: batch.sketches[place].clone(),
            matches: alike.iter().map(|other| other.seq).collect(),
        };
        let resubmitted = |other: &Other| other.like.identical && other.same_user;
        let alike = alike.iter().map(|o| Alike { left: o.like.left, resubmitted: resubmitted(o) }).collect();
        found.push((sketch, alike));
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
