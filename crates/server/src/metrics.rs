//! Every metric: name, help, labels, buckets; and their exposition as Prometheus text. The names are public API.
//!
//! Per-process counters are updated where things happen; what the store knows is written into the exposition from one
//! snapshot at each scrape, never kept beside it.

mod outcomes;

use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub use self::outcomes::{CallOutcome, DeliveryOutcome, Login, Received};

use crate::domain::agreement::Agreement;
use crate::domain::batch::Trigger;
use crate::domain::reason::{Reason, Reasons};
use crate::domain::result::{Decision, Source, Verdict};
use crate::domain::time::Timestamp;
use crate::store::{BatchOutcome, ComparisonBacklog, Counts, NodeRow, Snapshot};

/// The registry and its instruments.
pub struct Metrics {
    registry: Registry,
    received: IntCounterVec,
    batches: IntCounterVec,
    batch_sessions: Histogram,
    batch_duration: Histogram,
    session_wait: Histogram,
    detector_requests: IntCounterVec,
    detector_duration: HistogramVec,
    retries: IntCounterVec,
    fallbacks: IntCounterVec,
    evidence: IntCounterVec,
    told: IntCounterVec,
    logins: IntCounterVec,
    shadow_agreement: Histogram,
    shadow_flips: IntCounter,
    decisions: IntCounterVec,
    anomaly_score: Histogram,
    http: HistogramVec,
    scheduler_running: IntGauge,
    circuit_open: IntGaugeVec,
    store_sessions: IntGaugeVec,
    store_accepted: IntGauge,
    oldest_ready: prometheus::Gauge,
    evidence_pending: IntGauge,
    evidence_pending_age: prometheus::Gauge,
    nodes: IntGaugeVec,
    drift_sessions: IntGauge,
    drift: prometheus::GaugeVec,
}

const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
const WAIT_SECONDS: [f64; 14] =
    [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 86400.0];
const SESSIONS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];
const SCORES: [f64; 12] = [0.1, 0.3, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0];

/// A histogram and no gauge: the last batch alone says little, and how many batches fell short is what to alert on.
const CORRELATIONS: [f64; 9] = [-0.5, 0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0];

struct Builder(Registry);

impl Builder {
    fn keep<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let collector = made?;
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.keep(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        self.keep(HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels))
    }
}

impl Metrics {
    /// All instruments at zero, with every label value in place.
    ///
    /// # Errors
    /// Only if two metrics had the same name.
    #[expect(clippy::too_many_lines, reason = "one metric after the other")]
    pub fn new() -> prometheus::Result<Self> {
        let b = Builder(Registry::new());
        let metrics = Self {
            received: b.counters(
                "playproof_sessions_received_total",
                "Sessions received, by what became of them.",
                &["outcome"],
            )?,
            batches: b.counters(
                "playproof_batches_total",
                "Batches that ended, by how and by why they ran.",
                &["outcome", "trigger"],
            )?,
            batch_sessions: b.histogram("playproof_batch_sessions", "Sessions in a batch.", &SESSIONS)?,
            batch_duration: b.histogram("playproof_batch_duration_seconds", "From claim to settled.", &SECONDS)?,
            session_wait: b.histogram(
                "playproof_session_wait_seconds",
                "From acceptance of a session to its result.",
                &WAIT_SECONDS,
            )?,
            detector_requests: b.counters(
                "playproof_detector_requests_total",
                "Calls to a detector, by outcome.",
                &["detector", "outcome"],
            )?,
            detector_duration: b.histograms(
                "playproof_detector_duration_seconds",
                "Duration of a call to a detector.",
                &["detector"],
            )?,
            retries: b.counters("playproof_retries_total", "Sessions sent to a retry, by reason.", &["reason"])?,
            fallbacks: b.counters(
                "playproof_fallbacks_total",
                "Sessions scored by the fallback, by reason.",
                &["reason"],
            )?,
            told: b.counters(
                "playproof_webhook_deliveries_total",
                "Attempts to tell a webhook, by what became of them.",
                &["outcome"],
            )?,
            logins: b.counters(
                "playproof_logins_total",
                "Attempts to log in, and requests whose key was refused, by outcome.",
                &["outcome"],
            )?,
            evidence: b.counters(
                "playproof_evidence_total",
                "Scored sessions by evidence: those compared with others, replays, ones of a campaign; later: compared after their verdict; none: never compared.",
                &["kind"],
            )?,
            shadow_agreement: b.histogram(
                "playproof_shadow_agreement",
                "Rank correlation of a batch's scores with those of the shadow detector.",
                &CORRELATIONS,
            )?,
            shadow_flips: b.keep(IntCounter::new(
                "playproof_shadow_flips_total",
                "Sessions that the shadow detector would have decided differently.",
            ))?,
            decisions: b.counters(
                "playproof_decisions_total",
                "Results written, by decision and source.",
                &["decision", "source"],
            )?,
            anomaly_score: b.histogram("playproof_anomaly_score", "Anomaly scores of results.", &SCORES)?,
            http: b.histograms(
                "playproof_http_request_duration_seconds",
                "Duration of HTTP requests.",
                &["route", "method", "status"],
            )?,
            scheduler_running: b
                .keep(IntGauge::new("playproof_scheduler_running", "1 while batches run by themselves."))?,
            circuit_open: b.keep(IntGaugeVec::new(
                Opts::new("playproof_circuit_open", "1 while a detector is left alone after an outage."),
                &["detector"],
            ))?,
            store_sessions: b.keep(IntGaugeVec::new(
                Opts::new("playproof_store_sessions", "Accepted sessions by state, from the store."),
                &["state"],
            ))?,
            store_accepted: b.keep(IntGauge::new(
                "playproof_store_accepted",
                "Sessions ever accepted, from the store; the sum of playproof_store_sessions.",
            ))?,
            oldest_ready: b.keep(prometheus::Gauge::new(
                "playproof_queue_oldest_ready_age_seconds",
                "Age of the oldest ready session, 0 when none is ready.",
            ))?,
            evidence_pending: b.keep(IntGauge::new(
                "playproof_evidence_pending",
                "Sessions with a verdict that are still to be compared with others.",
            ))?,
            evidence_pending_age: b.keep(prometheus::Gauge::new(
                "playproof_evidence_pending_age_seconds",
                "How long the one that waits longest has waited to be compared, 0 when none waits.",
            ))?,
            nodes: b.keep(IntGaugeVec::new(
                Opts::new("playproof_nodes", "Nodes on this store, by whether they gave a sign of life lately."),
                &["state"],
            ))?,
            drift_sessions: b.keep(IntGauge::new(
                "playproof_drift_sessions",
                "Sessions of late that the drift is measured on, 0 until they are enough.",
            ))?,
            drift: b.keep(prometheus::GaugeVec::new(
                Opts::new(
                    "playproof_drift_distance",
                    "How far sessions of late are from the people the embedded model was made from, 0 to 1.",
                ),
                &["of"],
            ))?,
            registry: b.0.clone(),
        };
        let build = b.keep(IntGaugeVec::new(
            Opts::new("playproof_build_info", "Always 1; the label is the version."),
            &["version"],
        ))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        metrics.place_labels();
        Ok(metrics)
    }

