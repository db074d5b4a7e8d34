//! `GET /api/v1/review`: which sessions a person should look at first.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::review;
use crate::http::extract::caller::Reviewer;
use crate::http::extract::page;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::refusals::{LimitOutOfBounds, StoreAway};
use crate::http::respond::shapes;

const PAGE: u32 = 20;
const MAX_PAGE: u32 = 200;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReviewParams {
    /// Only this deployment; a bound key sees its own only.
    deployment_id: Option<String>,
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 20)]
    limit: Option<u32>,
}

/// A session to be looked at.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewBody {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    game_type: String,
    device_type: String,
    /// pass, review or fail.
    #[schema(example = "review")]
    decision: &'static str,
    /// `null` where there is no calibrated score.
    anomaly_score: Option<f64>,
    reasons: Vec<shapes::ReasonBody>,
    /// ISO 8601, UTC.
    scored_at: String,
    /// The guess that it is a bot's, by its score and by what was said of sessions like it; 0 to 1.
    likelihood: f64,
    /// 0 to 1; 1 where nobody can tell.
    uncertainty: f64,
    /// 0 to 1; 1 where nothing like it was labelled.
    novelty: f64,
    /// What orders likely bots, and likely people, 0 to 1.
    priority: f64,
}

/// The first of the queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReviewAnswer {
    sessions: Vec<ReviewBody>,
    /// Sessions without a label that were looked through.
    considered: usize,
    /// Labels that the order learned from.
    labels: usize,
}

/// Lists the sessions that a label would say most about, likely bots and likely people by turns: bots of which least is
/// known, people that are surest, and both the less they are like what was labelled. Every label changes the order. Of each decision the newest thousand without a label are looked through.
#[utoipa::path(
    get, path = "/api/v1/review", operation_id = "reviewQueue", tag = "review", params(ReviewParams),
    responses(
        (status = 200, description = "The first of the queue", body = ReviewAnswer),
        Reviewer, LimitOutOfBounds, StoreAway,
    )
)]
pub(crate) async fn list(Reviewer { service, access }: Reviewer, Params(params): Params<ReviewParams>) -> Answer {
    let limit = page::page_size(params.limit, PAGE, MAX_PAGE)?;
    let deployment = access.deployment(params.deployment_id)?;
    let queue = service.operations.review_queue(deployment).await?;
    let body = |priority: &review::Priority| {
        let row = &queue.rows[priority.place];
        ReviewBody {
            session_id: row.key.id.to_string(),
            deployment_id: row.key.deployment.clone(),
            game_type: row.game_type.clone(),
            device_type: row.device_type.clone(),
            decision: row.candidate.decision.name(),
            anomaly_score: row.candidate.score,
            reasons: shapes::reasons(row.reasons),
            scored_at: shapes::iso(row.scored_at),
            likelihood: priority.likelihood,
            uncertainty: priority.uncertainty,
            novelty: priority.novelty,
            priority: priority.value(),
        }
    };
    let sessions = queue.order.iter().take(limit as usize).map(body).collect();
    Ok(answer::json(&ReviewAnswer { sessions, considered: queue.rows.len(), labels: queue.labels }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, lines};

    #[tokio::test]
    async fn the_queue_is_ordered_and_a_labelled_session_leaves_it() {
        let app = TestApp::start().await;
        app.bulk("", lines("s", 12)).await;
        app.post("/api/v1/batch/process", &json!({})).await;
        let queue = app.get("/api/v1/review?limit=5").await.json();
        assert_eq!((&queue["considered"], &queue["labels"]), (&json!(12), &json!(0)));
        let sessions = queue["sessions"].as_array().unwrap();
        let half = |bots: bool| -> Vec<f64> {
            let of = sessions.iter().filter(|session| (session["likelihood"].as_f64().unwrap() >= 0.5) == bots);
            of.map(|session| session["priority"].as_f64().unwrap()).collect()
        };
        let (bots, people) = (half(true), half(false));
        assert_eq!(bots.len() + people.len(), 5);
        assert!(bots.is_sorted_by(|a, b| a >= b) && people.is_sorted_by(|a, b| a >= b), "{bots:?} {people:?}");
        let first = sessions[0]["sessionId"].as_str().unwrap();
        app.post(&format!("/api/v1/sessions/{first}/label"), &json!({"label": "bot"})).await;
        let after = app.get("/api/v1/review?limit=200").await.json();
        assert_eq!((&after["considered"], &after["labels"]), (&json!(11), &json!(1)));
        assert!(!after["sessions"].to_string().contains(&format!("\"{first}\"")));
        app.get("/api/v1/review?limit=0").await.is_error(422, "out_of_bounds");
        app.get("/api/v1/review?size=1").await.is_error(400, "malformed");
    }
}
