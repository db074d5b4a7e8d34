//! Retention by deployment: how long the sessions of one are kept, where that is less than the settings say.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::http::extract::caller::{DeploymentAdmin, GlobalAdmin};
use crate::http::extract::deployment::{self, DeploymentParams};
use crate::http::extract::json::{Form, Json};
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{BodyRefused, OutOfBounds, StoreAway, UnknownRule};
use crate::http::respond::shapes;
use crate::operations::retention::MAX_RULES;
use crate::store::controls::RetentionRule;

/// Longest span: ten years.
const MAX_HOURS: u64 = 87_600;

/// How long a deployment's sessions are to be kept; at least one of the two spans.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RetentionRequest {
    /// Whose sessions; a bound key's own when left out.
    #[schema(min_length = 1, max_length = 256)]
    deployment_id: Option<String>,
    /// Hours for which results, and everything else of a session, are kept.
    #[schema(minimum = 1, maximum = 87_600)]
    results_hours: Option<u64>,
    /// Hours for which telemetry is kept, whatever the decision; not more than `resultsHours`.
    #[schema(minimum = 1, maximum = 87_600)]
    telemetry_hours: Option<u64>,
}

impl Form for RetentionRequest {
    const MISSING: &'static str = r#"the body is empty; send {"deploymentId": "...", "telemetryHours": 24}"#;
}

/// How long a deployment's sessions are kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetentionBody {
    deployment_id: String,
    /// `null`: as long as the settings say.
    results_hours: Option<u64>,
    /// `null`: as long as the settings say.
    telemetry_hours: Option<u64>,
}

/// Every deployment with a rule of its own.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetentionAnswer {
    deployments: Vec<RetentionBody>,
    /// Where nothing is pruned because the clock is far ahead of its last look: when that was; ISO 8601, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_since: Option<String>,
}

/// That pruning goes on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetentionResumed {
    /// Whether it was paused.
    resumed: bool,
    /// The clock that is taken for right; ISO 8601, UTC.
    clock: String,
}

/// Lets what is past its time be pruned again, by the clock as it is.
///
/// Nothing is pruned while the clock is over three days ahead of the last look at it: it was set wrongly, the service was
/// away for longer, or the store comes from an old backup.
#[utoipa::path(
    post, path = "/api/v1/retention/resume", operation_id = "resumeRetention", tag = "retention",
    responses((status = 200, description = "Agreed", body = RetentionResumed), GlobalAdmin, StoreAway)
)]
pub(crate) async fn resume(GlobalAdmin { service, access }: GlobalAdmin) -> Answer {
    let (now, paused) = service.operations.resume_retention(&access.actor, shapes::iso).await?;
    Ok(answer::json(&RetentionResumed { resumed: paused.is_some(), clock: shapes::iso(now) }))
}

fn shown(deployment: &str, rule: &RetentionRule) -> RetentionBody {
    RetentionBody {
        deployment_id: deployment.to_owned(),
        results_hours: rule.results_hours,
        telemetry_hours: rule.telemetry_hours,
    }
}

fn out_of_bounds(field: &str, message: impl Into<String>) -> ApiError {
    ApiError::at(Code::OutOfBounds, field, message)
}

/// Lists the deployments whose sessions are kept for less time than the settings say; to a bound key its own.
#[utoipa::path(
    get, path = "/api/v1/retention", operation_id = "listRetention", tag = "retention",
    params(DeploymentParams),
    responses((status = 200, description = "All of them", body = RetentionAnswer), DeploymentAdmin)
)]
pub(crate) async fn list(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let only = access.deployment(params.deployment_id)?;
    let held = service.controls.current();
    let asked = held.retention.iter().filter(|(deployment, _)| only.as_ref().is_none_or(|only| only == *deployment));
    let paused = service.operations.retention_paused().await?;
    let deployments = asked.map(|(deployment, rule)| shown(deployment, rule)).collect();
    Ok(answer::json(&RetentionAnswer { deployments, paused_since: paused.map(shapes::iso) }))
}

