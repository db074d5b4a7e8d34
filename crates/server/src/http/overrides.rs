//! Overrides: users who pass, or fail, whatever their movement. Who they are is kept as a keyed hash alone.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::auth::Operator;
use super::error::{ApiError, Code, ErrorBody};
use super::request::TextPath;
use super::{Shared, keys, wire};
use crate::controls::{OVERRIDE, Override};
use crate::domain::session::MAX_STRING;
use crate::domain::time::Timestamp;

/// Most overrides.
const MOST: usize = 10_000;
const LONGEST_NOTE: usize = 500;

/// An override to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OverrideRequest {
    /// As sessions send it.
    #[schema(min_length = 1, max_length = 256)]
    user_id: String,
    /// allow or deny.
    #[schema(example = "deny", pattern = "^(allow|deny)$")]
    action: String,
    /// Only this deployment; left out, all.
    #[schema(min_length = 1, max_length = 256)]
    deployment_id: Option<String>,
    /// Why; at most 500 bytes.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: String,
}

/// An override.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OverrideBody {
    id: String,
    /// Keyed hash of the user; the identifier itself is not kept.
    user: String,
    /// allow or deny.
    action: &'static str,
    /// `null` for all.
    deployment_id: Option<String>,
    note: String,
    /// ISO 8601, UTC.
    created_at: String,
}

/// Every override.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OverridesAnswer {
    overrides: Vec<OverrideBody>,
}

fn shown(id: &str, rule: &Override) -> OverrideBody {
    OverrideBody {
        id: id.to_owned(),
        user: rule.user.clone(),
        action: if rule.allow { "allow" } else { "deny" },
        deployment_id: rule.deployment_id.clone(),
        note: rule.note.clone(),
        created_at: wire::iso(Timestamp(rule.created_at)),
    }
}

/// Lists overrides.
#[utoipa::path(
    get, path = "/api/v1/overrides", operation_id = "listOverrides", tag = "overrides",
    responses(
        (status = 200, description = "All of them", body = OverridesAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
    )
)]
pub(super) async fn list(State(service): State<Shared>, _: Operator) -> Response {
    let overrides = service.controls.current().overrides.iter().map(|(id, rule)| shown(id, rule)).collect();
    wire::json(&OverridesAnswer { overrides })
}

/// Allows or denies a user: their sessions pass, or fail, from now on. Those accepted before keep their decision.
#[utoipa::path(
    post, path = "/api/v1/overrides", operation_id = "createOverride", tag = "overrides",
    request_body = OverrideRequest,
    responses(
        (status = 200, description = "Made", body = OverrideBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 415, description = "Wrong content type or an encoded body", body = ErrorBody),
        (status = 422, description = "A value out of bounds", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(service): State<Shared>,
    Operator(access): Operator,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let such = r#"{"userId": "...", "action": "allow" or "deny"}"#;
    let asked: OverrideRequest = keys::required(&service, &headers, body, such).await?;
    let bounds = |field: &'static str, message: String| Err(ApiError::at(Code::OutOfBounds, field, message));
    if !(1..=MAX_STRING).contains(&asked.user_id.len()) {
        return bounds("userId", format!("userId must have 1 to {MAX_STRING} bytes"));
    }
    let allow = match asked.action.as_str() {
        "allow" => true,
        "deny" => false,
        _ => return bounds("action", "action must be allow or deny".to_owned()),
    };
    keys::check_deployment(asked.deployment_id.as_deref())?;
    if asked.note.len() > LONGEST_NOTE {
        return bounds("note", format!("note must be at most {LONGEST_NOTE} bytes long"));
    }
    if service.controls.current().overrides.len() >= MOST {
        return bounds("userId", format!("there are {MOST} overrides; remove one"));
    }
    let rule = Override {
        user: service.store.user_pseudonym(&asked.user_id),
        deployment_id: asked.deployment_id,
        allow,
        note: asked.note,
        created_at: service.clock.now().wall.0,
    };
    let id = format!("ov_{}", keys::random::<6>());
    let detail = json!({"id": id, "action": asked.action, "deploymentId": rule.deployment_id});
    service.note(&access, "override.create", rule.user.as_str(), detail).await?;
    service.controls.set(OVERRIDE, &id, Some(keys::text(&rule)?)).await?;
    Ok(wire::json(&shown(&id, &rule)))
}

/// Removes an override.
#[utoipa::path(
    delete, path = "/api/v1/overrides/{overrideId}", operation_id = "removeOverride", tag = "overrides",
    params(("overrideId" = String, Path, description = "The override")),
    responses(
        (status = 200, description = "Removed", body = OverrideBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 404, description = "Unknown override", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn remove(
    State(service): State<Shared>,
    Operator(access): Operator,
    TextPath(id): TextPath,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::new(Code::UnknownOverride, "there is no such override");
    let rule = service.controls.current().overrides.get(&id).cloned().ok_or_else(unknown)?;
    service.note(&access, "override.remove", rule.user.as_str(), json!({"id": id})).await?;
    service.controls.set(OVERRIDE, &id, None).await?;
    Ok(wire::json(&shown(&id, &rule)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestApp, session};
    use super::*;

    #[tokio::test]
    async fn an_override_decides_about_a_user_and_names_nobody() {
        let app = TestApp::start().await;
        let of = |id: &str, user: &str| {
            let mut session = session(id);
            session["userId"] = json!(user);
            session["useBatch"] = json!(false);
            session
        };
        let rule = json!({"userId": "mallory@example.com", "action": "deny", "note": "seen"});
        let made = app.post("/api/v1/overrides", &rule).await.json();
        let denied = app.post("/api/v1/score", &of("a", "mallory@example.com")).await.json();
        assert_eq!(denied["decision"], "fail");
        let other = app.post("/api/v1/score", &of("b", "alice")).await.json();
        assert!(!other["reasons"].to_string().contains("denied"));
        let allowed = json!({"userId": "alice", "action": "allow", "deploymentId": "eu"});
        app.post("/api/v1/overrides", &allowed).await;
        assert!(!app.post("/api/v1/score", &of("c", "alice")).await.text.contains("\"allowed\""), "another deployment");
        let all = app.get("/api/v1/overrides").await;
        assert!(!all.text.contains("mallory") && !app.get("/api/v1/audit").await.text.contains("mallory"));
        let path = format!("/api/v1/overrides/{}", made["id"].as_str().unwrap());
        assert_eq!(app.delete(&path).await.status, 200);
        let after = app.post("/api/v1/score", &of("d", "mallory@example.com")).await;
        assert!(!after.text.contains("\"denied\""), "{}", after.text);
        app.delete(&path).await.is_error(404, "unknown_override");
        app.post("/api/v1/overrides", &json!({"userId": "", "action": "deny"})).await.is_error(422, "out_of_bounds");
        app.post("/api/v1/overrides", &json!({"userId": "a", "action": "no"})).await.is_error(422, "out_of_bounds");
    }
}
