//! Accepting, claiming, renewing, settling and recovering: the state machine's steps.

use std::collections::BTreeSet;

use super::{Held, HeldLease, Kept};
use crate::settlement::{self, Plan};
use crate::{
    Acceptance, BatchRow, Claim, ClaimRequest, FirstScore, Lease, Member, NewSession, SettleCounts, Settlement,
    StoreError, StoreResult, StoredResult, first,
};
use playproof_domain::batch::Trigger;
use playproof_domain::id::{BatchId, Seq, SessionKey};
use playproof_domain::queue::{Entry, Event, State, step};
use playproof_domain::time::{Now, Timestamp};

impl Held {
    pub(super) fn accept(&mut self, new: NewSession) -> Acceptance {
        if let Some(seq) = self.keys.get(&new.key)
            && let Some(known) = self.sessions.get(seq)
        {
            if known.new.digest != new.digest {
                return Acceptance::Conflict;
            }
            return Acceptance::Duplicate(Box::new(known.stored(*seq)));
        }
        if self.erased.contains(&new.key) {
            return Acceptance::Erased;
        }
        if !new.is_final && self.counts().unprocessed() >= self.queue_limit {
            return Acceptance::QueueFull;
        }
        self.accepted += 1;
        let seq = i64::try_from(self.accepted).unwrap_or(i64::MAX);
        let (mut entry, mut result) = (Entry::NEW, None);
        if new.is_final {
            entry.state = State::Processed;
            result = Some(StoredResult {
                verdict: new.first.verdict.clone(),
                batch: None,
                scored_at: new.first.scored_at,
                attempts: 1,
                scored: None,
                compared_under: None,
            });
            self.uncompared.insert(seq);
        }
        self.keys.insert(new.key.clone(), seq);
        self.sessions.insert(seq, Kept { new, entry, result, error: None });
        Acceptance::New(Seq(seq))
    }

    pub(super) fn claim(&mut self, request: ClaimRequest, now: Now) -> StoreResult<Option<Claim>> {
        let mut members = self.candidates(&request, now.wall)?;
        if members.is_empty() {
            return Ok(None);
        }
        for member in &mut members {
            member.entry = step(member.entry, Event::Claim).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            if let Some(kept) = self.sessions.get_mut(&member.seq.0) {
                kept.entry = member.entry;
            }
        }
        let seqs: Vec<i64> = members.iter().map(|member| member.seq.0).collect();
        let batch = self.batches.last_key_value().map_or(1, |(last, _)| last + 1);
        let lease = HeldLease {
            token: request.token,
            length: request.lease,
            expires: now.monotonic + request.lease,
            members: seqs.iter().copied().collect(),
        };
        self.leases.insert(batch, lease);
        let row = BatchRow {
            id: BatchId(batch),
            trigger: request.trigger,
            size: u32::try_from(seqs.len()).unwrap_or(u32::MAX),
            owner: request.owner,
            source: request.source,
            claimed_at: now.wall,
            finished_at: None,
            end: None,
        };
        self.batches.insert(batch, (row, seqs));
        self.last_batch = Some(now.wall);
        Ok(Some(Claim { lease: Lease { batch: BatchId(batch), token: request.token }, members }))
    }

    fn candidates(&self, request: &ClaimRequest, now: Timestamp) -> StoreResult<Vec<Member>> {
        let up_to = request.up_to.map_or(i64::MAX, |seq| seq.0);
        let accepted_by = request.accepted_by.unwrap_or(Timestamp(i64::MAX));
        let max = usize::try_from(request.max).unwrap_or(usize::MAX);
        let there = self.sessions.range(..=up_to);
        if request.trigger != Trigger::Retry {
            let line = there.filter(|(_, kept)| kept.entry.state == State::Ready).take(max);
            let line: Vec<Member> = line.map(|(seq, kept)| kept.member(*seq)).collect::<StoreResult<_>>()?;
            return Ok(settlement::accepted_by(line, accepted_by));
        }
        let mut due: Vec<(Timestamp, i64, &Kept)> = there
            .filter(|(_, kept)| kept.entry.state == State::Delayed && kept.entry.not_before <= now)
            .filter(|(_, kept)| kept.new.first.scored_at <= accepted_by)
            .map(|(seq, kept)| (kept.entry.not_before, *seq, kept))
            .collect();
        due.sort_by_key(|(at, seq, _)| (*at, *seq));
        due.truncate(max);
        let due: Vec<Member> = due.into_iter().map(|(_, seq, kept)| kept.member(seq)).collect::<StoreResult<_>>()?;
        Ok(settlement::alone_or_together(due))
    }

