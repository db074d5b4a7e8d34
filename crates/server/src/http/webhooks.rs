//! Webhooks: who is told of verdicts, what became of it, and trying it.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::auth::Operator;
use super::error::{ApiError, Code, ErrorBody};
use super::request::{self, Params, TextPath};
use super::{Service, Shared, keys, wire};
use crate::controls::Webhook;
use crate::domain::time::Timestamp;
use crate::store::deliveries::{DeliveryRow, EventKind, WEBHOOK};
use crate::webhooks::{address, event_id};

/// Most webhooks.
const MOST: usize = 100;
/// Most bytes of an address.
const LONGEST_URL: usize = 2048;
/// What a webhook may be told.
const EVENTS: &str = "events must name verdict.final, verdict.changed, campaign.opened or campaign.grown";
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WebhookRequest {
    /// Where to; `https` or `http`, and no private address unless `PLAYPROOF_WEBHOOK_PRIVATE` allows it.
    #[schema(example = "https://shop.example/playproof")]
    url: String,
    /// Only this deployment; left out, all.
    #[schema(min_length = 1, max_length = 256)]
    deployment_id: Option<String>,
    /// `verdict.final`, `verdict.changed`, `campaign.opened` and `campaign.grown` (both, or none); left out, those of
    /// verdicts.
    events: Option<Vec<String>>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookBody {
    id: String,
    url: String,
    /// `null` for all.
    deployment_id: Option<String>,
    events: Vec<&'static str>,
    /// ISO 8601, UTC.
    created_at: String,
}

/// A webhook that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookMade {
    #[serde(flatten)]
    webhook: WebhookBody,
    /// What signs its deliveries; shown now and never again.
    secret: String,
}

/// Every webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhooksAnswer {
    webhooks: Vec<WebhookBody>,
}

/// Something that a webhook was, or is to be, told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryBody {
    /// For `redeliver`, and as `cursor`.
    id: i64,
    /// As sent in `playproof-event-id`.
    event_id: String,
    /// verdict.final, verdict.changed, campaign.opened, campaign.grown or webhook.test.
    #[schema(example = "verdict.final")]
    event: &'static str,
    /// Keyed hash of the session's key, the same for all its events; empty for a test.
    target: String,
    /// ISO 8601, UTC.
    created_at: String,
    /// waiting, delivered, `given_up` or erased.
    #[schema(example = "delivered")]
    state: &'static str,
    attempts: u32,
    /// When it is tried again; `null` unless it waits.
    next_attempt_at: Option<String>,
    /// When it was delivered or given up.
    finished_at: Option<String>,
    /// What the receiver answered last.
    status: Option<u16>,
    /// What went wrong last.
    error: Option<String>,
}

/// A webhook's log, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveriesAnswer {
    deliveries: Vec<DeliveryBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    /// 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub(super) limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    pub(super) cursor: Option<String>,
}

impl PageParams {
    /// Size and place of a page of what is numbered.
    pub(super) fn place(&self) -> Result<(u32, Option<i64>), ApiError> {
        let limit = request::page_size(self.limit, PAGE, LARGEST_PAGE)?;
        let wrong = |_| ApiError::malformed("cursor", "cursor is none of this list's");
        Ok((limit, self.cursor.as_deref().map(str::parse).transpose().map_err(wrong)?))
    }
}

/// What to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RedeliverRequest {
    /// One delivery; left out, all that were given up.
    #[serde(default, deserialize_with = "whole")]
    delivery_id: Option<i64>,
}

/// A whole number however it is written: `7` and `7.0` are one in JSON.
fn whole<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(from)? else { return Ok(None) };
    let written = || number.to_string().strip_suffix(".0").and_then(|digits| digits.parse().ok());
    let wrong = || serde::de::Error::custom("deliveryId must be a whole number");
    number.as_i64().or_else(written).map(Some).ok_or_else(wrong)
}

/// What is sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueuedAnswer {
    /// Deliveries put into the line.
    queued: u64,
}

fn shown(id: &str, webhook: &Webhook) -> WebhookBody {
    let kinds = [
        (webhook.is_final, EventKind::Final),
        (webhook.changed, EventKind::Changed),
        (webhook.campaigns, EventKind::CampaignOpened),
        (webhook.campaigns, EventKind::CampaignGrown),
    ];
    WebhookBody {
        id: id.to_owned(),
        url: webhook.url.clone(),
        deployment_id: webhook.deployment_id.clone(),
        events: kinds.into_iter().filter(|(told, _)| *told).map(|(_, kind)| kind.name()).collect(),
        created_at: wire::iso(Timestamp(webhook.created_at)),
    }
}

fn known(service: &Service, id: &str) -> Result<Webhook, ApiError> {
    let unknown = || ApiError::new(Code::UnknownWebhook, "there is no such webhook");
    service.controls.current().webhooks.get(id).cloned().ok_or_else(unknown)
}

