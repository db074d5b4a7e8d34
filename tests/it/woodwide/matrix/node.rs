//! One node under one mode: a store on disk, the scheduler, the detector and its service, and what became of everybody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use playproof_batch::clock::{Clock, SystemClock};
use playproof_batch::config::{Generation, Secret, Timing, WoodwideSettings};
use playproof_batch::detector::embedded::EmbeddedDetector;
use playproof_batch::detector::{Detector, DetectorState};
use playproof_batch::domain::backoff::Backoff;
use playproof_batch::domain::batch::Policy;
use playproof_batch::domain::id::{BatchId, SessionKey};
use playproof_batch::domain::queue::State;
use playproof_batch::domain::result::{ScoreKind, Source, Thresholds, Verdict};
use playproof_batch::intake::{FirstBy, Intake, Sender, Submission};
use playproof_batch::metrics::Metrics;
use playproof_batch::result_notifier::ResultNotifier;
use playproof_batch::scheduler::{self, Scheduler};
use playproof_batch::shutdown::Shutdown;
use playproof_batch::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use playproof_batch::store::{Counts, Lookup, ResultQuery, Retention, Store, StoredSession};
use playproof_batch::woodwide::WoodwideDetector;

use super::super::rig::Rig;
use super::cast::{Cast, SESSIONS, Said};
use super::modes::Setup;

/// Times short enough for a test, long enough for a busy machine.
pub(crate) fn timing() -> Timing {
    const MS: fn(u64) -> Duration = Duration::from_millis;
    Timing {
        batch: MS(6000),
        probe: MS(3000),
        request: MS(2500),
        transfer: MS(2500),
        inference: MS(2500),
        backoff: MS(4),
        poll: (MS(2), MS(20)),
        ask: (MS(4), MS(40)),
        rung: MS(40),
        account: MS(60),
        useless: MS(60),
        sweep: MS(1),
    }
}

pub(crate) struct Node {
    _folder: tempfile::TempDir,
    pub(crate) rig: Rig,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) detector: Arc<WoodwideDetector>,
    metrics: Arc<Metrics>,
    scheduler: Scheduler,
    shutdown: Shutdown,
}

/// What became of the sessions.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) woodwide: usize,
    pub(crate) fallback: usize,
    pub(crate) failed: Vec<usize>,
    pub(crate) lost: usize,
    /// Results that are not this session's, or bear another source, model or version than theirs.
    pub(crate) wrong: usize,
    pub(crate) twice: usize,
    /// Calls of the detector that brought nothing.
    pub(crate) failed_calls: usize,
    /// Requests that a fault struck.
    pub(crate) struck: usize,
    /// Most calls that one batch took.
    pub(crate) most_calls: u32,
    /// Batches whose scores are not all off by the same.
    pub(crate) torn: usize,
}

