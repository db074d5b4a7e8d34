//! Erasure on request and retention by age.

use std::time::Duration;

use futures_util::future::join_all;

use crate::testing::*;
use crate::{
    Acceptance, Counts, DeploymentRetention, Lookup, NewSession, Pruned, ResultQuery, Retention, SettleCounts, Store,
};
use playproof_domain::id::Seq;
use playproof_domain::queue::State;
use playproof_domain::result::Decision;
use playproof_domain::time::{Now, Timestamp};

const KEPT: Retention = Retention {
    results: Duration::from_secs(1000),
    telemetry: Duration::from_secs(100),
    telemetry_flagged: Duration::from_secs(300),
};

async fn prune(store: &dyn Store, now: Now) -> Pruned {
    store.prune(KEPT, now.wall).await.unwrap()
}

async fn has_telemetry(store: &dyn Store, seqs: &[Seq]) -> Vec<bool> {
    store.telemetry(seqs.to_vec()).await.unwrap().iter().map(Option::is_some).collect()
}

pub(crate) async fn an_erased_session_is_gone_and_stays_so(store: &dyn Store) {
    let waiting = submit(store, session("waits", at(0))).await;
    let done = process(store, session("done", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    for (id, seq) in [("waits", waiting), ("done", done)] {
        assert!(store.erase_session(key(id), at(2)).await.unwrap());
        assert_eq!(store.session(key(id)).await.unwrap(), Lookup::Erased);
        assert_eq!(has_telemetry(store, &[seq]).await, [false]);
        assert_eq!(store.accept(session(id, at(3))).await.unwrap(), Acceptance::Erased);
        let mut other = session(id, at(3));
        other.digest = session("other", at(3)).digest;
        other.is_final = true;
        assert_eq!(store.accept(other).await.unwrap(), Acceptance::Erased);
        assert!(!store.erase_session(key(id), at(4)).await.unwrap(), "only once");
    }
    assert!(store.results(ResultQuery { limit: 9, ..ResultQuery::default() }).await.unwrap().rows.is_empty());
    assert!(store.claim(request(playproof_domain::batch::Trigger::Manual, 9), at(5)).await.unwrap().is_none());
    assert_eq!(counts(store).await, Counts { erased: 2, accepted: 2, ..Counts::default() });
    submit(store, NewSession { key: key_in("elsewhere", "done"), ..session("done", at(6)) }).await;
}

pub(crate) async fn erasing_what_is_unknown_says_so(store: &dyn Store) {
    assert!(!store.erase_session(key("a"), at(0)).await.unwrap());
    assert_eq!(store.erase_user(None, "nobody".to_owned(), at(0)).await.unwrap(), 0);
    assert_eq!(store.clear(at(0)).await.unwrap(), 0);
    assert_eq!(store.session(key("a")).await.unwrap(), Lookup::Unknown);
    submit(store, session("a", at(1))).await;
}

pub(crate) async fn a_session_erased_while_leased_gets_no_result(store: &dyn Store) {
    submit_all(store, &["a", "b", "c"], at(0)).await;
    let batch = claim(store, 9, at(1)).await;
    store.erase_session(key("a"), at(2)).await.unwrap();
    assert_eq!(counts(store).await, Counts { leased: 2, erased: 1, accepted: 3, ..Counts::default() });
    let settled = settle_all(store, &batch, scored(1.0), at(3)).await.unwrap();
    assert_eq!(settled, SettleCounts { processed: 2, gone: 1, ..SettleCounts::default() });
    assert_eq!(store.session(key("a")).await.unwrap(), Lookup::Erased);
    assert_eq!(store.results(ResultQuery { limit: 9, ..ResultQuery::default() }).await.unwrap().rows.len(), 2);
    let members = store.batch(batch.lease.batch).await.unwrap().unwrap().1;
    assert_eq!(members.into_iter().map(|member| member.key).collect::<Vec<_>>(), [key("b"), key("c")]);

    submit_all(store, &["d", "e"], at(4)).await;
    claim(store, 9, at(5)).await;
    store.erase_session(key("d"), at(6)).await.unwrap();
    assert_eq!(store.expire(at(99)).await.unwrap(), 1, "what was erased does not come back");
    assert_eq!(counts(store).await, Counts { ready: 1, processed: 2, erased: 2, accepted: 5, ..Counts::default() });
}

pub(crate) async fn a_user_is_erased_in_one_deployment_or_all(store: &dyn Store) {
    let of = |deployment: &str, id: &str, user: Option<&str>| NewSession {
        key: key_in(deployment, id),
        user_id: user.map(str::to_owned),
        ..session(id, at(0))
    };
    for (deployment, id, user) in [
        ("", "a", Some("eve")),
        ("one", "b", Some("eve")),
        ("one", "c", Some("adam")),
        ("two", "d", Some("eve")),
        ("two", "e", None),
        ("two", "f", Some("Eve")),
    ] {
        submit(store, of(deployment, id, user)).await;
    }
    assert_eq!(store.erase_user(Some("one".into()), "eve".into(), at(1)).await.unwrap(), 1);
    assert_eq!(store.session(key_in("one", "b")).await.unwrap(), Lookup::Erased);
    assert_eq!(store.erase_user(Some(String::new()), "eve".into(), at(1)).await.unwrap(), 1);
    assert_eq!(store.erase_user(None, "eve".into(), at(1)).await.unwrap(), 1);
    assert_eq!(store.accept(of("two", "d", Some("eve"))).await.unwrap(), Acceptance::Erased);
    assert_eq!(counts(store).await, Counts { ready: 3, erased: 3, accepted: 6, ..Counts::default() });
}

pub(crate) async fn clearing_removes_everything(store: &dyn Store) {
    process(store, session("done", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    let seqs = submit_all(store, &["a", "b", "c"], at(2)).await;
    let batch = claim(store, 2, at(3)).await;
    assert_eq!(store.clear(at(4)).await.unwrap(), 4);
    assert_eq!(counts(store).await, Counts { erased: 4, accepted: 4, ..Counts::default() });
    assert_eq!(settle_all(store, &batch, scored(1.0), at(5)).await.unwrap().gone, 2);
    assert_eq!(has_telemetry(store, &seqs).await, [false; 3]);
    assert!(store.results(ResultQuery { limit: 9, ..ResultQuery::default() }).await.unwrap().rows.is_empty());
    let again = submit(store, session("a", at(6))).await;
    assert!(again > seqs[2], "numbers are never used twice");
    assert_eq!(counts(store).await.ready, 1);
}

pub(crate) async fn telemetry_goes_by_class_and_age(store: &dyn Store) {
    let mut seqs = Vec::new();
    for (id, decision) in [("pass", Decision::Pass), ("review", Decision::Review), ("fail", Decision::Fail)] {
        seqs.push(process(store, session(id, at(0)), verdict(decision, 1.0), at(1000)).await);
    }
    seqs.push(submit(store, final_session("at-once", verdict(Decision::Pass, 1.0), at(1000))).await);
    seqs.push(submit(store, session("dead", at(0))).await);
    let batch = claim(store, 1, at(1000)).await;
    settle_all(store, &batch, rejected(), at(1000)).await.unwrap();

    all_compared(store, at(1000)).await;
    assert_eq!(prune(store, at(1090)).await, Pruned::default());
    assert_eq!(prune(store, at(1110)).await.telemetry, 2);
    assert_eq!(has_telemetry(store, &seqs).await, [false, true, true, false, true]);
    assert_eq!(prune(store, at(1110)).await, Pruned::default());
    assert_eq!(prune(store, at(1310)).await.telemetry, 3);
    assert_eq!(has_telemetry(store, &seqs).await, [false; 5]);
    let stored = found(store, "pass").await;
    assert_eq!(stored.result.unwrap().verdict.decision, Decision::Pass, "the result stays");
    assert!(matches!(store.accept(session("pass", at(1400))).await.unwrap(), Acceptance::Duplicate(_)));
    assert_eq!(counts(store).await.pruned, 0);
}

pub(crate) async fn unfinished_sessions_keep_their_telemetry(store: &dyn Store) {
    let seqs = submit_all(store, &["delayed", "leased", "ready"], at(0)).await;
    let batch = claim(store, 1, at(1)).await;
    settle_all(store, &batch, retry(at(2), true, 9), at(1)).await.unwrap();
    claim(store, 1, at(2)).await;
    assert_eq!(prune(store, at(9_000_000)).await, Pruned::default());
    assert_eq!(has_telemetry(store, &seqs).await, [true; 3]);
    assert_eq!(counts(store).await.unprocessed(), 3);
}

pub(crate) async fn old_sessions_go_with_their_results(store: &dyn Store) {
    let seq = process(store, session("old", at(0)), verdict(Decision::Fail, 1.0), at(10)).await;
    process(store, session("young", at(0)), verdict(Decision::Fail, 1.0), at(500)).await;
    assert_eq!(prune(store, at(1100)).await.sessions, 1);
    assert_eq!(store.session(key("old")).await.unwrap(), Lookup::Unknown);
    assert_eq!(has_telemetry(store, &[seq]).await, [false]);
    let left = store.results(ResultQuery { limit: 9, ..ResultQuery::default() }).await.unwrap();
    assert_eq!(left.rows.len(), 1);
    assert_eq!(counts(store).await, Counts { processed: 1, pruned: 1, accepted: 2, ..Counts::default() });
    submit(store, session("old", at(1101))).await;
}

pub(crate) async fn retention_goes_in_steps(store: &dyn Store) {
    let names: Vec<String> = (0..1200).map(|i| format!("s{i}")).collect();
    let new = |id: &String| final_session(id, verdict(Decision::Pass, 1.0), at(0));
    join_all(names.iter().map(|id| store.accept(new(id)))).await;
    let (mut sessions, mut steps) = (0, 0);
    loop {
        let pruned = prune(store, at(5000)).await;
        sessions += pruned.sessions;
        steps += 1;
        assert_eq!(counts(store).await.pruned, sessions);
        if !pruned.more {
            break;
        }
        assert!(steps < 1000, "it says for ever that more is due");
    }
    assert_eq!(sessions, 1200);
    assert!(steps > 1, "one step would hold everybody else up");
}

pub(crate) async fn a_requeued_session_keeps_its_telemetry(store: &dyn Store) {
    let seq = submit(store, session("a", at(0))).await;
    let batch = claim(store, 1, at(1)).await;
    settle_all(store, &batch, rejected(), at(2)).await.unwrap();
    store.requeue(None, at(3)).await.unwrap();
    assert_eq!(prune(store, at(9_000)).await, Pruned::default(), "it is unfinished again");
    assert_eq!(has_telemetry(store, &[seq]).await, [true]);
    let batch = claim(store, 1, at(9_001)).await;
    settle_all(store, &batch, scored(1.0), at(9_002)).await.unwrap();
    let stored = found(store, "a").await;
    assert_eq!((stored.entry.state, stored.last_error), (State::Processed, None));
}

pub(crate) async fn a_deployment_keeps_its_sessions_for_less_time(store: &dyn Store) {
    let of = |deployment: &str, id: &str| NewSession { key: key_in(deployment, id), ..session(id, at(0)) };
    let mut seqs = Vec::new();
    for (deployment, id, decision) in
        [("eu", "passed", Decision::Pass), ("eu", "failed", Decision::Fail), ("us", "other", Decision::Pass)]
    {
        seqs.push(process(store, of(deployment, id), verdict(decision, 1.0), at(10)).await);
    }
    seqs.push(submit(store, of("eu", "dead")).await);
    let batch = claim(store, 1, at(10)).await;
    settle_all(store, &batch, rejected(), at(10)).await.unwrap();
    seqs.push(submit(store, of("eu", "waits")).await);

    let eu = |results: Option<u64>, telemetry: Option<u64>| DeploymentRetention {
        deployment: "eu".to_owned(),
        results: results.map(Duration::from_secs),
        telemetry: telemetry.map(Duration::from_secs),
    };
    let (pruned, reached) = store.prune_deployment(eu(None, Some(5)), Timestamp(0), at(12).wall).await.unwrap();
    assert_eq!(pruned, Pruned::default(), "too young");
    let (pruned, reached) = store.prune_deployment(eu(None, Some(5)), reached, at(20).wall).await.unwrap();
    assert_eq!(pruned, Pruned { telemetry: 3, ..Pruned::default() });
    assert_eq!(has_telemetry(store, &seqs).await, [false, false, true, false, true]);
    let (pruned, reached) = store.prune_deployment(eu(None, Some(5)), reached, at(20).wall).await.unwrap();
    assert_eq!(pruned, Pruned::default(), "only once");

    let (pruned, _) = store.prune_deployment(eu(Some(50), Some(5)), reached, at(70).wall).await.unwrap();
    assert_eq!(pruned.sessions, 3);
    for id in ["passed", "failed", "dead"] {
        assert_eq!(store.session(key_in("eu", id)).await.unwrap(), Lookup::Unknown, "{id}");
    }
    let left = store.results(ResultQuery { limit: 9, ..ResultQuery::default() }).await.unwrap();
    assert_eq!(left.rows.len(), 1, "another deployment's stays");
    let after = Counts { processed: 1, ready: 1, pruned: 3, accepted: 5, ..Counts::default() };
    assert_eq!(counts(store).await, after);
}

pub(crate) async fn a_deployments_retention_goes_in_steps(store: &dyn Store) {
    let names: Vec<String> = (0..1200).map(|i| format!("s{i}")).collect();
    let new = |id: &String| {
        let done = final_session(id, verdict(Decision::Pass, 1.0), at(0));
        NewSession { key: key_in("eu", id), ..done }
    };
    join_all(names.iter().map(|id| store.accept(new(id)))).await;
    all_compared(store, at(0)).await;
    let rule = |results: Option<Duration>| DeploymentRetention {
        deployment: "eu".to_owned(),
        results,
        telemetry: Some(Duration::from_secs(1)),
    };
    let (mut removed, mut steps, mut reached) = (Pruned::default(), 0, Timestamp(0));
    for results in [None, Some(Duration::from_secs(1))] {
        loop {
            let (pruned, until) = store.prune_deployment(rule(results), reached, at(5000).wall).await.unwrap();
            removed.telemetry += pruned.telemetry;
            removed.sessions += pruned.sessions;
            reached = until;
            steps += 1;
            if !pruned.more {
                break;
            }
            assert!(steps < 1000, "it says for ever that more is due");
        }
    }
    assert_eq!((removed.telemetry, removed.sessions), (1200, 1200));
    assert!(steps > 3, "one step would hold everybody else up");
}
