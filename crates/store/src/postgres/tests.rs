//! The contract on a real PostgreSQL, and what only the shared store promises.

use super::*;
use crate::MemberOutcome;
use crate::audit::NewEntry;
use crate::challenges::{Redemption, UsedChallenge};
use crate::contract::{
    Fixture, all_compared, at, check_random_histories, claim, final_session, key, scored, session, settle_all,
    store_contract, submit, verdict,
};
use crate::decisions::{Cause, Revision};
use crate::deliveries::DeliveryStore as _;
use crate::labels::{Label, Truth};
use crate::{AuditStore as _, ChallengeStore as _, ControlStore as _, LabelStore as _, NewSession};
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decided, Decision};

use crate::testing::cluster;

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
    all_compared(&store, at(0)).await;
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
async fn what_an_earlier_version_decided_is_counted_once() {
    let settings = settings(100);
    let store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    for (id, decision) in [("a", Decision::Pass), ("b", Decision::Fail)] {
        submit(&store, final_session(id, verdict(decision, 1.0), at(0))).await;
    }
    drop(store);
    cluster::psql(
        &settings.url,
        "DROP TABLE decision_buckets; DROP INDEX results_to_review; ALTER TABLE results DROP COLUMN scored, DROP COLUMN compared; \
                                   UPDATE schema_version SET version = 7",
    );
    let store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    assert_eq!(crate::contract::counts(&store).await.processed, 2);
    submit(&store, final_session("c", verdict(Decision::Review, 1.0), at(0))).await;
    crate::contract::counts(&store).await;
}

#[tokio::test]
async fn two_nodes_count_what_they_decide_exactly() {
    let settings = settings(100);
    let nodes = [0, 1].map(async |_| PostgresStore::open(&settings, at(0).wall).await.unwrap());
    let nodes = futures_util::future::join_all(nodes).await;
    let work = nodes.iter().enumerate().map(async |(node, store)| {
        for i in 0..40 {
            let id = format!("{node}-{i}");
            submit(store, final_session(&id, verdict(Decision::ALL[i % 3], 1.0), at(0))).await;
            if i % 4 == 0 {
                store.erase_session(key(&id), at(1)).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(work).await;
    assert_eq!(crate::contract::counts(&nodes[0]).await.processed, 60);
    assert_eq!(crate::contract::counted(&nodes[0]).await, crate::contract::counted(&nodes[1]).await);
}

#[tokio::test]
async fn a_challenge_used_on_one_node_is_used_on_all() {
    let settings = settings(100);
    let one = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    let other = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    let elsewhere = PostgresStore::open(&super::tests::settings(100), at(0).wall).await.unwrap();
    assert_eq!(one.challenge_key(), other.challenge_key());
    assert_ne!(one.challenge_key(), elsewhere.challenge_key());
    assert_eq!(one.webhook_key(), other.webhook_key());
    assert_ne!(one.webhook_key(), elsewhere.webhook_key());
    let used = UsedChallenge { number: [1; 16], expires_at: at(300).wall, hostname: None };
    let first = NewSession { challenge: Some(used), ..session("a", at(0)) };
    let second = NewSession { digest: playproof_domain::record::SessionDigest([7; 16]), ..first.clone() };
    let (a, b) = tokio::join!(one.accept(first), other.accept(second));
    let answers = [a.unwrap(), b.unwrap()];
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Acceptance::New(_))).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| **answer == Acceptance::Conflict).count(), 1, "{answers:?}");
    let now = at(1).wall;
    let asked = (0..20).map(|n| if n % 2 == 0 { &one } else { &other }).map(|node| node.redeem([1; 16], key("a"), now));
    let told = futures_util::future::join_all(asked).await;
    let first = |answer: &&StoreResult<Redemption>| matches!(answer, Ok(Redemption::First { hostname: None, .. }));
    assert_eq!(told.iter().filter(first).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|answer| matches!(answer, Ok(Redemption::Repeated))).count(), 19);
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

