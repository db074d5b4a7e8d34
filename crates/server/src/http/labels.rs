//! Labels: what people say of sessions. A label decides, outlasts thresholds, and is what a model can learn from.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Access, Reviewer};
use super::erasure::DeploymentParams;
use super::error::{ApiError, Code, ErrorBody};
use super::request::{self, Params, SessionPath};
use super::{Service, Shared, wire};
use crate::domain::id::{Seq, SessionId};
use crate::operations;
use crate::store::labels::{Label, LabelRow, Truth};
use crate::store::{Lookup, StoredSession};

/// Most bytes of a note.
const LONGEST_NOTE: usize = 2000;
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1000;

/// What somebody says of a session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelRequest {
    /// human or bot.
    #[schema(example = "bot", pattern = "^(human|bot)$")]
    label: String,
    /// Why; at most 2,000 bytes.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: String,
}

/// A label as kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelBody {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// human or bot; `null` where there is none any more.
    label: Option<&'static str>,
    note: String,
    /// ISO 8601, UTC; `null` where there is none.
    at: Option<String>,
}

/// A label, and the decision that follows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LabelAnswer {
    #[serde(flatten)]
    label: LabelBody,
    /// The decision as it stands now: pass, review or fail.
    decision: &'static str,
}

/// Labels in the order in which their sessions were accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelsAnswer {
    labels: Vec<LabelBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LabelsParams {
    /// Only this deployment; a bound key sees its own only.
    deployment_id: Option<String>,
    /// 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

fn body(session: &StoredSession, label: Option<&Label>) -> LabelBody {
    LabelBody {
        session_id: session.key.id.to_string(),
        deployment_id: session.key.deployment.clone(),
        label: label.map(|label| label.truth.name()),
        note: label.map(|label| label.note.clone()).unwrap_or_default(),
        at: label.map(|label| wire::iso(label.at)),
    }
}

/// Says what a session is: a human's passes and a bot's fails from now on, whatever thresholds say. A label that is there
/// is replaced.
#[utoipa::path(
    post, path = "/api/v1/sessions/{sessionId}/label", operation_id = "labelSession", tag = "review",
    params(("sessionId" = String, Path, description = "The session"), DeploymentParams),
    request_body = LabelRequest,
    responses(
        (status = 200, description = "Labelled", body = LabelAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Neither analyst nor admin, or another deployment", body = ErrorBody),
        (status = 404, description = "Unknown session, or one without a result", body = ErrorBody),
        (status = 410, description = "Erased", body = ErrorBody),
        (status = 422, description = "No possible label", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn put(
    State(service): State<Shared>,
    Reviewer(access): Reviewer,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let label = label(&service, &access, &headers, body).await?;
    Ok(wire::json(&change(&service, &access, id, params.deployment_id, Some(label)).await?))
}

/// The label that a request holds.
pub(super) async fn label(
    service: &Service,
    access: &Access,
    headers: &HeaderMap,
    body: Body,
) -> Result<Label, ApiError> {
    request::check_type(headers, request::is_json, "application/json")?;
    let body = request::read(headers, body, service.body_limits(request::FORM)).await?;
    let missing = || ApiError::malformed("body", r#"send {"label": "human" or "bot"}"#.to_owned());
    let LabelRequest { label, note } = request::json(&body)?.ok_or_else(missing)?;
    let wrong = || ApiError::at(Code::OutOfBounds, "label", "label must be human or bot".to_owned());
    let truth = Truth::parse(&label).ok_or_else(wrong)?;
    if note.len() > LONGEST_NOTE {
        let message = format!("note must be at most {LONGEST_NOTE} bytes long");
        return Err(ApiError::at(Code::OutOfBounds, "note", message));
    }
    Ok(Label { truth, note, actor: access.actor.to_string(), at: service.clock.now().wall, campaign: None })
}

/// Takes a label back: the decision is what the thresholds that hold now make of the score.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{sessionId}/label", operation_id = "unlabelSession", tag = "review",
    params(("sessionId" = String, Path, description = "The session"), DeploymentParams),
    responses(
        (status = 200, description = "There is no label now", body = LabelAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Neither analyst nor admin, or another deployment", body = ErrorBody),
        (status = 404, description = "Unknown session, or one without a result", body = ErrorBody),
        (status = 410, description = "Erased", body = ErrorBody),
        (status = 422, description = "No possible session id", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn take_back(
    State(service): State<Shared>,
    Reviewer(access): Reviewer,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
) -> Result<Response, ApiError> {
    Ok(wire::json(&change(&service, &access, id, params.deployment_id, None).await?))
}

async fn change(
    service: &Service,
    access: &Access,
    id: SessionId,
    deployment: Option<String>,
    label: Option<Label>,
) -> Result<LabelAnswer, ApiError> {
    let session = match service.find(access.session(id, deployment)?).await?.1 {
        Lookup::Found(session) => session,
        Lookup::Erased => return Err(ApiError::new(Code::SessionErased, "this session was erased")),
        Lookup::Unknown => return Err(ApiError::new(Code::UnknownSession, "there is no such session")),
    };
    let undecided = || ApiError::new(Code::UnknownSession, "this session has no result yet; label it when it has");
    let earlier = session.result.as_ref().ok_or_else(undecided)?.verdict.decision;
    // Without a label nothing is taken back.
    if label.is_none() && service.store.label_of(session.seq).await?.is_none() {
        return Ok(LabelAnswer { label: body(&session, None), decision: earlier.name() });
    }
    let said = serde_json::json!({"label": label.as_ref().map(|label| label.truth.name())});
    let action = if label.is_some() { "session.label" } else { "session.unlabel" };
    service.note(access, action, service.store.session_pseudonym(&session.key), said).await?;
    let thresholds = service.intake.thresholds().of(&session.key.deployment);
    let at = service.clock.now().wall;
    let erased = || ApiError::new(Code::SessionErased, "this session was erased");
    let decision = operations::labels::label(service.store.as_ref(), &session, label.clone(), &thresholds, at).await?;
    Ok(LabelAnswer { label: body(&session, label.as_ref()), decision: decision.ok_or_else(erased)?.name() })
}

/// Lists labels. `Accept: text/csv` gives them as `train --labels` and `evaluate --labels` read them.
#[utoipa::path(
    get, path = "/api/v1/labels", operation_id = "listLabels", tag = "review", params(LabelsParams),
    responses(
        (status = 200, description = "A page", content((LabelsAnswer = "application/json"), (String = "text/csv"))),
        (status = 400, description = "A wrong query", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Neither analyst nor admin, or another deployment", body = ErrorBody),
        (status = 422, description = "limit out of bounds", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(service): State<Shared>,
    Reviewer(access): Reviewer,
    Params(params): Params<LabelsParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let limit = request::page_size(params.limit, PAGE, LARGEST_PAGE)?;
    let wrong = || ApiError::malformed("cursor", "cursor is none of this list's".to_owned());
    let after = params.cursor.as_deref().map_or(Ok(0), |cursor| cursor.parse::<i64>().map_err(|_| wrong()))?;
    let deployment = access.deployment(params.deployment_id)?;
    let rows = service.store.labels(Seq(after), limit, deployment).await?;
    let next = rows.last().filter(|_| rows.len() >= limit as usize).map(|last| last.seq.0.to_string());
    let csv =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|a| a.contains("text/csv"));
    if csv {
        let text = csv_of(&rows).map_err(|e| ApiError::internal(format!("labels could not be written as CSV: {e}")))?;
        let mut answer = wire::bytes(StatusCode::OK, "text/csv; charset=utf-8", text);
        if let Some(next) = next.and_then(|next| next.parse().ok()) {
            answer.headers_mut().insert("x-next-cursor", next);
        }
        return Ok(answer);
    }
    let label = |row: LabelRow| LabelBody {
        session_id: row.key.id.to_string(),
        deployment_id: row.key.deployment,
        label: Some(row.label.truth.name()),
        note: row.label.note,
        at: Some(wire::iso(row.label.at)),
    };
    Ok(wire::json(&LabelsAnswer { labels: rows.into_iter().map(label).collect(), next_cursor: next }))
}

/// Labels as `train --labels` and `evaluate --labels` read them: identifiers as they are.
fn csv_of(rows: &[LabelRow]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(["sessionId", "label"])?;
    for row in rows {
        out.write_record([row.key.id.as_str(), row.label.truth.name()])?;
    }
    Ok(out.into_inner()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{TestApp, send, session};

    #[tokio::test]
    async fn a_label_decides_until_it_is_taken_back() {
        let app = TestApp::start().await;
        let mut now = session("a");
        now["useBatch"] = json!(false);
        let first = app.post("/api/v1/score", &now).await.json()["decision"].clone();
        let (label, other) = if first == "fail" { ("human", "pass") } else { ("bot", "fail") };
        let path = "/api/v1/sessions/a/label";
        let said = app.post(path, &json!({"label": label, "note": "seen it"})).await.json();
        assert_eq!((&said["decision"], &said["label"]), (&json!(other), &json!(label)));
        let result = app.get("/api/v1/batch/result/a").await.json();
        assert_eq!(result["result"]["decision"], other);
        let all = app.get("/api/v1/labels").await.json();
        assert_eq!((&all["labels"][0]["note"], &all["nextCursor"]), (&json!("seen it"), &json!(null)));
        let csv = send(app.request("GET", "/api/v1/labels").header("accept", "text/csv")).await;
        assert_eq!(csv.text, format!("sessionId,label\na,{label}\n"));
        app.post("/api/v1/thresholds", &json!({"pass": 3.0, "review": 3.1})).await;
        assert_eq!(app.get("/api/v1/batch/result/a").await.json()["result"]["decision"], other, "thresholds leave it");
        send(app.request("DELETE", "/api/v1/thresholds")).await;
        let back = app.delete(path).await.json();
        assert_eq!((&back["decision"], &back["label"]), (&first, &json!(null)));
        assert_eq!(app.delete(path).await.json()["decision"], first, "again changes nothing");
        let history = app.get("/api/v1/sessions/a/history").await.json();
        let causes: Vec<_> = history["revisions"].as_array().unwrap().iter().map(|r| r["cause"].clone()).collect();
        assert_eq!(causes, ["label", "label"]);
    }

    #[tokio::test]
    async fn impossible_labels_are_refused_with_their_field() {
        let app = TestApp::start().await;
        app.post("/api/v1/score", &session("waits")).await;
        app.post("/api/v1/sessions/waits/label", &json!({"label": "bot"})).await.is_error(404, "unknown_session");
        app.post("/api/v1/sessions/none/label", &json!({"label": "bot"})).await.is_error(404, "unknown_session");
        let maybe = app.post("/api/v1/sessions/waits/label", &json!({"label": "maybe"})).await;
        maybe.is_error(422, "out_of_bounds");
        let long = json!({"label": "bot", "note": "x".repeat(2001)});
        app.post("/api/v1/sessions/waits/label", &long).await.is_error(422, "out_of_bounds");
        app.post("/api/v1/sessions/waits/label", &json!({"lable": "bot"})).await.is_error(400, "malformed");
        app.get("/api/v1/labels?cursor=x").await.is_error(400, "malformed");
    }
}
