//! Leases that end without an answer.

use crate::testing::*;
use crate::{BatchOutcome, Claim, Store, StoreError};
use playproof_domain::queue::State;

pub(crate) async fn an_expired_lease_returns_its_sessions(store: &dyn Store) {
    submit_all(store, &["a", "b"], at(0)).await;
    claim(store, 2, at(1)).await;
    assert_eq!(store.expire(at(62)).await.unwrap(), 2);
    for id in ["a", "b"] {
        let entry = found(store, id).await.entry;
        assert_eq!((entry.state, entry.lost_leases, entry.attempts), (State::Ready, 1, 0));
    }
    assert_eq!(counts(store).await.ready, 2);
    assert_eq!(store.expire(at(62)).await.unwrap(), 0, "once");
    assert_eq!(ids(&claim(store, 9, at(63)).await), ["a", "b"]);
}

pub(crate) async fn a_running_lease_is_left_alone(store: &dyn Store) {
    submit_all(store, &["a", "b"], at(0)).await;
    claim(store, 1, at(1)).await;
    let later = claim(store, 1, at(30)).await;
    assert_eq!(store.expire(at(60)).await.unwrap(), 0);
    assert_eq!(store.expire(at(70)).await.unwrap(), 1);
    assert_eq!(found(store, "b").await.entry.state, State::Leased);
    settle_all(store, &later, scored(1.0), at(71)).await.unwrap();
}

pub(crate) async fn renewing_extends_a_lease(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    store.renew(batch.lease, at(50)).await.unwrap();
    assert_eq!(store.expire(at(100)).await.unwrap(), 0);
    settle_all(store, &batch, scored(1.0), at(101)).await.unwrap();
    submit(store, session("b", at(102))).await;
    let batch = claim(store, 1, at(103)).await;
    store.renew(batch.lease, at(110)).await.unwrap();
    assert_eq!(store.expire(at(171)).await.unwrap(), 1, "a renewed lease ends too");
    assert!(matches!(store.renew(batch.lease, at(172)).await, Err(StoreError::LeaseLost(_))));
}

pub(crate) async fn a_late_settlement_is_refused_and_the_second_stands(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let slow = claim(store, 1, at(1)).await;
    store.expire(at(70)).await.unwrap();
    let late = settle_all(store, &slow, scored(1.0), at(71)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost(_))), "while it waits: {late:?}");
    let second = claim(store, 1, at(72)).await;
    let late = settle_all(store, &slow, scored(2.0), at(73)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost(_))), "while another has it: {late:?}");
    settle_all(store, &second, scored(3.0), at(74)).await.unwrap();
    let late = settle_all(store, &slow, rejected(), at(75)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost(_))), "when it is done: {late:?}");
    let result = found(store, "a").await.result.unwrap();
    assert_eq!((result.verdict.raw_score, result.batch), (Some(3.0), Some(second.lease.batch)));
}

/// Claims `ids` together and loses the lease, `times` over, from second `start`.
async fn lose(store: &dyn Store, times: u64, start: u64) -> u64 {
    let mut second = start;
    for _ in 0..times {
        let batch = match claim_retry(store, 9, at(second)).await {
            Some(batch) => batch,
            None => claim(store, 9, at(second)).await,
        };
        drop::<Claim>(batch);
        second += 100;
        store.expire(at(second)).await.unwrap();
    }
    second
}

pub(crate) async fn a_session_that_loses_leases_runs_alone(store: &dyn Store) {
    submit_all(store, &["a", "b"], at(0)).await;
    let now = lose(store, 3, 1).await;
    submit(store, session("c", at(now))).await;
    assert_eq!(found(store, "a").await.entry.state, State::Delayed);
    assert_eq!(ids(&claim(store, 9, at(now)).await), ["c"], "it is no longer in line");
    let first = claim_retry(store, 9, at(now)).await.unwrap();
    let second = claim_retry(store, 9, at(now)).await.unwrap();
    assert_eq!((ids(&first), ids(&second)), (vec!["a"], vec!["b"]));
    settle_all(store, &first, scored(1.0), at(now)).await.unwrap();
    assert_eq!(found(store, "a").await.entry.state, State::Processed);
}

pub(crate) async fn a_session_that_loses_more_leases_fails(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let now = lose(store, 5, 1).await;
    assert_eq!(found(store, "a").await.entry.state, State::Delayed);
    lose(store, 1, now).await;
    let failed = found(store, "a").await;
    assert_eq!((failed.entry.state, failed.entry.lost_leases, failed.entry.attempts), (State::Failed, 6, 0));
    assert!(failed.last_error.unwrap().starts_with("crashed_worker"));
}

pub(crate) async fn a_lost_batch_is_recorded_as_abandoned(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    store.expire(at(70)).await.unwrap();
    let (row, members) = store.batch(batch.lease.batch).await.unwrap().unwrap();
    assert_eq!(row.end.unwrap().outcome, BatchOutcome::Abandoned);
    assert_eq!((row.finished_at, members.len()), (Some(at(70).wall), 1));
    assert_eq!((&members[0].key, members[0].decision), (&key("a"), None));
}
