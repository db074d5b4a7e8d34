//! Erasing: one session, all of a user, everything.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::extract::body;
use crate::http::extract::caller::{DeploymentAdmin, GlobalAdmin};
use crate::http::extract::deployment::DeploymentParams;
use crate::http::extract::path::{SessionPath, UserPath};
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{
    ImpossibleSession, Malformed, NotConfirmed, StoreAway, UnknownSession, UnknownUser,
};

/// How many sessions were erased.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErasedAnswer {
    /// Always true.
    success: bool,
    /// Sessions erased by this call.
    erased: u64,
    /// For people.
    message: String,
}

fn erased(count: u64) -> Response {
    let message = match count {
        1 => "Erased 1 session".to_owned(),
        n => format!("Erased {n} sessions"),
    };
    answer::json(&ErasedAnswer { success: true, erased: count, message })
}

/// Erases a session: telemetry, features and result. Its id stays used up. Erasing it again erases nothing.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{sessionId}", operation_id = "eraseSession", tag = "erasure",
    params(("sessionId" = String, Path, description = "The session"), DeploymentParams),
    responses(
        (status = 200, description = "Erased", body = ErasedAnswer),
        DeploymentAdmin, ImpossibleSession, UnknownSession, StoreAway,
    )
)]
pub(crate) async fn session(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let key = access.session(id, params.deployment_id)?;
    let unknown = || ApiError::new(Code::UnknownSession, "there is no such session");
    Ok(erased(service.operations.erase_session(&access.actor, key).await?.ok_or_else(unknown)?))
}

/// Erases every session of a user, in one deployment or in all.
#[utoipa::path(
    delete, path = "/api/v1/users/{userId}", operation_id = "eraseUser", tag = "erasure",
    params(("userId" = String, Path, description = "The user"), DeploymentParams),
    responses((status = 200, description = "Erased", body = ErasedAnswer), DeploymentAdmin, UnknownUser, StoreAway)
)]
pub(crate) async fn user(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    UserPath(user): UserPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let deployment = access.deployment(params.deployment_id)?;
    match service.operations.erase_user(&access.actor, deployment, user).await? {
        0 => Err(ApiError::new(Code::UnknownUser, "no session of this user is stored")),
        count => Ok(erased(count)),
    }
}

/// The word that clearing asks for when keys are set.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ClearRequest {
    /// `clear`
    #[schema(example = "clear", pattern = "^clear$")]
    confirm: String,
}

/// Erases every session. When keys are set the body must be `{"confirm":"clear"}`.
#[utoipa::path(
    post, path = "/api/v1/batch/clear", operation_id = "clear", tag = "erasure",
    request_body(content = Option<ClearRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "Cleared", body = ErasedAnswer),
        GlobalAdmin, Malformed, NotConfirmed, StoreAway,
    )
)]
pub(crate) async fn clear(GlobalAdmin { service, access }: GlobalAdmin, headers: HeaderMap, body: Body) -> Answer {
    let body = body::read(&headers, body, service.body_limits(body::FORM)).await?;
    // Who says something must say the right thing; without keys saying nothing is enough.
    let confirmed = match body::json::<ClearRequest>(&body)? {
        Some(request) => request.confirm == "clear",
        None => service.settings.keys.is_empty(),
    };
    if !confirmed {
        let message = r#"this erases every session; send {"confirm":"clear"} to do it"#;
        return Err(ApiError::at(Code::ConfirmationRequired, "confirm", message));
    }
    let count = service.operations.erase_all(&access.actor).await?;
    let noun = if count == 1 { "session" } else { "sessions" };
    let message = format!("Batch queue cleared, {count} {noun} erased");
    Ok(answer::json(&ErasedAnswer { success: true, erased: count, message }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, session};

    #[tokio::test]
    async fn an_erased_session_is_gone_and_its_id_stays_used_up() {
        let app = TestApp::start().await;
        app.post("/api/v1/score", &session("a")).await;
        let erased = app.delete("/api/v1/sessions/a").await;
        assert_eq!(
            (erased.status, &erased.json()["success"], &erased.json()["erased"]),
            (200, &json!(true), &json!(1))
        );
        assert_eq!(app.delete("/api/v1/sessions/a").await.json()["erased"], 0);
        app.get("/api/v1/batch/result/a").await.is_error(410, "session_erased");
        app.post("/api/v1/score", &session("a")).await.is_error(410, "session_erased");
        app.delete("/api/v1/sessions/unknown").await.is_error(404, "unknown_session");
        app.delete("/api/v1/sessions/a%2Fb").await.is_error(422, "out_of_bounds");
    }

    #[tokio::test]
    async fn a_user_is_erased_in_one_deployment_or_in_all() {
        let app = TestApp::start().await;
        for (id, deployment) in [("a", "eu"), ("b", "eu"), ("c", "us")] {
            let mut session = session(id);
            session["userId"] = json!("jo/é");
            session["deploymentId"] = json!(deployment);
            app.post("/api/v1/score", &session).await;
        }
        let user = "/api/v1/users/jo%2F%C3%A9";
        assert_eq!(app.delete(&format!("{user}?deploymentId=us")).await.json()["erased"], 1);
        assert_eq!(app.delete(user).await.json()["erased"], 2);
        app.delete(user).await.is_error(404, "unknown_user");
        app.delete(&format!("/api/v1/users/{}", "x".repeat(257))).await.is_error(422, "out_of_bounds");
        app.delete("/api/v1/users/%FF").await.is_error(400, "malformed");
    }

    #[tokio::test]
    async fn clearing_asks_for_confirmation_where_keys_are_set() {
        let app = TestApp::with_keys().await;
        app.post_as("admin", "/api/v1/score", &session("a")).await;
        let clear = "/api/v1/batch/clear";
        app.post_as("admin", clear, &json!({})).await.is_error(400, "malformed");
        app.post_as("admin", clear, &json!({"confirm": "yes"})).await.is_error(422, "confirmation_required");
        app.post_as("admin-eu", clear, &json!({"confirm": "clear"})).await.is_error(403, "wrong_deployment");
        assert_eq!(app.get_as("admin", "/api/v1/batch/stats").await.json()["queue"]["total"], 1);
        assert_eq!(app.post_as("admin", clear, &json!({"confirm": "clear"})).await.json()["erased"], 1);

        let open = TestApp::start().await;
        open.post("/api/v1/score", &session("a")).await;
        let cleared = crate::http::testing::send(open.request("POST", clear)).await;
        assert_eq!((cleared.status, &cleared.json()["success"]), (200, &json!(true)));
    }
}
