//! Claiming and settling, decided once for both stores: which sessions a batch takes, what each outcome makes of its
//! member, and what is counted. An engine reads the rows, asks here, and writes what it is told.

use std::collections::BTreeSet;

use crate::{
    BatchEnd, BatchOutcome, Lease, Matches, Member, MemberOutcome, SettleCounts, Settlement, StoreError, StoreResult,
};
use playproof_domain::queue::{Entry, Event, LOST_LEASES_BEFORE_FAILED, State, step};
use playproof_domain::result::Verdict;
use playproof_domain::time::Timestamp;

/// The last error of a session whose worker died.
const LOST: &str = "the worker that held this session died";
/// What a session fails with whose worker died too often.
const CRASHED_WORKER: &str = "crashed_worker: the worker died every time it held this session";

/// The step that one member takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MemberStep<'a> {
    /// Row id of the session.
    pub(super) seq: i64,
    /// The state it leaves.
    pub(super) from: State,
    /// Its entry from now on.
    pub(super) entry: Entry,
    /// Its result, where it has one now.
    pub(super) verdict: Option<&'a Verdict>,
    /// Its last error from now on; `None` leaves what is there.
    pub(super) error: Option<&'a str>,
}

impl MemberStep<'_> {
    /// Counts it once it is written.
    pub(super) fn count(&self, settled: &mut SettleCounts) {
        match self.entry.state {
            State::Processed => settled.processed += 1,
            State::Delayed => settled.delayed += 1,
            State::Failed => settled.failed += 1,
            State::Ready | State::Leased => settled.returned += 1,
        }
    }
}

/// What a settlement does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan<'a> {
    /// Members that take a step.
    pub(super) steps: Vec<MemberStep<'a>>,
    /// Members that no longer exist.
    pub(super) gone: u64,
    /// Members that the batch still holds; none once it ended.
    pub(super) left: BTreeSet<i64>,
    /// Matches of members that got their result.
    pub(super) matches: Vec<&'a Matches>,
    /// Members that got their result and are to be compared later.
    pub(super) uncompared: Vec<i64>,
}

impl<'a> Plan<'a> {
    /// What `settlement` makes of the members `left` in a batch. `entry` tells a member's place in the queue; `None` for
    /// one that was erased.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when it names a session that is no member, or no longer; [`StoreError::Corrupt`] when a
    /// member is not leased.
    pub(super) fn settle(
        lease: Lease,
        left: impl IntoIterator<Item = i64>,
        entry: impl Fn(i64) -> Option<Entry>,
        settlement: &'a Settlement,
    ) -> StoreResult<Self> {
        let lost = || StoreError::LeaseLost(lease.batch.0);
        let mut plan = Self { left: left.into_iter().collect(), ..Self::default() };
        let (mut named, mut scored) = (BTreeSet::new(), BTreeSet::new());
        for (seq, outcome) in &settlement.outcomes {
            // A session named twice, or settled before, is no longer a member.
            if !plan.left.remove(&seq.0) {
                return Err(lost());
            }
            named.insert(seq.0);
            let (event, verdict, error) = match outcome {
                MemberOutcome::Scored(verdict) => (Event::Score, Some(verdict.as_ref()), None),
                MemberOutcome::Retry { not_before, counts, max_attempts, error } => {
                    let (not_before, counts, max_attempts) = (*not_before, *counts, *max_attempts);
                    (Event::Retry { not_before, counts, max_attempts }, None, Some(error.as_str()))
                }
                MemberOutcome::Rejected { error } => (Event::Reject, None, Some(error.as_str())),
            };
            if plan.take(seq.0, entry(seq.0), event, verdict, error)? && verdict.is_some() {
                scored.insert(seq.0);
            }
        }
        let others = settlement.matches.iter().map(|matches| matches.seq).chain(settlement.uncompared.iter().copied());
        if others.into_iter().any(|seq| !named.contains(&seq.0)) {
            return Err(lost());
        }
        plan.matches = settlement.matches.iter().filter(|matches| scored.contains(&matches.seq.0)).collect();
        plan.uncompared = settlement.uncompared.iter().map(|seq| seq.0).filter(|seq| scored.contains(seq)).collect();
        if settlement.end.is_some() {
            for seq in std::mem::take(&mut plan.left) {
                plan.take(seq, entry(seq), Event::GiveBack, None, None)?;
            }
        }
        Ok(plan)
    }

    /// What becomes of the members of a batch whose lease was lost at `at`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a member is not leased.
    pub(super) fn lose(
        members: impl IntoIterator<Item = i64>,
        entry: impl Fn(i64) -> Option<Entry>,
        at: Timestamp,
    ) -> StoreResult<Self> {
        let mut plan = Self::default();
        for seq in members {
            let entry = entry(seq);
            let is_last = entry.is_some_and(|entry| entry.lost_leases + 1 >= LOST_LEASES_BEFORE_FAILED);
            let error = if is_last { CRASHED_WORKER } else { LOST };
            plan.take(seq, entry, Event::LeaseLost { at }, None, Some(error))?;
        }
        Ok(plan)
    }

