//! Which sessions a worker gets.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::testing::*;
use crate::{Claim, ClaimRequest, Store};
use playproof_domain::batch::Trigger;
use playproof_domain::id::Seq;
use playproof_domain::queue::State;
use playproof_domain::result::Decision;

pub(crate) async fn claims_are_in_order_of_acceptance(store: &dyn Store) {
    // The clock may go back between two sessions; the order of acceptance does not.
    for (id, second) in [("a", 9), ("b", 5), ("c", 7)] {
        submit(store, session(id, at(second))).await;
    }
    assert_eq!(ids(&claim(store, 2, at(10)).await), ["a", "b"]);
    assert_eq!(ids(&claim(store, 2, at(10)).await), ["c"]);
}

pub(crate) async fn a_claim_takes_no_more_than_asked(store: &dyn Store) {
    submit_all(store, &["a", "b", "c"], at(0)).await;
    let batch = claim(store, 2, at(1)).await;
    assert_eq!(batch.members.len(), 2);
    let counts = counts(store).await;
    assert_eq!((counts.ready, counts.leased), (1, 2));
    assert!(store.claim(request(Trigger::Manual, 0), at(1)).await.unwrap().is_none());
}

pub(crate) async fn up_to_bounds_a_claim(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b", "c"], at(0)).await;
    let bounded = |trigger, up_to| ClaimRequest { up_to: Some(up_to), ..request(trigger, 9) };
    let batch = store.claim(bounded(Trigger::Manual, seqs[1]), at(1)).await.unwrap().unwrap();
    assert_eq!(ids(&batch), ["a", "b"]);
    assert!(store.claim(bounded(Trigger::Manual, seqs[1]), at(1)).await.unwrap().is_none());
    settle_all(store, &batch, retry(at(1), false, 9), at(1)).await.unwrap();
    let due = store.claim(bounded(Trigger::Retry, seqs[0]), at(2)).await.unwrap().unwrap();
    assert_eq!(ids(&due), ["a"]);
    assert_eq!(store.snapshot().await.unwrap().last_seq, seqs[2]);
}

pub(crate) async fn only_those_that_waited_long_enough_are_claimed(store: &dyn Store) {
    for (id, second) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        submit(store, session(id, at(second))).await;
    }
    let waited = |trigger, by| ClaimRequest { accepted_by: Some(at(by).wall), ..request(trigger, 9) };
    assert!(store.claim(waited(Trigger::MaxWait, 0), at(9)).await.unwrap().is_none());
    let two = store.claim(waited(Trigger::MaxWait, 2), at(9)).await.unwrap().unwrap();
    assert_eq!(ids(&two), ["a", "b"]);
    let rest = store.claim(waited(Trigger::MaxWait, 9), at(9)).await.unwrap().unwrap();
    assert_eq!(ids(&rest), ["c", "d"]);
    // Due in another order than accepted.
    settle_all(store, &rest, retry(at(10), false, 9), at(9)).await.unwrap();
    settle_all(store, &two, retry(at(11), false, 9), at(9)).await.unwrap();
    assert!(store.claim(waited(Trigger::Retry, 2), at(10)).await.unwrap().is_none(), "old, but not due");
    let retried = store.claim(waited(Trigger::Retry, 3), at(11)).await.unwrap().unwrap();
    assert_eq!(ids(&retried), ["c", "a", "b"]);
    assert_eq!(ids(&claim_retry(store, 9, at(11)).await.unwrap()), ["d"]);
}

pub(crate) async fn two_claims_share_no_session(store: &dyn Store) {
    submit_all(store, &["a", "b"], at(0)).await;
    let batch = claim(store, 9, at(1)).await;
    assert_eq!(batch.members.len(), 2);
    assert!(store.claim(request(Trigger::Manual, 9), at(1)).await.unwrap().is_none());
    assert!(claim_retry(store, 9, at(1)).await.is_none());
}

pub(crate) async fn concurrent_claims_share_no_session(store: &dyn Store) {
    let names: Vec<String> = (0..50).map(|i| format!("s{i}")).collect();
    submit_all(store, &names.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    let claims = join_all((0..20).map(|_| store.claim(request(Trigger::Full, 7), at(1)))).await;
    let taken: Vec<Seq> = claims.iter().flatten().flatten().flat_map(seqs).collect();
    assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (50, 50));
    let batches: BTreeSet<_> = claims.iter().flatten().flatten().map(|claim| claim.lease.batch).collect();
    assert_eq!(batches.len(), 8);
}

