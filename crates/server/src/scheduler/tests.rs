//! The scheduler with a real store on a real disk and a detector that misbehaves by script.

mod faults;
mod many;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::detector::scripted::{Scripted, answer, outcome_of, score_of};
use crate::detector::{Answer, DetectorError, Row};
use crate::domain::backoff::Backoff;
use crate::domain::batch::Policy;
use crate::domain::evidence::Evidence;
use crate::domain::features::v1;
use crate::domain::heuristic::Heuristic;
use crate::domain::id::{Seq, SessionId, SessionKey};
use crate::domain::queue::State;
use crate::domain::record::SessionDigest;
use crate::domain::result::{Thresholds, Verdict};
use crate::metrics::Metrics;
use crate::result_notifier::ResultNotifier;
use crate::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use crate::store::{Acceptance, BatchOutcome, FirstVerdict, Lookup, NewSession, Retention, Store, StoredSession};
use crate::thresholds::ThresholdTable;

const START: Timestamp = Timestamp(1_700_000_000_000);

pub(super) struct Bench {
    _folder: tempfile::TempDir,
    pub(super) store: Arc<SqliteStore>,
    pub(super) detector: Arc<Scripted>,
    pub(super) local: Option<Arc<Scripted>>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settled: Arc<ResultNotifier>,
    pub(super) scheduler: Scheduler,
    pub(super) shutdown: Shutdown,
}

pub(super) fn settings() -> Settings {
    let day = Duration::from_secs(86_400);
    Settings {
        policy: Policy {
            batch_size: 50,
            min_batch: 10,
            max_wait: Duration::from_secs(300),
            interval: Duration::from_secs(3600),
        },
        concurrency: 2,
        backoff: Backoff { base: Duration::from_secs(2), max: Duration::from_secs(600), max_attempts: 3 },
        lease: Duration::from_secs(60),
        circuit_probe: Duration::from_secs(30),
        fallback_after: Duration::from_secs(900),
        retention: Retention { results: day * 90, telemetry: day, telemetry_flagged: day * 30 },
        retention_counts: day * 400,
        evidence: Evidence::Always,
        node: "test".to_owned(),
    }
}

pub(super) fn bench(detector: Scripted, autostart: bool) -> Bench {
    bench_with(detector, autostart, settings())
}

pub(super) fn bench_with(detector: Scripted, autostart: bool, settings: Settings) -> Bench {
    bench_of(detector, None, autostart, settings)
}

/// A remote detector and the local one beside it.
pub(super) fn remote_bench(detector: Scripted, local: Scripted) -> Bench {
    bench_of(detector.remote(), Some(local), true, settings())
}

fn bench_of(detector: Scripted, local: Option<Scripted>, autostart: bool, settings: Settings) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let room = CapacityLimits { queue_limit: 100_000, store_limit: None, min_free_disk: 0 };
    let open = SqliteSettings { folder: folder.path().to_owned(), room, autostart };
    let store = Arc::new(SqliteStore::open(&open, START).unwrap());
    let (detector, local) = (Arc::new(detector), local.map(Arc::new));
    let clock = Arc::new(ManualClock::new(START));
    let settled = ResultNotifier::new();
    let metrics = Arc::new(Metrics::new().unwrap());
    let parts = Parts {
        store: store.clone(),
        detector: detector.clone(),
        local: local.clone().map(|local| local as Arc<dyn crate::detector::Detector>),
        clock: clock.clone(),
        randomness: Randomness::system(),
        metrics: metrics.clone(),
        thresholds: ThresholdTable::new(Thresholds::default()),
        settled: settled.clone(),
    };
    let shutdown = Shutdown::new();
    let scheduler = Scheduler::start(parts, settings, shutdown.clone());
    Bench { _folder: folder, store, detector, local, clock, metrics, settled, scheduler, shutdown }
}

fn key(n: usize) -> SessionKey {
    SessionKey { deployment: String::new(), id: SessionId::parse(&format!("s{n}")).unwrap() }
}

impl Bench {
    pub(super) async fn submit(&self, from: usize, count: usize) {
        self.submit_to("", from, count).await;
    }

    pub(super) async fn submit_to(&self, deployment: &str, from: usize, count: usize) {
        for n in from..from + count {
            let features = v1::Features { total_moves: 5.0, ..v1::Features::default() };
            let verdict = Verdict::heuristic(&Heuristic::judge(&features), &Thresholds::default());
            let first = FirstVerdict { verdict, scored_at: self.clock.now().wall, latency_ms: 0.1 };
            let new = NewSession {
                key: SessionKey { deployment: deployment.to_owned(), ..key(n) },
                user_id: None,
                game_type: "osu".to_owned(),
                device_type: "mouse".to_owned(),
                digest: SessionDigest([0; 16]),
                record: vec![1],
                features,
                reasons: first.verdict.reasons,
                first,
                is_final: false,
                challenge: None,
            };
            assert!(matches!(self.store.accept(new).await.unwrap(), Acceptance::New(_)));
        }
    }

