//! The contract on a real PostgreSQL, and what only the shared store promises.

use super::*;
use crate::domain::result::Decision;
use crate::store::MemberOutcome;
use crate::store::contract::{
    Fixture, at, check_random_histories, claim, final_session, scored, session, settle_all, store_contract, submit,
    verdict,
};

#[path = "../../../tests/cluster/mod.rs"]
pub(crate) mod cluster;

/// A new store in a schema of its own, on the tests' time.
pub(super) fn settings(queue_limit: u64) -> PostgresSettings {
    PostgresSettings {
        url: cluster::schema_in(cluster::shared()),
        connections: 4,
        queue_limit,
        store_limit: None,
        autostart: true,
        time: Time::Callers,
        patience: Duration::ZERO,
    }
}

async fn open(queue_limit: u64) -> Fixture {
    let settings = settings(queue_limit);
    let store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    Fixture { store: Box::new(store), keep: Box::new(settings) }
}

store_contract!(open);

#[test]
fn random_histories_agree_with_the_model() {
    check_random_histories(24, false, open, async |fixture: Fixture, now: Now| {
        let settings = *fixture.keep.downcast::<PostgresSettings>().unwrap();
        drop(fixture.store);
        let store = PostgresStore::open(&settings, now.wall).await.unwrap();
        Fixture { store: Box::new(store), keep: Box::new(settings) }
    });
}

#[tokio::test]
async fn an_hour_of_telemetry_goes_whole_when_nothing_in_it_is_unfinished() {
    let settings = settings(100);
    let store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    let hour = 3_600;
    let kept = Retention {
        results: Duration::from_secs(90 * 24 * hour),
        telemetry: Duration::from_secs(24 * hour),
        telemetry_flagged: Duration::from_secs(240 * hour),
    };
    let mut seqs = Vec::new();
    for (id, decision) in [("pass", Decision::Pass), ("review", Decision::Review)] {
        seqs.push(submit(&store, final_session(id, verdict(decision, 1.0), at(0))).await);
    }
    seqs.push(submit(&store, session("waits", at(0))).await);
    let has = async || store.telemetry(seqs.clone()).await.unwrap().iter().map(Option::is_some).collect::<Vec<_>>();
    let partitions = || {
        let sql = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'telemetry'::regclass \
                   AND inhrelid = to_regclass('telemetry_h472222')";
        cluster::psql(&settings.url, sql)
    };
    store.prune(kept, at(30 * hour).wall).await.unwrap();
    assert_eq!((has().await, partitions().as_str()), (vec![true; 3], "1"), "one of them waits");

    let batch = claim(&store, 1, at(30 * hour)).await;
    settle_all(&store, &batch, scored(1.0), at(30 * hour)).await.unwrap();
    assert_eq!(store.prune(kept, at(40 * hour).wall).await.unwrap().telemetry, 1);
    assert_eq!((has().await, partitions().as_str()), (vec![false, true, true], "0"), "reviewed, and finished late");
    assert_eq!(store.prune(kept, at(60 * hour).wall).await.unwrap().telemetry, 1);
    assert_eq!(has().await, [false, true, false]);
    store.prune(kept, at(300 * hour).wall).await.unwrap();
    assert_eq!(has().await, [false; 3]);
}

#[tokio::test]
async fn many_nodes_may_start_at_once_and_a_later_schema_is_refused() {
    let settings = settings(100);
    let opened = futures_util::future::join_all((0..6).map(|_| PostgresStore::open(&settings, at(0).wall))).await;
    assert!(opened.iter().all(Result::is_ok), "{:?}", opened.iter().find_map(|o| o.as_ref().err()));
    let first = opened[0].as_ref().unwrap();
    submit(first, session("a", at(0))).await;

    // A later version that this one can still work with, as in a rolling upgrade; then one that it cannot.
    cluster::psql(&settings.url, "UPDATE schema_version SET version = 99, oldest = 1");
    let beside = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    submit(&beside, session("b", at(0))).await;
    cluster::psql(&settings.url, "UPDATE schema_version SET oldest = 99");
    let refused = PostgresStore::open(&settings, at(0).wall).await.err();
    assert_eq!(refused, Some(StoreError::Newer { found: 99, known: schema::VERSION }));
}

#[tokio::test]
async fn text_that_a_database_would_refuse_sinks_nobody() {
    let store = PostgresStore::open(&settings(100), at(0).wall).await.unwrap();
    let mut odd = session("odd", at(0));
    odd.key.deployment = "nul \0 inside".to_owned();
    odd.game_type = "\0".to_owned();
    odd.user_id = Some("\0".to_owned());
    let (odd_answer, plain) = tokio::join!(store.accept(odd.clone()), store.accept(session("plain", at(0))));
    assert!(matches!((odd_answer, plain), (Ok(Acceptance::New(_)), Ok(Acceptance::New(_)))));
    let Lookup::Found(stored) = store.session(odd.key.clone()).await.unwrap() else { panic!("not found") };
    assert_eq!((stored.key, stored.game_type), (odd.key, odd.game_type));
    let batch = claim(&store, 9, at(1)).await;
    let error = "the remote said \0".to_owned();
    settle_all(&store, &batch, MemberOutcome::Rejected { error }, at(2)).await.unwrap();
    assert_eq!(store.dead(None, 9).await.unwrap().len(), 2);
}
