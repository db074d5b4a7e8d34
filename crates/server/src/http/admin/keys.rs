//! Keys made while the service runs: one for a deployment, or a test key of which every session gets the same verdict.
//! They hold beside those of the settings, on every node.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::rights::Role;
use crate::controls::StoredKey;
use crate::domain::result::Decision;
use crate::domain::time::Timestamp;
use crate::http::extract::caller::GlobalAdmin;
use crate::http::extract::deployment;
use crate::http::extract::json::{Form, Json};
use crate::http::extract::path::TextPath;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{BodyRefused, OutOfBounds, StoreAway, UnknownKey};
use crate::http::respond::shapes;
use crate::operations::keys::{MadeKey, NewKey};

/// Most bytes of a key's name.
const MAX_NAME: usize = 100;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// submit, ingest, analyst, admin or metrics.
    #[schema(example = "ingest", pattern = "^(submit|ingest|analyst|admin|metrics)$")]
    role: String,
    /// The only deployment that it may see; left out, all.
    #[schema(min_length = 1, max_length = 256)]
    deployment_id: Option<String>,
    /// What people call it; at most 100 bytes.
    #[serde(default)]
    #[schema(max_length = 100)]
    name: String,
    /// pass, review or fail: makes it a test key, of which every session gets this verdict. For submit and ingest.
    #[schema(pattern = "^(pass|review|fail)$")]
    test_verdict: Option<String>,
}

impl Form for KeyRequest {
    const MISSING: &'static str = r#"the body is empty; send {"role": "ingest"}"#;
}

/// A key, without the key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyBody {
    id: String,
    #[schema(example = "ingest")]
    role: String,
    /// `null` for all.
    deployment_id: Option<String>,
    name: String,
    /// `null` for a key that is no test key.
    test_verdict: Option<String>,
    /// ISO 8601, UTC.
    created_at: String,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyMade {
    #[serde(flatten)]
    body: KeyBody,
    /// The key itself; shown now and never again.
    key: String,
}

/// The keys that were made here; those of the settings are not among them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeysAnswer {
    keys: Vec<KeyBody>,
    /// Whether the settings hold keys; without, everybody on this machine may do everything, with or without a key.
    keys_required: bool,
}

fn shown(id: &str, key: &StoredKey) -> KeyBody {
    KeyBody {
        id: id.to_owned(),
        role: key.role.clone(),
        deployment_id: key.deployment_id.clone(),
        name: key.name.clone(),
        test_verdict: key.verdict.clone(),
        created_at: shapes::iso(Timestamp(key.created_at)),
    }
}

/// Lists the keys that were made here.
#[utoipa::path(
    get, path = "/api/v1/keys", operation_id = "listKeys", tag = "keys",
    responses((status = 200, description = "All of them", body = KeysAnswer), GlobalAdmin)
)]
pub(crate) async fn list(GlobalAdmin { service, .. }: GlobalAdmin) -> Response {
    let keys = service.controls.current().keys.iter().map(|(id, key)| shown(id, key)).collect();
    answer::json(&KeysAnswer { keys, keys_required: !service.settings.keys.is_empty() })
}

/// Makes a key.
#[utoipa::path(
    post, path = "/api/v1/keys", operation_id = "createKey", tag = "keys", request_body = KeyRequest,
    responses(
        (status = 200, description = "Made; the key is shown once", body = KeyMade),
        GlobalAdmin, BodyRefused, OutOfBounds, StoreAway,
    )
)]
pub(crate) async fn create(GlobalAdmin { service, access }: GlobalAdmin, Json(asked): Json<KeyRequest>) -> Answer {
    let bounds = |field: &'static str, message: &str| Err(ApiError::at(Code::OutOfBounds, field, message));
    let Some(role) = Role::parse(&asked.role) else {
        return bounds("role", "role must be submit, ingest, analyst, admin or metrics");
    };
    deployment::check(asked.deployment_id.as_deref())?;
    if role == Role::Metrics && asked.deployment_id.is_some() {
        return bounds("deploymentId", "metrics are of all deployments; leave deploymentId out for this role");
    }
    if asked.name.len() > MAX_NAME {
        return bounds("name", "name must be at most 100 bytes long");
    }
    if asked.test_verdict.as_deref().is_some_and(|verdict| Decision::parse(verdict).is_none()) {
        return bounds("testVerdict", "testVerdict must be pass, review or fail");
    }
    if asked.test_verdict.is_some() && !matches!(role, Role::Submit | Role::Ingest) {
        return bounds("testVerdict", "only keys with the role submit or ingest can be test keys");
    }
    let new =
        NewKey { role: role.name(), deployment_id: asked.deployment_id, name: asked.name, verdict: asked.test_verdict };
    match service.operations.create_key(&access.actor, new).await? {
        Some(MadeKey { id, key, stored }) => Ok(answer::json(&KeyMade { body: shown(&id, &stored), key })),
        None => bounds("role", "there are 1000 keys; revoke one"),
    }
}