    pub(super) async fn stored(&self, n: usize) -> StoredSession {
        match self.store.session(key(n)).await.unwrap() {
            Lookup::Found(session) => *session,
            other => panic!("session {n}: {other:?}"),
        }
    }

    pub(super) async fn counts(&self) -> Counts {
        self.store.snapshot().await.unwrap().counts
    }

    /// Waits until the counts are as wanted; every look is preceded by something that happened.
    pub(super) async fn until(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        within(async {
            loop {
                let counts = self.counts().await;
                if wanted(&counts) {
                    return counts;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    pub(super) async fn until_open(&self) {
        eventually(|| self.scheduler.handle().circuit_is_open()).await;
    }

    /// The value of a metric line that starts with `name`.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.render(None, START).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).expect(name);
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Moves the time on and has the scheduler notice.
    pub(super) fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.scheduler.handle().engine.changed.notify_one();
    }
}

pub(super) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("nothing happened for 20 s")
}

/// Waits until `holds`.
pub(super) async fn eventually(holds: impl Fn() -> bool) {
    within(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(super) fn transient() -> DetectorError {
    DetectorError::Transient { message: "busy".to_owned(), retry_after: None }
}

pub(super) fn refusal() -> DetectorError {
    DetectorError::Permanent { message: "bad content".to_owned() }
}

#[tokio::test]
async fn a_full_batch_runs_at_once_and_every_score_finds_its_session() {
    // Answers come back in reverse: only the ids say whose they are.
    let reversed =
        Scripted::new(|rows: &[Row]| Ok(answer(rows.iter().rev().map(|row| (row.id, outcome_of(row.id))).collect())));
    let bench = bench(reversed, true);
    let mut waiting = bench.settled.subscribe(key(49));
    bench.submit(0, 50).await;
    within(waiting.changed()).await;
    for n in 0..50 {
        let session = bench.stored(n).await;
        let result = session.result.unwrap();
        assert_eq!(result.verdict.anomaly_score, Some(score_of(session.seq).score));
        assert_eq!(result.verdict.model.id, "scripted");
    }
    let batch = &bench.store.batches(None, 10).await.unwrap()[0];
    assert_eq!((batch.size, batch.trigger.name()), (50, "full"));
    assert_eq!(batch.end.as_ref().unwrap().outcome, BatchOutcome::Scored);
}

#[tokio::test]
async fn fewer_sessions_wait_for_their_time_and_then_run() {
    let bench = bench(Scripted::honest(), true);
    bench.submit(0, 3).await;
    bench.advance(Duration::from_secs(299));
    assert_eq!(bench.counts().await.ready, 3);
    bench.advance(Duration::from_secs(1));
    bench.until(|c| c.processed == 3).await;
    assert_eq!(bench.store.batches(None, 1).await.unwrap()[0].trigger.name(), "max_wait");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_an_error_and_no_score_is_invented() {
    type Spoil = fn(&mut Answer);
    let spoils: [Spoil; 5] = [
        |a| drop(a.outcomes.pop()),
        |a| a.outcomes.push((Seq(4711), outcome_of(Seq(4711)))),
        |a| a.outcomes[0] = a.outcomes[1].clone(),
        |a| a.outcomes.clear(),
        |a| {
            if let crate::detector::Outcome::Calibrated { raw, .. } = &mut a.outcomes[7].1 {
                *raw = f64::NAN;
            }
        },
    ];
    for spoil in spoils {
        let bench = bench(
            Scripted::new(move |rows| {
                let mut honest = answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect());
                spoil(&mut honest);
                Ok(honest)
            }),
            true,
        );
        bench.submit(0, 50).await;
        bench.until(|c| c.delayed == 50).await;
        let session = bench.stored(3).await;
        assert!(session.result.is_none());
        assert_eq!(session.entry.attempts, 1);
        assert!(session.last_error.unwrap().contains("does not fit"));
    }
}

#[tokio::test]
async fn retries_come_due_together_and_end_in_the_dead_letter() {
    let bench = bench(Scripted::new(|_| Err(transient())), true);
    bench.submit(0, 50).await;
    for attempt in 1..3 {
        bench.until(|c| c.delayed == 50).await;
        assert_eq!(bench.stored(0).await.entry.attempts, attempt);
        bench.advance(Duration::from_secs(600));
        eventually(|| bench.detector.call_count() > attempt as usize).await;
    }
    bench.until(|c| c.failed == 50).await;
    assert_eq!(bench.detector.call_count(), 3, "50 sessions retried in 3 calls");
    assert_eq!(bench.stored(7).await.last_error.as_deref(), Some("busy"));
    assert_eq!(bench.store.batches(None, 1).await.unwrap()[0].trigger.name(), "retry");
}

#[tokio::test]
async fn one_poison_session_fails_alone_and_its_neighbours_are_scored_in_the_same_run() {
    let poison = Seq(18);
    let bench = bench(
        Scripted::new(move |rows| {
            if rows.iter().any(|row| row.id == poison) {
                return Err(refusal());
            }
            Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect()))
        }),
        true,
    );
    bench.submit(0, 50).await;
    let counts = bench.until(|c| c.leased + c.ready == 0).await;
    assert_eq!((counts.processed, counts.failed), (49, 1));
    let calls = bench.detector.call_count() + bench.detector.probe_count();
    assert!(calls <= 14, "{calls} calls, the known-good row among them");
    let failed = bench.stored(17).await;
    assert_eq!((failed.entry.state, failed.last_error.as_deref()), (State::Failed, Some("bad content")));
    assert_eq!(bench.store.batches(None, 9).await.unwrap().len(), 1, "one run");
    assert_eq!(bench.store.requeue(None, bench.clock.now()).await.unwrap(), 1);
    assert_eq!(bench.counts().await.failed, 0);
}

#[tokio::test]
async fn a_detector_that_refuses_everything_fails_nobody() {
    for healthy in [false, true] {
        let detector = Scripted::new(|_| Err(refusal()));
        detector.set_healthy(healthy);
        let bench = bench(detector, true);
        bench.submit(0, 50).await;
        bench.until_open().await;
        let counts = bench.until(|c| c.leased == 0).await;
        assert_eq!((counts.failed, counts.processed), (0, 0));
        assert_eq!(bench.stored(0).await.entry.attempts, 0, "an outage costs no attempt");
    }
}

#[tokio::test]
async fn an_outage_keeps_the_sessions_and_the_backlog_drains_when_it_ends() {
    let down = Arc::new(AtomicUsize::new(1));
    let state = Arc::clone(&down);
    let detector = Scripted::new(move |rows| {
        if state.load(Ordering::SeqCst) == 1 {
            return Err(DetectorError::Unavailable { message: "no route".to_owned(), retry_after: None });
        }
        Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect()))
    });
    detector.set_healthy(false);
    let bench = bench(detector, true);
    bench.submit(0, 120).await;
    bench.until_open().await;
    let calls = bench.until(|c| c.leased == 0).await;
    assert_eq!(calls.ready, 120);
    for _ in 0..600 {
        bench.advance(Duration::from_secs(30));
        tokio::task::yield_now().await;
    }
    assert!(bench.detector.call_count() <= 2, "an open circuit lets no batch through");
    assert_eq!(bench.stored(0).await.entry.attempts, 0);
    down.store(0, Ordering::SeqCst);
    bench.detector.set_healthy(true);
    bench.advance(Duration::from_secs(30));
    bench.until(|c| c.processed == 120).await;
}

#[tokio::test]
async fn a_manual_run_works_while_stopped_and_two_never_share_a_session() {
    let bench = bench(Scripted::honest(), false);
    bench.submit(0, 130).await;
    assert_eq!(bench.counts().await.ready, 130, "a stopped scheduler runs nothing");
    let handle = bench.scheduler.handle();
    let (a, b) = within(async { tokio::join!(handle.run_now(), handle.run_now()) }).await;
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.success + b.success, a.failed + b.failed), (130, 0));
    let mut asked: Vec<Seq> = bench.detector.calls.lock().unwrap().iter().flatten().copied().collect();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 130);
    assert_eq!(bench.detector.calls.lock().unwrap().iter().map(Vec::len).sum::<usize>(), 130, "each asked about once");
    let nothing = within(handle.run_now()).await.unwrap();
    assert_eq!((nothing.processed, nothing.remaining, nothing.batches.len()), (0, 0, 0));
}

