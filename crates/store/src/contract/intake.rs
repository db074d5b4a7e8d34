//! What becomes of a submission.

use futures_util::future::join_all;

use crate::testing::*;
use crate::{Acceptance, Counts, Lookup, ResultQuery, Store};
use playproof_domain::id::Seq;
use playproof_domain::queue::{Entry, State};
use playproof_domain::result::Decision;

pub(crate) async fn an_accepted_session_is_visible(store: &dyn Store) {
    let new = session("a", at(0));
    let seq = submit(store, new.clone()).await;
    let stored = found(store, "a").await;
    assert_eq!((stored.seq, &stored.key, stored.entry), (seq, &new.key, Entry::NEW));
    assert_eq!((stored.game_type, stored.device_type), (new.game_type, new.device_type));
    assert_eq!((stored.first, stored.features), (new.first, new.features));
    assert_eq!((stored.result, stored.last_error), (None, None));
    assert_eq!(store.telemetry(vec![seq]).await.unwrap(), [Some(new.record)]);
    assert_eq!(counts(store).await, Counts { ready: 1, accepted: 1, ..Counts::default() });
    store.health().await.unwrap();
}

pub(crate) async fn a_duplicate_returns_the_first_verdict_and_the_present_state(store: &dyn Store) {
    let first = session("a", at(0));
    let seq = submit(store, first.clone()).await;
    claim(store, 1, at(1)).await;
    let again = session("a", at(2));
    let Acceptance::Duplicate(known) = store.accept(again).await.unwrap() else { panic!("not a duplicate") };
    assert_eq!((known.seq, known.entry.state), (seq, State::Leased));
    assert_eq!(known.first, first.first, "the first answer is repeated, not given anew");
    assert_eq!(counts(store).await.accepted, 1);
}

pub(crate) async fn a_duplicate_of_a_processed_session_carries_its_result(store: &dyn Store) {
    process(store, session("a", at(0)), verdict(Decision::Review, 1.0), at(1)).await;
    let Acceptance::Duplicate(known) = store.accept(session("a", at(9))).await.unwrap() else { panic!("no duplicate") };
    assert_eq!(known.entry.state, State::Processed);
    assert_eq!(known.result.unwrap().verdict, verdict(Decision::Review, 1.0));
    assert_eq!(known.first.verdict, session("a", at(0)).first.verdict, "the heuristic was first");
}

pub(crate) async fn other_content_is_a_conflict(store: &dyn Store) {
    submit(store, session("a", at(0))).await;
    let mut other = session("a", at(1));
    other.digest = session("b", at(1)).digest;
    assert_eq!(store.accept(other.clone()).await.unwrap(), Acceptance::Conflict);
    other.is_final = true;
    assert_eq!(store.accept(other).await.unwrap(), Acceptance::Conflict);
    assert_eq!(counts(store).await.accepted, 1);
}

pub(crate) async fn deployments_do_not_share_identifiers(store: &dyn Store) {
    // The last two would be one if deployment and identifier were simply put together.
    for (deployment, id) in [("", "a"), ("one", "a"), ("two", "a"), ("", "xa"), ("x", "a")] {
        let new = crate::NewSession { key: key_in(deployment, id), ..session("a", at(0)) };
        submit(store, new).await;
    }
    assert_eq!(counts(store).await.ready, 5);
    let Lookup::Found(one) = store.session(key_in("one", "a")).await.unwrap() else { panic!("not found") };
    assert_eq!((one.seq, one.key), (Seq(2), key_in("one", "a")));
    assert_eq!(store.session(key_in("three", "a")).await.unwrap(), Lookup::Unknown);
}