/// Revokes a key: this node refuses it at once, others within two seconds.
#[utoipa::path(
    delete, path = "/api/v1/keys/{keyId}", operation_id = "revokeKey", tag = "keys",
    params(("keyId" = String, Path, description = "The key's id")),
    responses((status = 200, description = "Revoked", body = KeyBody), GlobalAdmin, UnknownKey, StoreAway)
)]
pub(crate) async fn revoke(GlobalAdmin { service, access }: GlobalAdmin, TextPath(id): TextPath) -> Answer {
    let unknown = || ApiError::new(Code::UnknownKey, "there is no such key; those of the settings are not made here");
    let key = service.operations.revoke_key(&access.actor, &id).await?.ok_or_else(unknown)?;
    Ok(answer::json(&shown(&id, &key)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, add_keys, send, session};

    #[tokio::test]
    async fn a_key_holds_until_it_is_revoked_and_is_kept_as_a_digest() {
        let app = TestApp::with(|choice| add_keys(&mut choice.http)).await;
        let asked = json!({"role": "ingest", "deploymentId": "shop", "name": "web"});
        let made = app.post_as("admin", "/api/v1/keys", &asked).await.json();
        let key = made["key"].as_str().unwrap();
        let mut other = session("a");
        other["deploymentId"] = json!("other");
        app.post_as(key, "/api/v1/score", &other).await.is_error(403, "wrong_deployment");
        assert_eq!(app.post_as(key, "/api/v1/score", &session("a")).await.status, 200);
        assert_eq!(app.get_as(key, "/api/v1/batch/result/a").await.status, 200);
        app.get_as(key, "/api/v1/batch/stats").await.is_error(403, "forbidden");
        let all = app.get_as("admin", "/api/v1/keys").await;
        assert!(all.text.contains("web") && !all.text.contains(key));
        let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
        assert_eq!(send(app.request("DELETE", &path).bearer_auth("admin")).await.status, 200);
        app.get_as(key, "/api/v1/batch/result/a").await.is_error(401, "unauthorized");
        send(app.request("DELETE", &path).bearer_auth("admin")).await.is_error(404, "unknown_key");
    }

    #[tokio::test]
    async fn test_keys_always_give_their_verdict() {
        let app = TestApp::start().await;
        for verdict in ["pass", "review", "fail"] {
            let made = app.post("/api/v1/keys", &json!({"role": "ingest", "testVerdict": verdict})).await.json();
            let key = made["key"].as_str().unwrap();
            let first = app.post_as(key, "/api/v1/score", &session(verdict)).await.json();
            assert_eq!(first["decision"], verdict);
            app.post("/api/v1/batch/process", &json!({})).await;
            let path = format!("/api/v1/batch/result/{verdict}?wait=10s");
            let result = app.get(&path).await.json();
            assert_eq!(result["result"]["decision"], verdict, "{result}");
            let code = format!("test_{verdict}");
            assert!(result["result"].to_string().contains(&code), "{result}");
        }
    }

    #[tokio::test]
    async fn impossible_keys_are_refused_with_their_field() {
        let app = TestApp::start().await;
        for (body, field) in [
            (json!({"role": "king"}), "role"),
            (json!({"role": "ingest", "deploymentId": ""}), "deploymentId"),
            (json!({"role": "metrics", "deploymentId": "eu"}), "deploymentId"),
            (json!({"role": "ingest", "testVerdict": "maybe"}), "testVerdict"),
            (json!({"role": "admin", "testVerdict": "pass"}), "testVerdict"),
            (json!({"role": "ingest", "name": "x".repeat(101)}), "name"),
        ] {
            let refused = app.post("/api/v1/keys", &body).await;
            refused.is_error(422, "out_of_bounds");
            assert!(refused.text.contains(field), "{}", refused.text);
        }
    }
}