impl Node {
    /// Starts it and gives it all sessions. `arm` switches the faults on, after the model was trained.
    pub(crate) async fn start(cast: &Cast, generation: Generation, setup: &Setup, faults: &[&str]) -> Self {
        let mut rig = Rig::trained(generation, setup.sim.clone(), &setup.training()).await;
        if setup.knows_model {
            rig.memory = Arc::new(cast.learned(generation));
        }
        for fault in faults {
            rig.sim.arm(fault).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let room = CapacityLimits { queue_limit: 100_000, store_limit: None, min_free_disk: 0 };
        let open = SqliteSettings { folder: folder.path().to_owned(), room, autostart: true };
        let store = Arc::new(SqliteStore::open(&open, clock.now().wall).unwrap());
        let settings = WoodwideSettings {
            keys: setup.keys.iter().map(|key| Secret::new(*key)).collect(),
            base_url: rig.sim.url().replace("http:", setup.scheme),
            timing: setup.timing,
            persistent_dataset: setup.persistent.clone(),
            ..rig.settings()
        };
        let memory = Arc::clone(&rig.memory) as Arc<dyn DetectorState>;
        let detector = WoodwideDetector::new(&settings, memory, Arc::clone(&clock), false).await.unwrap();
        let detector = Arc::new(detector);
        let metrics = Arc::new(Metrics::new().unwrap());
        let held = Arc::clone(&store) as Arc<dyn Store>;
        let controls = playproof_batch::controls::OperatorState::open(held, Thresholds::default()).await.unwrap();
        let parts = scheduler::Parts {
            thresholds: Arc::clone(controls.thresholds()),
            store: Arc::clone(&store) as Arc<dyn Store>,
            detector: Arc::clone(&detector) as Arc<dyn Detector>,
            local: Some(Arc::new(EmbeddedDetector::new(Arc::clone(&cast.model)))),
            clock: Arc::clone(&clock),
            randomness: scheduler::Randomness::system(),
            metrics: Arc::clone(&metrics),
            settled: ResultNotifier::new(),
        };
        let shutdown = Shutdown::new();
        let scheduler = Scheduler::start(parts, scheduling(setup.fallback_after), shutdown.clone());
        let intake = Intake::new(
            Arc::clone(&store) as Arc<dyn Store>,
            EmbeddedDetector::new(Arc::clone(&cast.model)),
            FirstBy::Model,
            Arc::clone(&clock),
            Arc::clone(&metrics),
            controls,
        );
        let submission = || Submission { received: clock.now(), forced: None, sender: Sender::Server };
        let submissions = cast.sessions.iter().map(|session| intake.submit(session.clone(), submission()));
        for receipt in futures_util::future::join_all(submissions).await {
            assert_eq!(receipt.unwrap().state, State::Ready);
        }
        Self { _folder: folder, rig, store, detector, metrics, scheduler, shutdown }
    }

    pub(crate) fn circuit_is_open(&self) -> bool {
        self.scheduler.handle().circuit_is_open()
    }

    pub(crate) async fn counts(&self) -> Counts {
        self.store.snapshot().await.unwrap().counts
    }

    /// Waits until `holds`; panics with the counts when it does not within the mode's bound.
    pub(crate) async fn until(&self, what: &str, bound: Duration, holds: impl Fn(&Self, &Counts) -> bool) {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        let deadline = Instant::now() + bound;
        loop {
            look.tick().await;
            let counts = self.counts().await;
            if holds(self, &counts) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not within {bound:?}: {counts:?} {:?}",
                self.last_errors().await
            );
        }
    }

    /// Batches so far.
    pub(crate) async fn batches(&self) -> u64 {
        self.store.batches(None, 10_000).await.unwrap().len() as u64
    }

    async fn last_errors(&self) -> Vec<String> {
        let batches = self.store.batches(None, 5).await.unwrap();
        batches.into_iter().filter_map(|batch| batch.end?.error).collect()
    }

    pub(crate) async fn session(&self, cast: &Cast, n: usize) -> StoredSession {
        let key = SessionKey { deployment: String::new(), id: cast.sessions[n].id.clone() };
        match self.store.session(key).await.unwrap() {
            Lookup::Found(session) => *session,
            other => panic!("session {n}: {other:?}"),
        }
    }

    /// Attempts spent on sessions without a result.
    pub(crate) async fn attempts_of_waiting(&self, cast: &Cast) -> u32 {
        let mut sum = 0;
        for n in 0..SESSIONS {
            let session = self.session(cast, n).await;
            sum += if session.result.is_none() { session.entry.attempts } else { 0 };
        }
        sum
    }

    /// Sum of the metric lines that begin with `name` and hold none of `without`.
    fn metric(&self, name: &str, without: &str) -> usize {
        let text = self.metrics.render(None, SystemClock::new().now().wall).unwrap();
        let lines =
            text.lines().filter(|line| line.starts_with(name) && (without.is_empty() || !line.contains(without)));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
    }