    /// Notes one member's step; `false` for a member that is gone.
    fn take(
        &mut self,
        seq: i64,
        entry: Option<Entry>,
        event: Event,
        verdict: Option<&'a Verdict>,
        error: Option<&'a str>,
    ) -> StoreResult<bool> {
        let Some(before) = entry else {
            self.gone += 1;
            return Ok(false);
        };
        let entry = step(before, event).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.steps.push(MemberStep { seq, from: before.state, entry, verdict, error });
        Ok(true)
    }

    /// What it counts, once all of it is written.
    pub(super) fn counts(&self) -> SettleCounts {
        let mut settled = SettleCounts { gone: self.gone, ..SettleCounts::default() };
        self.steps.iter().for_each(|step| step.count(&mut settled));
        settled
    }
}

/// How a batch ends whose lease was lost.
pub(super) fn lost_batch() -> BatchEnd {
    BatchEnd::without_detector(BatchOutcome::Abandoned, Some("the lease was lost".to_owned()))
}

/// Sessions in line, in their order, up to the first that was accepted after `accepted_by`: whoever is further back came
/// later, and looking for older ones there could mean reading the whole line.
pub(super) fn accepted_by(mut line: Vec<Member>, accepted_by: Timestamp) -> Vec<Member> {
    line.truncate(line.iter().position(|member| member.accepted_at > accepted_by).unwrap_or(line.len()));
    line
}

/// Sessions due for a retry, in the order in which they are. One that must run alone goes alone when it comes first, and
/// ends the batch before it when it does not.
pub(super) fn alone_or_together(mut due: Vec<Member>) -> Vec<Member> {
    let alone = due.iter().position(|member| member.entry.alone());
    due.truncate(alone.map_or(due.len(), |place| place.max(1)));
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use playproof_domain::id::{BatchId, LeaseToken, Seq};

    const LEASE: Lease = Lease { batch: BatchId(3), token: LeaseToken(9) };
    const LEASED: Entry = Entry { state: State::Leased, ..Entry::NEW };

    fn rejected(seq: i64) -> (Seq, MemberOutcome) {
        (Seq(seq), MemberOutcome::Rejected { error: "no".to_owned() })
    }

    fn matched(seq: i64) -> Matches {
        Matches { seq: Seq(seq), others: vec![Seq(1)] }
    }

    #[test]
    fn what_is_named_twice_or_is_no_member_refuses_the_whole_settlement() {
        for outcomes in [vec![rejected(1), rejected(1)], vec![rejected(4)]] {
            let settlement = Settlement { outcomes, ..Settlement::default() };
            let refused = Plan::settle(LEASE, [1, 2], |_| Some(LEASED), &settlement);
            assert!(matches!(refused, Err(StoreError::LeaseLost(3))));
        }
        let settlement = Settlement { matches: vec![matched(2)], ..Settlement::default() };
        assert!(matches!(Plan::settle(LEASE, [1, 2], |_| Some(LEASED), &settlement), Err(StoreError::LeaseLost(3))));
    }

    #[test]
    fn a_batch_goes_on_with_whom_it_does_not_name_and_gives_them_back_at_its_end() {
        let mut settlement = Settlement { outcomes: vec![rejected(1), rejected(2)], ..Settlement::default() };
        let exists = |seq: i64| (seq != 2).then_some(LEASED);
        let plan = Plan::settle(LEASE, [1, 2, 3], exists, &settlement).unwrap();
        assert_eq!(plan.left, BTreeSet::from([3]));
        assert_eq!(plan.counts(), SettleCounts { failed: 1, gone: 1, ..SettleCounts::default() });
        settlement.end = Some(lost_batch());
        let plan = Plan::settle(LEASE, [1, 2, 3], exists, &settlement).unwrap();
        assert!(plan.left.is_empty());
        assert_eq!(plan.counts(), SettleCounts { failed: 1, gone: 1, returned: 1, ..SettleCounts::default() });
    }

    #[test]
    fn only_a_member_with_a_result_is_like_others() {
        let settlement = Settlement {
            outcomes: vec![rejected(1)],
            matches: vec![matched(1)],
            uncompared: vec![Seq(1)],
            ..Settlement::default()
        };
        let plan = Plan::settle(LEASE, [1], |_| Some(LEASED), &settlement).unwrap();
        assert!(plan.matches.is_empty() && plan.uncompared.is_empty());
    }

    #[test]
    fn the_last_loss_says_that_the_session_is_given_up() {
        let entry = Entry { lost_leases: LOST_LEASES_BEFORE_FAILED - 1, ..LEASED };
        let plan = Plan::lose([1], |_| Some(entry), Timestamp(5)).unwrap();
        assert_eq!((plan.steps[0].entry.state, plan.steps[0].error), (State::Failed, Some(CRASHED_WORKER)));
        let plan = Plan::lose([1], |_| Some(LEASED), Timestamp(5)).unwrap();
        assert_eq!((plan.steps[0].entry.state, plan.steps[0].error), (State::Ready, Some(LOST)));
    }
}