/// Keeps a deployment's finished sessions for less time than the settings say, in place of its rule before. What is past
/// its time goes within a minute.
#[utoipa::path(
    post, path = "/api/v1/retention", operation_id = "setRetention", tag = "retention",
    request_body = RetentionRequest,
    responses(
        (status = 200, description = "It holds", body = RetentionBody),
        DeploymentAdmin, BodyRefused, OutOfBounds, StoreAway,
    )
)]
pub(crate) async fn set(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Json(asked): Json<RetentionRequest>,
) -> Answer {
    deployment::check(asked.deployment_id.as_deref())?;
    let rule = RetentionRule { results_hours: asked.results_hours, telemetry_hours: asked.telemetry_hours };
    for (field, hours) in [("resultsHours", rule.results_hours), ("telemetryHours", rule.telemetry_hours)] {
        if hours.is_some_and(|hours| !(1..=MAX_HOURS).contains(&hours)) {
            return Err(out_of_bounds(field, format!("{field} must be from 1 to {MAX_HOURS}")));
        }
    }
    match (rule.results_hours, rule.telemetry_hours) {
        (None, None) => {
            return Err(out_of_bounds("telemetryHours", "give telemetryHours, resultsHours or both"));
        }
        (Some(results), Some(telemetry)) if telemetry > results => {
            let message = "telemetryHours must not be more than resultsHours: telemetry goes with its result";
            return Err(out_of_bounds("telemetryHours", message));
        }
        _ => {}
    }
    let missing = || out_of_bounds("deploymentId", "deploymentId must be given; the settings hold for all the others");
    let deployment = access.deployment(asked.deployment_id)?.ok_or_else(missing)?;
    let body = shown(&deployment, &rule);
    if !service.operations.set_retention(&access.actor, &deployment, &rule, json!(body)).await? {
        return Err(out_of_bounds("deploymentId", format!("{MAX_RULES} deployments have a rule; remove one")));
    }
    Ok(answer::json(&body))
}

/// Takes a deployment's rule back: the settings hold for it again. What is gone stays gone.
#[utoipa::path(
    delete, path = "/api/v1/retention", operation_id = "resetRetention", tag = "retention",
    params(DeploymentParams),
    responses((status = 200, description = "What held until now", body = RetentionBody), DeploymentAdmin, UnknownRule, StoreAway)
)]
pub(crate) async fn reset(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let unknown = || ApiError::new(Code::UnknownRule, "this deployment has no rule; name one with ?deploymentId=");
    let deployment = access.deployment(params.deployment_id)?.ok_or_else(unknown)?;
    let rule = service.operations.reset_retention(&access.actor, &deployment).await?.ok_or_else(unknown)?;
    Ok(answer::json(&shown(&deployment, &rule)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{TestApp, add_keys, send};

    #[tokio::test]
    async fn a_rule_is_set_listed_and_taken_back() {
        let app = TestApp::start().await;
        let set = json!({"deploymentId": "eu", "telemetryHours": 24});
        let made = app.post("/api/v1/retention", &set).await.json();
        assert_eq!(made, json!({"deploymentId": "eu", "resultsHours": null, "telemetryHours": 24}));
        assert_eq!(app.get("/api/v1/retention").await.json(), json!({"deployments": [made]}));
        assert!(app.get("/api/v1/audit").await.text.contains("retention.set"));
        assert_eq!(app.delete("/api/v1/retention?deploymentId=eu").await.json(), made);
        app.delete("/api/v1/retention?deploymentId=eu").await.is_error(404, "unknown_rule");
        app.delete("/api/v1/retention").await.is_error(404, "unknown_rule");
        assert_eq!(app.get("/api/v1/retention").await.json(), json!({"deployments": []}));
    }

    #[tokio::test]
    async fn a_bound_key_sees_and_sets_its_own() {
        let app = TestApp::with(|choice| add_keys(&mut choice.http)).await;
        let of = |name: &str| json!({"deploymentId": name, "resultsHours": 2});
        assert_eq!(app.post_as("admin", "/api/v1/retention", &of("us")).await.status, 200);
        let own = app.post_as("admin-eu", "/api/v1/retention", &json!({"telemetryHours": 1})).await.json();
        assert_eq!(own["deploymentId"], "eu");
        app.post_as("admin-eu", "/api/v1/retention", &of("us")).await.is_error(403, "wrong_deployment");
        let seen = app.get_as("admin-eu", "/api/v1/retention").await.json();
        assert_eq!(seen, json!({"deployments": [own]}));
        let reset = app.request("DELETE", "/api/v1/retention?deploymentId=us").bearer_auth("admin-eu");
        send(reset).await.is_error(403, "wrong_deployment");
    }

    #[tokio::test]
    async fn impossible_rules_are_refused_with_their_field() {
        let app = TestApp::start().await;
        for (body, field) in [
            (json!({"telemetryHours": 1}), "deploymentId"),
            (json!({"deploymentId": "", "telemetryHours": 1}), "deploymentId"),
            (json!({"deploymentId": "eu"}), "telemetryHours"),
            (json!({"deploymentId": "eu", "telemetryHours": 0}), "telemetryHours"),
            (json!({"deploymentId": "eu", "resultsHours": 87_601}), "resultsHours"),
            (json!({"deploymentId": "eu", "resultsHours": 1, "telemetryHours": 2}), "telemetryHours"),
        ] {
            let refused = app.post("/api/v1/retention", &body).await;
            refused.is_error(422, "out_of_bounds");
            assert!(refused.text.contains(field), "{}", refused.text);
        }
    }
}
