//! Labels: what people say of sessions. A label decides, outlasts thresholds, and is what a model can learn from.

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::rights::Access;
use crate::domain::id::{Seq, SessionKey};
use crate::domain::time::Timestamp;
use crate::http::extract::caller::Reviewer;
use crate::http::extract::deployment::DeploymentParams;
use crate::http::extract::json::{Form, Json};
use crate::http::extract::page;
use crate::http::extract::path::SessionPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{
    ImpossibleLabel, ImpossibleSession, LimitOutOfBounds, StoreAway, Undecided, WrongQuery,
};
use crate::http::respond::shapes;
use crate::http::state::Service;
use crate::operations::labels::Labelling;
use crate::store::StoredSession;
use crate::store::labels::{Label, LabelRow, Truth};

/// Most bytes of a note.
const MAX_NOTE: usize = 2000;
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;

/// What somebody says of a session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelRequest {
    /// human or bot.
    #[schema(example = "bot", pattern = "^(human|bot)$")]
    label: String,
    /// Why; at most 2,000 bytes.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: String,
}

impl Form for LabelRequest {
    const MISSING: &'static str = r#"send {"label": "human" or "bot"}"#;
}

impl LabelRequest {
    /// The label, as `access` gives it.
    pub(crate) fn label(self, access: &Access, at: Timestamp) -> Result<Label, ApiError> {
        let Self { label, note } = self;
        let wrong = || ApiError::at(Code::OutOfBounds, "label", "label must be human or bot".to_owned());
        let truth = Truth::parse(&label).ok_or_else(wrong)?;
        if note.len() > MAX_NOTE {
            let message = format!("note must be at most {MAX_NOTE} bytes long");
            return Err(ApiError::at(Code::OutOfBounds, "note", message));
        }
        Ok(Label { truth, note, actor: access.actor.to_string(), at, campaign: None })
    }
}

/// A label as kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabelBody {
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
pub(crate) struct LabelAnswer {
    #[serde(flatten)]
    label: LabelBody,
    /// The decision as it stands now: pass, review or fail.
    decision: &'static str,
}

/// Labels in the order in which their sessions were accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabelsAnswer {
    labels: Vec<LabelBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LabelsParams {
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
        at: label.map(|label| shapes::iso(label.at)),
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
        Reviewer, Undecided, ImpossibleLabel, StoreAway,
    )
)]
pub(crate) async fn put(
    Reviewer { service, access }: Reviewer,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
    Json(asked): Json<LabelRequest>,
) -> Answer {
    let label = asked.label(&access, service.clock.now().wall)?;
    change(&service, &access, access.session(id, params.deployment_id)?, Some(label)).await
}

/// Takes a label back: the decision is what the thresholds that hold now make of the score.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{sessionId}/label", operation_id = "unlabelSession", tag = "review",
    params(("sessionId" = String, Path, description = "The session"), DeploymentParams),
    responses(
        (status = 200, description = "There is no label now", body = LabelAnswer),
        Reviewer, ImpossibleSession, Undecided, StoreAway,
    )
)]
pub(crate) async fn take_back(
    Reviewer { service, access }: Reviewer,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    change(&service, &access, access.session(id, params.deployment_id)?, None).await
}

async fn change(service: &Service, access: &Access, key: SessionKey, label: Option<Label>) -> Answer {
    let (code, message) = match service.operations.label_session(&access.actor, key, label.clone()).await? {
        Labelling::Decided(session, decision) => {
            let answer = LabelAnswer { label: body(&session, label.as_ref()), decision: decision.name() };
            return Ok(answer::json(&answer));
        }
        Labelling::Undecided => (Code::UnknownSession, "this session has no result yet; label it when it has"),
        Labelling::Erased => (Code::SessionErased, "this session was erased"),
        Labelling::Unknown => (Code::UnknownSession, "there is no such session"),
    };
    Err(ApiError::new(code, message))
}

/// Lists labels. `Accept: text/csv` gives them as `train --labels` and `evaluate --labels` read them.
#[utoipa::path(
    get, path = "/api/v1/labels", operation_id = "listLabels", tag = "review", params(LabelsParams),
    responses(
        (status = 200, description = "A page", content((LabelsAnswer = "application/json"), (String = "text/csv"))),
        Reviewer, WrongQuery, LimitOutOfBounds, StoreAway,
    )
)]
pub(crate) async fn list(
    Reviewer { service, access }: Reviewer,
    Params(params): Params<LabelsParams>,
    headers: HeaderMap,
) -> Answer {
    let limit = page::page_size(params.limit, PAGE, MAX_PAGE)?;
    let after = page::cursor(params.cursor)?.unwrap_or(0);
    let deployment = access.deployment(params.deployment_id)?;
    let rows = service.lists.labels(Seq(after), limit, deployment).await?;
    let next = page::next(&rows, limit, |last| last.seq.0);
    if answer::wants_csv(&headers) {
        // As `train --labels` and `evaluate --labels` read them: identifiers as they are.
        let rows = rows.iter().map(|row| [row.key.id.as_str(), row.label.truth.name()]);
        return answer::csv(["sessionId", "label"], rows, next);
    }
    let label = |row: LabelRow| LabelBody {
        session_id: row.key.id.to_string(),
        deployment_id: row.key.deployment,
        label: Some(row.label.truth.name()),
        note: row.label.note,
        at: Some(shapes::iso(row.label.at)),
    };
    Ok(answer::json(&LabelsAnswer { labels: rows.into_iter().map(label).collect(), next_cursor: next }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, send, session};

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
