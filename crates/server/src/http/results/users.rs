//! `GET /api/v1/users/:userId`: what is known of a user.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::overview::{TallyBody, tally};
use crate::domain::trend::Tally;
use crate::http::extract::caller::Reviewer;
use crate::http::extract::deployment::DeploymentParams;
use crate::http::extract::path::UserPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{StoreAway, UnknownUser};
use crate::http::respond::shapes::iso;

/// Sessions of a user that have something in common.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserPart {
    /// A device, or a deployment; empty when none.
    name: String,
    decisions: TallyBody,
}

/// A rule that lets the user pass, or fails them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserOverride {
    id: String,
    /// allow or deny.
    action: &'static str,
    /// `null` for all.
    deployment_id: Option<String>,
    note: String,
}

/// How many of a user's sessions were labelled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserLabels {
    human: u64,
    bot: u64,
}

/// What is known of a user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserAnswer {
    user_id: String,
    /// Sessions with a result.
    sessions: u64,
    /// Whether there are more; the newest 2,000 are looked at.
    is_more: bool,
    decisions: TallyBody,
    devices: Vec<UserPart>,
    deployments: Vec<UserPart>,
    labels: UserLabels,
    /// When the first of them was scored.
    first_seen: Option<String>,
    /// When the last of them was scored.
    last_seen: Option<String>,
    overrides: Vec<UserOverride>,
}

/// Tells what is known of a user, in one deployment or in all. Their sessions are listed by `GET /api/v1/batch/results`.
#[utoipa::path(
    get, path = "/api/v1/users/{userId}", operation_id = "readUser", tag = "results",
    params(("userId" = String, Path, description = "The user"), DeploymentParams),
    responses((status = 200, description = "What is known", body = UserAnswer), Reviewer, UnknownUser, StoreAway)
)]
pub(crate) async fn read(
    Reviewer { service, access }: Reviewer,
    UserPath(user): UserPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let deployment = access.deployment(params.deployment_id)?;
    let unknown = || ApiError::new(Code::UnknownUser, "no session of this user has a result here");
    let known = service.operations.user(deployment, user.clone()).await?.ok_or_else(unknown)?;
    let parts = |parts: BTreeMap<String, Tally>| {
        let mut parts: Vec<(String, Tally)> = parts.into_iter().collect();
        parts.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.total()));
        parts.into_iter().map(|(name, sum)| UserPart { name, decisions: tally(sum) }).collect()
    };
    Ok(answer::json(&UserAnswer {
        user_id: user,
        sessions: known.decisions.total(),
        is_more: known.is_more,
        decisions: tally(known.decisions),
        devices: parts(known.devices),
        deployments: parts(known.deployments),
        labels: UserLabels { human: known.labels.0, bot: known.labels.1 },
        first_seen: known.seen.map(|(first, _)| iso(first)),
        last_seen: known.seen.map(|(_, last)| iso(last)),
        overrides: known
            .overrides
            .into_iter()
            .map(|(id, rule)| UserOverride {
                id,
                action: if rule.allow { "allow" } else { "deny" },
                deployment_id: rule.deployment_id,
                note: rule.note,
            })
            .collect(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, send, session};

    #[tokio::test]
    async fn a_user_is_summed_up_and_listed_by_their_sessions() {
        let app = TestApp::start().await;
        for (id, user, deployment) in [("a", "mira", ""), ("b", "mira", "eu"), ("c", "tom", "")] {
            let mut one = session(id);
            one["userId"] = json!(user);
            one["deploymentId"] = json!(deployment);
            app.post("/api/v1/score", &one).await;
        }
        app.get("/api/v1/users/mira").await.is_error(404, "unknown_user");
        send(app.request("POST", "/api/v1/batch/process")).await;
        app.post("/api/v1/sessions/a/label", &json!({"label": "bot"})).await;
        app.post("/api/v1/overrides", &json!({"userId": "mira", "action": "deny", "note": "chargebacks"})).await;
        let told = app.get("/api/v1/users/mira").await.json();
        assert_eq!((&told["sessions"], &told["labels"]["bot"]), (&json!(2), &json!(1)), "{told}");
        assert_eq!(told["overrides"][0]["action"], "deny");
        assert_eq!(told["deployments"].as_array().unwrap().len(), 2);
        assert_eq!(app.get("/api/v1/users/mira?deploymentId=eu").await.json()["sessions"], 1);
        let listed = app.get("/api/v1/batch/results?userId=mira").await.json();
        assert_eq!(listed["results"].as_array().unwrap().len(), 2);
        assert_eq!(listed["results"][0]["userId"], "mira");
        assert_eq!(app.get("/api/v1/batch/results?label=bot").await.json()["results"][0]["label"], "bot");
        assert_eq!(app.get("/api/v1/batch/results?idPrefix=c").await.json()["results"].as_array().unwrap().len(), 1);
        let by_score = app.get("/api/v1/batch/results?sort=score&limit=2").await.json();
        assert_eq!((by_score["results"].as_array().unwrap().len(), &by_score["nextCursor"]), (2, &json!(null)));
        let csv = send(app.request("GET", "/api/v1/batch/results?userId=mira").header("accept", "text/csv")).await.text;
        assert!(csv.lines().next().unwrap().ends_with(",userId,label") && csv.contains(",mira,bot"), "{csv}");
        app.delete("/api/v1/users/mira").await;
        assert_eq!(app.get("/api/v1/users/mira").await.json()["sessions"], 0, "the override is still there");
        for wrong in ["sort=colour", "label=robot"] {
            app.get(&format!("/api/v1/batch/results?{wrong}")).await.is_error(400, "malformed");
        }
    }
}
