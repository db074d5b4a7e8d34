//! What a worker may write, and who may.

use futures_util::future::join;

use crate::testing::*;
use crate::{Lease, MemberOutcome, ResultQuery, SettleCounts, Settlement, Store, StoreError};
use playproof_domain::id::{LeaseToken, Seq};
use playproof_domain::queue::State;
use playproof_domain::result::Decision;

pub(crate) async fn a_scored_session_has_one_result(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    let settled = settle_all(store, &batch, scored(3.5), at(2)).await.unwrap();
    assert_eq!(settled, SettleCounts { processed: 1, ..SettleCounts::default() });
    let stored = found(store, "a").await;
    let result = stored.result.unwrap();
    assert_eq!(stored.entry.state, State::Processed);
    assert_eq!((result.verdict, result.batch), (verdict(Decision::Pass, 3.5), Some(batch.lease.batch)));
    assert_eq!((result.scored_at, result.attempts), (at(2).wall, 1));
    assert_eq!(stored.first.verdict, session("a", at(0)).first.verdict);
}

pub(crate) async fn another_token_changes_nothing(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    let before = counts(store).await;
    let wrong = Lease { token: LeaseToken(batch.lease.token.0 ^ 1), ..batch.lease };
    let outcome = vec![(batch.members[0].seq, scored(1.0))];
    let refused = store.settle(wrong, settlement(outcome.clone()), at(2)).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost(_))), "{refused:?}");
    assert!(matches!(store.renew(wrong, at(2)).await, Err(StoreError::LeaseLost(_))));
    assert_eq!((counts(store).await, found(store, "a").await.result), (before, None));
    store.settle(batch.lease, settlement(outcome), at(2)).await.unwrap();
}

pub(crate) async fn settling_twice_changes_nothing(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    settle_all(store, &batch, scored(1.0), at(2)).await.unwrap();
    let stored = found(store, "a").await;
    for outcome in [scored(2.0), rejected(), retry(at(9), true, 9)] {
        let again = settle_all(store, &batch, outcome, at(3)).await;
        assert!(matches!(again, Err(StoreError::LeaseLost(_))), "{again:?}");
    }
    assert!(matches!(store.renew(batch.lease, at(3)).await, Err(StoreError::LeaseLost(_))));
    assert_eq!(found(store, "a").await, stored);
    assert_eq!(store.results(ResultQuery { limit: 9, ..ResultQuery::default() }).await.unwrap().rows.len(), 1);
}

pub(crate) async fn a_batch_may_settle_in_parts(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b", "c"], at(0)).await;
    let batch = claim(store, 9, at(1)).await;
    let part = |seq: Seq, outcome| Settlement { outcomes: vec![(seq, outcome)], end: None, ..Settlement::default() };
    store.settle(batch.lease, part(seqs[1], scored(1.0)), at(2)).await.unwrap();
    assert_eq!(found(store, "b").await.entry.state, State::Processed);
    assert_eq!(found(store, "a").await.entry.state, State::Leased);
    let twice = store.settle(batch.lease, part(seqs[1], scored(2.0)), at(3)).await;
    assert!(matches!(twice, Err(StoreError::LeaseLost(_))), "settled members are no longer in the batch: {twice:?}");
    assert_eq!(store.batch(batch.lease.batch).await.unwrap().unwrap().0.end, None, "it still runs");
    let rest = vec![(seqs[0], scored(3.0)), (seqs[2], rejected())];
    let settled = store.settle(batch.lease, settlement(rest), at(4)).await.unwrap();
    assert_eq!(settled, SettleCounts { processed: 1, failed: 1, ..SettleCounts::default() });
    assert_eq!(found(store, "b").await.result.unwrap().verdict.raw_score, Some(1.0));
}

pub(crate) async fn members_without_outcome_are_given_back(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    let batch = claim(store, 9, at(1)).await;
    let settled = store.settle(batch.lease, settlement(vec![(seqs[0], scored(1.0))]), at(2)).await.unwrap();
    assert_eq!(settled, SettleCounts { processed: 1, returned: 1, ..SettleCounts::default() });
    let back = found(store, "b").await;
    assert_eq!((back.entry.state, back.entry.attempts, back.entry.lost_leases), (State::Ready, 0, 0));
    assert_eq!(ids(&claim(store, 9, at(3)).await), ["b"]);
}

