//! Sessions side by side: what a batch's members are like, before their verdicts are settled where that keeps nobody
//! waiting, and after it otherwise ([`super::comparer`]).

use std::collections::HashMap;
use std::time::Duration;

use super::engine::Engine;
use super::kept_reaches::{Looked, off_thread};
use crate::domain::batch::Trigger;
use crate::domain::evidence::Evidence;
use crate::domain::id::{Seq, SessionKey};
use crate::domain::result::{Thresholds, Verdict};
use crate::store::{Claim, Matches, MemberOutcome, Settlement, StoreResult};

/// A node of which full batches wait longer than this to be claimed is behind.
const BEHIND: Duration = Duration::from_secs(1);

/// When the members of a batch are compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before their verdicts are settled.
    Before,
    /// After that.
    After,
    /// Never: the operator said so.
    Never,
}

/// When the members of a batch that was just claimed are to be compared.
pub(super) fn when(engine: &Engine, claim: &Claim, trigger: Trigger) -> When {
    match engine.settings.evidence {
        Evidence::Always => When::Before,
        Evidence::Never => When::Never,
        Evidence::Auto if !engine.reaches.is_loaded() => When::After,
        // A full batch runs as soon as its last member is there; where that one waited, more is there than can be done.
        Evidence::Auto => {
            let now = engine.parts.clock.now().wall;
            let latest = claim.members.iter().map(|member| member.accepted_at).max();
            let is_behind = trigger == Trigger::Full && latest.is_some_and(|latest| now.since(latest) > BEHIND);
            if is_behind { When::After } else { When::Before }
        }
    }
}

/// Remembers in the settlement that the scored members are still to be compared.
pub(super) fn later(settlement: &mut Settlement, verdicts: &[(Seq, Verdict)]) {
    settlement.uncompared.extend(verdicts.iter().map(|(seq, _)| *seq));
}

/// Looks the scored members up and writes what is found into their verdicts and the settlement.
pub(super) async fn add(
    engine: &Engine,
    claim: &Claim,
    settlement: &mut Settlement,
    verdicts: &mut [(Seq, Verdict)],
) -> StoreResult<()> {
    if verdicts.is_empty() {
        return Ok(());
    }
    let store = engine.parts.store.as_ref();
    let seqs: Vec<Seq> = verdicts.iter().map(|(seq, _)| *seq).collect();
    let records = store.telemetry(seqs.clone()).await?;
    let thresholds: HashMap<Seq, Thresholds> =
        claim.members.iter().map(|m| (m.seq, engine.parts.thresholds.of(&m.key.deployment))).collect();
    let keys: HashMap<Seq, SessionKey> = claim.members.iter().map(|m| (m.seq, m.key.clone())).collect();
    let members = off_thread(move || {
        let of = |(seq, record): (Seq, _)| Looked::of(seq, keys.get(&seq)?, record);
        let mut members: Vec<Looked> = seqs.into_iter().zip(records).filter_map(of).collect();
        members.sort_by_key(|member| member.seq.0);
        members
    })
    .await?;
    let members = engine.reaches.keep(store, members).await?;
    let found = engine.reaches.look(store, members).await?;
    let places: HashMap<Seq, usize> = verdicts.iter().enumerate().map(|(place, (seq, _))| (*seq, place)).collect();
    let mut again = Vec::new();
    for found in found {
        again.extend(found.later);
        if let (Some(place), Some(thresholds)) = (places.get(&found.seq), thresholds.get(&found.seq)) {
            let verdict = &mut verdicts[*place].1;
            *verdict = verdict.clone().with_replay_evidence(&found.alike, thresholds);
            engine.parts.metrics.evidence(verdict.reasons);
        }
        if !found.matches.is_empty() {
            settlement.matches.push(Matches { seq: found.seq, others: found.matches });
        }
    }
    for (seq, outcome) in &mut settlement.outcomes {
        if let (MemberOutcome::Scored(verdict), Some(place)) = (outcome, places.get(seq)) {
            **verdict = verdicts[*place].1.clone();
        }
    }
    if !again.is_empty() {
        store.compared(Vec::new(), again, engine.parts.clock.now()).await?;
        engine.uncompared.notify_one();
    }
    Ok(())
}
