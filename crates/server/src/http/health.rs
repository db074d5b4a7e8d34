//! Whether the process lives, whether it can work, and its metrics.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::http::extract::caller::Measurer;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::ApiError;
use crate::http::respond::{raw, shapes};
use crate::http::state::Shared;
use crate::operations::readiness::{MAX_LOOK, StoreState};
use crate::store::ReplicaState;

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthAnswer {
    /// ok
    #[schema(example = "ok")]
    status: &'static str,
    version: &'static str,
}

/// What can be used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadyAnswer {
    /// ready, `not_ready` or draining.
    #[schema(example = "ready")]
    status: &'static str,
    checks: Checks,
    /// Whether results and the dashboard can be read, also where sessions are not taken.
    reads: bool,
    /// What is wrong, each with its mend; empty when nothing is.
    problems: Vec<String>,
    /// The detector's outage; `null` while it answers. `GET /api/v1/outage` tells more.
    outage: Option<ReadyOutage>,
}

/// The detector is away.
#[derive(Debug, Serialize, ToSchema)]
struct ReadyOutage {
    /// Who is away.
    #[schema(example = "woodwide")]
    detector: &'static str,
    /// When this node noticed; ISO 8601, UTC.
    since: String,
}

/// ok, or what is wrong.
#[derive(Debug, Serialize, ToSchema)]
struct Checks {
    /// ok, full, damaged or unavailable.
    #[schema(example = "ok")]
    store: &'static str,
    /// ok, or away, behind or foreign while lists are read from the store itself; none without a replica.
    #[schema(example = "none")]
    replica: &'static str,
    /// ok or full.
    #[schema(example = "ok")]
    queue: &'static str,
    /// ok, away (sessions are taken and wait) or unavailable.
    #[schema(example = "ok")]
    detector: &'static str,
    /// closed, or open while a detector is left alone after an outage.
    #[schema(example = "closed")]
    circuit: &'static str,
}

