//! Webhooks: who is told of verdicts, what became of it, and trying it.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::controls::Webhook;
use crate::domain::time::Timestamp;
use crate::http::extract::caller::GlobalAdmin;
use crate::http::extract::json::{Form, Json};
use crate::http::extract::page::{self, PageParams};
use crate::http::extract::path::TextPath;
use crate::http::extract::query::Params;
use crate::http::extract::{body, deployment};
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{BodyRefused, ImpossibleWebhook, LimitOutOfBounds, StoreAway, UnknownWebhook};
use crate::http::respond::shapes;
use crate::operations::webhooks::{MAX_WEBHOOKS, NewWebhook, NewlyMade};
use crate::store::deliveries::{DeliveryRow, EventKind};
use crate::webhooks::{address, event_id};

/// Most bytes of an address.
const MAX_URL: usize = 2048;
/// What a webhook may be told.
const EVENTS: &str = "events must name verdict.final, verdict.changed, campaign.opened or campaign.grown";

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WebhookRequest {
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

impl Form for WebhookRequest {
    const MISSING: &'static str = r#"the body is empty; send {"url": "https://..."}"#;
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookBody {
    id: String,
    url: String,
    /// `null` for all.
    deployment_id: Option<String>,
    /// None once it ended.
    events: Vec<&'static str>,
    /// ISO 8601, UTC.
    created_at: String,
    /// When its receiver answered 410 Gone; `null` while it is sent events. A test that it takes resumes it.
    ended_at: Option<String>,
}

/// A webhook that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookMade {
    #[serde(flatten)]
    webhook: WebhookBody,
    /// What signs its deliveries; shown now and never again.
    secret: String,
}

/// Every webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhooksAnswer {
    webhooks: Vec<WebhookBody>,
}

/// Something that a webhook was, or is to be, told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryBody {
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
pub(crate) struct DeliveriesAnswer {
    deliveries: Vec<DeliveryBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

/// What to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RedeliverRequest {
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
pub(crate) struct QueuedAnswer {
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
        created_at: shapes::iso(Timestamp(webhook.created_at)),
        ended_at: webhook.ended.as_ref().map(|ended| shapes::iso(Timestamp(ended.at))),
    }
}

fn unknown() -> ApiError {
    ApiError::new(Code::UnknownWebhook, "there is no such webhook")
}

/// Lists webhooks.
#[utoipa::path(
    get, path = "/api/v1/webhooks", operation_id = "listWebhooks", tag = "webhooks",
    responses((status = 200, description = "All of them", body = WebhooksAnswer), GlobalAdmin)
)]
pub(crate) async fn list(GlobalAdmin { service, .. }: GlobalAdmin) -> Response {
    let webhooks = service.controls.current().webhooks.iter().map(|(id, webhook)| shown(id, webhook)).collect();
    answer::json(&WebhooksAnswer { webhooks })
}

/// Makes a webhook: from now on its address is told of every verdict, at least once and in order for each session.
#[utoipa::path(
    post, path = "/api/v1/webhooks", operation_id = "createWebhook", tag = "webhooks", request_body = WebhookRequest,
    responses(
        (status = 200, description = "Made; the secret is shown once", body = WebhookMade),
        GlobalAdmin, BodyRefused, ImpossibleWebhook, StoreAway,
    )
)]
pub(crate) async fn create(GlobalAdmin { service, access }: GlobalAdmin, Json(asked): Json<WebhookRequest>) -> Answer {
    let bounds = |field: &'static str, message: String| ApiError::at(Code::OutOfBounds, field, message);
    if asked.url.len() > MAX_URL {
        return Err(bounds("url", format!("url must be at most {MAX_URL} bytes long")));
    }
    deployment::check(asked.deployment_id.as_deref())?;
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
    if !service.operations.has_room_for_webhook() {
        return Err(bounds("url", format!("there are {MAX_WEBHOOKS} webhooks; remove one")));
    }
    let refused = |refused: address::Refused| bounds("url", format!("url {refused}"));
    address::check(&asked.url, service.settings.webhook_private).await.map_err(refused)?;
    let WebhookRequest { url, deployment_id, .. } = asked;
    let new = NewWebhook { url, deployment_id, is_final, changed, campaigns };
    let NewlyMade { id, webhook, secret } = service.operations.create_webhook(&access.actor, new).await?;
    Ok(answer::json(&WebhookMade { webhook: shown(&id, &webhook), secret }))
}

