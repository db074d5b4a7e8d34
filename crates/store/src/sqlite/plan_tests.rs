//! Every statement of a working store finds its rows by an index: costs stay flat as sessions pile up.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::tests::open_in;
use super::*;
use crate::buckets::{BucketQuery, BucketStore as _};
use crate::campaigns::{CampaignId, CampaignStore as _};
use crate::contract::*;
use crate::labels::Truth;
use playproof_domain::batch::Trigger;
use playproof_domain::reason::Reason;
use playproof_domain::result::{Decision, Source};

type Seen = Arc<Mutex<BTreeSet<String>>>;

fn listen(connection: &mut Connection, seen: Seen) -> Result<(), Fault> {
    let note = move |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(statement, _) = event {
            seen.lock().unwrap().insert(statement.sql().into_owned());
        }
    };
    Ok(connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note))?)
}

/// Everything a store is asked, once.
async fn work(store: &SqliteStore) {
    process(store, session("done", at(0)), verdict(Decision::Fail, 1.0), at(1)).await;
    submit(store, final_session("final", verdict(Decision::Pass, 1.0), at(1))).await;
    let seqs = submit_all(store, &["a", "b", "c", "d"], at(1)).await;
    store.accept(session("a", at(2))).await.unwrap();
    let batch = claim(store, 3, at(2)).await;
    store.renew(batch.lease, at(2)).await.unwrap();
    let outcomes = vec![(seqs[0], rejected()), (seqs[1], retry(at(3), true, 9))];
    store.settle(batch.lease, settlement(outcomes), at(2)).await.unwrap();
    claim_retry(store, 9, at(4)).await.unwrap();
    store.expire(at(400)).await.unwrap();
    store.snapshot().await.unwrap();
    store.session(key("done")).await.unwrap();
    store.telemetry(seqs).await.unwrap();
    store.dead(None, 9).await.unwrap();
    store.batches(None, 9).await.unwrap();
    store.batch(batch.lease.batch).await.unwrap();
    let page = store.results(ResultQuery { limit: 1, ..ResultQuery::default() }).await.unwrap();
    for filter in 0..1024 {
        let when = |bit: u32| filter & (1 << bit) != 0;
        let query = ResultQuery {
            decision: when(0).then_some(Decision::Pass),
            source: when(1).then_some(Source::Embedded),
            since: when(2).then_some(at(0).wall),
            until: when(2).then_some(at(9).wall),
            deployment: when(3).then(|| "one".to_owned()),
            after: page.next.filter(|_| when(4)),
            reason: when(5).then_some(Reason::NoJitter),
            device: when(6).then(|| "pen".to_owned()),
            campaign: when(8).then_some(CampaignId(1)),
            limit: 9,
            window: when(7).then_some(1),
            user: None,
            label: None,
            id_prefix: when(9).then(|| "s".to_owned()),
            by_score: false,
        };
        store.results(query).await.unwrap();
    }
    for filter in 0..64 {
        let when = |bit: u32| filter & (1 << bit) != 0;
        let query = ResultQuery {
            user: when(0).then(|| "user-of-done".to_owned()),
            label: (when(1) || !when(0)).then_some(Truth::Bot),
            decision: when(2).then_some(Decision::Pass),
            since: when(3).then_some(at(0).wall),
            deployment: when(4).then(|| "one".to_owned()),
            after: page.next.filter(|_| when(5)),
            limit: 9,
            ..ResultQuery::default()
        };
        store.results(query).await.unwrap();
    }
    store
        .buckets(BucketQuery { since: at(0).wall, until: at(9).wall, step_ms: 300_000, deployment: None })
        .await
        .unwrap();
    store.review_backlog(None, 9).await.unwrap();
    store.open_campaigns(at(0).wall, None).await.unwrap();
    store.campaign(CampaignId(1), None, at(9).wall).await.unwrap();
    store.campaign_members(CampaignId(1), None, 9).await.unwrap();
    store.campaign_standings(CampaignId(1), Seq(0), 9).await.unwrap();
    store.sketches(vec![Seq(1)]).await.unwrap();
    store.sketched(SketchCursor::default(), 10).await.unwrap();
    let waiting = store.uncompared(9, at(5)).await.unwrap();
    let done = waiting.iter().map(|one| Compared { seq: one.standing.seq, matches: Vec::new(), found: None });
    store.compared(done.collect(), Vec::new(), at(5)).await.unwrap();
    store.put_state("k".to_owned(), Some(vec![1])).await.unwrap();
    store.get_state("k".to_owned()).await.unwrap();
    store.put_state("k".to_owned(), None).await.unwrap();
    store.requeue(Some(vec![key("a")]), at(5)).await.unwrap();
    store.requeue(None, at(5)).await.unwrap();
    store.health().await.unwrap();
    store.erase_session(key("a"), at(6)).await.unwrap();
    store.erase_session(key("unknown"), at(6)).await.unwrap();
    store.accept(session("a", at(6))).await.unwrap();
    store.erase_user(Some(String::new()), "user-of-b".to_owned(), at(6)).await.unwrap();
    let kept = Retention { results: Duration::ZERO, telemetry: Duration::ZERO, telemetry_flagged: Duration::ZERO };
    store.prune(kept, at(9_000).wall).await.unwrap();
    let (results, telemetry) = (Some(Duration::ZERO), Some(Duration::ZERO));
    let rule = DeploymentRetention { deployment: "one".to_owned(), results, telemetry };
    store.prune_deployment(rule, Timestamp(0), at(9_000).wall).await.unwrap();
    store.claim(request(Trigger::Manual, 9), at(9_001)).await.unwrap();
    store.clear(at(9_002)).await.unwrap();
}