    /// Looks at every session.
    pub(crate) async fn outcome(&self, cast: &Cast, generation: Generation, version: &str) -> Outcome {
        let mut outcome = Outcome::default();
        let mut steps: BTreeMap<BatchId, (f64, f64)> = BTreeMap::new();
        for (n, said) in cast.said(generation).iter().enumerate() {
            let session = self.session(cast, n).await;
            match (session.entry.state, session.result) {
                (State::Processed, Some(result)) => {
                    let verdict = result.verdict;
                    outcome.woodwide += usize::from(verdict.source == Source::Woodwide);
                    outcome.fallback += usize::from(verdict.source == Source::Embedded);
                    let right = match verdict.source {
                        Source::Woodwide => {
                            !verdict.fallback
                                && (verdict.model.id.as_str(), verdict.model.version.as_str())
                                    == (self.rig.model.as_str(), version)
                                && agrees(&verdict, *said)
                        }
                        Source::Embedded => {
                            verdict.fallback
                                && verdict.model == cast.model.identity()
                                && verdict.raw_score.is_some_and(|raw| same(raw, cast.local[n]))
                        }
                        Source::Heuristic => false,
                    };
                    outcome.wrong += usize::from(!right);
                    if let (Some(raw), Some(expected), Some(batch)) = (verdict.raw_score, said.raw, result.batch) {
                        let step = raw - expected;
                        let (least, most) = steps.entry(batch).or_insert((step, step));
                        (*least, *most) = (least.min(step), most.max(step));
                    }
                }
                (State::Failed, None) => outcome.failed.push(n),
                _ => outcome.lost += 1,
            }
        }
        outcome.torn = steps.values().filter(|(least, most)| most - least > 1e-9).count();
        let mut listed: BTreeMap<SessionKey, usize> = BTreeMap::new();
        let mut query = ResultQuery { limit: 500, ..ResultQuery::default() };
        loop {
            let page = self.store.results(query.clone()).await.unwrap();
            for row in page.rows {
                *listed.entry(row.key).or_default() += 1;
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        let written = self.metric("playproof_decisions_total", "");
        outcome.twice = listed.values().filter(|count| **count > 1).count() + written.abs_diff(listed.len());
        outcome.failed_calls = self.metric("playproof_detector_requests_total{detector=\"woodwide\"", "\"ok\"");
        outcome.struck = self.rig.sim.requests().iter().filter(|entry| !entry.faults.is_empty()).count();
        let batches = self.store.batches(None, 10_000).await.unwrap();
        outcome.most_calls = batches.iter().filter_map(|batch| Some(batch.end.as_ref()?.attempts)).max().unwrap_or(0);
        let counts = self.counts().await;
        assert_eq!(counts.accepted, counts.stored() + counts.erased + counts.pruned, "{counts:?}");
        assert_eq!(counts.accepted, SESSIONS as u64);
        outcome
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.trigger();
        assert!(self.scheduler.ended().await);
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

/// Whether the verdict is what the service says of this very session.
fn agrees(verdict: &Verdict, said: Said) -> bool {
    match (verdict.raw_score, said.raw) {
        (Some(raw), Some(expected)) => verdict.kind == ScoreKind::Calibrated && same(raw, expected),
        (None, None) => {
            let thresholds = Thresholds::default();
            let expected =
                Verdict::flagged(said.flag, verdict.reasons, verdict.source, verdict.model.clone(), &thresholds);
            verdict.anomaly_score.is_none() && verdict.decision == expected.decision
        }
        _ => false,
    }
}

fn scheduling(fallback_after: Duration) -> scheduler::Settings {
    let day = Duration::from_secs(86_400);
    scheduler::Settings {
        policy: Policy {
            batch_size: 50,
            min_batch: 10,
            max_wait: Duration::from_millis(50),
            interval: Duration::from_millis(25),
        },
        concurrency: 2,
        backoff: Backoff { base: Duration::from_millis(5), max: Duration::from_millis(100), max_attempts: 8 },
        lease: Duration::from_secs(60),
        circuit_probe: Duration::from_millis(60),
        fallback_after,
        retention: Retention { results: day * 90, telemetry: day, telemetry_flagged: day * 30 },
        retention_counts: day * 400,
        evidence: playproof_batch::domain::evidence::Evidence::Never,
        node: "matrix".to_owned(),
    }
}
