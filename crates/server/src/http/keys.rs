//! Keys made while the service runs: one for a deployment, or a test key of which every session gets the same verdict.
//! They hold beside those of the settings, on every node.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::auth::{Operator, Role};
use super::error::{ApiError, Code, ErrorBody};
use super::request::{self, TextPath};
use super::{Service, Shared, login, wire};
use crate::controls::{KEY, StoredKey};
use crate::domain::result::Decision;
use crate::domain::session::MAX_STRING;
use crate::domain::time::Timestamp;

/// Most keys; every one is looked at with every request.
const MOST: usize = 1000;
/// Most bytes of a key's name.
const LONGEST_NAME: usize = 100;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeyRequest {
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

/// A key, without the key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyBody {
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
pub(super) struct KeyMade {
    #[serde(flatten)]
    body: KeyBody,
    /// The key itself; shown now and never again.
    key: String,
}

/// The keys that were made here; those of the settings are not among them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeysAnswer {
    keys: Vec<KeyBody>,
    /// Whether the settings hold keys; without, everybody on this machine may do everything, with or without a key.
    keys_required: bool,
}

/// Random bytes as hexadecimal digits.
pub(super) fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes);
    login::hex(&bytes)
}

/// Something as the JSON in which controls are kept.
pub(super) fn text(value: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(|error| ApiError::internal(error.to_string()))
}

/// Reads a JSON body that must be there; `such` shows one.
pub(super) async fn required<T: DeserializeOwned>(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
    such: &str,
) -> Result<T, ApiError> {
    request::check_type(headers, request::is_json, "application/json")?;
    let body = request::read(headers, body, service.body_limits(request::FORM)).await?;
    request::json(&body)?.ok_or_else(|| ApiError::malformed("body", format!("the body is empty; send {such}")))
}

/// Refuses a deployment that no session can have.
pub(super) fn check_deployment(deployment: Option<&str>) -> Result<(), ApiError> {
    let fits = deployment.is_none_or(|name| (1..=MAX_STRING).contains(&name.len()) && !name.contains('\0'));
    let message = || format!("deploymentId must have 1 to {MAX_STRING} bytes; leave it out for all");
    if fits { Ok(()) } else { Err(ApiError::at(Code::OutOfBounds, "deploymentId", message())) }
}

fn shown(id: &str, key: &StoredKey) -> KeyBody {
    KeyBody {
        id: id.to_owned(),
        role: key.role.clone(),
        deployment_id: key.deployment_id.clone(),
        name: key.name.clone(),
        test_verdict: key.verdict.clone(),
        created_at: wire::iso(Timestamp(key.created_at)),
    }
}

/// Lists the keys that were made here.
#[utoipa::path(
    get, path = "/api/v1/keys", operation_id = "listKeys", tag = "keys",
    responses(
        (status = 200, description = "All of them", body = KeysAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
    )
)]
pub(super) async fn list(State(service): State<Shared>, _: Operator) -> Response {
    let keys = service.controls.current().keys.iter().map(|(id, key)| shown(id, key)).collect();
    wire::json(&KeysAnswer { keys, keys_required: !service.settings.keys.is_empty() })
}

/// Makes a key.
#[utoipa::path(
    post, path = "/api/v1/keys", operation_id = "createKey", tag = "keys", request_body = KeyRequest,
    responses(
        (status = 200, description = "Made; the key is shown once", body = KeyMade),
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
    let asked: KeyRequest = required(&service, &headers, body, r#"{"role": "ingest"}"#).await?;
    let bounds = |field: &'static str, message: &str| Err(ApiError::at(Code::OutOfBounds, field, message));
    let Some(role) = Role::parse(&asked.role) else {
        return bounds("role", "role must be submit, ingest, analyst, admin or metrics");
    };
    check_deployment(asked.deployment_id.as_deref())?;
    if role == Role::Metrics && asked.deployment_id.is_some() {
        return bounds("deploymentId", "metrics are of all deployments; leave deploymentId out for this role");
    }
    if asked.name.len() > LONGEST_NAME {
        return bounds("name", "name must be at most 100 bytes long");
    }
    if asked.test_verdict.as_deref().is_some_and(|verdict| Decision::parse(verdict).is_none()) {
        return bounds("testVerdict", "testVerdict must be pass, review or fail");
    }
    if asked.test_verdict.is_some() && !matches!(role, Role::Submit | Role::Ingest) {
        return bounds("testVerdict", "only keys with the role submit or ingest can be test keys");
    }
    if service.controls.current().keys.len() >= MOST {
        return bounds("role", "there are 1000 keys; revoke one");
    }
    let kind = if asked.test_verdict.is_some() { "test" } else { role.name() };
    let (id, key) = (format!("key_{}", random::<6>()), format!("pp_{kind}_{}", random::<24>()));
    let stored = StoredKey {
        digest: login::hex(&Sha256::digest(key.as_bytes())),
        role: role.name().to_owned(),
        deployment_id: asked.deployment_id,
        name: asked.name,
        verdict: asked.test_verdict,
        created_at: service.clock.now().wall.0,
    };
    let detail = json!({"role": stored.role, "deploymentId": stored.deployment_id, "testVerdict": stored.verdict});
    service.note(&access, "key.create", id.as_str(), detail).await?;
    service.controls.set(KEY, &id, Some(text(&stored)?)).await?;
    Ok(wire::json(&KeyMade { body: shown(&id, &stored), key }))
}

/// Revokes a key: this node refuses it at once, others within two seconds.
#[utoipa::path(
    delete, path = "/api/v1/keys/{keyId}", operation_id = "revokeKey", tag = "keys",
    params(("keyId" = String, Path, description = "The key's id")),
    responses(
        (status = 200, description = "Revoked", body = KeyBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 404, description = "Unknown key", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn revoke(
    State(service): State<Shared>,
    Operator(access): Operator,
    TextPath(id): TextPath,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::new(Code::UnknownKey, "there is no such key; those of the settings are not made here");
    let key = service.controls.current().keys.get(&id).cloned().ok_or_else(unknown)?;
    service
        .note(&access, "key.revoke", id.as_str(), json!({"role": key.role, "deploymentId": key.deployment_id}))
        .await?;
    service.controls.set(KEY, &id, None).await?;
    Ok(wire::json(&shown(&id, &key)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestApp, add_keys, send, session};
    use super::*;

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