#[tokio::test]
async fn a_manual_run_takes_at_most_twenty_batches_and_says_what_remains() {
    let bench = bench(Scripted::honest(), false);
    bench.submit(0, 1020).await;
    let run = within(bench.scheduler.handle().run_now()).await.unwrap();
    assert_eq!((run.batches.len(), run.success, run.remaining), (20, 1000, 20));
}

#[tokio::test]
async fn stop_lets_the_batch_in_flight_finish_and_starts_no_more() {
    let bench = bench(Scripted::honest(), true);
    bench.detector.hold();
    bench.submit(0, 50).await;
    bench.until(|c| c.leased == 50).await;
    let handle = bench.scheduler.handle();
    assert!(handle.status().await.unwrap().is_processing);
    handle.stop().await.unwrap();
    bench.submit(50, 50).await;
    bench.detector.release();
    bench.until(|c| c.processed == 50).await;
    assert_eq!(bench.counts().await.ready, 50);
    assert!(!handle.status().await.unwrap().running);
    handle.start().await.unwrap();
    bench.until(|c| c.processed == 100).await;
}

#[tokio::test]
async fn a_soft_end_finishes_what_is_in_flight_and_a_hard_end_gives_it_back() {
    for hard in [false, true] {
        let mut bench = bench(Scripted::honest(), true);
        bench.detector.hold();
        bench.submit(0, 50).await;
        bench.until(|c| c.leased == 50).await;
        bench.shutdown.trigger();
        if hard {
            bench.shutdown.trigger_hard();
        } else {
            bench.detector.release();
        }
        assert!(within(bench.scheduler.ended()).await);
        let counts = bench.counts().await;
        let expected = if hard { (50, 0) } else { (0, 50) };
        assert_eq!((counts.ready, counts.processed), expected);
        assert_eq!(bench.stored(0).await.entry.lost_leases, 0);
    }
}