    fn place_labels(&self) {
        for outcome in ["accepted", "duplicate", "refused"] {
            self.received.with_label_values(&[outcome]);
        }
        for outcome in DeliveryOutcome::ALL {
            self.told.with_label_values(&[outcome.name()]);
        }
        for outcome in Login::ALL {
            self.logins.with_label_values(&[outcome.name()]);
        }
        for trigger in Trigger::ALL {
            for outcome in [BatchOutcome::Scored, BatchOutcome::Partial, BatchOutcome::Retried, BatchOutcome::Failed] {
                self.batches.with_label_values(&[outcome.name(), trigger.name()]);
            }
        }
        for source in [Source::Embedded, Source::Woodwide] {
            self.detector_duration.with_label_values(&[source.name()]);
            self.circuit_open.with_label_values(&[source.name()]);
            for outcome in CallOutcome::ALL {
                self.detector_requests.with_label_values(&[source.name(), outcome.name()]);
            }
        }
        for source in Source::ALL {
            for decision in Decision::ALL {
                self.decisions.with_label_values(&[decision.name(), source.name()]);
            }
        }
        for reason in CallOutcome::ALL.into_iter().filter(|o| *o != CallOutcome::Ok) {
            self.retries.with_label_values(&[reason.name()]);
        }
        self.retries.with_label_values(&["lease_lost"]);
        for kind in ["sketch", "replay", "campaign", "later", "none"] {
            self.evidence.with_label_values(&[kind]);
        }
        self.fallbacks.with_label_values(&["circuit_open"]);
        for state in ["alive", "silent"] {
            self.nodes.with_label_values(&[state]);
        }
        for of in ["p_values", "features"] {
            self.drift.with_label_values(&[of]);
        }
        for state in ["ready", "leased", "delayed", "processed", "failed", "erased", "pruned"] {
            self.store_sessions.with_label_values(&[state]);
        }
    }