/// Removes a webhook, and what it was not told yet.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{webhookId}", operation_id = "removeWebhook", tag = "webhooks",
    params(("webhookId" = String, Path, description = "The webhook")),
    responses((status = 200, description = "Removed", body = WebhookBody), GlobalAdmin, UnknownWebhook, StoreAway)
)]
pub(crate) async fn remove(GlobalAdmin { service, access }: GlobalAdmin, TextPath(id): TextPath) -> Answer {
    let webhook = service.operations.remove_webhook(&access.actor, &id).await?.ok_or_else(unknown)?;
    Ok(answer::json(&shown(&id, &webhook)))
}

fn delivery(row: DeliveryRow) -> DeliveryBody {
    let waits = row.finished_at.is_none();
    DeliveryBody {
        id: row.id,
        event_id: event_id(row.id),
        event: row.kind.name(),
        target: row.target,
        created_at: shapes::iso(row.created_at),
        state: row.state.name(),
        attempts: row.attempts,
        next_attempt_at: waits.then(|| shapes::iso(row.not_before)),
        finished_at: row.finished_at.map(shapes::iso),
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
        GlobalAdmin, LimitOutOfBounds, UnknownWebhook, StoreAway,
    )
)]
pub(crate) async fn deliveries(
    GlobalAdmin { service, .. }: GlobalAdmin,
    TextPath(id): TextPath,
    Params(params): Params<PageParams>,
) -> Answer {
    service.operations.webhook(&id).ok_or_else(unknown)?;
    let (limit, before) = params.place()?;
    let rows = service.store.deliveries(id, before, limit).await?;
    let next_cursor = page::next(&rows, limit, |last| last.id);
    Ok(answer::json(&DeliveriesAnswer { deliveries: rows.into_iter().map(delivery).collect(), next_cursor }))
}

/// Sends a test event to a webhook; its log shows what became of it.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhookId}/test", operation_id = "testWebhook", tag = "webhooks",
    params(("webhookId" = String, Path, description = "The webhook")),
    responses((status = 200, description = "On its way", body = QueuedAnswer), GlobalAdmin, UnknownWebhook, StoreAway)
)]
pub(crate) async fn test(GlobalAdmin { service, access }: GlobalAdmin, TextPath(id): TextPath) -> Answer {
    service.operations.webhook(&id).ok_or_else(unknown)?;
    service.operations.test_webhook(&access.actor, &id).await?;
    Ok(answer::json(&QueuedAnswer { queued: 1 }))
}

/// Sends again what was given up, or one delivery whatever became of it.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhookId}/redeliver", operation_id = "redeliver", tag = "webhooks",
    params(("webhookId" = String, Path, description = "The webhook")),
    request_body(content = Option<RedeliverRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "On their way", body = QueuedAnswer),
        GlobalAdmin, BodyRefused, UnknownWebhook, StoreAway,
    )
)]
pub(crate) async fn redeliver(
    GlobalAdmin { service, access }: GlobalAdmin,
    TextPath(id): TextPath,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    body::check_type(&headers, body::is_json, "application/json")?;
    let body = body::read(&headers, body, service.body_limits(body::FORM)).await?;
    let delivery = body::json::<RedeliverRequest>(&body)?.and_then(|asked| asked.delivery_id);
    service.operations.webhook(&id).ok_or_else(unknown)?;
    let queued = service.operations.redeliver(&access.actor, &id, delivery).await?;
    Ok(answer::json(&QueuedAnswer { queued }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, session};
    use crate::store::controls::ControlStore as _;

    #[tokio::test]
    async fn a_webhook_is_made_tried_and_removed_and_the_log_says_so() {
        let app = TestApp::with(|choice| choice.http.webhook_private = true).await;
        let made = app.post("/api/v1/webhooks", &json!({"url": "http://127.0.0.1:9/hook"})).await.json();
        assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
        let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
        let all = app.get("/api/v1/webhooks").await.json();
        assert_eq!(all["webhooks"][0]["events"], json!(["verdict.final", "verdict.changed"]));
        assert!(!all.to_string().contains("whsec_"), "shown once");
        let (_, stored) = app.store.controls().await.unwrap();
        let stored: Vec<_> = stored.iter().filter(|control| control.kind == "webhook").collect();
        assert!(stored.len() == 1 && !stored[0].value.contains("whsec_"), "{stored:?}");
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
