//! Claiming, renewing, settling and recovering batches: the state machine's steps as SQL.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;

use super::campaigns;
use super::fault::Fault;
use super::results::{NewResult, TELEMETRY_KEPT_LONGER, telemetry_class};
use super::rows::{self, SESSION_COLUMNS};
use super::state::{HeldLease, LeasedMember, WriterState};
use crate::encoding::Numbered as _;
use crate::settlement::{self, MemberStep, Plan};
use crate::{BatchEnd, Claim, ClaimRequest, Lease, Member, SettleCounts, Settlement, StoreError};
use playproof_domain::batch::Trigger;
use playproof_domain::id::BatchId;
use playproof_domain::queue::{Entry, Event, State, step};
use playproof_domain::result::Verdict;
use playproof_domain::time::{Now, Timestamp};

impl WriterState {
    pub(super) fn claim(&mut self, request: &ClaimRequest, now: Now) -> Result<Option<Claim>, Fault> {
        if self.is_out_of_room()? {
            return Ok(None);
        }
        let mut members = self.candidates(request, now.wall)?;
        if members.is_empty() {
            return Ok(None);
        }
        let seqs: Vec<i64> = members.iter().map(|m| m.seq.0).collect();
        let list = serde_json::to_string(&seqs).unwrap_or_default();
        self.connection
            .prepare_cached(
                "INSERT INTO batches (trigger_kind, size, members, owner, source, claimed_at) VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                request.trigger.number(),
                u32::try_from(members.len()).unwrap_or(u32::MAX),
                list,
                request.owner,
                request.source.number(),
                now.wall.0
            ])?;
        let batch = self.connection.last_insert_rowid();
        let mut leased = HashMap::with_capacity(members.len());
        for member in &mut members {
            let before = member.entry.state;
            member.entry = step(member.entry, Event::Claim).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            self.connection
                .prepare_cached("UPDATE sessions SET state = ?, batch = ? WHERE seq = ?")?
                .execute(params![member.entry.state.number(), batch, member.seq.0])?;
            self.count(Some(before), Some(member.entry.state));
            leased.insert(member.seq.0, LeasedMember::of(member));
        }
        self.last_batch = Some(now.wall);
        let lease = HeldLease {
            token: request.token,
            length: request.lease,
            expires: now.monotonic + request.lease,
            members: leased,
        };
        self.leases.insert(batch, Arc::new(lease));
        Ok(Some(Claim { lease: Lease { batch: BatchId(batch), token: request.token }, members }))
    }

    fn candidates(&self, request: &ClaimRequest, now: Timestamp) -> Result<Vec<Member>, Fault> {
        let up_to = request.up_to.map_or(i64::MAX, |seq| seq.0);
        let accepted_by = request.accepted_by.unwrap_or(Timestamp(i64::MAX));
        if request.trigger != Trigger::Retry {
            let sql = format!(
                "SELECT {SESSION_COLUMNS} FROM sessions s WHERE s.state = 0 AND s.seq <= ? ORDER BY s.seq LIMIT ?"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let line = rows::collect(&mut statement, params![up_to, request.max], rows::member)?;
            return Ok(settlement::accepted_by(line, accepted_by));
        }
        let sql = format!(
            "SELECT {SESSION_COLUMNS} FROM sessions s WHERE s.state = 2 AND s.not_before <= ? AND s.seq <= ? \
             AND s.accepted_at <= ? ORDER BY s.not_before, s.seq LIMIT ?"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let due = rows::collect(&mut statement, params![now.0, up_to, accepted_by.0, request.max], rows::member)?;
        Ok(settlement::alone_or_together(due))
    }

    pub(super) fn renew(&mut self, lease: Lease, now: Now) -> Result<(), Fault> {
        let held = self.held(lease)?;
        let mut renewed = (*held).clone();
        renewed.expires = now.monotonic + renewed.length;
        self.leases.insert(lease.batch.0, Arc::new(renewed));
        Ok(())
    }

    fn held(&self, lease: Lease) -> Result<Arc<HeldLease>, Fault> {
        let held = self.leases.get(&lease.batch.0).filter(|held| held.token == lease.token);
        held.cloned().ok_or_else(|| StoreError::LeaseLost(lease.batch.0).into())
    }

    pub(super) fn settle(&mut self, lease: Lease, settlement: &Settlement, now: Now) -> Result<SettleCounts, Fault> {
        let held = self.held(lease)?;
        let members = &held.members;
        let entry = |seq: i64| members.get(&seq).map(|member| member.entry);
        let plan = Plan::settle(lease, members.keys().copied(), entry, settlement)?;
        let settled = self.write_steps(&plan, members, Some(lease.batch), now.wall)?;
        for matches in &plan.matches {
            self.keep_matches(matches)?;
        }
        campaigns::join(&self.connection, plan.matches.iter().map(|one| one.seq.0), now.wall)?;
        for seq in &plan.uncompared {
            self.compare_later(*seq, now.wall)?;
        }
        if let Some(end) = &settlement.end {
            self.leases.remove(&lease.batch.0);
            self.end_batch(lease.batch.0, end, now.wall)?;
        } else {
            let mut held = (*held).clone();
            held.members.retain(|seq, _| plan.left.contains(seq));
            self.leases.insert(lease.batch.0, Arc::new(held));
        }
        Ok(settled)
    }

    /// Writes the steps of a batch's members. A member whose row is not there any more was erased.
    fn write_steps(
        &mut self,
        plan: &Plan<'_>,
        members: &HashMap<i64, LeasedMember>,
        batch: Option<BatchId>,
        now: Timestamp,
    ) -> Result<SettleCounts, Fault> {
        let mut settled = SettleCounts { gone: plan.gone, ..SettleCounts::default() };
        for step in &plan.steps {
            let is_there = match step.verdict {
                Some(verdict) => self.finish(step, verdict, now)?,
                None => self.write_entry(step.seq, &step.entry, step.error, now)?,
            };
            if !is_there {
                settled.gone += 1;
                continue;
            }
            self.count(Some(step.from), Some(step.entry.state));
            step.count(&mut settled);
            if let (Some(verdict), Some(member)) = (step.verdict, members.get(&step.seq)) {
                self.write_result(&NewResult {
                    session: step.seq,
                    deployment: &member.deployment,
                    device: member.device,
                    verdict,
                    batch: batch.map(|batch| batch.0),
                    scored_at: now,
                    attempts: step.entry.attempts + 1,
                })?;
            }
        }
        Ok(settled)
    }

    /// Takes a session out of the queue; `false` when it is gone.
    fn finish(&self, step: &MemberStep<'_>, verdict: &Verdict, now: Timestamp) -> Result<bool, Fault> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE sessions SET state = ?, finished_at = ?, telemetry = ?, error = NULL WHERE seq = ?",
            )?
            .execute(params![step.entry.state.number(), now.0, telemetry_class(verdict.decision), step.seq])?;
        Ok(changed > 0)
    }

    /// Writes an entry; `false` when the session is gone.
    fn write_entry(&self, seq: i64, entry: &Entry, error: Option<&str>, now: Timestamp) -> Result<bool, Fault> {
        let failed = entry.state == State::Failed;
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE sessions SET state = ?, attempts = ?, lost_leases = ?, not_before = ?, finished_at = ?, \
                 telemetry = ?, error = coalesce(?, error) WHERE seq = ?",
            )?
            .execute(params![
                entry.state.number(),
                entry.attempts,
                entry.lost_leases,
                entry.not_before.0,
                failed.then_some(now.0),
                failed.then_some(TELEMETRY_KEPT_LONGER),
                error,
                seq
            ])?;
        Ok(changed > 0)
    }

    fn end_batch(&self, batch: i64, end: &BatchEnd, now: Timestamp) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "UPDATE batches SET finished_at = ?, outcome = ?, attempts = ?, detector_ms = ?, error = ?, \
                 agreement_rows = ?, agreement_rank = ?, agreement_flips = ?, adjusted_p = ?, adjusted_of = ? WHERE id = ?",
            )?
            .execute(params![
                now.0,
                end.outcome.number(),
                end.attempts,
                end.detector_ms,
                end.error,
                end.agreement.map(|a| a.rows),
                end.agreement.and_then(|a| a.rank_correlation),
                end.agreement.map(|a| a.flips),
                end.false_discovery.map(|f| f.adjusted_p),
                end.false_discovery.map(|f| f.sessions),
                batch
            ])?;
        Ok(())
    }

    /// Ends the leases of this process that have run out.
    pub(super) fn expire(&mut self, now: Now) -> Result<u64, Fault> {
        let due: Vec<i64> =
            self.leases.iter().filter(|(_, lease)| lease.expires <= now.monotonic).map(|(batch, _)| *batch).collect();
        let mut lost = 0;
        for batch in due {
            if let Some(held) = self.leases.remove(&batch) {
                lost += self.lose_batch(batch, &held.members, now.wall)?;
            }
        }
        Ok(lost)
    }

    /// Ends every lease that an earlier process left behind; it can no longer settle anything.
    pub(super) fn void_leases(&mut self, now: Timestamp) -> Result<u64, Fault> {
        let open = {
            let mut statement = self.connection.prepare("SELECT id, members FROM batches WHERE finished_at IS NULL")?;
            rows::collect(&mut statement, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
        };
        let mut lost = 0;
        for (batch, list) in open {
            let mut members = HashMap::new();
            for seq in rows::member_list(&list)? {
                let sql =
                    format!("SELECT {SESSION_COLUMNS} FROM sessions s WHERE s.seq = ? AND s.state = 1 AND s.batch = ?");
                let mut statement = self.connection.prepare_cached(&sql)?;
                for member in rows::collect(&mut statement, params![seq, batch], rows::member)? {
                    members.insert(seq, LeasedMember::of(&member));
                }
            }
            lost += self.lose_batch(batch, &members, now)?;
        }
        Ok(lost)
    }

    fn lose_batch(&mut self, batch: i64, members: &HashMap<i64, LeasedMember>, now: Timestamp) -> Result<u64, Fault> {
        let entry = |seq: i64| members.get(&seq).map(|member| member.entry);
        let plan = Plan::lose(members.keys().copied(), entry, now)?;
        let settled = self.write_steps(&plan, members, None, now)?;
        self.end_batch(batch, &settlement::lost_batch(), now)?;
        Ok(settled.returned + settled.delayed + settled.failed)
    }

    /// Sends one failed session back; whether it was one.
    pub(super) fn requeue_one(&mut self, seq: i64, entry: Entry, now: Timestamp) -> Result<bool, Fault> {
        let Ok(next) = step(entry, Event::Requeue) else { return Ok(false) };
        if self.write_entry(seq, &next, None, now)? {
            self.count(Some(entry.state), Some(next.state));
            return Ok(true);
        }
        Ok(false)
    }
}