/// The steps of a statement's plan.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let unbound = statement.parameter_count();
    let nulls = rusqlite::params_from_iter(std::iter::repeat_n(rusqlite::types::Null, unbound));
    statement.query_map(nulls, |row| row.get("detail")).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn no_statement_reads_a_table_through_or_sorts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let seen = Seen::default();
    let (writes, reads) = (Arc::clone(&seen), Arc::clone(&seen));
    store.writer.outside(move |state| listen(&mut state.connection, writes)).await.unwrap();
    let mut reader = connect(&folder.path().join(DATABASE), WRITER_CACHE_KIB).unwrap();
    listen(&mut reader, reads).unwrap();
    store.readers.idle.lock().unwrap().push(reader);
    work(&store).await;

    let connection = connect(&folder.path().join(DATABASE), WRITER_CACHE_KIB).unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let questions: Vec<&String> = seen
        .iter()
        .filter(|sql| ["SELECT", "UPDATE", "DELETE", "INSERT"].iter().any(|verb| sql.starts_with(verb)))
        .collect();
    assert!(questions.len() > 60, "only {} statements were heard", questions.len());
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for sql in questions {
        let steps = plan(&connection, sql);
        // In order of acceptance from the start, up to a limit, is how everything is cleared.
        let clearing = sql.contains("WHERE seq <= ? ORDER BY seq");
        // A user's sessions, those with a label and a period's counts are few, and put into order once they are found.
        let few = ["json_each", "SELECT count(*)", "FROM labels l CROSS JOIN", "FROM decision_buckets", "FROM models"];
        let few = few.iter().any(|part| sql.contains(part));
        if steps.iter().any(|step| {
            step.starts_with("USE TEMP") && !few || (step.starts_with("SCAN") && !allowed(step)) && !clearing && !few
        }) {
            wrong.push(format!("{sql}\n    {}", steps.join("\n    ")));
        }
        used.extend(steps.iter().filter_map(|step| Some(step.split_once(" INDEX ")?.1.split(' ').next()?.to_owned())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for index in [
        "sessions_ready",
        "sessions_delayed",
        "sessions_failed",
        "sessions_finished",
        "sessions_telemetry",
        "results_by_time",
        "results_by_decision",
        "results_by_deployment",
        "batches_finished",
        "erased_by_time",
    ] {
        assert!(used.contains(index), "{index} is kept up to date and never used; used are {used:?}");
    }
}

/// Walking an index in the order asked for ends at the limit; so does walking an index that holds only what is asked.
/// The virtual table of pages knows one index: the number of the page.
fn allowed(step: &str) -> bool {
    ["VIRTUAL TABLE INDEX 1", "results_by_time", "sessions_ready", "sessions_delayed", "sessions_failed"]
        .iter()
        .any(|index| step.contains(index))
}