    pub(super) fn renew(&mut self, lease: Lease, now: Now) -> StoreResult<()> {
        let held = self.leases.get_mut(&lease.batch.0).filter(|held| held.token == lease.token);
        let held = held.ok_or(StoreError::LeaseLost(lease.batch.0))?;
        held.expires = now.monotonic + held.length;
        Ok(())
    }

    pub(super) fn settle(&mut self, lease: Lease, settlement: &Settlement, now: Now) -> StoreResult<SettleCounts> {
        let held = self.leases.get(&lease.batch.0).filter(|held| held.token == lease.token);
        let members = held.ok_or(StoreError::LeaseLost(lease.batch.0))?.members.clone();
        let plan = Plan::settle(lease, members, |seq| self.entry(seq), settlement)?;
        self.take(&plan, lease.batch, now.wall);
        self.uncompared.extend(&plan.uncompared);
        if let Some(end) = &settlement.end {
            self.leases.remove(&lease.batch.0);
            self.end_batch(lease.batch.0, end, now.wall);
        } else if let Some(held) = self.leases.get_mut(&lease.batch.0) {
            held.members.clone_from(&plan.left);
        }
        Ok(plan.counts())
    }

    fn end_batch(&mut self, batch: i64, end: &crate::BatchEnd, now: Timestamp) {
        if let Some((row, _)) = self.batches.get_mut(&batch) {
            row.finished_at = Some(now);
            row.end = Some(end.clone());
        }
    }

    /// Ends the leases that are `over`; how many sessions came back.
    pub(super) fn lose(&mut self, over: impl Fn(&HeldLease) -> bool, now: Timestamp) -> StoreResult<u64> {
        let due: Vec<i64> = self.leases.iter().filter(|(_, held)| over(held)).map(|(batch, _)| *batch).collect();
        let mut lost = 0;
        for batch in due {
            let members: BTreeSet<i64> = self.leases.remove(&batch).map(|held| held.members).unwrap_or_default();
            let plan = Plan::lose(members, |seq| self.entry(seq), now)?;
            self.take(&plan, BatchId(batch), now);
            self.end_batch(batch, &settlement::lost_batch(), now);
            let settled = plan.counts();
            lost += settled.returned + settled.delayed + settled.failed;
        }
        Ok(lost)
    }

    pub(super) fn requeue(&mut self, keys: Option<&[SessionKey]>) -> u64 {
        let mut sent = 0;
        for kept in self.sessions.values_mut() {
            if keys.is_none_or(|keys| keys.contains(&kept.new.key))
                && let Ok(next) = step(kept.entry, Event::Requeue)
            {
                kept.entry = next;
                sent += 1;
            }
        }
        sent
    }

    /// Erases the sessions that `fit`; how many. Their keys stay known where they are to be `remembered`.
    pub(super) fn erase(&mut self, fit: impl Fn(&Kept) -> bool, remembered: bool) -> u64 {
        let gone: Vec<i64> = self.sessions.iter().filter(|(_, kept)| fit(kept)).map(|(seq, _)| *seq).collect();
        for seq in &gone {
            self.uncompared.remove(seq);
            if let Some(kept) = self.sessions.remove(seq) {
                self.keys.remove(&kept.new.key);
                if remembered {
                    self.erased.insert(kept.new.key);
                }
            }
        }
        self.erased_count += gone.len() as u64;
        gone.len() as u64
    }
}

impl Kept {
    fn member(&self, seq: i64) -> StoreResult<Member> {
        let first = &self.new.first.verdict;
        let scored: Option<FirstScore> =
            first::score(first::by_model(first).as_deref(), first.anomaly_score.unwrap_or(0.0))?;
        Ok(Member {
            seq: Seq(seq),
            key: self.new.key.clone(),
            game_type: self.new.game_type.clone(),
            device_type: self.new.device_type.clone(),
            features: self.new.features,
            reasons: self.new.reasons,
            scored,
            accepted_at: self.new.first.scored_at,
            entry: self.entry,
        })
    }
}
