//! Overrides: users who pass, or fail, whatever their movement. Who they are is kept as a keyed hash alone.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::controls::Override;
use crate::domain::session::MAX_STRING;
use crate::domain::time::Timestamp;
use crate::http::extract::caller::GlobalAdmin;
use crate::http::extract::deployment;
use crate::http::extract::json::{Form, Json};
use crate::http::extract::path::TextPath;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{BodyRefused, OutOfBounds, StoreAway, UnknownOverride};
use crate::http::respond::shapes;
use crate::operations::overrides::{MAX_OVERRIDES, NewOverride};

/// Most bytes of a note.
const MAX_NOTE: usize = 500;

/// An override to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OverrideRequest {
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

impl Form for OverrideRequest {
    const MISSING: &'static str = r#"the body is empty; send {"userId": "...", "action": "allow" or "deny"}"#;
}

/// An override.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverrideBody {
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
pub(crate) struct OverridesAnswer {
    overrides: Vec<OverrideBody>,
}

fn shown(id: &str, rule: &Override) -> OverrideBody {
    OverrideBody {
        id: id.to_owned(),
        user: rule.user.clone(),
        action: if rule.allow { "allow" } else { "deny" },
        deployment_id: rule.deployment_id.clone(),
        note: rule.note.clone(),
        created_at: shapes::iso(Timestamp(rule.created_at)),
    }
}

/// Lists overrides.
#[utoipa::path(
    get, path = "/api/v1/overrides", operation_id = "listOverrides", tag = "overrides",
    responses((status = 200, description = "All of them", body = OverridesAnswer), GlobalAdmin)
)]
pub(crate) async fn list(GlobalAdmin { service, .. }: GlobalAdmin) -> Response {
    let overrides = service.controls.current().overrides.iter().map(|(id, rule)| shown(id, rule)).collect();
    answer::json(&OverridesAnswer { overrides })
}

/// Allows or denies a user: their sessions pass, or fail, from now on. Those accepted before keep their decision.
#[utoipa::path(
    post, path = "/api/v1/overrides", operation_id = "createOverride", tag = "overrides",
    request_body = OverrideRequest,
    responses((status = 200, description = "Made", body = OverrideBody), GlobalAdmin, BodyRefused, OutOfBounds, StoreAway)
)]
pub(crate) async fn create(GlobalAdmin { service, access }: GlobalAdmin, Json(asked): Json<OverrideRequest>) -> Answer {
    let bounds = |field: &'static str, message: String| Err(ApiError::at(Code::OutOfBounds, field, message));
    if !(1..=MAX_STRING).contains(&asked.user_id.len()) {
        return bounds("userId", format!("userId must have 1 to {MAX_STRING} bytes"));
    }
    let allow = match asked.action.as_str() {
        "allow" => true,
        "deny" => false,
        _ => return bounds("action", "action must be allow or deny".to_owned()),
    };
    deployment::check(asked.deployment_id.as_deref())?;
    if asked.note.len() > MAX_NOTE {
        return bounds("note", format!("note must be at most {MAX_NOTE} bytes long"));
    }
    let new = NewOverride { user_id: asked.user_id, deployment_id: asked.deployment_id, allow, note: asked.note };
    match service.operations.create_override(&access.actor, new).await? {
        Some((id, rule)) => Ok(answer::json(&shown(&id, &rule))),
        None => bounds("userId", format!("there are {MAX_OVERRIDES} overrides; remove one")),
    }
}

/// Removes an override.
#[utoipa::path(
    delete, path = "/api/v1/overrides/{overrideId}", operation_id = "removeOverride", tag = "overrides",
    params(("overrideId" = String, Path, description = "The override")),
    responses((status = 200, description = "Removed", body = OverrideBody), GlobalAdmin, UnknownOverride, StoreAway)
)]
pub(crate) async fn remove(GlobalAdmin { service, access }: GlobalAdmin, TextPath(id): TextPath) -> Answer {
    let unknown = || ApiError::new(Code::UnknownOverride, "there is no such override");
    let rule = service.operations.remove_override(&access.actor, &id).await?.ok_or_else(unknown)?;
    Ok(answer::json(&shown(&id, &rule)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, session};

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