/// Leaves the queue at [`super::QUEUE_LIMIT`].
pub(crate) async fn the_queue_limit_counts_unfinished_sessions(store: &dyn Store) {
    let limit = super::QUEUE_LIMIT;
    let names: Vec<String> = (0..limit).map(|i| format!("s{i}")).collect();
    let accepted = join_all(names.iter().map(|id| store.accept(session(id, at(0))))).await;
    assert!(accepted.iter().all(|a| matches!(a, Ok(Acceptance::New(_)))));
    assert_eq!(store.accept(session("more", at(0))).await.unwrap(), Acceptance::QueueFull);
    assert!(
        matches!(store.accept(session("s0", at(0))).await.unwrap(), Acceptance::Duplicate(_)),
        "known all the same"
    );
    submit(store, final_session("final", verdict(Decision::Pass, 1.0), at(0))).await;

    let batch = claim(store, 3, at(1)).await;
    assert_eq!(store.accept(session("more", at(1))).await.unwrap(), Acceptance::QueueFull, "leased counts");
    let outcomes = vec![(batch.members[0].seq, scored(1.0)), (batch.members[1].seq, retry(at(9), true, 5))];
    store.settle(batch.lease, settlement(outcomes), at(2)).await.unwrap();
    submit(store, session("more", at(2))).await;
    assert_eq!(
        store.accept(session("yet-more", at(2))).await.unwrap(),
        Acceptance::QueueFull,
        "one place, one session"
    );
}

pub(crate) async fn a_final_session_is_processed_at_once(store: &dyn Store) {
    let given = verdict(Decision::Fail, 7.25);
    let new = final_session("a", given.clone(), at(3));
    let seq = submit(store, new.clone()).await;
    let stored = found(store, "a").await;
    assert_eq!((stored.entry.state, stored.first), (State::Processed, new.first.clone()));
    let result = stored.result.unwrap();
    assert_eq!((result.verdict, result.batch, result.attempts), (given.clone(), None, 1));
    assert_eq!(result.scored_at, at(3).wall);
    let Acceptance::Duplicate(again) = store.accept(session("a", at(4))).await.unwrap() else { panic!("no duplicate") };
    assert_eq!((again.seq, again.first), (seq, new.first), "also when it is queued the second time");
    let page = store.results(ResultQuery { limit: 10, ..ResultQuery::default() }).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert!(store.claim(request(playproof_domain::batch::Trigger::Manual, 9), at(5)).await.unwrap().is_none());
    assert_eq!(counts(store).await, Counts { processed: 1, accepted: 1, ..Counts::default() });
}

pub(crate) async fn concurrent_repetitions_are_accepted_once(store: &dyn Store) {
    let answers = join_all((0..40).map(|i| store.accept(session(["a", "b"][i % 2], at(0))))).await;
    let new = answers.iter().filter(|a| matches!(a, Ok(Acceptance::New(_)))).count();
    let repeated = answers.iter().filter(|a| matches!(a, Ok(Acceptance::Duplicate(_)))).count();
    assert_eq!((new, repeated), (2, 38));
    assert_eq!(counts(store).await.accepted, 2);
}

pub(crate) async fn odd_text_and_numbers_come_back_unchanged(store: &dyn Store) {
    let mut new = session("a", at(0));
    new.key.deployment = "d'; DROP TABLE sessions; -- \u{1f600}\u{202e}%_".to_owned();
    new.game_type = "\"'\\\u{7f}".repeat(20);
    new.device_type = String::new();
    new.user_id = Some(String::new());
    let mut values = [0.0; 28];
    values[..6].copy_from_slice(&[-0.0, f64::MIN_POSITIVE / 2.0, f64::MAX, -1e300, 0.1 + 0.2, 1.0 / 3.0]);
    new.features = playproof_domain::features::v1::Features::from_values(values);
    submit(store, new.clone()).await;
    let Lookup::Found(stored) = store.session(new.key.clone()).await.unwrap() else { panic!("not found") };
    assert_eq!((stored.key, stored.game_type, stored.device_type), (new.key, new.game_type, new.device_type));
    assert_eq!(stored.features.values().map(f64::to_bits), values.map(f64::to_bits));
}