/// Lists webhooks.
#[utoipa::path(
    get, path = "/api/v1/webhooks", operation_id = "listWebhooks", tag = "webhooks",
    responses(
        (status = 200, description = "All of them", body = WebhooksAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
    )
)]
pub(super) async fn list(State(service): State<Shared>, _: Operator) -> Response {
    let webhooks = service.controls.current().webhooks.iter().map(|(id, webhook)| shown(id, webhook)).collect();
    wire::json(&WebhooksAnswer { webhooks })
}

/// Makes a webhook: from now on its address is told of every verdict, at least once and in order for each session.
#[utoipa::path(
    post, path = "/api/v1/webhooks", operation_id = "createWebhook", tag = "webhooks", request_body = WebhookRequest,
    responses(
        (status = 200, description = "Made; the secret is shown once", body = WebhookMade),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 415, description = "Wrong content type or an encoded body", body = ErrorBody),
        (status = 422, description = "No possible address, a private one, or unknown events", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(service): State<Shared>,
    Operator(access): Operator,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let asked: WebhookRequest = keys::required(&service, &headers, body, r#"{"url": "https://..."}"#).await?;
    let bounds = |field: &'static str, message: String| ApiError::at(Code::OutOfBounds, field, message);
    if asked.url.len() > LONGEST_URL {
        return Err(bounds("url", format!("url must be at most {LONGEST_URL} bytes long")));
    }
    keys::check_deployment(asked.deployment_id.as_deref())?;
    let (mut is_final, mut changed, mut campaigns) = (asked.events.is_none(), asked.events.is_none(), false);
    for event in asked.events.iter().flatten() {
        match event.as_str() {
            "verdict.final" => is_final = true,
            "verdict.changed" => changed = true,
            "campaign.opened" | "campaign.grown" => campaigns = true,
            _ => return Err(bounds("events", format!("{EVENTS}; {event} is none of them"))),
        }
    }
    if !is_final && !changed && !campaigns {
        return Err(bounds("events", EVENTS.to_owned()));
    }
    if service.controls.current().webhooks.len() >= MOST {
        return Err(bounds("url", format!("there are {MOST} webhooks; remove one")));
    }
    let refused = |refused: address::Refused| bounds("url", format!("url {refused}"));
    address::check(&asked.url, service.settings.webhook_private).await.map_err(refused)?;
    let (id, secret) = (format!("wh_{}", keys::random::<6>()), format!("whsec_{}", keys::random::<24>()));
    let at = service.clock.now().wall;
    let webhook = Webhook {
        url: asked.url,
        secret: secret.clone(),
        deployment_id: asked.deployment_id,
        is_final,
        changed,
        campaigns,
        created_at: at.0,
    };
    let detail = json!({"url": webhook.url, "deploymentId": webhook.deployment_id});
    service.note(&access, "webhook.create", id.as_str(), detail).await?;
    service.controls.set(WEBHOOK, &id, Some(keys::text(&webhook)?)).await?;
    Ok(wire::json(&WebhookMade { webhook: shown(&id, &webhook), secret }))
}

/// Removes a webhook, and what it was not told yet.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{webhookId}", operation_id = "removeWebhook", tag = "webhooks",
    params(("webhookId" = String, Path, description = "The webhook")),
    responses(
        (status = 200, description = "Removed", body = WebhookBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 404, description = "Unknown webhook", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn remove(
    State(service): State<Shared>,
    Operator(access): Operator,
    TextPath(id): TextPath,
) -> Result<Response, ApiError> {
    let webhook = known(&service, &id)?;
    service.note(&access, "webhook.remove", id.as_str(), json!({"url": webhook.url})).await?;
    service.controls.set(WEBHOOK, &id, None).await?;
    service.store.forget_deliveries(id.clone()).await?;
    Ok(wire::json(&shown(&id, &webhook)))
}

fn delivery(row: DeliveryRow) -> DeliveryBody {
    let waits = row.finished_at.is_none();
    DeliveryBody {
        id: row.id,
        event_id: event_id(row.id),
        event: row.kind.name(),
        target: row.target,
        created_at: wire::iso(row.created_at),
        state: row.state.name(),
        attempts: row.attempts,
        next_attempt_at: waits.then(|| wire::iso(row.not_before)),
        finished_at: row.finished_at.map(wire::iso),
        status: row.status,
        error: row.error,
    }
}

/// Lists what a webhook was told and is to be told.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhookId}/deliveries", operation_id = "listDeliveries", tag = "webhooks",
    params(("webhookId" = String, Path, description = "The webhook"), PageParams),
    responses(
        (status = 200, description = "A page", body = DeliveriesAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 404, description = "Unknown webhook", body = ErrorBody),
        (status = 422, description = "limit out of bounds", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn deliveries(
    State(service): State<Shared>,
    _: Operator,
    TextPath(id): TextPath,
    Params(params): Params<PageParams>,
) -> Result<Response, ApiError> {
    known(&service, &id)?;
    let (limit, before) = params.place()?;
    let rows = service.store.deliveries(id, before, limit).await?;
    let next_cursor = rows.last().filter(|_| rows.len() >= limit as usize).map(|last| last.id.to_string());
    Ok(wire::json(&DeliveriesAnswer { deliveries: rows.into_iter().map(delivery).collect(), next_cursor }))
}

/// Sends a test event to a webhook; its log shows what became of it.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhookId}/test", operation_id = "testWebhook", tag = "webhooks",
    params(("webhookId" = String, Path, description = "The webhook")),
    responses(
        (status = 200, description = "On its way", body = QueuedAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 404, description = "Unknown webhook", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn test(
    State(service): State<Shared>,
    Operator(access): Operator,
    TextPath(id): TextPath,
) -> Result<Response, ApiError> {
    known(&service, &id)?;
    service.note(&access, "webhook.test", id.as_str(), json!({})).await?;
    let body = json!({"message": "This is a test; no session was decided."}).to_string();
    service.store.test_delivery(id, body, service.clock.now().wall).await?;
    Ok(wire::json(&QueuedAnswer { queued: 1 }))
}

/// Sends again what was given up, or one delivery whatever became of it.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhookId}/redeliver", operation_id = "redeliver", tag = "webhooks",
    params(("webhookId" = String, Path, description = "The webhook")),
    request_body(content = Option<RedeliverRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "On their way", body = QueuedAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 404, description = "Unknown webhook", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 415, description = "Wrong content type or an encoded body", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn redeliver(
    State(service): State<Shared>,
    Operator(access): Operator,
    TextPath(id): TextPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    request::check_type(&headers, request::is_json, "application/json")?;
    let body = request::read(&headers, body, service.body_limits(request::FORM)).await?;
    let delivery = request::json::<RedeliverRequest>(&body)?.and_then(|asked| asked.delivery_id);
    known(&service, &id)?;
    service.note(&access, "webhook.redeliver", id.as_str(), json!({"deliveryId": delivery})).await?;
    let queued = service.store.redeliver(id, delivery, service.clock.now().wall).await?;
    Ok(wire::json(&QueuedAnswer { queued }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestApp, session};
    use super::*;

    #[tokio::test]
    async fn a_webhook_is_made_tried_and_removed_and_the_log_says_so() {
        let app = TestApp::with(|choice| choice.http.webhook_private = true).await;
        let made = app.post("/api/v1/webhooks", &json!({"url": "http://127.0.0.1:9/hook"})).await.json();
        assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
        let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
        let all = app.get("/api/v1/webhooks").await.json();
        assert_eq!(all["webhooks"][0]["events"], json!(["verdict.final", "verdict.changed"]));
        assert!(!all.to_string().contains("whsec_"), "shown once");
        let mut now = session("told");
        now["useBatch"] = json!(false);
        app.post("/api/v1/score", &now).await;
        assert_eq!(app.post(&format!("{path}/test"), &json!({})).await.json()["queued"], 1);
        let log = app.get(&format!("{path}/deliveries")).await;
        let lines = log.json()["deliveries"].as_array().unwrap().clone();
        let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["webhook.test", "verdict.final"]);
        assert!(!log.text.contains("told"), "a log holds no session's id");
        assert!(lines[1]["target"].as_str().unwrap().len() == 32 && lines[1]["state"] == "waiting");
        assert_eq!(app.post(&format!("{path}/redeliver"), &json!({})).await.json()["queued"], 0);
        assert_eq!(app.delete(&path).await.status, 200);
        app.get(&format!("{path}/deliveries")).await.is_error(404, "unknown_webhook");
        app.delete(&path).await.is_error(404, "unknown_webhook");
    }

    #[tokio::test]
    async fn impossible_webhooks_are_refused_with_their_field() {
        let app = TestApp::start().await;
        let create = async |body| app.post("/api/v1/webhooks", &body).await;
        for inside in ["http://127.0.0.1/x", "http://localhost/x", "http://169.254.169.254/latest", "http://[::1]/"] {
            let refused = create(json!({"url": inside})).await;
            refused.is_error(422, "out_of_bounds");
            assert!(refused.text.contains("PLAYPROOF_WEBHOOK_PRIVATE"), "{}", refused.text);
        }
        create(json!({"url": "ftp://example.com"})).await.is_error(422, "out_of_bounds");
        create(json!({"url": "http://8.8.8.8", "events": []})).await.is_error(422, "out_of_bounds");
        create(json!({"url": "http://8.8.8.8", "events": ["x"]})).await.is_error(422, "out_of_bounds");
        create(json!({"url": "http://8.8.8.8", "deploymentId": ""})).await.is_error(422, "out_of_bounds");
        create(json!({"uri": "http://8.8.8.8"})).await.is_error(400, "malformed");
        assert_eq!(app.get("/api/v1/webhooks").await.json()["webhooks"], json!([]));
    }
}