/// Says that the process lives.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "operation", security(()),
    responses((status = 200, description = "It lives", body = HealthAnswer))
)]
pub(crate) async fn health() -> Response {
    answer::json(&HealthAnswer { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Says whether sessions are taken: store and detector can be used, the queue has room, the service is not shutting down.
/// Where one of them is wrong, `checks` and `problems` say which; `reads` says whether everything can still be read.
#[utoipa::path(
    get, path = "/ready", operation_id = "ready", tag = "operation", security(()),
    responses(
        (status = 200, description = "Ready", body = ReadyAnswer),
        (status = 503, description = "Not ready", body = ReadyAnswer),
    )
)]
pub(crate) async fn ready(State(service): State<Shared>) -> Response {
    let draining = service.is_leaving();
    let (store, detector) = service.readiness.check().await;
    let outage = service.scheduler.away();
    let outage = outage.map(|(by, since)| ReadyOutage { detector: by.name(), since: shapes::iso(since) });
    let away = outage.is_some();
    let replica = service.lists.replica();
    let checks = Checks {
        store: store.store.name(),
        replica: replica.map_or("none", ReplicaState::name),
        queue: if store.queue_full { "full" } else { "ok" },
        detector: match (detector, away) {
            (false, _) => "unavailable",
            (true, true) => "away",
            (true, false) => "ok",
        },
        circuit: if away { "open" } else { "closed" },
    };
    let takes_sessions = store.store == StoreState::Ok && !store.queue_full && detector;
    let problems = [
        store.store.problem().map(str::to_owned),
        store.queue_full.then(|| {
            "the queue is full (PLAYPROOF_QUEUE_LIMIT); sessions are refused until batches make room".to_owned()
        }),
        (!detector).then(|| "the detector cannot be used; the log says why".to_owned()),
        outage.as_ref().map(|ReadyOutage { detector, since }| {
            format!(
                "the detector {detector} is away since {since} and is probed; sessions are taken and wait, or the fallback \
                 answers"
            )
        }),
        replica.filter(|state| *state != ReplicaState::Ok).map(|state| {
            let state = state.name();
            format!("the replica is {state}, lists are read from the store itself; the log says why (PLAYPROOF_STORE_READ)")
        }),
    ];
    let (reads, problems) = (store.reads, problems.into_iter().flatten().collect());
    let (code, status) = match (draining, takes_sessions) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, true) => (StatusCode::OK, "ready"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    answer::json_with(code, &ReadyAnswer { status, checks, reads, problems, outage })
}

/// Metrics in Prometheus' text format; what the store knows comes from one snapshot.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "operation",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain"), Measurer)
)]
pub(crate) async fn metrics(Measurer { service }: Measurer) -> Answer {
    // Without the store the process's own metrics are still worth having: they say why.
    let snapshot = match timeout(MAX_LOOK, service.store.snapshot()).await {
        Ok(Ok(snapshot)) => Some(snapshot),
        Ok(Err(error)) => {
            tracing::warn!(%error, "metrics without the store's part");
            None
        }
        Err(_) => None,
    };
    if let Ok(Ok(backlog)) = timeout(MAX_LOOK, service.store.comparison_backlog()).await {
        service.metrics.comparison_backlog(&backlog, service.clock.now().wall);
    }
    if let Ok(Ok(nodes)) = timeout(MAX_LOOK, service.store.nodes()).await {
        service.metrics.nodes(&nodes);
    }
    if let Some(report) = service.embedded.drift().report() {
        let most = report.columns.first().map_or(0.0, |(_, distance)| *distance);
        service.metrics.drift(report.sessions, report.p_values, most);
    }
    let text = service.metrics.render(snapshot.as_ref(), service.clock.now().wall);
    let text = text.map_err(|e| ApiError::internal(format!("metrics could not be encoded: {e}")))?;
    Ok(raw::bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, session};
    use crate::store::StoreError;

    #[tokio::test]
    async fn it_is_ready_while_store_and_detector_are() {
        let app = TestApp::start().await;
        assert_eq!(
            app.get("/ready").await.json(),
            json!({
                "status": "ready", "reads": true, "problems": [], "outage": null,
                "checks": {"store": "ok", "replica": "none", "queue": "ok", "detector": "ok", "circuit": "closed"}
            })
        );
        let app = TestApp::start().await;
        app.store.fail(Some(StoreError::Unavailable("/secret".to_owned())));
        let ready = app.get("/ready").await;
        assert_eq!((ready.status, &ready.json()["checks"]["store"]), (503, &json!("unavailable")));
        assert!(!ready.text.contains("secret"));
        assert_eq!(app.get("/health").await.status, 200, "alive all the same");
        assert_eq!(app.get("/metrics").await.status, 200);
        let app = TestApp::start().await;
        app.detector.set_healthy(false);
        let ready = app.get("/ready").await;
        assert_eq!((ready.status, &ready.json()["checks"]["detector"]), (503, &json!("unavailable")));
        let app = TestApp::start().await;
        app.service.leave();
        let ready = app.get("/ready").await;
        assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("draining")));
        let taken = app.post("/api/v1/score", &session("late")).await;
        assert_eq!((taken.status, taken.header("connection")), (200, Some("close")), "taken, the last one here");
        let app = TestApp::start().await;
        app.service.drain();
        let ready = app.get("/ready").await;
        assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("draining")));
    }

    #[tokio::test]
    async fn what_keeps_sessions_out_is_named() {
        for (fault, name) in
            [(StoreError::Full("/secret".to_owned()), "full"), (StoreError::Corrupt("/secret".to_owned()), "damaged")]
        {
            let app = TestApp::start().await;
            app.store.fail(Some(fault));
            let ready = app.get("/ready").await;
            assert_eq!((ready.status, &ready.json()["checks"]["store"]), (503, &json!(name)));
            assert!(!ready.text.contains("secret") && ready.json()["problems"][0].is_string(), "{}", ready.text);
        }
        let app = TestApp::with(|choice| choice.queue_limit = 1).await;
        assert_eq!(app.post("/api/v1/score", &session("a")).await.status, 200);
        let ready = app.get("/ready").await;
        assert_eq!((ready.status, &ready.json()["checks"]["queue"]), (503, &json!("full")));
        assert_eq!(ready.json()["reads"], true);
        assert_eq!(app.get("/api/v1/batch/result/a").await.status, 200);
    }

    #[tokio::test]
    async fn a_check_holds_for_a_moment() {
        let app = TestApp::start().await;
        assert_eq!(app.get("/ready").await.status, 200);
        app.detector.set_healthy(false);
        assert_eq!(app.get("/ready").await.status, 200, "the detector is not asked for every request");
    }

    #[tokio::test]
    async fn metrics_tell_sessions_and_requests_once_each() {
        let app = TestApp::start().await;
        app.post("/api/v1/score", &session("a")).await;
        app.post("/api/v1/score", &session("a")).await;
        app.post_text("/api/v1/score", "{").await;
        app.get("/no/such").await;
        app.get("/api/v1/batch/result/a").await;
        let of = async |name: &str| app.metric(name).await as u64;
        for outcome in ["accepted", "duplicate", "refused"] {
            let name = format!("playproof_sessions_received_total{{outcome=\"{outcome}\"}}");
            assert_eq!(of(&name).await, 1, "{outcome}");
        }
        let count = |method: &str, route: &str, status: u16| {
            format!(
                "playproof_http_request_duration_seconds_count{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"
            )
        };
        assert_eq!(of(&count("POST", "/api/v1/score", 200)).await, 2);
        assert_eq!(of(&count("POST", "/api/v1/score", 400)).await, 1);
        assert_eq!(of(&count("GET", "unmatched", 404)).await, 1);
        assert_eq!(of(&count("GET", "/api/v1/batch/result/{sessionId}", 200)).await, 1);
        assert_eq!(of("playproof_store_accepted").await, 1);
        let reply = app.get("/metrics").await;
        assert!(reply.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    }

    #[tokio::test]
    async fn the_document_is_open() {
        let app = TestApp::with_keys().await;
        assert_eq!(app.get("/openapi.json").await.json()["openapi"], "3.1.0");
        app.get("/metrics").await.is_error(401, "unauthorized");
    }
}
