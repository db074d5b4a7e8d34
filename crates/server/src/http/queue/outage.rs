//! `GET /api/v1/outage`: whether the detector is away, since when and why, and what becomes of the sessions meanwhile.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::extract::caller::Reviewer;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::shapes;
use crate::scheduler::Outage;

/// What to do about it, and where more of it is said.
const HELP: &str = "Sessions are accepted and kept; nothing is lost. Run playproof-batch check on the node's machine: it \
                    asks the detector and prints its answer. Mend the network, the key or the credits; the next probe \
                    notices by itself. More is in docs/operate.md under \"When the detector is away\".";

/// The detector is away.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutageBody {
    /// Who is away.
    #[schema(example = "woodwide")]
    detector: &'static str,
    /// Why.
    cause: String,
    /// When this node noticed; ISO 8601, UTC.
    since: String,
    /// When this node asks it next; ISO 8601, UTC. `null` while the scheduler is stopped.
    next_probe_at: Option<String>,
    /// How long a session waits before the embedded detector scores it; `null` where there is no fallback.
    fallback_after_seconds: Option<f64>,
    /// When that is so for the oldest session that is ready; ISO 8601, UTC. `null` when none is.
    fallback_at: Option<String>,
    /// Sessions that wait; `null` for a key bound to a deployment.
    waiting: Option<u64>,
    /// Sessions that this node's fallback has scored since then; `null` for a key bound to a deployment.
    scored_by_fallback: Option<u64>,
    /// What to do about it.
    help: &'static str,
}

/// The outage under way at this node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutageAnswer {
    /// `null` while the detector answers.
    outage: Option<OutageBody>,
}

impl OutageBody {
    /// What a caller may know: counts, and the oldest session's time, are of all deployments.
    fn new(outage: Outage, everything: bool) -> Self {
        Self {
            detector: outage.detector.name(),
            cause: outage.cause,
            since: shapes::iso(outage.since),
            next_probe_at: outage.next_probe.map(shapes::iso),
            fallback_after_seconds: outage.fallback_after.map(|span| span.as_secs_f64()),
            fallback_at: outage.fallback_at.filter(|_| everything).map(shapes::iso),
            waiting: outage.waiting.filter(|_| everything),
            scored_by_fallback: everything.then_some(outage.scored_by_fallback),
            help: HELP,
        }
    }
}

/// Says whether the detector is away, since when and why.
///
/// Each node notices by itself: this is what the node that answers knows.
#[utoipa::path(
    get, path = "/api/v1/outage", operation_id = "readOutage", tag = "operation",
    responses((status = 200, description = "The outage, if there is one", body = OutageAnswer), Reviewer)
)]
pub(crate) async fn read(Reviewer { service, access }: Reviewer) -> Answer {
    let outage = service.scheduler.outage().await;
    let everything = access.require_unbound().is_ok();
    Ok(answer::json(&OutageAnswer { outage: outage.map(|outage| OutageBody::new(outage, everything)) }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::detector::DetectorError;
    use crate::detector::scripted::Scripted;
    use crate::http::testing::{TestApp, add_keys, lines, send};

    /// A service whose detector is found away by a run on demand.
    async fn away() -> TestApp {
        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.detector = Scripted::new(|_| {
                Err(DetectorError::Unavailable { message: "no credits left".to_owned(), retry_after: None })
            });
        })
        .await;
        let bulk = app.request("POST", "/api/v1/batch/sessions").header("content-type", "application/x-ndjson");
        assert_eq!(send(bulk.bearer_auth("admin").body(lines("s", 3))).await.status, 200);
        assert_eq!(app.post_as("admin", "/api/v1/batch/process", &json!({})).await.status, 200);
        app
    }

    #[tokio::test]
    async fn an_analyst_is_told_of_an_outage_and_a_bound_key_no_counts_of_others() {
        let app = TestApp::with_keys().await;
        assert_eq!(app.get_as("analyst", "/api/v1/outage").await.json(), json!({"outage": null}));
        let app = away().await;
        let told = app.get_as("analyst", "/api/v1/outage").await.json()["outage"].clone();
        assert_eq!(
            (&told["detector"], &told["cause"], &told["since"]),
            (&json!("embedded"), &json!("no credits left"), &json!("2026-01-31T12:00:00.000Z"))
        );
        assert_eq!((&told["waiting"], &told["scoredByFallback"]), (&json!(3), &json!(0)));
        assert!(told["help"].as_str().unwrap().contains("docs/operate.md"));
        let bound = app.get_as("admin-eu", "/api/v1/outage").await.json()["outage"].clone();
        assert_eq!(
            (&bound["cause"], &bound["waiting"], &bound["scoredByFallback"], &bound["fallbackAt"]),
            (&told["cause"], &Value::Null, &Value::Null, &Value::Null)
        );
    }

    #[tokio::test]
    async fn a_stopped_scheduler_probes_nobody_and_a_running_one_says_when() {
        let app = away().await;
        let next = async || app.get_as("admin", "/api/v1/outage").await.json()["outage"]["nextProbeAt"].clone();
        assert_eq!(next().await, Value::Null, "it is stopped");
        app.post_as("admin", "/api/v1/batch/scheduler/start", &json!({})).await;
        assert_eq!(next().await, "2026-01-31T12:00:30.000Z");
    }

    #[tokio::test]
    async fn ready_names_the_outage_to_everybody_without_its_cause() {
        let app = away().await;
        let ready = app.get("/ready").await;
        assert_eq!(ready.status, 200);
        assert_eq!(ready.json()["outage"], json!({"detector": "embedded", "since": "2026-01-31T12:00:00.000Z"}));
        assert!(ready.json()["problems"][0].as_str().unwrap().contains("embedded is away since 2026-01-31T12:00:00"));
        assert!(!ready.text.contains("credits"), "{}", ready.text);
    }
}