#[tokio::test]
async fn a_copy_in_a_folder_comes_back_whole_in_an_empty_database() {
    let (from, to) = (settings(100), settings(100));
    let store = PostgresStore::open(&from, at(0).wall).await.unwrap();
    for id in ["a", "b", "c"] {
        submit(&store, session(id, at(0))).await;
    }
    submit(&store, final_session("at-once", verdict(Decision::Review, 1.5), at(0))).await;
    let batch = claim(&store, 2, at(1)).await;
    settle_all(&store, &batch, scored(2.0), at(2)).await.unwrap();
    store.put_state("learned".to_owned(), Some(vec![0, 255, 10, 92])).await.unwrap();
    assert!(store.erase_session(batch.members[0].key.clone(), at(3)).await.unwrap());
    store
        .set_control("webhook".to_owned(), "w".to_owned(), Some(r#"{"final":true,"changed":true}"#.to_owned()))
        .await
        .unwrap();
    let labelled = final_session("labelled", verdict(Decision::Review, 1.5), at(3));
    let labelled = submit(&store, labelled).await;
    let label =
        Label { truth: Truth::Bot, note: "seen".to_owned(), actor: "me".to_owned(), at: at(3).wall, campaign: None };
    let decided = Decided { decision: Decision::Fail, confidence: 1.0, reasons: Reasons::default() };
    let (earlier, cause) = (Decision::Review, Cause::Label);
    let revision = Revision { seq: labelled, earlier, decided, cause, detail: "{}".to_owned() };
    assert!(store.label(labelled, Some(label), Some(revision), at(3).wall).await.unwrap());
    let action = "key.create".to_owned();
    let entry =
        NewEntry { at: at(3).wall, actor: "me".to_owned(), action, target: String::new(), detail: "{}".to_owned() };
    store.record(entry).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    store.backup(folder.path().to_owned()).await.unwrap();
    // What comes after is not in it.
    submit(&store, session("later", at(4))).await;

    assert_eq!(migrate(&to.url, true).await.unwrap().1, schema::VERSION);
    cluster::psql_in(folder.path(), &to.url, &["-f", "restore.sql"]);
    let back = PostgresStore::open(&to, at(5).wall).await.unwrap();
    let (told, expected) = (back.snapshot().await.unwrap(), store.snapshot().await.unwrap());
    assert_eq!((told.counts.accepted, told.counts.erased), (5, 1));
    assert_eq!((told.counts.ready, told.counts.processed), (expected.counts.ready - 1, expected.counts.processed));
    let (there, here) = (back.whole(Seq(0), 9).await.unwrap(), store.whole(Seq(0), 9).await.unwrap());
    assert_eq!(there[..], here[..4]);
    let last = &there[3];
    assert_eq!((last.label.is_some(), last.revisions.len(), last.deliveries.len()), (true, 1, 2));
    assert_eq!(back.controls().await.unwrap(), store.controls().await.unwrap());
    assert_eq!(back.audit(None, 9).await.unwrap(), store.audit(None, 9).await.unwrap());
    assert_eq!(back.get_state("learned".to_owned()).await.unwrap(), Some(vec![0, 255, 10, 92]));
    assert_eq!(back.session(batch.members[0].key.clone()).await.unwrap(), Lookup::Erased);
    // It goes on where it was: the next session gets a number of its own.
    submit(&back, session("next", at(6))).await;
    assert_eq!(claim(&back, 9, at(7)).await.members.len(), 2);
}

#[tokio::test]
async fn no_table_is_left_out_of_a_copy() {
    let settings = settings(100);
    let _store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    let sql = "SELECT string_agg(c.relname::text, ' ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = current_schema()";
    let there = cluster::psql(&settings.url, sql);
    // Which nodes live, and the version that the copy is put back into, are not part of it.
    let apart = ["nodes", "schema_version"];
    let mut left_out: Vec<&str> = there.split_whitespace().filter(|table| !apart.contains(table)).collect();
    left_out.retain(|table| !super::dump::TABLES.contains(table));
    assert_eq!(left_out, Vec::<&str>::new(), "of {there}");
}

#[tokio::test]
async fn the_database_is_reached_through_tls_and_only_the_right_one_where_that_is_asked() {
    let cluster = cluster::Cluster::start(false);
    cluster.tell("tls");
    let authority = cluster.folder.join("ca.pem").display().to_string();
    let open = async |host: &str, rest: &str| {
        let url = format!("postgres://postgres@{host}:{}/postgres?{rest}", cluster.port);
        PostgresStore::open(&PostgresSettings { url, time: Time::Database, ..settings(100) }, at(0).wall).await
    };
    for rest in ["sslmode=require".to_owned(), format!("sslmode=verify-full&sslrootcert={authority}")] {
        let store = open("127.0.0.1", &format!("{rest}&application_name=through-tls")).await.unwrap();
        submit(&store, session(&format!("s{}", rest.len()), at(0))).await;
        let sql = "SELECT count(*) FILTER (WHERE s.ssl) > 1, count(*) FILTER (WHERE NOT s.ssl) \
                   FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'through-tls'";
        assert_eq!(cluster::psql(&cluster.url(), sql), "t|0");
    }
    // An authority that the system doesn't know, and a name that the certificate doesn't have.
    for (host, rest) in [
        ("127.0.0.1", "sslmode=verify-full".to_owned()),
        ("localhost", format!("sslmode=verify-full&sslrootcert={authority}")),
    ] {
        let refused = open(host, &rest).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("certificate"), "{host} {rest}: {refused}");
    }
}
