//! No hot call reads more because more is stored: looked at in the server's own counts of what was read, which no plan
//! can talk its way around. `PLAN_ROWS` sets the size.

use std::collections::BTreeMap;
use std::time::Duration;

use super::tests::settings;
use super::*;
use crate::contract::{at, claim, final_session, found, key, request, scored, session, settlement, submit, verdict};
use crate::testing::cluster;
use playproof_domain::batch::Trigger;
use playproof_domain::result::Decision;

/// Rows in each big table beside what the test does.
#[expect(clippy::disallowed_methods, reason = "the large form is asked for by the environment")]
fn rows() -> u64 {
    std::env::var("PLAN_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(60_000)
}

/// A tenth waits, a hundredth is delayed or failed, the rest is finished.
fn fill(rows: u64) -> String {
    format!(
        "INSERT INTO models (name, version) VALUES ('m', '1'); \
         INSERT INTO sessions SELECT n, n, n % 1000, 1, 0, 0.5, 0.5, 100, 0, 'filled-' || n, '', '\\x00', '\\x61', \
           '\\x61', '\\x75', decode(repeat('00', 224), 'hex') FROM generate_series(1, {rows}) n; \
         INSERT INTO telemetry SELECT n, 100, '\\x00' FROM generate_series(1, {rows}) n; \
         INSERT INTO queue (seq, accepted_at, not_before, finished_at, attempts, lost_leases, state) \
           SELECT n, n, 1700000500000 + n, CASE WHEN n % 200 = 1 THEN n END, 0, 0, \
           CASE n % 200 WHEN 0 THEN 2 WHEN 1 THEN 4 ELSE 0 END FROM generate_series(1, {rows}) n \
           WHERE n % 10 = 0 OR n % 200 = 1; \
         INSERT INTO results SELECT n, 1600000000000 + n, n / 50, 0.5, 1, 1, 0, 0, 1, 1, 0, n % 3, 1, 1, false, false, \
           '', '' FROM generate_series(1, {rows}) n WHERE NOT (n % 10 = 0 OR n % 200 = 1); \
         INSERT INTO batches (token, lease_ms, expires_at, pending, members, trigger_kind, owner, source, claimed_at, \
           finished_at, outcome, attempts, detector_ms) SELECT 1, 1, 1, '{{}}', ARRAY[n], 0, 'n', 1, n, n, 0, 1, 1 \
           FROM generate_series(1, {rows} / 50) n; \
         INSERT INTO erased SELECT decode(md5(n::text), 'hex'), 1699999990000 FROM generate_series(1, {rows} / 10) n; \
         INSERT INTO sketches SELECT n, '\\x00' FROM generate_series(1, {rows}) n; \
         INSERT INTO sketch_keys SELECT hashint8(n) % 100, n FROM generate_series(1, {rows}) n; \
         INSERT INTO matches SELECT n, n - 1, 0 FROM generate_series(2, {rows}, 10) n; \
         SELECT setval('session_seq', {rows}); \
         UPDATE counters SET processed = {rows}, accepted = {rows} WHERE shard = 0; ANALYZE"
    )
}

/// Rows read by scans of tables, and rows and entries read through indexes, by table.
fn read(url: &str) -> BTreeMap<String, (u64, u64)> {
    let sql = "SELECT t.relname, t.seq_tup_read, coalesce((SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes i \
               WHERE i.relid = t.relid), 0) FROM pg_stat_user_tables t WHERE t.schemaname = current_schema() \
               AND t.relname = ANY('{sessions,queue,results,batches,telemetry_default,erased,sketches,sketch_keys,matches}')";
    let told = cluster::psql(url, sql);
    let row = |line: &str| {
        let mut fields = line.split('|').map(str::to_owned);
        let mut next = || fields.next().unwrap();
        (next(), (next().parse().unwrap(), next().parse().unwrap()))
    };
    told.lines().map(row).collect()
}

/// The server's counts are complete when the connections have ended.
async fn connections_ended(url: &str, name: &str) {
    let left = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'");
    let ended = async {
        while cluster::psql(url, &left) != "0" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
}

/// As at the begin of every hour: its partition was empty when the statements were planned, and nobody has counted its
/// rows yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_through_for_want_of_statistics() {
    const WAITING: usize = 400;
    let mut settings = settings(u64::MAX);
    let (url, name) = (settings.url.clone(), format!("fresh-{}", std::process::id()));
    settings.url = format!("{url}&application_name={name}");
    let store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    let round = async |n: u32| {
        submit(&store, session(&format!("early-{n}"), at(0))).await;
        let batch = claim(&store, 5, at(1)).await;
        let records = store.telemetry(batch.members.iter().map(|m| m.seq).collect()).await.unwrap();
        assert!(records.iter().all(Option::is_some));
        let outcomes = batch.members.iter().map(|m| (m.seq, scored(1.0))).collect();
        store.settle(batch.lease, settlement(outcomes), at(1)).await.unwrap();
        let waiting = store.uncompared(9, at(2)).await.unwrap();
        let done = waiting.iter().map(|one| Compared { seq: one.standing.seq, matches: Vec::new(), found: None });
        store.compared(done.collect(), Vec::new(), at(2)).await.unwrap();
    };
    round(0).await;
    for n in 0..WAITING {
        submit(&store, session(&format!("new-{n}"), at(0))).await;
    }
    for n in 1..=8 {
        round(n).await;
    }
    drop(store);
    connections_ended(&url, &name).await;
    let sql = "SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes i WHERE i.schemaname = current_schema() \
               AND i.relname ~ '^(telemetry_h.*|sessions|results|campaign_members|uncompared)$'";
    let entries: u64 = cluster::psql(&url, sql).parse().unwrap();
    // Some forty sessions were claimed, settled and compared; a look-up by the hour alone reads all of them for each.
    assert!(entries < 4_000, "{entries} entries of indexes were read among {WAITING} sessions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hot_call_reads_more_because_more_is_stored() {
    let mut settings = settings(u64::MAX);
    let (rows, name) = (rows(), format!("plans-{}", std::process::id()));
    PostgresStore::open(&settings, at(0).wall).await.unwrap();
    let url = settings.url.clone();
    cluster::psql(&url, &fill(rows));
    settings.url = format!("{url}&application_name={name}");
    let before = read(&url);
    let store = PostgresStore::open(&settings, at(0).wall).await.unwrap();
    for round in 0..8u32 {
        // Past the number of runs after which a prepared statement may get another plan.
        submit(&store, session(&format!("new-{round}"), at(0))).await;
        submit(&store, final_session(&format!("final-{round}"), verdict(Decision::Pass, 1.0), at(0))).await;
        store.accept(session(&format!("new-{round}"), at(0))).await.unwrap();
        let batch = claim(&store, 5, at(1)).await;
        store.telemetry(batch.members.iter().map(|m| m.seq).collect()).await.unwrap();
        store.sketches(vec![Seq(1), Seq(2)]).await.unwrap();
        store
            .keep_sketches(vec![NewSketch {
                seq: batch.members[0].seq,
                sketch: playproof_domain::sketch::Sketch::from_bytes(vec![2]),
            }])
            .await
            .unwrap();
        store.sketched(SketchCursor { transaction: u64::from(u32::MAX), seq: 0 }, 10).await.unwrap();
        let waiting = store.uncompared(9, at(2)).await.unwrap();
        let done = waiting.iter().map(|one| Compared { seq: one.standing.seq, matches: Vec::new(), found: None });
        store.compared(done.collect(), Vec::new(), at(2)).await.unwrap();
        store.renew(batch.lease, at(2)).await.unwrap();
        let outcomes = batch.members.iter().map(|m| (m.seq, scored(1.0))).collect();
        store.settle(batch.lease, settlement(outcomes), at(3)).await.unwrap();
        assert!(store.claim(request(Trigger::Retry, 5), at(400_000)).await.unwrap().is_some());
        store.snapshot().await.unwrap();
        store.expire(at(4)).await.unwrap();
        found(&store, &format!("filled-{}", round + 2)).await;
        assert_eq!(store.session(key("unknown")).await.unwrap(), Lookup::Unknown);
        for (decision, deployment) in
            [(None, None), (Some(Decision::Fail), None), (None, Some("shop")), (Some(Decision::Pass), None)]
        {
            let deployment = deployment.map(str::to_owned);
            let query = ResultQuery { decision, deployment, limit: 20, ..ResultQuery::default() };
            let page = store.results(query.clone()).await.unwrap();
            store.results(ResultQuery { after: page.next, ..query }).await.unwrap();
            // Found nowhere, looked for in a window.
            let rare = Some("pen".to_owned());
            let query = ResultQuery { decision, device: rare, limit: 20, window: Some(20), ..ResultQuery::default() };
            let page = store.results(query).await.unwrap();
            assert!(page.rows.is_empty() && page.next.is_some());
        }
        let newest = store.batches(None, 10).await.unwrap();
        store.batch(newest[0].id).await.unwrap();
        store.dead(None, 10).await.unwrap();
        assert!(store.erase_session(key(&format!("final-{round}")), at(5)).await.unwrap());
    }
    drop(store);
    connections_ended(&url, &name).await;
    let after = read(&url);
    for (table, (scanned, through_index)) in &after {
        let (scanned_before, through_before) = before[table];
        assert_eq!(scanned - scanned_before, 0, "{table} was scanned");
        let entries = through_index - through_before;
        assert!(entries < 6_000, "{entries} entries of the indexes of {table} were read, for 8 rounds of some 40 rows");
    }
}
