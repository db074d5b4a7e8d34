//! Erasing: one session, all of a user, everything.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::auth::{Admin, Operator};
use super::error::{ApiError, Code, ErrorBody};
use super::request::{self, Params, SessionPath, TextPath};
use super::wire;
use crate::domain::session::MAX_STRING;
use crate::store::Lookup;

/// How many sessions were erased.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErasedAnswer {
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
    wire::json(&ErasedAnswer { success: true, erased: count, message })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeploymentParams {
    /// The deployment; a bound key has its own.
    pub(super) deployment_id: Option<String>,
}

/// Erases a session: telemetry, features and result. Its id stays used up. Erasing it again erases nothing.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{sessionId}", operation_id = "eraseSession", tag = "erasure",
    params(("sessionId" = String, Path, description = "The session"), DeploymentParams),
    responses(
        (status = 200, description = "Erased", body = ErasedAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or another deployment", body = ErrorBody),
        (status = 404, description = "Unknown session", body = ErrorBody),
        (status = 422, description = "No possible session id", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn session(
    State(service): State<Shared>,
    Admin(access): Admin,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
) -> Result<Response, ApiError> {
    let (key, found) = service.find(access.session(id, params.deployment_id)?).await?;
    service.note(&access, "session.erase", service.store.session_pseudonym(&key), serde_json::json!({})).await?;
    if service.store.erase_session(key.clone(), service.clock.now()).await? {
        service.settled.notify(&[key]);
        return Ok(erased(1));
    }
    match found {
        Lookup::Erased => Ok(erased(0)),
        Lookup::Found(_) | Lookup::Unknown => Err(ApiError::new(Code::UnknownSession, "there is no such session")),
    }
}

/// Erases every session of a user, in one deployment or in all.
#[utoipa::path(
    delete, path = "/api/v1/users/{userId}", operation_id = "eraseUser", tag = "erasure",
    params(("userId" = String, Path, description = "The user"), DeploymentParams),
    responses(
        (status = 200, description = "Erased", body = ErasedAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or another deployment", body = ErrorBody),
        (status = 404, description = "No session of this user is stored", body = ErrorBody),
        (status = 422, description = "No possible user id", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn user(
    State(service): State<Shared>,
    Admin(access): Admin,
    TextPath(user): TextPath,
    Params(params): Params<DeploymentParams>,
) -> Result<Response, ApiError> {
    if user.len() > MAX_STRING {
        let message = format!("the userId in the path must be at most {MAX_STRING} bytes long");
        return Err(ApiError::at(Code::OutOfBounds, "userId", message));
    }
    let deployment = access.deployment(params.deployment_id)?;
    let detail = serde_json::json!({"deploymentId": deployment});
    service.note(&access, "user.erase", service.store.user_pseudonym(&user), detail).await?;
    match service.store.erase_user(deployment, user, service.clock.now()).await? {
        0 => Err(ApiError::new(Code::UnknownUser, "no session of this user is stored")),
        count => {
            service.settled.notify_all();
            Ok(erased(count))
        }
    }
}

/// The word that clearing asks for when keys are set.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ClearRequest {
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
        (status = 400, description = "Malformed", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 422, description = "Not confirmed", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn clear(
    State(service): State<Shared>,
    Operator(access): Operator,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = request::read(&headers, body, service.body_limits(request::FORM)).await?;
    // Who says something must say the right thing; without keys saying nothing is enough.
    let confirmed = match request::json::<ClearRequest>(&body)? {
        Some(request) => request.confirm == "clear",
        None => service.settings.keys.is_empty(),
    };
    if !confirmed {
        let message = r#"this erases every session; send {"confirm":"clear"} to do it"#;
        return Err(ApiError::at(Code::ConfirmationRequired, "confirm", message));
    }
    service.note(&access, "sessions.clear", "", serde_json::json!({})).await?;
    let count = service.store.clear(service.clock.now()).await?;
    service.settled.notify_all();
    let noun = if count == 1 { "session" } else { "sessions" };
    let message = format!("Batch queue cleared, {count} {noun} erased");
    Ok(wire::json(&ErasedAnswer { success: true, erased: count, message }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{TestApp, session};

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
        let cleared = super::super::testing::send(open.request("POST", clear)).await;
        assert_eq!((cleared.status, &cleared.json()["success"]), (200, &json!(true)));
    }
}