    /// Says which nodes there are.
    pub fn nodes(&self, nodes: &[NodeRow]) {
        let alive = nodes.iter().filter(|node| node.is_alive()).count();
        for (state, count) in [("alive", alive), ("silent", nodes.len() - alive)] {
            self.nodes.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts an attempt to log in, or a refused key.
    pub fn login(&self, outcome: Login) {
        self.logins.with_label_values(&[outcome.name()]).inc();
    }

    /// Counts a received session.
    pub fn received(&self, outcome: Received) {
        let name = match outcome {
            Received::Accepted => "accepted",
            Received::Duplicate => "duplicate",
            Received::Refused => "refused",
        };
        self.received.with_label_values(&[name]).inc();
    }

    /// Counts a batch that ended.
    pub fn batch(&self, outcome: BatchOutcome, trigger: Trigger, sessions: usize, took: Duration) {
        self.batches.with_label_values(&[outcome.name(), trigger.name()]).inc();
        #[expect(clippy::cast_precision_loss, reason = "a batch size")]
        self.batch_sessions.observe(sessions as f64);
        self.batch_duration.observe(took.as_secs_f64());
    }

    /// Counts a result that was written.
    pub fn result(&self, verdict: &Verdict, wait: Duration) {
        self.decisions.with_label_values(&[verdict.decision.name(), verdict.source.name()]).inc();
        self.session_wait.observe(wait.as_secs_f64());
        if let Some(score) = verdict.anomaly_score {
            self.anomaly_score.observe(score);
        }
        if verdict.fallback {
            self.fallbacks.with_label_values(&["circuit_open"]).inc();
        }
    }

    /// Notes an attempt to tell a webhook.
    pub fn told(&self, outcome: DeliveryOutcome) {
        self.told.with_label_values(&[outcome.name()]).inc();
    }

    /// Notes a session that was looked at beside others.
    pub fn evidence(&self, reasons: Reasons) {
        let found = |reason| reasons.contains(reason);
        let kinds =
            [("sketch", true), ("replay", found(Reason::ReplayedMovement)), ("campaign", found(Reason::Campaign))];
        for (kind, _) in kinds.into_iter().filter(|(_, found)| *found) {
            self.evidence.with_label_values(&[kind]).inc();
        }
    }

    /// Counts scored sessions that are compared with others after their verdicts.
    pub fn compared_later(&self, sessions: usize) {
        self.evidence.with_label_values(&["later"]).inc_by(sessions as u64);
    }

    /// Counts scored sessions that were not compared with others.
    pub fn not_compared(&self, sessions: usize) {
        self.evidence.with_label_values(&["none"]).inc_by(sessions as u64);
    }

    /// Notes how far the shadow detector agreed on a batch.
    pub fn shadow(&self, agreement: &Agreement) {
        self.shadow_flips.inc_by(u64::from(agreement.flips));
        if let Some(correlation) = agreement.rank_correlation {
            self.shadow_agreement.observe(correlation);
        }
    }

    /// How far the last `sessions` are from the people the embedded model was made from: their p-values, and the feature
    /// that moved most.
    pub fn drift(&self, sessions: u32, p_values: f64, feature: f64) {
        self.drift_sessions.set(i64::from(sessions));
        self.drift.with_label_values(&["p_values"]).set(p_values);
        self.drift.with_label_values(&["features"]).set(feature);
    }

    /// Counts a call to a detector.
    pub fn detector_call(&self, detector: Source, outcome: CallOutcome, took: Duration) {
        self.detector_requests.with_label_values(&[detector.name(), outcome.name()]).inc();
        self.detector_duration.with_label_values(&[detector.name()]).observe(took.as_secs_f64());
    }

    /// Counts sessions sent to a retry.
    pub fn retries(&self, reason: &str, sessions: u64) {
        self.retries.with_label_values(&[reason]).inc_by(sessions);
    }

    /// Whether a detector is left alone after an outage.
    pub fn circuit(&self, detector: Source, open: bool) {
        self.circuit_open.with_label_values(&[detector.name()]).set(i64::from(open));
    }

    /// Records an HTTP request; `route` is the pattern, never the path.
    pub fn http(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.http.with_label_values(&[route, method, &status.to_string()]).observe(took.as_secs_f64());
    }

    /// Makes the series of a route exist, at 0, before its first request.
    pub fn expect_route(&self, route: &str, method: &str) {
        let _ = self.http.with_label_values(&[route, method, "200"]);
    }

    /// The exposition, with what the store knows taken from `snapshot`.
    ///
    /// # Errors
    /// When the text cannot be encoded.
    pub fn render(&self, snapshot: Option<&Snapshot>, now: Timestamp) -> prometheus::Result<String> {
        if let Some(snapshot) = snapshot {
            self.scheduler_running.set(i64::from(snapshot.running));
            self.counts(&snapshot.counts);
            let age = snapshot.queue.oldest_ready.map_or(Duration::ZERO, |accepted| now.since(accepted));
            self.oldest_ready.set(age.as_secs_f64());
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Notes how much is still to be compared.
    pub fn comparison_backlog(&self, backlog: &ComparisonBacklog, now: Timestamp) {
        self.evidence_pending.set(i64::try_from(backlog.sessions).unwrap_or(i64::MAX));
        let age = backlog.oldest.map_or(Duration::ZERO, |since| now.since(since));
        self.evidence_pending_age.set(age.as_secs_f64());
    }

    fn counts(&self, counts: &Counts) {
        let by_state = [
            ("ready", counts.ready),
            ("leased", counts.leased),
            ("delayed", counts.delayed),
            ("processed", counts.processed),
            ("failed", counts.failed),
            ("erased", counts.erased),
            ("pruned", counts.pruned),
        ];
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for (state, count) in by_state {
            self.store_sessions.with_label_values(&[state]).set(gauge(count));
        }
        self.store_accepted.set(gauge(counts.accepted));
    }
}