pub(crate) async fn a_session_outside_the_batch_refuses_the_whole(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    let batch = claim(store, 1, at(1)).await;
    let before = counts(store).await;
    for stranger in [seqs[1], Seq(999)] {
        let outcomes = vec![(seqs[0], scored(1.0)), (stranger, scored(2.0))];
        let refused = store.settle(batch.lease, settlement(outcomes), at(2)).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost(_))), "{refused:?}");
    }
    assert_eq!(counts(store).await, before);
    assert_eq!(found(store, "a").await.result, None);
    settle_all(store, &batch, scored(1.0), at(3)).await.unwrap();
}

pub(crate) async fn a_session_named_twice_refuses_the_whole(store: &dyn Store) {
    let seq = submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    let before = counts(store).await;
    let twice = store.settle(batch.lease, settlement(vec![(seq, scored(1.0)), (seq, scored(2.0))]), at(2)).await;
    assert!(twice.is_err(), "{twice:?}");
    assert_eq!((counts(store).await, found(store, "a").await.result), (before, None));
    settle_all(store, &batch, scored(3.0), at(3)).await.unwrap();
}

pub(crate) async fn attempts_count_up_to_the_last(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let mut batch = claim(store, 1, at(1)).await;
    for attempt in 1..3 {
        let settled = settle_all(store, &batch, retry(at(1), true, 3), at(2)).await.unwrap();
        assert_eq!(settled.delayed, 1);
        assert_eq!(found(store, "a").await.entry.attempts, attempt);
        batch = claim_retry(store, 1, at(3)).await.unwrap();
    }
    let settled = settle_all(store, &batch, retry(at(1), true, 3), at(4)).await.unwrap();
    assert_eq!(settled, SettleCounts { failed: 1, ..SettleCounts::default() });
    let failed = found(store, "a").await;
    assert_eq!((failed.entry.state, failed.entry.attempts), (State::Failed, 3));
    assert_eq!(failed.last_error.as_deref(), Some("the detector is tired"));
    assert!(claim_retry(store, 9, at(99)).await.is_none());
}

pub(crate) async fn outages_cost_no_attempt(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let mut batch = claim(store, 1, at(1)).await;
    for _ in 0..12 {
        settle_all(store, &batch, retry(at(1), false, 2), at(2)).await.unwrap();
        batch = claim_retry(store, 1, at(3)).await.unwrap();
    }
    assert_eq!(batch.members[0].entry.attempts, 0);
    settle_all(store, &batch, retry(at(3), true, 2), at(4)).await.unwrap();
    let batch = claim_retry(store, 1, at(5)).await.unwrap();
    settle_all(store, &batch, scored(1.0), at(6)).await.unwrap();
    let stored = found(store, "a").await;
    assert_eq!((stored.result.unwrap().attempts, stored.last_error), (2, None), "a score ends the error");
}

pub(crate) async fn a_rejected_session_fails_with_its_error(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    settle_all(store, &batch, rejected(), at(2)).await.unwrap();
    let stored = found(store, "a").await;
    assert_eq!((stored.entry.state, stored.result), (State::Failed, None));
    assert_eq!(stored.last_error.as_deref(), Some("not a session"));
    assert_eq!(counts(store).await.failed, 1);
}

pub(crate) async fn a_refused_settlement_spares_its_neighbours(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    let (first, second) = (claim(store, 1, at(1)).await, claim(store, 1, at(1)).await);
    let bad = settlement(vec![(seqs[0], scored(1.0)), (seqs[1], scored(1.0))]);
    let good = Settlement {
        outcomes: vec![(seqs[1], MemberOutcome::Scored(Box::new(verdict(Decision::Fail, 4.0))))],
        ..settlement(Vec::new())
    };
    // Sent together, so that a store which groups its writes has them in one group.
    let (bad, good) = join(store.settle(first.lease, bad, at(2)), store.settle(second.lease, good, at(2))).await;
    assert!(bad.is_err(), "{bad:?}");
    assert_eq!(good.unwrap().processed, 1);
    assert_eq!(found(store, "b").await.result.unwrap().verdict.decision, Decision::Fail);
    assert_eq!(found(store, "a").await.entry.state, State::Leased);
}
