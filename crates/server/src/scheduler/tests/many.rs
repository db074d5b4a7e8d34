//! Several schedulers on one shared store: they share the work out, and nobody's twice. `DETECTOR_MS` sets how long a
//! batch takes, `DETECTOR_BATCHES` how many there are.

use std::collections::HashSet;
use std::time::Instant;

use super::*;
use crate::store::postgres::{PostgresSettings, PostgresStore, Time};
use crate::store::testing::cluster;

#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn detector_time() -> Duration {
    Duration::from_millis(asked("DETECTOR_MS", 250))
}

/// Many, or one batch more than a node's share would decide the figure.
fn batches() -> usize {
    usize::try_from(asked("DETECTOR_BATCHES", 24)).unwrap()
}

/// How long `nodes` take for the same backlog with a detector that takes its time.
async fn drain(nodes: usize) -> Duration {
    let url = cluster::schema_in(cluster::shared());
    let mut stores = Vec::new();
    for _ in 0..nodes {
        let (url, patience) = (url.clone(), Duration::ZERO);
        let settings = PostgresSettings {
            url,
            connections: 4,
            queue_limit: 100_000,
            store_limit: None,
            autostart: false,
            time: Time::Database,
            patience,
        };
        stores.push(Arc::new(PostgresStore::open(&settings, START).await.unwrap()));
    }
    let features = v1::Features { total_moves: 5.0, ..v1::Features::default() };
    let verdict = Verdict::heuristic(&Heuristic::judge(&features), &Thresholds::default());
    let new = |n: usize| NewSession {
        key: key(n),
        user_id: None,
        game_type: "osu".to_owned(),
        device_type: "mouse".to_owned(),
        digest: SessionDigest([0; 16]),
        record: vec![0; 100],
        features,
        reasons: verdict.reasons,
        first: FirstVerdict { verdict: verdict.clone(), scored_at: stores[0].clock().now().wall, latency_ms: 0.1 },
        is_final: false,
        challenge: None,
    };
    futures_util::future::join_all((0..batches() * 50).map(|n| stores[0].accept(new(n)))).await;
    let mut running = Vec::new();
    for store in &stores {
        let took = detector_time();
        let detector = Arc::new(Scripted::new(move |rows| {
            std::thread::sleep(took);
            Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect()))
        }));
        let parts = Parts {
            store: store.clone(),
            detector: detector.clone(),
            local: None,
            clock: store.clock(),
            randomness: Randomness::system(),
            metrics: Arc::new(Metrics::new().unwrap()),
            thresholds: crate::thresholds::ThresholdTable::new(Thresholds::default()),
            settled: ResultNotifier::new(),
        };
        let shutdown = Shutdown::new();
        let settings = Settings { concurrency: 1, ..settings() };
        running.push((Scheduler::start(parts, settings, shutdown.clone()), shutdown, detector));
    }
    let begun = Instant::now();
    stores[0].set_running(true).await.unwrap();
    while stores[0].snapshot().await.unwrap().counts.unprocessed() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(300), "the backlog does not drain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed();
    let idle = running.iter().filter(|(_, _, detector)| detector.calls.lock().unwrap().is_empty()).count();
    assert_eq!(idle, 0, "every node takes its share");
    let calls: Vec<Seq> = running.iter().flat_map(|(_, _, detector)| detector.calls.lock().unwrap().concat()).collect();
    assert_eq!(calls.len(), batches() * 50, "no batch was processed twice");
    assert_eq!(calls.iter().collect::<HashSet<_>>().len(), calls.len());
    for (_, shutdown, _) in &running {
        shutdown.trigger();
    }
    took
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is what the long form is run for")]
fn four_nodes_share_a_backlog_and_no_batch_is_run_twice() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(10).enable_all().build().unwrap();
    let (one, four) = runtime.block_on(async { (drain(1).await, drain(4).await) });
    let times = one.as_secs_f64() / four.as_secs_f64();
    // A figure and no test: how fast depends on what else the machine does. That with a second a batch is in docs/benchmarks.md.
    println!("drained by one in {one:?}, by four in {four:?}: {times:.2} times as fast");
}