pub(crate) async fn an_empty_claim_leaves_no_trace(store: &dyn Store) {
    assert!(store.claim(request(Trigger::Manual, 9), at(1)).await.unwrap().is_none());
    assert!(store.batches(None, 9).await.unwrap().is_empty());
    assert_eq!(store.snapshot().await.unwrap().last_batch, None);
}

pub(crate) async fn a_retry_waits_until_it_is_due(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    settle_all(store, &batch, retry(at(30), true, 5), at(2)).await.unwrap();
    let stored = found(store, "a").await;
    assert_eq!((stored.entry.state, stored.entry.not_before), (State::Delayed, at(30).wall));
    assert_eq!(stored.last_error.as_deref(), Some("the detector is tired"));
    assert!(claim_retry(store, 9, at(29)).await.is_none());
    assert!(store.claim(request(Trigger::Manual, 9), at(40)).await.unwrap().is_none(), "a retry is not in line");
    let again = claim_retry(store, 9, at(30)).await.unwrap();
    assert_eq!((ids(&again), again.members[0].entry.attempts), (vec!["a"], 1));
}

pub(crate) async fn retries_come_in_the_order_they_are_due(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b", "c", "d"], at(0)).await;
    let batch = claim(store, 9, at(1)).await;
    let due = [40, 20, 30, 20];
    let outcomes = seqs.iter().zip(due).map(|(seq, due)| (*seq, retry(at(due), true, 5))).collect();
    store.settle(batch.lease, settlement(outcomes), at(2)).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().queue.next_due, Some(at(20).wall));
    assert_eq!(ids(&claim_retry(store, 2, at(60)).await.unwrap()), ["b", "d"]);
    assert_eq!(ids(&claim_retry(store, 9, at(35)).await.unwrap()), ["c"]);
    assert_eq!(ids(&claim_retry(store, 9, at(60)).await.unwrap()), ["a"]);
}

pub(crate) async fn members_carry_what_a_detector_needs(store: &dyn Store) {
    let new = session("a", at(4));
    submit(store, new.clone()).await;
    let batch = claim(store, 1, at(5)).await;
    let member = &batch.members[0];
    assert_eq!((&member.key, &member.features), (&new.key, &new.features));
    assert_eq!((&member.game_type, &member.device_type), (&new.game_type, &new.device_type));
    assert_eq!((member.reasons, member.accepted_at), (new.reasons, at(4).wall));
    assert_eq!((member.entry.state, &member.scored), (State::Leased, &None));
}

pub(crate) async fn members_carry_what_the_model_said_at_once(store: &dyn Store) {
    let first = verdict(Decision::Fail, 5.5);
    let new = scored_session("a", first.clone(), at(4));
    submit(store, new.clone()).await;
    submit(store, session("b", at(4))).await;
    assert_eq!(found(store, "a").await.first, new.first);
    let look = |claim: &Claim| {
        let member = &claim.members[0];
        let scored = member.scored.clone().expect("it was scored");
        assert_eq!((&scored.model, &scored.class, scored.raw), (&first.model, &first.class, 5.5));
        let calibrated = scored.calibrated;
        assert_eq!((Some(calibrated.score), calibrated.extrapolated), (first.anomaly_score, first.extrapolated));
        let basis = first.basis.unwrap();
        assert_eq!(
            (Some(calibrated.supported_score), scored.known_reasons),
            (basis.supported_score, basis.known_reasons)
        );
        assert!((calibrated.p - 10f64.powf(-2.75)).abs() < 1e-12);
        assert_eq!(member.reasons, new.reasons, "those of the rules are told apart from the model's");
    };
    let batch = claim(store, 9, at(5)).await;
    look(&batch);
    assert_eq!(batch.members[1].scored, None);
    settle_all(store, &batch, retry(at(6), true, 9), at(5)).await.unwrap();
    let batch = claim_retry(store, 9, at(7)).await.unwrap();
    look(&batch);
    settle_all(store, &batch, scored(1.5), at(8)).await.unwrap();
    let stored = found(store, "a").await;
    assert_eq!((stored.first, stored.result.unwrap().verdict), (new.first, verdict(Decision::Pass, 1.5)));
}

pub(crate) async fn waiters_are_told_of_ready_sessions(store: &dyn Store) {
    let limit = Duration::from_secs(20);
    let told = store.ready().notified();
    submit(store, session("a", at(0))).await;
    timeout(limit, told).await.expect("told of the submission");
    let batch = claim(store, 1, at(1)).await;
    let told = store.ready().notified();
    settle_all(store, &batch, retry(at(3), true, 9), at(2)).await.unwrap();
    timeout(limit, told).await.expect("told of the retry");
}
